"""All that asset functions import when they are called, for the process that workers are forked from.

Asset modules import what they compute with inside their functions, so that looking at a study (`paraspinal
status`, the webserver, a sensor) loads none of it: two thirds of the time that such a command takes to start.
"""

import paraspinal_assets.defs.asset_definitions
import paraspinal_assets.imaging.agreement_tables
import paraspinal_assets.imaging.dicom
import paraspinal_assets.imaging.measure
import paraspinal_assets.imaging.quality
import paraspinal_assets.imaging.radiomics
import paraspinal_assets.report.contact_sheet
import paraspinal_assets.report.qc_picture
import paraspinal_assets.report.study_report
import paraspinal_assets.segmenters.batch
import paraspinal_assets.segmenters.imported
import paraspinal_assets.statistics.analysis
import paraspinal_assets.statistics.longitudinal
import paraspinal_assets.study.cohort
import paraspinal_assets.study.export
import paraspinal_assets.study.scan_table  # noqa: F401
