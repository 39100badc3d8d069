"""Settings of what happens by itself: taking in scans, the nightly rebuild, batches and retries."""

from __future__ import annotations

from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator

from paraspinal_assets.study.settings_base import Settings

UNATTENDED_QUIET_S: Final = 60.0
"""Quiet period of the sensor and the schedule where the study file names none."""


class AutomationSettings(Settings):
    """What the Dagster daemon does by itself. No result depends on it."""

    enabled: bool = Field(
        False,
        description="Sensor and schedule are on from the start; otherwise they are switched on in the UI.",
    )
    quiet_seconds: float | None = Field(
        None,
        ge=0,
        description="A scan of which a file changed this recently may still be copied and is left alone. When "
        "absent: 60 for sensor and schedule, 0 for commands.",
    )
    look_every_seconds: int = Field(60, ge=10, description="How often the sensor looks for new scans.")
    schedule: str = Field("0 2 * * *", description="When stale scans are rebuilt, as a cron expression.")
    timezone: str = Field("UTC", description="Time zone of the schedule, such as America/New_York.")
    batch: dict[str, int] = Field(
        default_factory=dict,
        description="Asset -> scans per run, in place of its own number; no two assets may have the same.",
    )
    retry_seconds: tuple[int, ...] = Field(
        (30, 120, 600),
        description="Waits before scans that failed for the machine (disk, memory) are tried again in their run.",
    )

    @field_validator("timezone")
    @classmethod
    def _is_known(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError(f"{value!r} is not a time zone such as America/New_York") from error
        return value

    @field_validator("batch")
    @classmethod
    def _are_counts(cls, value: dict[str, int]) -> dict[str, int]:
        for asset, size in value.items():
            if size < 1:
                raise ValueError(f"{asset}: a batch has at least 1 scan, not {size}")
        return value

    @field_validator("retry_seconds")
    @classmethod
    def _are_waits(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if any(wait < 0 for wait in value):
            raise ValueError("a wait is 0 seconds or longer")
        return value

    def quiet(self, *, unattended: bool) -> float:
        """Seconds without a change after which a scan counts as complete."""
        if self.quiet_seconds is not None:
            return self.quiet_seconds
        return UNATTENDED_QUIET_S if unattended else 0.0
