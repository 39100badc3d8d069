"""The Dagster layer: thin assets, checks and automation."""

import warnings

import dagster as dg

# Backfill policies and code references are marked beta; Dagster's version is pinned and both are tested here.
for _feature in ("backfill_policy", "CodeReferencesMetadataValue", "LocalFileCodeReference", "`owners`"):
    warnings.filterwarnings("ignore", message=f".*{_feature}", category=dg.BetaWarning)
