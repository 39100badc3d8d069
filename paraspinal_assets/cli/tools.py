"""Commands on single files: convert one scan, measure one scan."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from paraspinal_assets.cli.csv_files import write_tables
from paraspinal_assets.cli.study_argument import STUDY_TYPE
from paraspinal_assets.errors import DicomError, StudyError
from paraspinal_assets.imaging.dicom import HeaderIndex, SeriesRule, private_details, read_series
from paraspinal_assets.imaging.labels import SPINE
from paraspinal_assets.imaging.measure import measure_scan
from paraspinal_assets.imaging.reasons import REASONS
from paraspinal_assets.imaging.volume_io import write_volume
from paraspinal_assets.segmenters.base import ScanInput, SegmentationFailure
from paraspinal_assets.segmenters.imported import ImportedSegmenter
from paraspinal_assets.study.place import StudyPlace
from paraspinal_assets.study.store import StudyStore

PATH = click.Path(path_type=Path)


def _nifti_name(context: click.Context, parameter: click.Parameter, value: Path) -> Path:
    """A path that is meant for a NIfTI file, before a series is read for it."""
    if not value.name.endswith((".nii", ".nii.gz")) or value.is_dir():
        raise click.BadParameter(f"{value} is not the name of a NIfTI file; name it like ct.nii.gz")
    return value


@click.command()
@click.argument("dicom_folder", type=PATH)
@click.option(
    "--out",
    type=PATH,
    required=True,
    callback=_nifti_name,
    help="NIfTI file to write (.nii.gz); a .json sidecar goes beside it.",
)
@click.option("--study", type=STUDY_TYPE, default=None, help="Study file whose series rule to use.")
@click.option("--exam", default=None, help="Exam of the study whose series rule to use.")
def convert(dicom_folder: Path, out: Path, study: StudyPlace | None, exam: str | None) -> None:
    """Convert one DICOM series to NIfTI in Hounsfield units, or say why it must not be trusted.

    Runs of a study keep names of files and descriptions of series out of their messages; here they are printed.
    """
    index = HeaderIndex()
    try:
        series = read_series(dicom_folder, series_rule=_series_rule(study, exam), index=index)
    except DicomError as error:
        for line in private_details(error, dicom_folder, index):
            click.echo(line, err=True)
        raise
    store = StudyStore(out.parent)
    store.write(out.resolve(), lambda path: write_volume(path, series.volume))
    sidecar = out.resolve().with_name(out.name.removesuffix(".gz").removesuffix(".nii") + ".json")
    store.write_json(sidecar, series.sidecar)
    click.echo(f"Wrote {out} ({' x '.join(map(str, series.volume.data.shape))}) and {sidecar.name}")


def _series_rule(study: StudyPlace | None, exam: str | None) -> SeriesRule:
    if study is None and exam is None:
        return SeriesRule()
    exams = {} if study is None else study.load().exams
    if exam is None or exam not in exams:
        known = f"; the study has {', '.join(exams)}" if exams else ""
        raise StudyError("E-STUDY-05", f"no series rule for exam {exam}{known}", "give --study and --exam")
    return exams[exam].series.rule()


@click.command()
@click.option("--ct", type=PATH, required=True, help="CT as NIfTI.")
@click.option(
    "--segmentation", type=PATH, required=True, help="Folder with a file per class, or a multi-label file."
)
@click.option("--out", type=PATH, required=True, help="Folder for the CSV files.")
@click.option("--levels", default="T1-T10", show_default=True)
@click.option(
    "--slab", type=click.Choice(["vertebra", "body", "original"]), default="vertebra", show_default=True
)
@click.option("--radiomics", is_flag=True, help="Also the 91 PyRadiomics features of each level.")
def measure(
    ct: Path,
    segmentation: Path,
    out: Path,
    levels: str,
    slab: Literal["vertebra", "body", "original"],
    radiomics: bool,
) -> None:
    """Measure muscle, bone and vertebral heights of one scan, with the functions that the assets use."""
    wanted = _levels(levels)
    item = next(iter(ImportedSegmenter(wanted).segment([ScanInput(ct.name, ct, segmentation)])))
    if isinstance(item, SegmentationFailure):
        raise item.error
    measured = measure_scan(ct, item.labels, wanted, slab=slab, radiomics=radiomics)
    frames = {
        "muscle": measured.muscle,
        "bone": measured.bone.drop(columns="region"),
        "slabs": measured.slabs,
        "deformity": measured.deformity,
        "radiomics": measured.radiomics,
    }
    written = write_tables(out, {name: frame for name, frame in frames.items() if frame is not None})
    click.echo(f"Wrote {', '.join(written)} to {out}")
    absent = measured.bone.loc[measured.bone["reason"] == "level_absent", "level"]
    if len(absent):
        click.echo(f"Not in the segmentation: {', '.join(absent)}", err=True)
    if "vertebra" in set(measured.bone["region"]):
        click.echo("bone.csv is of whole vertebrae: the segmentation has no vertebral bodies", err=True)
    if item.model.get("overlapping_voxels"):
        click.echo(f"{item.model['overlapping_voxels']} voxels lie in more than one mask", err=True)
    for code in (item.reason, *item.findings):
        if code is not None and code != "missing_level":  # its levels are named above
            click.echo(f"Doubtful ({code}): {REASONS[code]}", err=True)


def _levels(text: str) -> tuple[str, ...]:
    first, _, last = text.partition("-")
    if first not in SPINE or (last or first) not in SPINE:
        raise StudyError("E-LEVEL-01", f"{text!r} is not a range of levels", "write it like T1-T10")
    return SPINE[SPINE.index(first) : SPINE.index(last or first) + 1]


commands = (convert, measure)
