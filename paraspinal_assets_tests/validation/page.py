"""Write docs/validation.md: ``make validation``."""

from __future__ import annotations

from paraspinal_assets.study.markdown import table_lines
from paraspinal_assets.study.store import StudyStore
from paraspinal_assets_tests.docs.pages import ROOT
from paraspinal_assets_tests.statistics.r_reference import cohort, reference
from paraspinal_assets_tests.validation import against_r, measurements
from paraspinal_assets_tests.validation.comparison import Comparison

PAGE = ROOT / "docs" / "validation.md"
INTRODUCTION = """\
<!-- Made by `make validation`; change paraspinal_assets_tests/validation instead. -->
# Validation

What this package computes, beside independent programs on the same data. The references lie in
`paraspinal_assets_tests/data`; `make validation` computes our side again and writes this page, and a test fails when
the page is not what it would write. Agreement is relative unless a unit is given, and holds for every number of a
row; a row in which one did not agree would say **differs**.

## Statistics against R

A synthetic cohort of {participants:,} participants with missing values, analysed as in the original study.
"""
MEASUREMENTS = """
## Measurements against the published scripts and PyRadiomics

Two small synthetic CTs, one with gaps and overlaps between levels. The test suite compares the same numbers on a real
CT where its files are at hand ([real-ct.md](real-ct.md)).
"""
PHANTOMS = """
## Measurements against phantoms

A phantom is drawn from known shapes and attenuations, so its truth needs no other program. Masks are those drawn:
this is about measuring, not about segmenting. The CT has noise of 15 HU.
"""
LIMITS = """
What is not validated here: the published networks of TotalSegmentator on patients. A study's own agreement with
manual masks is in its report (`readers` in [study-file.md](study-file.md)).
"""
HEADS = ("What", "Reference", "Numbers", "First: reference", "ours", "All agree within")


def text() -> str:
    """The page, from numbers computed now."""
    meta = reference("A")["meta"]
    packages = ", ".join(f"{name} {version}" for name, version in sorted(meta["packages"].items()))
    lines = [
        f"{INTRODUCTION.format(participants=len(cohort()))}",
        f"{meta['R'].split(' (')[0]} with {packages}.",
        "",
        *_table(against_r.comparisons()),
        MEASUREMENTS,
        *_table(measurements.comparisons()),
        PHANTOMS,
        *_table(measurements.phantoms()),
        LIMITS,
    ]
    return "\n".join(lines)


def _table(comparisons: list[Comparison]) -> list[str]:
    return table_lines(HEADS, (comparison.row() for comparison in comparisons))


if __name__ == "__main__":
    StudyStore(PAGE.parent).write_bytes(PAGE, text().encode())
