"""Borders that registration left blank: nothing was imaged there, and nothing there is measured."""

from dataclasses import replace

import numpy as np
import pytest

from spinenet.config import MeasureConfig
from spinenet.match.home import Home, _in_rim
from spinenet.match.warp import ArcWarp
from spinenet.measure.attach import spine_rows
from spinenet.measure.imaged import find_imaged
from spinenet.measure.quality import backdrop_of, noise_of
from spinenet.types import Dendrites, Session, Volume
from tests.unit.drawn_shafts import line, session_of


def imaged(data):
    return find_imaged(Volume(data, (1.0, 0.1, 0.1), Session("a", "r", 0)))


@pytest.mark.parametrize("dark", [0.0, 0.8])
def test_blank_borders_were_not_imaged(dark):
    """Twenty lines above and a wedge on the right, as a turned field leaves it; also where the
    detector cuts off four fifths of the background."""
    rng = np.random.default_rng(0)
    data = (rng.poisson(20, (6, 300, 300)) + 1) * (rng.random((6, 300, 300)) >= dark)
    whole = imaged(data.astype(np.uint16))
    everywhere = np.stack(np.meshgrid([0, 3], [1.0, 15.0, 29.0], [1.0, 15.0, 29.0]), -1)
    assert whole.holds(everywhere.reshape(-1, 3)).all()
    assert whole.blank_share < 0.002
    _, y, x = np.indices(data.shape)
    data[(y < 20) | (x > 250 + y / 10)] = 0
    part = imaged(data.astype(np.uint16))
    points = np.array([[3, 1.5, 15.0], [3, 3.0, 15.0], [3, 15.0, 25.5], [3, 15.0, 27.5]])
    assert part.holds(points).tolist() == [False, True, True, False]
    assert 0.10 < part.blank_share < 0.18  # of 18 %


def test_borders_are_blank_also_where_the_background_goes_below_them():
    """ScanImage takes the offset off: background 2 with a noise of 20, and registration fills 0."""
    data = np.random.default_rng(0).normal(2, 20, (8, 200, 200)).round().astype(np.int16)
    whole = backdrop_of(Volume(data, (1.0, 0.1, 0.1), Session("a", "r", 0)))
    data[:, :, 150:] = 0
    part = backdrop_of(Volume(data, (1.0, 0.1, 0.1), Session("a", "r", 0)))
    assert part.imaged.blank_share == pytest.approx(0.25, abs=0.01)
    assert part.noise == pytest.approx(whole.noise, rel=0.05)
    assert whole.imaged.blank_share < 0.002


def test_a_dark_background_is_no_blank_border():
    """A detector that cuts off all background: beside one shaft, or two, nothing but zeros."""
    points = np.array([[3, 12.0, 10.0], [3, 1.0, 10.0], [3, 18.0, 10.0]])
    for rows in ((98,), (60, 140), (20, 180)):
        data = np.zeros((6, 200, 200), np.uint8)
        for row in rows:
            data[3, row : row + 5] = 100
        assert imaged(data).holds(points).all(), rows


def test_a_blank_plane_was_not_imaged():
    data = np.random.default_rng(0).poisson(20, (6, 100, 100)).astype(np.uint16) + 1
    data[2] = 0
    seen = imaged(data)
    assert seen.holds(np.array([[1, 5, 5], [2, 5, 5], [3, 5, 5.0]])).tolist() == [True, False, True]
    assert seen.blank_share == 0


def test_a_wedge_that_was_not_imaged_is_no_background():
    """As a turned field leaves it: the background is 100 with a noise of 10 all the same."""
    data = np.random.default_rng(0).normal(100, 10, (16, 200, 200))
    _, y, x = np.indices(data.shape)
    turned = np.where(x > 140 + y / 8, 0, np.rint(data)).astype(np.uint16)
    background, noise = noise_of(Volume(turned, (1.0, 0.1, 0.1), Session("a", "r", 0)))
    assert background == pytest.approx(100, abs=1)
    assert noise == pytest.approx(10, rel=0.05)


@pytest.mark.parametrize("cut_um", [0.0, 4.0, 5.0, 5.5, 6.0, 6.2])
def test_a_spine_beside_a_blank_border_is_as_large_as_in_the_middle(cut_um):
    """Background 100; zeros up to so far along the shaft, whose spine stands at 7 um."""
    voxel = (0.5, 0.1, 0.1)
    z, y, x = np.meshgrid(
        *(np.arange(n) * v for n, v in zip((17, 90, 140), voxel, strict=True)), indexing="ij"
    )
    shaft = 600 * np.exp(-0.5 * (((z - 4) / 0.9) ** 2 + ((y - 4) / 0.35) ** 2))
    head = 250 * np.exp(
        -0.5 * (((z - 4) / 0.8) ** 2 + ((y - 5.3) / 0.22) ** 2 + ((x - 7) / 0.22) ** 2)
    )
    light = np.random.default_rng(0).poisson(100 + shaft + head)
    dendrites = Dendrites((line((4, 4, 0.5), (4, 4, 13.5)),))

    def measured(blank_um):
        data = np.where(x < blank_um, 0, light).astype(np.uint16)
        volume = Volume(data, voxel, Session("a", "r", 0))
        centre = np.array([[4.0, 5.3, 7.0]])
        (row,) = spine_rows(
            volume, centre, centre, dendrites, np.array([0]), MeasureConfig(), backdrop_of(volume)
        )
        return row

    whole, cut = measured(0.0), measured(cut_um)
    assert cut["strength"] == pytest.approx(whole["strength"], rel=0.12)
    assert cut["head_width_um"] == pytest.approx(whole["head_width_um"], rel=0.05)
    assert cut["touches_edge"] == (cut_um > 6)


def test_beside_a_blank_border_a_spine_may_as_well_lie_outside():
    """As it is beside the border of the stack itself: imaged to 20 um in the one session."""
    shaft = Dendrites((line((15, 15, 0), (15, 15, 29)),))
    warps = {(0, 0): ArcWarp(np.array([0.0, 29.0]), np.zeros(2), rms_um=0.0)}
    view = session_of(0, shaft)
    cut = replace(view, imaged=lambda points, aside: points[:, 2] + aside[1] <= 20.0)
    for arc, whole, in_rim in (
        (12.0, [], []),
        (19.3, [], [7]),
        (19.8, [], [7]),
        (20.4, [], [7]),
        (22.0, [], []),
    ):
        homes = {7: Home(0, np.array([arc, 1.5, 0.0]))}
        assert _in_rim(0, view, homes, warps) == whole
        assert _in_rim(0, cut, homes, warps) == in_rim
