import io

import numpy as np
import pytest
from PIL import Image

from paraspinal_assets.imaging.geometry import crop
from paraspinal_assets.imaging.labels import body_label, rest_label
from paraspinal_assets.imaging.muscle import measure_muscle
from paraspinal_assets.imaging.quality import assess
from paraspinal_assets.imaging.reasons import REASONS
from paraspinal_assets.imaging.volume import Volume
from paraspinal_assets.phantom.anatomy import make_phantom
from paraspinal_assets.phantom.parameters import draw_parameters
from paraspinal_assets.report.qc_canvas import LEFT_COLOUR, MAX_BYTES, RIGHT_COLOUR, Canvas
from paraspinal_assets.report.qc_picture import qc_picture
from paraspinal_assets.report.qc_planes import REACH_MM, cut_views
from paraspinal_assets_tests.imaging.blocks import LEVELS, SPACING, block_spine


def pixels(png):
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)


def columns_of(picture, colour):
    """Columns of the axial panels (right of the long views, left of the notes) that carry a colour."""
    found = (picture == np.array(colour)).all(axis=-1)[:, 540:825]
    return np.flatnonzero(found.any(axis=0))


@pytest.fixture(scope="module")
def picture():
    ct, labels = block_spine()
    return qc_picture(ct, labels, LEVELS, title="exam5 demo", notes=["median 45 HU"])


def test_picture_is_the_same_every_time_and_small(picture):
    ct, labels = block_spine()
    again = qc_picture(ct, labels, LEVELS, title="exam5 demo", notes=["median 45 HU"])
    assert picture == again
    assert len(picture) < MAX_BYTES


def test_right_muscle_is_drawn_at_the_left_of_the_picture(picture):
    shown = pixels(picture)
    right, left = columns_of(shown, RIGHT_COLOUR), columns_of(shown, LEFT_COLOUR)
    assert right.size
    assert left.size
    assert right.max() < left.min()


def test_outlines_differ_in_grey_by_their_gaps(picture):
    """The left outline is solid and the right dashed: about a third of it is dark."""
    shown = pixels(picture)[:, 540:825]
    left = (shown == np.array(LEFT_COLOUR)).all(axis=-1).sum()
    right = (shown == np.array(RIGHT_COLOUR)).all(axis=-1).sum()
    assert 0.5 < right / left < 0.8


def test_noise_still_fits_the_size_limit():
    ct, labels = block_spine()
    noisy = ct.data + np.random.default_rng(1).normal(0, 120, ct.data.shape).astype(np.int16)
    assert len(qc_picture(Volume(noisy, ct.affine), labels, LEVELS, title="noise", notes=[])) <= MAX_BYTES


def test_a_crop_around_the_labels_gives_the_same_picture_and_verdict():
    phantom = make_phantom(draw_parameters(np.random.default_rng(1)), np.random.default_rng(1))
    ct, labels = phantom.ct, phantom.labels
    margin = np.ceil(REACH_MM / np.array(labels.spacing)).astype(int)
    inside = np.argwhere(labels.data)
    low, high = inside.min(axis=0) - margin, inside.max(axis=0) + 1 + margin
    box = tuple(zip(np.maximum(low, 0), np.minimum(high, labels.data.shape), strict=True))
    part = crop(ct, box), crop(labels, box)
    assert part[0].data.size < 0.8 * ct.data.size
    assert qc_picture(*part, LEVELS, title="", notes=[]) == qc_picture(ct, labels, LEVELS, title="", notes=[])
    assert assess(*part, LEVELS) == assess(ct, labels, LEVELS)


@pytest.fixture
def lines(monkeypatch):
    """Draws a picture with numbers; returns the words on it, line by line from the top."""
    written = []
    monkeypatch.setattr(Canvas, "text", lambda canvas, at, text, *_, **__: written.append((at[1], text)))

    def draw(ct, labels, notes=()):
        muscle = measure_muscle(ct, labels, LEVELS)
        qc_picture(ct, labels, LEVELS, title="exam5-1001", notes=notes, muscle=muscle)
        heights = sorted({y for y, _ in written})
        return [[text for y, text in written if y == height] for height in heights]

    return draw


def test_the_numbers_of_each_level_stand_beside_the_views(lines):
    """A vertebra of the block spine is 6 slices high, each with 10 x 12 muscle voxels of 12 mm3 on either side."""
    side = 10 * 12 * 6 * 12 / 1000
    drawn = lines(*block_spine())
    assert ["T2", f"{side:.1f}", f"{side:.1f}", f"{2 * side:.1f}", "45"] in drawn
    assert next(words for words in drawn if words[0] == "all")[-1] == "45"


def test_what_could_not_be_measured_is_a_dash_and_never_zero(lines):
    ct, labels = block_spine()
    gone = np.where(np.isin(labels.data, (body_label("T2"), rest_label("T2"))), 0, labels.data)
    drawn = lines(ct, Volume(gone.astype(np.uint8), labels.affine))
    assert ["T2", "-", "-", "-", "-"] in drawn
    assert ["all", "-", "-", "-", "-"] in drawn
    assert ["not found: T2"] in drawn


def test_more_reasons_than_there_is_room_for_end_in_dots_above_the_numbers(lines):
    drawn = lines(*block_spine(), notes=[f"{code}: {words}" for code, words in REASONS.items()])
    assert drawn.index(["..."]) < drawn.index(["muscle: cm3, median HU"])


@pytest.mark.parametrize(
    ("levels", "shown"),
    [
        (("T1", "T2", "T3", "T4", "T5", "T7", "T8", "T9", "T10"), ["T2", "T5", "T10"]),
        (("T4", "T5", "T6"), ["T4", "T5", "T6"]),
        (("T6",), ["T6"]),
    ],
)
def test_axial_cuts_lie_at_the_levels_nearest_to_t2_t6_and_t10(levels, shown):
    ct, labels = block_spine(levels)
    assert [plane.name for plane in cut_views(ct, labels, LEVELS).axial] == shown


def test_views_keep_millimetres():
    ct, labels = block_spine()
    views = cut_views(ct, labels, LEVELS)
    rows, columns = views.sagittal.grey.shape
    assert views.sagittal.size_mm == pytest.approx((rows * SPACING[2], columns * SPACING[1]))
    assert [plane.name for plane in views.axial] == ["T2", "T6", "T10"]


def test_levels_are_marked_from_head_to_foot():
    ct, labels = block_spine()
    marks = dict(cut_views(ct, labels, LEVELS).sagittal.marks)
    places = [marks[level] for level in LEVELS]
    assert places == sorted(places)
    assert np.diff(places) == pytest.approx(np.diff(places)[0])


def test_sagittal_view_has_the_front_at_the_left():
    ct, labels = block_spine()
    view = cut_views(ct, labels, LEVELS).sagittal
    bodies = np.flatnonzero((view.labels == 30).any(axis=0))
    processes = np.flatnonzero((view.labels == 31).any(axis=0))
    assert bodies.max() < processes.min()


@pytest.mark.parametrize("keep", ["nothing", "one level", "muscle"])
def test_incomplete_segmentations_are_drawn(keep):
    ct, labels = block_spine()
    data = labels.data.copy()
    if keep == "nothing":
        data[:] = 0
    elif keep == "one level":
        data[data != rest_label("T4")] = 0
    else:
        data[data > 2] = 0
    assert qc_picture(ct, Volume(data, labels.affine), LEVELS, title="x", notes=[]).startswith(b"\x89PNG")
