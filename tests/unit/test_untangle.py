"""What belongs together where shafts cross, touch and branch: drawn stretches of skeleton."""

import numpy as np
import pytest

from spinenet.config import MeasureConfig
from spinenet.measure.skeleton import find_dendrites
from spinenet.measure.untangle import untangled
from spinenet.types import Segmentation


def stretch(*corners):
    """Nodes every 0.25 um along corners (z, y, x)."""
    pieces = [np.array(corners[:1], float)]
    for a, b in zip(corners[:-1], corners[1:], strict=True):
        n = max(round(4 * float(np.linalg.norm(np.subtract(b, a)))), 1)
        pieces.append(np.linspace(a, b, n + 1)[1:])
    return np.concatenate(pieces)


def ends(lines):
    """(z, y, x) of both ends of every line, in order."""
    return sorted(sorted(tuple(line[e].round(6)) for e in (0, -1)) for line in lines)


FROM_UPPER_LEFT, TO_LOWER_RIGHT = (5, 0, 0), (5, 9, 28)
FROM_LOWER_LEFT, TO_UPPER_RIGHT = (5, 9, 0), (5, 0, 28)
LEFT, RIGHT = (5, 4.5, 11), (5, 4.5, 17)


@pytest.mark.parametrize("turned", [False, True])
def test_two_that_share_a_stretch_cross(turned):
    stretches = [
        stretch(FROM_UPPER_LEFT, LEFT),
        stretch(FROM_LOWER_LEFT, LEFT),
        stretch(LEFT, RIGHT),
        stretch(RIGHT, TO_LOWER_RIGHT),
        stretch(RIGHT, TO_UPPER_RIGHT),
    ]
    if turned:
        stretches = [line[::-1] for line in stretches[::-1]]
    across = [{FROM_UPPER_LEFT, TO_LOWER_RIGHT}, {FROM_LOWER_LEFT, TO_UPPER_RIGHT}]
    found = [set(pair) for pair in ends(untangled(stretches))]
    assert all(pair in found for pair in across)
    assert len(found) == 2


def test_one_above_the_other_with_a_bridge_of_blur_between():
    above, below = 8.0, 10.5
    stretches = [
        stretch((above, 2, 0), (above, 5, 12), (above + 0.8, 5.2, 13)),
        stretch((above + 0.8, 5.2, 13), (above, 5.5, 14), (above, 8, 26)),
        stretch((above + 0.8, 5.2, 13), (below - 0.8, 5.2, 13.3)),
        stretch((below, 8, 0), (below, 5.5, 12), (below - 0.8, 5.2, 13.3)),
        stretch((below - 0.8, 5.2, 13.3), (below, 5, 14), (below, 2, 26)),
    ]
    for line in untangled(stretches):
        assert line[0, 0] == line[-1, 0]
    assert len(untangled(stretches)) == 2


def test_twigs_on_both_sides_of_a_shaft_are_no_crossing():
    stretches = [
        stretch((5, 5, 0), (5, 5, 10)),
        stretch((5, 5, 10), (5, 5, 15)),
        stretch((5, 5, 15), (5, 5, 28)),
        stretch((5, 5, 10), (5, -5, 12)),
        stretch((5, 5, 15), (5, 15, 17)),
    ]
    assert ends(untangled(stretches)) == [
        [(5, -5, 12), (5, 5, 10)],
        [(5, 5, 0), (5, 5, 28)],
        [(5, 5, 15), (5, 15, 17)],
    ]


def test_two_that_touch_at_the_border_are_two():
    """A > at the border of the field, its corner rounded by thinning."""
    both = untangled([stretch((5, 0, 20), (5, 9, 1), (5, 10, 0.5), (5, 11, 1), (5, 20, 20))])
    assert [len(both), *sorted(round(line[:, 2].max()) for line in both)] == [2, 20, 20]
    assert all(line[:, 1].max() < 11 or line[:, 1].min() > 9 for line in both)


def test_a_dendrite_may_curve():
    angle = np.linspace(0, np.pi, 200)
    curve = np.stack([np.full(200, 5.0), 8 * np.sin(angle), 8 * np.cos(angle)], axis=1)
    assert len(untangled([curve])) == 1


def test_nothing_is_no_dendrite():
    assert untangled([]) == []


def test_a_hairpin_of_a_mask_is_two_dendrites():
    voxel, shape = (0.5, 0.1, 0.1), (14, 200, 160)
    z, y, x = np.meshgrid(
        *(np.arange(n) * v for n, v in zip(shape, voxel, strict=True)), indexing="ij"
    )
    from_the_tip = np.abs(y - 10)
    beside = (from_the_tip - 0.6 * x) / np.hypot(1, 0.6)
    shaft = np.hypot(beside, 0.5 * (z - 3.25)) < 0.5
    blank = np.zeros(shape, np.uint8)
    seen = Segmentation(
        shaft,
        np.zeros(shape, np.uint16),
        np.zeros((0, 3)),
        np.zeros(0),
        blank,
        blank,
        blank,
        voxel,
    )
    upper, lower = sorted(
        find_dendrites(seen, MeasureConfig()).segments, key=lambda s: s.points_um[0, 1]
    )
    assert upper.length_um == pytest.approx(lower.length_um, abs=2)
    assert upper.length_um == pytest.approx(16 * np.hypot(1, 0.6), abs=3)
