"""Reading the clinical tables: one checked row per participant; dates become intervals at the door."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pandas as pd

from paraspinal_assets.errors import StudyError
from paraspinal_assets.study.clinical_csv import read_csv
from paraspinal_assets.study.clinical_settings import ClinicalTable
from paraspinal_assets.study.clinical_values import parse_column
from paraspinal_assets.study.scan import cell_shape, cell_text, check_participant
from paraspinal_assets.study.settings import Study
from paraspinal_assets.study.withdrawn import Withdrawn

DAYS_PER_YEAR: Final = 365.25
MAX_SHOWN: Final = 20
"""Problems printed in one message; all of them are in `ClinicalError.problems`."""


class ClinicalError(StudyError):
    """Clinical tables with one or more wrong cells; `problems` holds a message for each."""

    def __init__(self, problems: list[str]) -> None:
        shown = problems[:MAX_SHOWN]
        more = f"\n  ... and {len(problems) - MAX_SHOWN} more" if len(problems) > MAX_SHOWN else ""
        super().__init__(
            "E-STUDY-20",
            f"the clinical tables have {len(problems)} problem{'s' if len(problems) > 1 else ''}:\n  "
            + "\n  ".join(shown)
            + more,
            "correct these cells in the files, or declare missing codes and ranges in the study file"
            " (letters are shown as x and digits as 9; `paraspinal check` shows the cells)",
        )
        self.problems = problems


@dataclass(frozen=True)
class ClinicalData:
    """The checked clinical tables.

    Attributes
    ----------
    participants
        One row per participant: ``participant``, ``age`` at baseline in years, and every covariate.
    exams
        One row per participant and exam: ``years_from_baseline`` and the columns of tables by exam.
    """

    participants: pd.DataFrame
    exams: pd.DataFrame


def read_clinical(study: Study, root: Path, *, say: Callable[[object], str] = cell_shape) -> ClinicalData:
    """All clinical tables of a study, joined by participant; who withdrew is left out.

    Parameters
    ----------
    study, root
        Study, and folder of its file.
    say
        What messages say of a wrong cell (see `parse_column`).

    Raises
    ------
    ClinicalError
        With every problem: file, row (the header is row 1), participant, shape of the value and rule.
    """
    problems: list[str] = []
    people: list[pd.DataFrame] = []
    by_exam: list[pd.DataFrame] = []
    for table in study.clinical.tables.values():
        try:
            frame = _read_table(table, root, study, problems, say)
        except StudyError as error:
            problems.append(f"{error.message} ({error.remedy})")
            continue
        (people if table.exam is None else by_exam).append(frame)
    participants = _joined(people, ["participant"])
    exams = _joined(by_exam, ["participant", "exam"])
    if not problems:
        participants, exams = _with_intervals(participants, exams, study, problems)
    if problems:
        raise ClinicalError(problems)
    return ClinicalData(participants, exams)


def _joined(frames: list[pd.DataFrame], keys: list[str]) -> pd.DataFrame:
    joined = pd.DataFrame(columns=pd.Index(keys), dtype="string")
    for frame in frames:
        joined = joined.merge(frame, on=keys, how="outer")
    return joined.sort_values(keys, ignore_index=True)


def _read_table(
    table: ClinicalTable, root: Path, study: Study, problems: list[str], say: Callable[[object], str]
) -> pd.DataFrame:
    path = root / table.file
    cells = read_cells(path, table)
    sources = {name: column.source or name for name, column in table.columns.items()}
    keys = [table.participant] + ([table.exam] if table.exam else [])
    doubled_names = sorted(
        {source for source in (*keys, *sources.values()) if (cells.columns == source).sum() > 1}
    )
    if doubled_names:
        raise StudyError(
            "E-STUDY-22",
            f"{path}: more than one column {', '.join(map(repr, doubled_names))}",
            "keep one, or give them different names",
        )
    absent = [source for source in (*keys, *sources.values()) if source not in cells.columns]
    if absent:
        raise StudyError(
            "E-STUDY-22",
            # Not which: where a file has no header, its first row is somebody's.
            f"{path}: no column {', '.join(map(repr, absent))} among the {len(cells.columns)} in its first row",
            "correct the column map in the study file",
        )
    ids: list[str | None] = []
    withdrawn = Withdrawn.of_study(root)
    left_out: set[int] = set()
    for position, cell in enumerate(cells[table.participant]):
        try:
            person = check_participant(cell, where=f"{path} row {position + 2}")
            if person in withdrawn:
                left_out.add(position)
            ids.append(None if person in withdrawn else person)
        except StudyError as error:
            problems.append(f"{error.message}: {error.remedy}")
            ids.append(None)
    frame = pd.DataFrame({"participant": pd.Series(ids, dtype="string")})
    keys = ["participant"]
    if table.exam is not None:
        keys.append("exam")
        frame["exam"] = cells[table.exam].astype("string")
        unknown: dict[str, list[str]] = {}
        for position in sorted(set(frame.index[~frame["exam"].isin(list(study.exams))]) - left_out):
            what = f"exam {say(frame['exam'][position])!r} is not one of {', '.join(study.exams)}"
            unknown.setdefault(what, []).append(f"row {position + 2}")
        problems += _told_once(path, unknown)
    for name, settings in table.columns.items():
        wrong: dict[str, list[str]] = {}

        def complain(position: int, what: str, name: str = name, wrong: dict[str, list[str]] = wrong) -> None:
            if position not in left_out:
                row = f"row {position + 2} participant {ids[position]}"
                wrong.setdefault(f"{name} {what}", []).append(row)

        frame[name] = parse_column(cells[sources[name]], settings, complain, say, decimal=table.decimal)
        problems += _told_once(path, wrong)
    doubled = frame.dropna(subset=["participant"]).duplicated(keys, keep=False)
    for values, rows in (
        frame.loc[doubled[doubled].index].groupby(keys[0] if len(keys) == 1 else keys).groups.items()
    ):
        numbers = ", ".join(str(int(row) + 2) for row in rows)
        named = " ".join(map(str, values)) if isinstance(values, tuple) else values
        problems.append(f"{path} rows {numbers}: participant {named} is there more than once; keep one row")
    return frame.dropna(subset=["participant"]).drop_duplicates(keys)


def _told_once(path: Path, wrong: Mapping[str, Sequence[str]]) -> list[str]:
    """A message for each fault, with the first of its rows: a wrong format is in every row of a file."""
    messages = []
    for what, rows in wrong.items():
        more = f" and {len(rows) - 1} more" if len(rows) > 1 else ""
        messages.append(f"{path} {rows[0]}{more}: {what}")
    return messages


def read_cells(path: Path, table: ClinicalTable) -> pd.DataFrame:
    """The file as it is: CSV cells as text, binary formats with their own types."""
    import pyreadstat

    if not path.is_file():
        raise StudyError(
            "E-STUDY-21", f"no clinical table at {path}", "correct clinical.tables in the study file"
        )
    try:
        match path.suffix.lower():
            case ".csv" | ".tsv" | ".txt":
                return read_csv(path, encoding=table.encoding, separator=table.separator)
            case ".parquet":
                return pd.read_parquet(path)
            case ".dta":
                return pd.DataFrame(pyreadstat.read_dta(str(path))[0])
            case ".sas7bdat":
                return pd.DataFrame(pyreadstat.read_sas7bdat(str(path))[0])
            case ".xpt":
                return pd.DataFrame(pyreadstat.read_xport(str(path))[0])
    except UnicodeDecodeError as error:
        row = error.object[: error.start].count(b"\n") + 1
        raise StudyError(
            "E-STUDY-24",
            f"{path} row {row} is not {table.encoding} text (byte 0x{error.object[error.start]:02x})",
            "name its encoding in the study file, for example `encoding: latin-1`",
        ) from error
    except (
        pyreadstat.ReadstatError,
        OSError,
        ValueError,
    ) as error:
        text = path.suffix.lower() in {".csv", ".tsv", ".txt"}
        remedy = "name its `separator` in the study file, or export it again" if text else "export it again"
        raise StudyError("E-STUDY-24", f"{path} cannot be read: {error}", remedy) from error
    raise StudyError(
        "E-STUDY-24", f"{path}: unknown kind of table", "use .csv, .parquet, .dta, .sas7bdat or .xpt"
    )


def _with_intervals(
    participants: pd.DataFrame, exams: pd.DataFrame, study: Study, problems: list[str]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Replace dates by age and years from baseline, and give each participant its baseline values.

    Messages give the distance between two dates and never a date, since they end up in logs.
    """
    baseline = exams[exams["exam"] == study.baseline] if len(exams) else exams
    people = participants.merge(baseline.drop(columns="exam", errors="ignore"), on="participant", how="outer")
    if "exam_date" in exams.columns:
        starts = exams["participant"].map(baseline.set_index("participant")["exam_date"])
        exams = exams.assign(years_from_baseline=_years(starts, exams["exam_date"]))
        _refuse_before(exams, exams["years_from_baseline"], f"the {study.baseline} date", problems)
        if "date_of_birth" in people.columns:
            births = exams["participant"].map(people.set_index("participant")["date_of_birth"])
            _refuse_before(exams, _years(births, exams["exam_date"]), "the date of birth", problems)
            if "age" not in people.columns:
                people.insert(1, "age", _years(people["date_of_birth"], people["exam_date"]))
    drop = ["date_of_birth", "exam_date"]
    return people.drop(columns=drop, errors="ignore"), exams.drop(columns=drop, errors="ignore")


