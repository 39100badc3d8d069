"""The code location: every asset, schedule and sensor of the product, for the study in PARASPINAL_STUDY."""

from __future__ import annotations

import dagster as dg

from paraspinal_assets.defs.build import build_definitions

defs: dg.Definitions = build_definitions()
