"""Where per-scan artifacts are kept, as the study file says it."""

from __future__ import annotations

import re
from typing import Final

from pydantic import Field, field_validator

from paraspinal_assets.study.settings_base import Settings

ADDRESS: Final = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9_][A-Za-z0-9._-]*)*/?")
CACHE_GB: Final = 20
"""Copies of objects that are kept unless the study file says otherwise."""


class ArtifactSettings(Settings):
    """Artifacts of the scans in a bucket instead of in `scans/` beside the study file. No result depends on it."""

    url: str = Field(
        description="`s3://bucket/prefix`, of this study alone. Endpoint and credentials: from the environment."
    )
    cache_gb: float = Field(
        CACHE_GB,
        gt=0,
        description="Copies of objects that are kept in `.cache/artifacts` for the next asset, in GB.",
    )

    @field_validator("url")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        if not ADDRESS.fullmatch(value):
            raise ValueError(
                "write it as s3://bucket/prefix; endpoint and credentials come from the environment"
            )
        return value.rstrip("/")
