"""A study of a few tiny phantoms as NIfTI, quick enough to be built whole in a test."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from paraspinal_assets.imaging.labels import label_table
from paraspinal_assets.imaging.volume import Volume
from paraspinal_assets.imaging.volume_io import read_volume, write_volume
from paraspinal_assets.phantom.anatomy import make_phantom
from paraspinal_assets.phantom.parameters import tiny_parameters

PEOPLE = ("1001", "1002", "1003", "1004", "1005", "1006")
EXAMS = ("exam5", "exam6")
STUDY = """
name: Small study
synthetic: true
exams:
  exam5: {role: baseline, imaging: incoming/exam5, pattern: "{participant}.nii.gz",
          segmentations: masks/exam5, segmentation_pattern: "{participant}.nii.gz"}
  exam6: {role: follow_up, imaging: incoming/exam6, pattern: "{participant}.nii.gz",
          segmentations: masks/exam6, segmentation_pattern: "{participant}.nii.gz"}
levels: T1-T10
segmentation:
  segmenter: imported
  label_map: LABELS
measurement: {radiomics: false}
calibration:
  - {exam: exam5, slope: 0.8, intercept: 2}
  - {exam: exam6, slope: 0.8, intercept: 2}
clinical:
  tables:
    people:
      file: people.csv
      columns:
        age: {range: [40, 95], unit: years}
        sex: {type: category, values: [Female, Male]}
        fracture: {type: binary}
readers: {decisions: review.csv}
models:
  linear: {model1: age + sex, model2: age + sex + attenuation}
  fracture: {age_only: age}
analysis: {bootstrap: 0, imputations: 0, folds: 2, sensitivity_model: model2, benchmark: age, subgroups: [sex],
           subgroup_covariates: [age]}
"""


def make_small_study(root: Path, people: tuple[str, ...] = PEOPLE) -> Path:
    """Write the study; returns the study file."""
    root.mkdir(parents=True, exist_ok=True)
    path = root / "study.yaml"
    path.write_text(study_text())
    for exam in EXAMS:
        for number, person in enumerate(people):
            write_scan(
                root, exam, person, muscle_hu=20.0 + 5 * number + (exam == "exam6"), width=12.0 + number
            )
    table = pd.DataFrame({"participant": people, "age": 60.0, "sex": "Female", "fracture": 0})
    table["age"] += np.arange(len(people))
    table.loc[table.index % 2 == 1, ["sex", "fracture"]] = ["Male", 1]
    table.to_csv(root / "people.csv", index=False)
    (root / "review.csv").write_text("participant,exam,decision,reader,reason\n")
    return path


def study_text() -> str:
    """The study file."""
    return STUDY.replace("LABELS", "{" + ", ".join(f"{k}: {v}" for k, v in class_values().items()) + "}")


def class_values() -> dict[str, int]:
    """Class name of the imported files -> label value: whole vertebrae, and their bodies apart."""
    table = label_table([f"T{i}" for i in range(1, 11)])
    names = {"autochthon_left": table["autochthon_left"], "autochthon_right": table["autochthon_right"]}
    return names | {f"vertebrae_T{i}": table[f"vertebra_T{i}_rest"] for i in range(1, 11)}


def write_scan(root: Path, exam: str, person: str, *, muscle_hu: float = 20.0, width: float = 14.0) -> None:
    """One tiny scan with its mask, in place of what is there."""
    phantom = make_phantom(tiny_parameters(muscle_hu=muscle_hu, muscle_width=width), np.random.default_rng(1))
    labels = phantom.labels.data.copy()
    bodies = (labels >= 10) & (labels % 2 == 0)
    labels[bodies] += 1
    for folder, volume in (("incoming", phantom.ct), ("masks", Volume(labels, phantom.ct.affine))):
        target = root / folder / exam / f"{person}.nii.gz"
        target.parent.mkdir(parents=True, exist_ok=True)
        write_volume(target, volume)


def write_reader_masks(root: Path, exam: str, person: str) -> Path:
    """Masks of a reader who agrees with the imported segmentation, one file per class; returns their folder."""
    labels = read_volume(root / "masks" / exam / f"{person}.nii.gz")
    folder = root / "readers" / exam / person
    folder.mkdir(parents=True)
    for name, value in class_values().items():
        mask = (labels.data == value).astype(np.uint8)
        write_volume(folder / f"{name}.nii.gz", Volume(mask, labels.affine))
    return folder
