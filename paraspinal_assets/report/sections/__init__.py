"""The sections of the report, one module per subject: a `Source` in, a `Section` out."""
