"""Automatic verdict on a segmented scan: may its numbers be used, and if not, why not.

Every rule is one small function from a `SegmentedScan` to a `Finding`; the thresholds are the constants
beside them. A rule that cannot be applied (a crop without lungs, say) finds nothing and reports no measure.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pandas as pd

from paraspinal_assets.imaging.labels import AUTOCHTHON_LEFT, AUTOCHTHON_RIGHT
from paraspinal_assets.imaging.quality_intensity import contrast, metal, not_ct_intensities
from paraspinal_assets.imaging.quality_landmarks import first_rib_level, lung_apex_level
from paraspinal_assets.imaging.quality_pieces import vertebra_in_pieces
from paraspinal_assets.imaging.quality_scan import Finding, SegmentedScan, segmented_scan
from paraspinal_assets.imaging.spine_profile import Profile, neighbour_distances, spine_profile
from paraspinal_assets.imaging.volume import Volume

SPACING_MM: Final = (9.0, 45.0)
"""Distance between the centres of neighbouring vertebrae. Adult T1-L2: 17 to 36 mm (body height plus disc,
Panjabi et al., Spine 1991;16:888); wide enough for whole-vertebra centroids and for vertebral collapse."""
SPACING_RATIO: Final = (0.55, 1.6)
"""Each distance over the median of the scan's own: a skipped vertebra doubles it, a split one halves it."""
WRONG_SIDE_FRACTION: Final = 0.5
"""Share of a muscle's voxels beyond the spine's midline, at the height of each slice, that means a swap."""
ASYMMETRY: Final = 0.4
"""|left - right| / mean of the two volumes between the study's levels; scoliosis stays under 0.3."""
PADDING_HU: Final = -1500
"""Below any tissue or air: the value written outside a circular field of view."""
PADDING_CONTACT_MM3: Final = 50.0
"""Muscle next to padding that counts as cut; single voxels are noise."""
LUNG_APEX_LEVEL: Final = (-0.2, 3.3)
"""Where the top of the lungs may lie, in vertebrae (1 = centre of T1). The apex is at the neck of the first
rib, give or take one level; a value outside is names shifted by a vertebra or more."""


@dataclass(frozen=True)
class QualityVerdict:
    """May this scan be analysed?

    Attributes
    ----------
    reasons
        Codes of `imaging.reasons`, in the order of the rules.
    measures
        What the rules measured, null where it could not be: ``min_spacing_mm``, ``max_spacing_mm``,
        ``stray_mm``, ``asymmetry``, ``wrong_side_fraction``, ``metal_mm3``, ``muscle_median_hu``, ``vertebra_p90_hu``,
        ``bright_vessel_fraction``, ``lung_apex_level``, ``first_rib_level``, ``levels_found``.
    profile
        Muscle and spine from level to level (`imaging.spine_profile`), to compare scans by.
    """

    reasons: tuple[str, ...]
    measures: dict[str, float | None]
    profile: Profile = field(default_factory=dict)

    @property
    def accepted(self) -> bool:
        """Whether no rule found anything."""
        return not self.reasons


def assess(
    ct: Volume, labels: Volume, levels: Sequence[str], muscle: pd.DataFrame | None = None
) -> QualityVerdict:
    """Apply every rule to a scan.

    Parameters
    ----------
    ct, labels
        Same grid, shape ``(x, y, z)``, RAS+: whole image or crop.
    levels
        The study's levels, any order.
    muscle
        Table of `measure_muscle`, for the volumes of the sides; counted from the labels if absent.
    """
    scan = segmented_scan(ct, labels, levels)
    if scan is None:
        return QualityVerdict(("empty_segmentation",), {"levels_found": 0.0})
    if not scan.centroids_mm:
        return QualityVerdict(("no_vertebrae",), {"levels_found": 0.0})
    findings = [rule(scan) for rule in RULES]
    findings.append(asymmetry(scan, muscle))
    reasons = tuple(dict.fromkeys(finding.reason for finding in findings if finding.reason))
    measures = {name: value for finding in findings for name, value in finding.measures.items()}
    return QualityVerdict(reasons, measures, spine_profile(scan))


def missing_level(scan: SegmentedScan) -> Finding:
    """A level of the study has no voxel."""
    found = len(scan.centroids_mm)
    return Finding("missing_level" if found < len(scan.levels) else None, {"levels_found": float(found)})


def muscle_present(scan: SegmentedScan) -> Finding:
    """Both sides of the muscle are there."""
    sides = [label for label in (AUTOCHTHON_LEFT, AUTOCHTHON_RIGHT) if label in scan.shapes]
    reason = {0: "no_muscle", 1: "no_muscle_side"}.get(len(sides))
    return Finding(reason, {})


def level_order(scan: SegmentedScan) -> Finding:
    """Vertebrae go down from level to level, in world coordinates."""
    heights = [centroid[2] for centroid in scan.centroids_mm.values()]
    return Finding("level_order" if np.any(np.diff(heights) >= 0) else None, {})