def _refuse_before(exams: pd.DataFrame, years: pd.Series[Any], what: str, problems: list[str]) -> None:
    wrong = (years < 0).fillna(False).astype(bool)
    for person, exam, gap in zip(
        exams["participant"][wrong], exams["exam"][wrong], years[wrong], strict=True
    ):
        problems.append(f"participant {person}: exam_date of {exam} is {-gap:.1f} years before {what}")


def _years(start: pd.Series[Any], end: pd.Series[Any]) -> pd.Series[Any]:
    days = (pd.to_datetime(end) - pd.to_datetime(start)).dt.days
    return (days / DAYS_PER_YEAR).round(4).astype("Float64")


def years_between(start: dt.date | None, end: dt.date | None) -> float | None:
    """Years from one day to another; None where either is unknown."""
    return None if start is None or end is None else round((end - start).days / DAYS_PER_YEAR, 4)


def exam_dates(study: Study, root: Path) -> dict[tuple[str, str], dt.date]:
    """(participant, exam) -> date, for choosing a calibration by date; unreadable cells are left out.

    Only `read_clinical` judges the tables: a wrong cell there must not stop a scan here.
    """
    dates: dict[tuple[str, str], dt.date] = {}
    for table in study.clinical.tables.values():
        if "exam_date" not in table.columns or table.exam is None:
            continue
        try:
            cells = read_cells(root / table.file, table)
        except StudyError:
            continue
        settings = table.columns["exam_date"]
        source = settings.source or "exam_date"
        if not {table.participant, table.exam, source} <= set(cells.columns):
            continue
        values = parse_column(cells[source], settings, lambda *_: None)
        for person, exam, date in zip(cells[table.participant], cells[table.exam], values, strict=True):
            if not pd.isna(date):
                dates[(cell_text(person), str(exam))] = date.date()
    return dates
