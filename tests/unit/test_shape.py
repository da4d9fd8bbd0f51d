"""Strength of drawn spines: neither neighbours in a row nor where the planes fall change it."""

import numpy as np
import pytest
from scipy import ndimage

from spinenet.config import MeasureConfig
from spinenet.measure.attach import spine_rows
from spinenet.measure.quality import backdrop_of
from spinenet.types import Dendrites, Segment, Session, Volume

FINE_UM = 0.1
SHAFT_UM, HEAD_UM, REACH_UM = 0.4, 0.3, 1.2
TRUE_STRENGTH = 4 / 3 * HEAD_UM**3 / SHAFT_UM**2
"""Of a ball and 1 um of a cylinder that hold the same light."""
SIZE = np.array([100, 90, 200])


def strengths(heads_um, *, tilt_deg=0.0, slice_um=1.0, lowest_um=0.0, above=False):
    """Of heads at places along a shaft in the plane (or tilted), beside or above it, blurred."""
    z, y, x = np.meshgrid(*(np.arange(n) * FINE_UM for n in SIZE), indexing="ij", sparse=True)
    middle = (SIZE - 1) / 2 * FINE_UM
    tilt = np.radians(tilt_deg)
    along = np.array([np.sin(tilt), 0, np.cos(tilt)])
    away = np.array([np.cos(tilt), 0, -np.sin(tilt)]) if above else np.array([0, 1.0, 0])
    s = (z - middle[0]) * along[0] + (x - middle[2]) * along[2]
    off2 = (z - middle[0]) ** 2 + (y - middle[1]) ** 2 + (x - middle[2]) ** 2 - s**2
    light = (off2 <= SHAFT_UM**2).astype(np.float32)
    heads = [middle + h * along + REACH_UM * away for h in heads_um]
    for head in heads:
        far2 = sum((g - p) ** 2 for g, p in zip((z, y, x), head, strict=True))
        light = np.maximum(light, far2 <= HEAD_UM**2)
    light = ndimage.gaussian_filter(light, np.array([0.85, 0.18, 0.18]) / FINE_UM)
    first, step = round(lowest_um / FINE_UM), round(slice_um / FINE_UM)
    voxel = (slice_um, FINE_UM, FINE_UM)
    volume = Volume(1000 * light[first::step], voxel, Session("a", "r", 0))
    lift = np.array([lowest_um, 0, 0])
    arc = np.arange(-60, 61) * 0.1
    shaft = Segment(0, middle - lift + arc[:, None] * along, np.full(121, SHAFT_UM), arc + 6)
    centres = np.array(heads) - lift
    home = np.zeros(len(centres), int)
    back = backdrop_of(volume)
    rows = spine_rows(volume, centres, centres, Dendrites((shaft,)), home, MeasureConfig(), back)
    return np.array([r["strength"] for r in rows]) / TRUE_STRENGTH


def test_spines_in_a_close_row_are_as_strong_as_one_alone():
    """Seven every 1.4 um: beside the middle ones every place is another one's."""
    (alone,) = strengths([0.0])
    assert alone == pytest.approx(1, abs=0.1)
    row = strengths([1.4 * k for k in range(-3, 4)])
    assert row == pytest.approx(alone, abs=0.1)


@pytest.mark.parametrize(("tilt_deg", "above"), [(0.0, False), (10.0, True), (20.0, True)])
def test_strength_does_not_hang_on_where_the_planes_fall(tilt_deg, above):
    measured = [
        strengths([0.0], tilt_deg=tilt_deg, lowest_um=low, above=above)[0]
        for low in (0.0, 0.3, 0.6)
    ]
    assert np.ptp(measured) < 0.1
    assert measured == pytest.approx([1.0] * 3, abs=0.15)
