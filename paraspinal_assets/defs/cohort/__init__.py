"""Scans and clinical tables become a cohort."""
