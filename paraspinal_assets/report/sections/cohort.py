"""Summary, flow, Table 1 and the muscle measures."""

from __future__ import annotations

from typing import Any, Final

import pandas as pd

from paraspinal_assets.imaging.labels import SPINE
from paraspinal_assets.report.blocks import (
    Cell,
    Headline,
    Headlines,
    Paragraph,
    Section,
    Source,
    TableBlock,
    figure,
)
from paraspinal_assets.report.figures.muscle import (
    PROFILES,
    cohort_distributions,
    muscle_profile,
    quartile_distributions,
)
from paraspinal_assets.report.flow import COLUMNS as FLOW_COLUMNS
from paraspinal_assets.report.flow import flow_diagram
from paraspinal_assets.report.measures import Measure
from paraspinal_assets.report.measures import measure as shown_as
from paraspinal_assets.report.numbers import count, p_value, percent, significant
from paraspinal_assets.report.sections.terms import column

TABLE_ONE_COLUMNS: Final = ("variable", "level", "low", "high", "overall", "missing", "test", "p", "smd")
TABLE_ONE_HEADS: Final = tuple(
    Cell(head, header=True, numeric=head != "Characteristic")
    for head in (
        *("Characteristic", "Lowest quartile", "Quartiles 2 to 4", "All", "Missing", "p", "Std. difference"),
    )
)
DISTRIBUTION_ROWS: Final = ("mean", "sd", "median", "q1", "q3")


def summary(source: Source) -> Section:
    """The headline numbers, beside their truth where it is known."""
    section = Section("summary", "Summary")
    items = tuple(
        Headline(
            str(item["label"]),
            f"{_headline_value(item['value'])} {item.get('unit') or ''}".strip(),
            ""
            if item.get("truth") is None
            else f"{_headline_value(item['truth'])} {item.get('unit') or ''}".strip(),
        )
        for item in source.info.get("headline", ())
    )
    if not items:
        return section.add(Paragraph("Not available: no headline numbers were given.", "missing"))
    section.add(Headlines(items))
    if any(item.truth for item in items):
        section.add(Paragraph("“Truth” is what the synthetic study was made with.", "note"))
    return section


def _headline_value(value: Any) -> str:
    return value if isinstance(value, str) else significant(value)


def flow(source: Source) -> Section:
    """The STROBE flow diagram."""
    section = Section("flow", "Participants and scans")
    disposition = source.get("disposition", *FLOW_COLUMNS)
    if disposition is None:
        return section.add(source.absent("disposition", *FLOW_COLUMNS))
    return section.add(figure(flow_diagram(disposition), "Each was excluded where this was first known."))


def table_one(source: Source) -> Section:
    """Characteristics of the lowest quartile against the rest, once per exposure."""
    section = Section("table-one", "Characteristics by quartile")
    frame = source.get("table_one", *TABLE_ONE_COLUMNS)
    if frame is None:
        return section.add(source.absent("table_one", *TABLE_ONE_COLUMNS))
    section.add(_characteristics(source, frame, "muscle attenuation"))
    for name in (name for name in source.tables if name.startswith("table_one_")):
        other = source.get(name, *TABLE_ONE_COLUMNS)
        if other is not None:
            section.add(
                _characteristics(source, other, shown_as(name.removeprefix("table_one_")).name.lower())
            )
    return section


def _characteristics(source: Source, frame: pd.DataFrame, measure: str) -> TableBlock:
    totals = frame.iloc[0]
    rows = [
        _row(f"{totals['variable']}", [count(totals[group]) for group in ("low", "high", "overall")], totals)
    ]
    for variable, own in frame.iloc[1:].groupby("variable", sort=False):
        if set(own["level"]) <= set(DISTRIBUTION_ROWS):
            rows += _measurement(column(source, str(variable)), own.set_index("level"))
        else:
            rows += _category(str(variable), own, totals)
    note = (
        "Measurements: mean (standard deviation) and median [quartiles]; categories: number (%). "
        f"Tests: {'; '.join(sorted({str(test) for test in frame['test'].dropna()}))}. "
        "Standardized differences: Austin 2009; beyond 0.1 is usually taken as imbalance."
    )
    return TableBlock(f"Characteristics by quartile of {measure}", TABLE_ONE_HEADS, tuple(rows), note)


