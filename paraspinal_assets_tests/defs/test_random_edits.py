"""Any edits with any partial runs between them: one run later, everything is what a build from nothing gives.

PARASPINAL_EDITS=40 makes it the long campaign; PARASPINAL_SEED another one.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from paraspinal_assets.defs.rules import asset_rules
from paraspinal_assets_tests.crashes.commands import Study
from paraspinal_assets_tests.defs.conftest import BuiltStudy
from paraspinal_assets_tests.defs.small_study import EXAMS, PEOPLE, write_reader_masks, write_scan

EDITS = int(os.environ.get("PARASPINAL_EDITS", "8"))
SEED = int(os.environ.get("PARASPINAL_SEED", "1"))
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600 + 60 * EDITS)]

Edit = Callable[[Path, random.Random], str]
READ = "1001"
REVIEW = "participant,exam,decision,reader,reason\n"
CHOICES = (
    ("levels", ("T1-T10", "T1-T9", "T3-T10")),
    ("  - {exam: exam5, slope: 0.8, intercept", (" 2}", " 5}")),
    ("readers", ("{decisions: review.csv}", "{decisions: review.csv, masks: readers}")),
    ("  linear", ("{model1: age + sex, model2: age + sex + attenuation}", "{model2: attenuation}")),
    ("  fracture", ("{age_only: age}", "{age_only: age, both: age + attenuation}")),
    (
        "exclude",
        (
            "[]",
            "[{participant: '1002', reason: moved}]",
            "[{participant: '1003', exam: exam6, reason: moved}]",
        ),
    ),
)
"""Keys of the study file, each the first of its line, with the values between which edits change."""


def another_setting(root: Path, chance: random.Random) -> str:
    key, values = chance.choice(CHOICES)
    path = root / "study.yaml"
    lines = path.read_text().splitlines()
    line = f"{key}: {chance.choice(values)}"
    kept = [line if old.startswith(f"{key}:") else old for old in lines]
    path.write_text("\n".join(kept if line in kept else [*kept, line]) + "\n")
    return line


def another_scan(root: Path, chance: random.Random) -> str:
    exam, person = chance.choice(EXAMS), chance.choice([*PEOPLE, "1007"])
    write_scan(root, exam, person, muscle_hu=chance.uniform(10, 50), width=chance.uniform(12, 18))
    return f"scan {exam} {person}"


def a_damaged_file(root: Path, chance: random.Random) -> str:
    path = chance.choice(_files(root))
    path.write_bytes(path.read_bytes()[:-1000])
    return f"damaged {path.relative_to(root)}"


def a_removed_file(root: Path, chance: random.Random) -> str:
    path = chance.choice(_files(root))
    path.unlink()
    return f"removed {path.relative_to(root)}"


def _files(root: Path) -> list[Path]:
    """Scans and masks but for those of the participant of whom a reader's masks are made."""
    return sorted(path for path in root.glob("*/*/*.nii.gz") if not path.name.startswith(READ))


def other_people(root: Path, chance: random.Random) -> str:
    table = pd.read_csv(root / "people.csv", dtype={"participant": str})
    table.loc[chance.randrange(len(table)), "age"] = chance.randint(50, 90)
    table.to_csv(root / "people.csv", index=False)
    return "people"


def other_decisions(root: Path, chance: random.Random) -> str:
    decision = chance.choice(["accept", "reject", "relabel+1"])
    row = f"{chance.choice(PEOPLE)},{chance.choice(EXAMS)},{decision},AB,seen\n"
    (root / "review.csv").write_text(REVIEW + chance.choice(["", row]))
    return f"decision {row.strip()}"


def other_reader_masks(root: Path, chance: random.Random) -> str:
    shutil.rmtree(root / "readers", ignore_errors=True)
    exam = chance.choice(EXAMS)
    write_reader_masks(root, exam, READ)
    return f"reader masks of {exam}"


KINDS: tuple[Edit, ...] = (
    *(another_setting,) * 3,
    *(another_scan,) * 2,
    *(a_damaged_file, a_removed_file, other_people, other_decisions, other_reader_masks),
)


def a_partial_run(study: BuiltStudy, chance: random.Random) -> str:
    names = sorted(name for name, rule in asset_rules().items() if not rule.external)
    assets = frozenset(chance.sample(names, chance.choice([3, 8, 15])))
    exams = frozenset({chance.choice(EXAMS)}) if chance.random() < 0.3 else None
    study.run(assets=assets, exams=exams)
    return f"run of {', '.join(sorted(assets))} {exams or ''}"


def test_after_any_edits_one_run_gives_what_a_build_from_nothing_gives(
    built: BuiltStudy, tmp_path: Path
) -> None:
    chance = random.Random(SEED)
    done = []
    for _ in range(EDITS):
        done.append(chance.choice(KINDS)(built.root, chance))
        if chance.random() < 0.4:
            done.append(a_partial_run(built, chance))
    built.run()
    assert built.run().materialized == {}, done
    study = Study(built.root, output=tmp_path)
    tables, files = study.tables(), study.files()
    study.empty()
    built.run()
    wanted = study.tables()
    assert tables.keys() == wanted.keys(), done
    for name, table in wanted.items():
        try:
            pd.testing.assert_frame_equal(tables[name], table, check_exact=True, obj=name)
        except AssertionError as error:
            raise AssertionError(f"after {done}") from error
    expected = study.files()
    assert [name for name in expected if files.get(name) != expected[name]] == [], done
    # Artifacts of a scan that is bad now are kept, in case the earlier one comes back; nothing else is.
    assert {name.split("/")[0] for name in files.keys() - expected.keys()} <= {"scans"}, done
