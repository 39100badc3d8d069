"""All assets, gathered from the stages in the order in which a scan passes through them."""

from __future__ import annotations

from collections.abc import Sequence

import dagster as dg

from paraspinal_assets.defs.analysis.assets import assets as analysis
from paraspinal_assets.defs.cohort.assets import assets as cohort
from paraspinal_assets.defs.ingest.assets import assets as ingest
from paraspinal_assets.defs.measurement.assets import assets as measurement
from paraspinal_assets.defs.measurement.tables import assets as measurement_tables
from paraspinal_assets.defs.report.assets import assets as report
from paraspinal_assets.defs.segmentation.agreement import reader_agreement
from paraspinal_assets.defs.segmentation.assets import assets as segmentation

ASSETS: Sequence[dg.AssetsDefinition | dg.AssetSpec] = [
    *ingest,
    *segmentation,
    reader_agreement,
    *measurement,
    *measurement_tables,
    *cohort,
    *analysis,
    *report,
]
