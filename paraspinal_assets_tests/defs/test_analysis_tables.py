"""The parts of a study's analysis, each an asset, agree with one another."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from paraspinal_assets.defs.rules import asset_rules
from paraspinal_assets.report.blocks import Source
from paraspinal_assets.report.sections.methods import problems
from paraspinal_assets.study.schema import schemas
from paraspinal_assets.study.study_file import load_study
from paraspinal_assets_tests.defs.small_study import study_text


@pytest.fixture
def people() -> pd.DataFrame:
    """A cohort with a third of the BMIs missing; BMI is in the fracture models alone."""
    rng = np.random.default_rng(5)
    n = 240
    frame = pd.DataFrame({"participant": [f"p{k:03}" for k in range(n)], "analysed": True, "exclusion": None})
    frame["age"] = rng.normal(65, 8, n).round()
    frame["sex"] = np.where(rng.random(n) < 0.5, "Female", "Male")
    frame["bmi"] = rng.normal(28, 4, n)
    frame["attenuation"] = 60 - frame["bmi"] + rng.normal(0, 3, n)
    frame["volume"] = rng.normal(4e5, 5e4, n)
    frame["vbmd"] = 100 + frame["attenuation"] + rng.normal(0, 10, n)
    frame["fracture"] = (rng.random(n) < 0.2).astype(int)
    frame.loc[rng.random(n) < 0.3, "attenuation"] = np.nan
    frame.loc[rng.random(n) < 0.3, "bmi"] = np.nan
    frame.loc[rng.random(n) < 0.1, "vbmd"] = np.nan
    return frame


def build(
    asset: str, tmp_path: Path, people: pd.DataFrame, analysis: str, **others: pd.DataFrame
) -> dict[str, pd.DataFrame]:
    """The tables of an asset, from a cohort and perhaps other tables."""
    text = study_text().replace("fracture: {age_only: age}", "fracture: {m: age + bmi + vbmd}")
    text = text.replace("imputations: 0,", analysis).replace(
        "        sex:", "        bmi: {type: number}\n        sex:"
    )
    path = tmp_path / "study.yaml"
    path.write_text(text)
    database = SimpleNamespace(read=lambda name: {"cohort": people, **others}[name])
    context: Any = SimpleNamespace(workspace=SimpleNamespace(study=load_study(path), database=database))
    function = asset_rules()[asset].function
    assert function is not None
    return function(context).frames


@pytest.mark.parametrize("analysis", ["imputation: multiple, imputations: 3,", "imputations: 3,"])
def test_a_model_has_the_same_coefficients_in_every_table(tmp_path, people, analysis):
    method = "multiple" if "multiple" in analysis else "median"
    whole = build("model_comparison", tmp_path, people, analysis)["imputation_comparison"]
    whole = whole[whole["method"] == method].set_index(["model", "term"])["estimate"]
    linear = build("regression", tmp_path, people, analysis)["linear_coefficients"]
    logistic = build("fracture_models", tmp_path, people, analysis)["logistic_coefficients"]
    for rows, column in ((linear, "estimate"), (logistic, "log_odds")):
        got = rows.set_index(["model", "term"])[column]
        assert len(got)
        assert got.to_numpy() == pytest.approx(whole[got.index].to_numpy(), rel=1e-9)


@pytest.mark.parametrize("asset", ["auc", "sensitivity", "subgroups", "quartile_cohort", "table_one"])
def test_every_table_is_made_with_multiple_imputation(tmp_path, people, asset):
    assert build(asset, tmp_path, people, "imputation: multiple, imputations: 2,")


def test_problems_of_groups_are_stored_and_reported(tmp_path, people):
    people["volume"] = np.where(people.index < 200, 4e5, people["volume"])
    people["sex"] = np.where(people.index < 9, "Male", "Female")
    people["bmi"] = np.nan
    tables = {}
    for asset in ("subgroups", "quartile_cohort", "table_one"):
        tables |= build(asset, tmp_path, people, "imputations: 0,")
    for table, (analysis, model, code) in {
        "subgroup_problems": ("subgroups", "sex", "W-STAT-SMALL-GROUP"),
        "quartile_problems": ("quartiles", "volume", "E-STAT-TIES"),
        "table_one_problems": ("table_one", "bmi", "E-STAT-COLUMN"),
    }.items():
        rows = tables[table]
        schemas()[table].check(rows)
        assert (analysis, model, code) in set(zip(rows["analysis"], rows["model"], rows["code"], strict=True))
        assert rows["message"].iloc[0] in str(problems(Source(tables, {})).blocks[0])
    volume = tables["quartile_cohort"].query("measure == 'volume'")
    assert volume["quartile"].isna().all()
    assert volume["lowest"].notna().all()


@pytest.mark.parametrize(
    "asset",
    [
        *("regression", "model_comparison", "sensitivity", "fracture_models", "auc", "subgroups"),
        *("quartile_cohort", "table_one"),
    ],
)
def test_with_nobody_to_analyse_tables_are_empty_and_the_report_can_be_written(tmp_path, people, asset):
    made = build(asset, tmp_path, people.assign(analysed=False), "imputations: 0,")
    told = {
        name: frame for name, frame in made.items() if name in ("regression_problems", "fracture_problems")
    }
    assert all(frame.empty for name, frame in made.items() if name not in told)
    assert all(list(frame["code"]) == ["E-STAT-ROWS"] for frame in told.values())


def test_one_participant_has_no_quartile_and_stops_nothing(tmp_path, people):
    made = build(
        "quartile_cohort", tmp_path, people[people.notna().sum(axis=1) == 9].head(1), "imputations: 0,"
    )
    assert made["quartile_cohort"][["quartile", "lowest"]].isna().all(axis=None)
    assert set(made["quartile_problems"]["code"]) == {"E-STAT-CONSTANT"}


def test_without_a_pair_of_scans_there_is_no_change_but_a_problem(tmp_path, people):
    muscle = pd.DataFrame(
        {"exam": "exam5", "participant": people["participant"], "level": "union", "side": "both"}
    ).assign(median_hu=20.0, volume_mm3=1e5)
    bone = muscle[["exam", "participant"]].assign(region="body", vbmd_mg_cm3=150.0)
    scans = muscle[["exam", "participant"]].assign(status="measured", segmenter="imported")
    made = build(
        *("longitudinal", tmp_path, people.assign(years=5.0, exclusion=pd.NA), "imputations: 0,"),
        muscle_metrics=muscle,
        bone_metrics=bone,
        scans=scans,
    )
    assert list(made["longitudinal_problems"]["code"]) == ["E-STAT-PAIRS"]
    assert made["longitudinal"].empty
    assert made["longitudinal_models"].empty