def level_spacing(scan: SegmentedScan) -> Finding:
    """Neighbouring vertebrae lie at a plausible distance, in mm and relative to each other."""
    distances = np.array(list(neighbour_distances(scan).values()))
    if not distances.size:
        return Finding(None, {"min_spacing_mm": None, "max_spacing_mm": None})
    ratio = distances / np.median(distances)
    bad = np.any((distances < SPACING_MM[0]) | (distances > SPACING_MM[1]))
    bad |= np.any((ratio < SPACING_RATIO[0]) | (ratio > SPACING_RATIO[1]))
    measures: dict[str, float | None] = {
        "min_spacing_mm": float(distances.min()),
        "max_spacing_mm": float(distances.max()),
    }
    return Finding("level_spacing" if bad else None, measures)


def level_shift(scan: SegmentedScan) -> Finding:
    """The top of the lungs lies near T1; a shift of all names against the ribs and lungs moves it.

    One scan can show a gross shift only; shifts of a single level are found by `imaging.level_shift`, which
    compares a scan with the participant's other exam and with the cohort.
    """
    apex = lung_apex_level(scan)
    shifted = apex is not None and not LUNG_APEX_LEVEL[0] <= apex <= LUNG_APEX_LEVEL[1]
    measures = {"lung_apex_level": apex, "first_rib_level": first_rib_level(scan)}
    return Finding("level_shift" if shifted else None, measures)


def sides_swapped(scan: SegmentedScan) -> Finding:
    """Left muscle lies left of the spine of its own slice, right muscle right of it."""
    midline = scan.spine_x_mm()
    wrong = 0
    total = 0
    for label, sign in ((AUTOCHTHON_LEFT, 1.0), (AUTOCHTHON_RIGHT, -1.0)):
        counts = scan.column_counts(label)
        total += int(counts.sum())
        beyond = sign * (scan.x_mm[:, None] - midline[None, :]) > 0
        wrong += int(counts[beyond].sum())
    if total == 0:
        return Finding(None, {"wrong_side_fraction": None})
    fraction = wrong / total
    return Finding(
        "sides_swapped" if fraction > WRONG_SIDE_FRACTION else None, {"wrong_side_fraction": fraction}
    )


def cut_by_field_of_view(scan: SegmentedScan) -> Finding:
    """No vertebra ends at the image's edge, no muscle at its sides or at the rim of a round field of view."""
    cut = any(scan.touches(label, axes=(0, 1, 2)) for label in scan.vertebra_labels)
    cut |= any(scan.touches(label, axes=(0, 1)) for label in (AUTOCHTHON_LEFT, AUTOCHTHON_RIGHT))
    cut |= _padding_contact_mm3(scan) > PADDING_CONTACT_MM3
    return Finding("touches_fov_border" if cut else None, {})


def _padding_contact_mm3(scan: SegmentedScan) -> float:
    """Volume of muscle voxels with an in-plane neighbour that is padding."""
    padding = scan.ct < PADDING_HU
    if not padding.any():
        return 0.0
    near = padding.copy()
    near[1:] |= padding[:-1]
    near[:-1] |= padding[1:]
    near[:, 1:] |= padding[:, :-1]
    near[:, :-1] |= padding[:, 1:]
    return float((near & scan.muscle_mask).sum()) * scan.voxel_mm3


def asymmetry(scan: SegmentedScan, muscle: pd.DataFrame | None) -> Finding:
    """Left and right muscle volumes between the study's levels are alike."""
    left, right = _side_volumes(scan, muscle)
    if not left or not right:
        return Finding(None, {"asymmetry": None})
    index = abs(left - right) / ((left + right) / 2)
    return Finding("asymmetry" if index > ASYMMETRY else None, {"asymmetry": index})


def _side_volumes(scan: SegmentedScan, muscle: pd.DataFrame | None) -> tuple[float, float]:
    if muscle is not None and not muscle.empty:
        union = muscle[muscle["level"] == "union"].set_index("side")["volume_mm3"]
        if {"left", "right"} <= set(union.index) and union[["left", "right"]].notna().all():
            return float(union["left"]), float(union["right"])
    inside = scan.slices_of_levels
    left, right = (
        float(scan.column_counts(label)[:, inside].sum()) for label in (AUTOCHTHON_LEFT, AUTOCHTHON_RIGHT)
    )
    return left, right


RULES: Final[tuple[Callable[[SegmentedScan], Finding], ...]] = (
    not_ct_intensities,
    missing_level,
    muscle_present,
    level_order,
    level_spacing,
    vertebra_in_pieces,
    level_shift,
    sides_swapped,
    cut_by_field_of_view,
    metal,
    contrast,
)
"""The rules in the order in which their reasons are reported; `asymmetry` follows."""
