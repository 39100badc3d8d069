"""Vertebral heights and deformity grade, from the segmentation of the vertebral bodies.

Heights are measured on the mid-sagittal plane of each body's own axes: up is the bisector of its two
endplates, forward is away from its posterior elements. They screen for deformity; they are no diagnosis.
On phantoms the mean error of a height is 0.15 to 0.2 of a voxel up to 2 mm and 0.3 of a slice at 3 mm, where an
endplate that lies along the slices is seen only to the slice. Where the heights lie 1.4 mm or more from a limit,
1 grade of 3,150 up to 1.5 mm was wrong, of a body exactly along the slices whose voxels fit endplates of either grade,
and at 2 mm 4 of 112 on such bodies, all by one.
Nearer to a limit the next grade is possible: the mildest grade is 1 mm wide on a body of 20 mm. Slices that are
coarse against the body (`COARSEST`) give heights and no grade.

Grades and shapes follow Genant et al., J Bone Miner Res 1993;8:1137-48 (grade 1 above 20 %, grade 2 above
25 %, grade 3 above 40 % height loss), and for crush Eastell et al., J Bone Miner Res 1991;6:207-15 (the
posterior height against that of neighbouring levels).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd

from paraspinal_assets.imaging.deformity_heights import Heights, body_heights, label_boxes
from paraspinal_assets.imaging.labels import SPINE, check_level
from paraspinal_assets.imaging.volume import Volume

GRADE_LIMITS: Final = (0.20, 0.25, 0.40)
"""Height loss above which a deformity has grade 1, 2, 3."""
REFERENCE_REACH: Final = 4
"""Levels at most this far away serve as reference for a crushed body."""
GROWTH_PER_LEVEL: Final = 0.05
"""Posterior height grows down the spine by at most this fraction per level (T4-L2, about 3 %)."""
COARSEST: Final = 1 / 9
"""Slice spacing, as a fraction of the body's expected height, above which no grade is given.

