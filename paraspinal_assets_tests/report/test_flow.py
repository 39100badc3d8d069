import itertools
import xml.etree.ElementTree as ET

import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.patches import Rectangle

from paraspinal_assets.errors import ParaspinalError
from paraspinal_assets.report.flow import COLUMNS, flow_diagram, flow_sentence
from paraspinal_assets_tests.report.tables import disposition


def texts(drawing):
    return [element.text for element in ET.fromstring(drawing.svg()).iter() if element.tag.endswith("text")]


def test_every_step_and_count_is_drawn():
    shown = " ".join(texts(flow_diagram(disposition())))
    for words in (
        "164 participants, 322 scans",
        "160 participants",
        "Analysed",
        "156 participants, 312 scans",
    ):
        assert words in shown


def test_reason_codes_are_drawn_in_words():
    shown = " ".join(texts(flow_diagram(disposition())))
    assert "No vertebra of the study's levels was found" in shown
    assert "no_vertebrae" not in shown
    assert "(1 participant, 1 scan)" in shown


def test_boxes_of_one_column_do_not_overlap():
    (axis,) = flow_diagram(disposition()).figure.axes
    boxes = [patch for patch in axis.patches if isinstance(patch, Rectangle)]
    columns = {box.get_x() for box in boxes}
    assert len(columns) == 2
    for x in columns:
        column = sorted((b.get_y(), b.get_y() + b.get_height()) for b in boxes if b.get_x() == x)
        assert all(above[1] <= below[0] for above, below in itertools.pairwise(column))
    assert max(box.get_y() + box.get_height() for box in boxes) <= max(axis.get_ylim())


def test_no_line_leaves_its_box():
    drawing = flow_diagram(disposition())
    FigureCanvasAgg(drawing.figure).draw()
    (axis,) = drawing.figure.axes
    boxes = [patch.get_window_extent() for patch in axis.patches if isinstance(patch, Rectangle)]
    lines = [text.get_window_extent() for text in axis.texts if text.get_text()]
    assert all(any(box.x0 < line.x0 and line.x1 < box.x1 for box in boxes) for line in lines)


def test_labels_cannot_break_out_of_the_drawing():
    table = pd.DataFrame([("a", '<script>"&', 1, None, None)], columns=COLUMNS)
    drawing = flow_diagram(table)
    assert "<script>" not in drawing.svg()
    assert '<script>"&' in " ".join(texts(drawing))


def test_a_dollar_sign_is_no_formula():
    table = pd.DataFrame([("paid $5 or $6", "paid $5 or $6", 1, None, None)], columns=COLUMNS)
    assert "paid $5 or $6" in texts(flow_diagram(table))


def test_the_numbers_are_the_disposition():
    drawing = flow_diagram(disposition())
    pd.testing.assert_frame_equal(drawing.data, disposition()[list(COLUMNS)])


def test_the_flow_in_words_counts_everyone():
    assert "Then excluded" in flow_sentence(disposition())
    assert flow_sentence(disposition()).endswith("Analysed: 156 participants, 312 scans.")


def test_a_missing_column_is_named():
    with pytest.raises(ParaspinalError, match="reason"):
        flow_diagram(disposition().drop(columns="reason"))
