"""Links from an asset's page to the function that makes it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import dagster as dg


def code_link(function: Callable[..., Any]) -> dict[str, Any]:
    """Definition metadata that leads to a function's source; wrappers are looked through."""
    inner = inspect.unwrap(function)
    path = inspect.getsourcefile(inner)
    if path is None:
        return {}
    line = inspect.getsourcelines(inner)[1]
    reference = dg.LocalFileCodeReference(file_path=path, line_number=line, label=inner.__name__.strip("_"))
    return {"dagster/code_references": dg.CodeReferencesMetadataValue(code_references=[reference])}