A height has a standard deviation of about 0.33 of a slice on phantoms and so a loss one of 0.45 slices over the
height. At a ninth that is 5 %, the width of the mildest grade.
"""

_COLUMNS: Final = (
    "level",
    "anterior_mm",
    "middle_mm",
    "posterior_mm",
    "anterior_posterior_ratio",
    "middle_posterior_ratio",
    "genant_grade",
    "genant_shape",
    "reason",
)


def measure_deformity(labels: Volume, levels: Sequence[str]) -> pd.DataFrame:
    """Anterior, middle and posterior height, Genant grade and shape of each level.

    Parameters
    ----------
    labels
        Segmentation with vertebral bodies (`labels.body_label`), RAS+.
    levels
        Levels to measure; the others do not serve as reference either.

    Returns
    -------
    DataFrame
        One row per level: ``level``, ``anterior_mm``, ``middle_mm``, ``posterior_mm``,
        ``anterior_posterior_ratio``, ``middle_posterior_ratio``, ``genant_grade`` (Int64, 0-3),
        ``genant_shape`` (none, wedge, biconcave, crush), ``reason``. What cannot be measured is null with
        a reason: level_absent, no_body, touches_fov_border, too_few_voxels, bad_geometry; with
        slices_too_thick the heights are there, and grade and shape are null.
    """
    boxes = label_boxes(labels)
    measured = {check_level(level): body_heights(labels, level, boxes) for level in levels}
    posterior = {level: h.posterior for level, h in measured.items() if isinstance(h, Heights)}
    rows: list[dict[str, object]] = []
    for level, heights in measured.items():
        if isinstance(heights, str):
            rows.append({"level": level, "reason": heights})
            continue
        reference = reference_height(level, posterior)
        grade: int | None
        shape: str | None
        grade, shape = grade_deformity(heights, reference)
        reason = None
        if labels.spacing[2] > COARSEST * (heights.tallest if reference is None else reference):
            grade, shape, reason = None, None, "slices_too_thick"
        rows.append(
            {
                "level": level,
                "anterior_mm": heights.anterior,
                "middle_mm": heights.middle,
                "posterior_mm": heights.posterior,
                "anterior_posterior_ratio": heights.anterior / heights.posterior,
                "middle_posterior_ratio": heights.middle / heights.posterior,
                "genant_grade": grade,
                "genant_shape": shape,
                "reason": reason,
            }
        )
    table = pd.DataFrame(rows, columns=list(_COLUMNS))
    numbers = dict.fromkeys(_COLUMNS[1:6], "float64")
    return table.astype(
        {**numbers, "level": "str", "genant_grade": "Int64", "genant_shape": "str", "reason": "str"}
    )


def incident_deformity(baseline: pd.DataFrame, follow_up: pd.DataFrame) -> pd.DataFrame:
    """Deformities seen at follow-up (grade 1 or more) that were not there at baseline (grade 0).

    Parameters
    ----------
    baseline, follow_up
        Tables of `measure_deformity` of the two exams of one participant.

    Returns
    -------
    DataFrame
        ``level``, ``baseline_grade``, ``follow_up_grade`` (Int64), ``incident`` (boolean; null where
        either exam has no grade). Levels of either table, baseline's order first.
    """
    before, after = (t.set_index("level")["genant_grade"].astype("Int64") for t in (baseline, follow_up))
    levels = list(dict.fromkeys([*before.index, *after.index]))
    before, after = before.reindex(levels), after.reindex(levels)
    table = pd.DataFrame({"level": levels, "baseline_grade": before.array, "follow_up_grade": after.array})
    incident = ((before == 0) & (after >= 1)).astype("boolean")
    # Three-valued logic would call "known and no" what one exam alone decides; both must have been seen.
    table["incident"] = incident.mask(before.isna() | after.isna()).array
    return table


def reference_height(level: str, posterior: dict[str, float]) -> float | None:
    """Posterior height expected of a level from its neighbours, mm; None without any.

    A Theil-Sen line over the levels within `REFERENCE_REACH`, the level itself left out, its slope held
    between 0 and `GROWTH_PER_LEVEL`: a crushed neighbour bends the line no further than anatomy does.
    """
    here = SPINE.index(level)
    near = [(SPINE.index(other) - here, height) for other, height in posterior.items() if other != level]
    near = [(distance, height) for distance, height in near if abs(distance) <= REFERENCE_REACH]
    if not near:
        return None
    steps, heights = (np.array(values, float) for values in zip(*near, strict=True))
    if len(near) < 3:
        return float(np.median(heights))
    first, second = np.triu_indices(len(near), 1)
    slope = float(np.median((heights[second] - heights[first]) / (steps[second] - steps[first])))
    slope = float(np.clip(slope, 0.0, GROWTH_PER_LEVEL * np.median(heights)))
    return float(np.median(heights - slope * steps))


def grade_deformity(heights: Heights, reference: float | None) -> tuple[int, str]:
    """Genant grade (0-3) and shape (none, wedge, biconcave, crush) of one body.

    Crush: the posterior height itself is reduced, against `reference` (or, without neighbours, against
    the anterior height); the grade then counts the lowest of the three heights against the reference.
    Otherwise the larger of the anterior and the middle loss against the posterior height decides.
    """
    expected = heights.anterior if reference is None else reference
    if 1 - heights.posterior / expected > GRADE_LIMITS[0]:
        lowest = min(heights.anterior, heights.middle, heights.posterior)
        return _grade(1 - lowest / expected), "crush"
    wedge, biconcave = 1 - heights.anterior / heights.posterior, 1 - heights.middle / heights.posterior
    grade = _grade(max(wedge, biconcave))
    if grade == 0:
        return 0, "none"
    return grade, "wedge" if wedge >= biconcave else "biconcave"


def _grade(loss: float) -> int:
    return sum(loss > limit for limit in GRADE_LIMITS)
