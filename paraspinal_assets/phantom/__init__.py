"""The synthetic study: CT phantoms, DICOM series and clinical tables with known truth.

Start with `demo.make_demo_study` for a whole study, `anatomy.make_phantom` for one scan, and
`parameters.tiny_parameters` for a scan that is quick to draw in a test.
"""
