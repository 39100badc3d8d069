"""What asset functions return."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from paraspinal_assets.errors import MachineError, ParaspinalError
from paraspinal_assets.study.disk import disk_error
from paraspinal_assets.study.scan import Scan

INTERRUPTED: Final = "E-INTERRUPTED"
"""Code of a partition whose run was killed: what is on disk may be half of it, so it is built again."""


@dataclass(frozen=True)
class ScanResult:
    """One scan's artifact, written.

    Attributes
    ----------
    data_version
        Digest of the content that matters.
    metadata
        What a person wants to see of it in the UI.
    not_measurable
        Reason code, where the artifact records that nothing can be measured.
    """

    data_version: str
    metadata: Mapping[str, Any] = field(default_factory=dict)
    not_measurable: str | None = None


@dataclass(frozen=True)
class ScanOutcome:
    """A scan of a batch and what became of it: a result, or an error."""

    scan: Scan
    result: ScanResult | None = None
    error: Exception | None = None


def shown(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values as metadata: numbers as numbers, so that the UI can plot them, and nothing that is empty."""
    return {
        name: value if isinstance(value, int | float | str) and not isinstance(value, bool) else str(value)
        for name, value in values.items()
        if value is not None and value not in ("", [], {})
    }


def failure_metadata(error: Exception, root: Path) -> dict[str, Any]:
    """What an event says about a failure: code, message, and whether only another input can help.

    Our own errors are about the input and wait for it to change. Errors of the machine (disk, memory, GPU) or of the
    study file, and unexpected ones, which are bugs, are tried again by the next run.
    """
    disk = disk_error(error, root)
    if disk is not None:
        return {"code": disk.code, "message": str(disk), "bad_input": False}
    if isinstance(error, ParaspinalError):
        return {
            "code": error.code,
            "message": str(error),
            "bad_input": not isinstance(error, MachineError),
        }
    code = "E-INFRASTRUCTURE" if isinstance(error, OSError | MemoryError) else "E-UNEXPECTED"
    return {"code": code, "message": f"[{code}] {type(error).__name__}: {error}", "bad_input": False}