def _row(name: str, values: list[str], tests: Any, *, bare: bool = False) -> tuple[Cell, ...]:
    ends = (
        ["", "", ""] if bare else [count(tests["missing"]), p_value(tests["p"]), significant(tests["smd"], 2)]
    )
    return (Cell(name, header=True), *(Cell(value, numeric=True) for value in [*values, *ends]))


def _measurement(shown: Measure, own: pd.DataFrame) -> list[tuple[Cell, ...]]:
    scaled = own[["low", "high", "overall"]].astype(float) * shown.factor
    at = {level: [significant(value) for value in scaled.loc[level]] for level in own.index}
    rows = []
    if {"mean", "sd"} <= set(own.index):
        values = [f"{mean} ({sd})" for mean, sd in zip(at["mean"], at["sd"], strict=True)]
        rows.append(_row(f"{shown.label}, mean (SD)", values, own.loc["mean"]))
    if {"median", "q1", "q3"} <= set(own.index):
        parts = zip(at["median"], at["q1"], at["q3"], strict=True)
        values = [f"{median} [{low}, {high}]" for median, low, high in parts]
        rows.append(_row(f"{shown.label}, median [Q1, Q3]", values, own.loc["median"]))
    return rows


def _category(variable: str, own: pd.DataFrame, totals: Any) -> list[tuple[Cell, ...]]:
    groups, name = ("low", "high", "overall"), shown_as(variable).name
    known = {group: own[group].sum() or totals[group] for group in groups}
    if set(own["level"]) == {"0", "1"}:  # a yes/no question needs one row
        yes = own[own["level"] == "1"].iloc[0]
        return [_row(name, [percent(yes[g], known[g]) for g in groups], own.iloc[0])]
    rows = [_row(name, ["", "", ""], own.iloc[0])]
    for record in own[own["level"] != ""].to_dict("records"):  # a column without values has no level
        values = [percent(record[group], known[group]) for group in groups]
        rows.append(_row(f"\u2003{record['level']}", values, record, bare=True))
    return rows


def muscle(source: Source) -> Section:
    """Muscle along the spine, and the outcome by quartile of muscle."""
    section = Section("muscle", "Muscle measures")
    cohort = analysed(source)
    if cohort is not None and cohort.empty:
        return section.add(
            Paragraph("Not available: no participant passed every step of the flow.", "missing")
        )
    needed = ("participant", "exam", "level", "side", "median_hu")
    measured = source.get("muscle_metrics", *needed)
    if measured is None:
        section.add(source.absent("muscle_metrics", *needed))
    elif cohort is None or not {"participant", "sex", "attenuation"} <= set(cohort.columns):
        section.add(source.absent("cohort", "participant", "sex", "attenuation"))
    else:
        baseline = measured[measured["exam"] == _baseline(source, measured)]
        levels = [level for level in SPINE if level in set(baseline["level"])]
        for measure in (name for name in PROFILES if name in baseline.columns):
            section.add(figure(muscle_profile(baseline, cohort, levels=levels, measure=measure)))
    if cohort is not None and {"vbmd", "attenuation", "volume"} <= set(cohort.columns):
        if "sex" in cohort.columns:
            section.add(figure(cohort_distributions(cohort)))
        section.add(figure(quartile_distributions(cohort)))
    return section


def _baseline(source: Source, measured: pd.DataFrame) -> str:
    return str(source.info.get("baseline") or sorted(measured["exam"].unique())[0])


def analysed(source: Source) -> pd.DataFrame | None:
    """The participants who are in the analysis."""
    cohort = source.get("cohort")
    if cohort is None or "analysed" not in cohort.columns:
        return cohort
    return cohort[cohort["analysed"].fillna(False).astype(bool)]
