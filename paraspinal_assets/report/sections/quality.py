"""Quality of the scans: which were excluded, why, and how they look."""

from __future__ import annotations

from typing import Any, Final

import pandas as pd

from paraspinal_assets.imaging.reasons import REASONS
from paraspinal_assets.report.blocks import Block, Paragraph, Section, Source, table
from paraspinal_assets.report.numbers import count

MAX_LISTED: Final = 60
"""Excluded scans listed one by one; the rest are counted."""


def quality(source: Source) -> Section:
    """Which scans were excluded, why in words, and how scans look."""
    section = Section("quality", "Quality of the scans")
    needed = ("participant", "exam", "accepted", "reasons")
    found = source.get("quality", *needed)
    if found is None:
        return section.add(source.absent("quality", *needed))
    accepted = found["accepted"].fillna(False).astype(bool)
    rejected = found[~accepted]
    section.add(
        Paragraph(f"{count(accepted.sum())} of {count(len(found))} segmented scans were accepted."),
        _decisions(found),
        _scan_states(source),
    )
    if len(rejected):
        section.add(*_exclusions(rejected))
    return section.add(*source.info.get("contact_sheets", ()))


def _decisions(found: pd.DataFrame) -> Block | None:
    """What readers decided, which goes before the automatic verdict."""
    if "reader_decision" not in found.columns or found["reader_decision"].isna().all():
        return None
    counted = found["reader_decision"].dropna().value_counts().sort_index()
    words = ", ".join(f"{decision} {n}" for decision, n in counted.items())
    return Paragraph(f"Readers decided about {count(counted.sum())} of them: {words}.")


def _exclusions(rejected: pd.DataFrame) -> tuple[Block, Block]:
    """How often each reason was given, and the scans one by one."""
    codes = rejected["reasons"].map(reason_codes)
    counted = codes.explode().dropna().value_counts()
    summary = pd.DataFrame(
        {
            "reason": [in_words(str(code)) for code in counted.index],
            "code": counted.index.astype(str),
            "scans": counted.to_numpy(),
        }
    ).sort_values(["scans", "code"], ascending=[False, True])
    heads = {"reason": "Reason", "code": "Code", "scans": "Scans"}
    reasons = table(summary, heads, caption="Reasons for exclusion", formats={"scans": count})
    listed = rejected.assign(why=codes.map(lambda own: "; ".join(in_words(code) for code in own)))
    listed = listed.sort_values(["exam", "participant"]).head(MAX_LISTED)
    heads = {"participant": "Participant", "exam": "Exam", "why": "Why"}
    note = f"The first {MAX_LISTED} of {count(len(rejected))}." if len(rejected) > MAX_LISTED else ""
    return reasons, table(listed, heads, caption="Excluded scans", formats={}, note=note)


def _scan_states(source: Source) -> Block | None:
    """What became of every scan found, segmented or not."""
    scans = source.get("scans", "exam", "status", "reason")
    if scans is None:
        return None
    states = (
        scans.assign(status=scans["status"].str.replace("_", " "))
        .fillna({"reason": ""})
        .groupby(["exam", "status", "reason"], sort=True)
        .size()
    )
    rows = states.rename("scans").reset_index()
    rows["reason"] = [in_words(str(code)) if code else "" for code in rows["reason"]]
    heads = {"exam": "Exam", "status": "Status", "reason": "First reason", "scans": "Scans"}
    return table(rows, heads, caption="What became of the scans", formats={"scans": count})


def reason_codes(value: Any) -> list[str]:
    """Codes in a cell: a list, or text separated by commas or semicolons."""
    if isinstance(value, str):
        return [code.strip() for code in value.replace(";", ",").split(",") if code.strip()]
    if value is None or (not hasattr(value, "__iter__") and pd.isna(value)):
        return []
    return [str(code) for code in value]


def in_words(code: str) -> str:
    """Meaning of a reason code."""
    return REASONS.get(code, code.replace("_", " "))
