"""A drawn dendrite: what goes in must come out, in um."""

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from spinenet.config import MeasureConfig
from spinenet.geometry import join_ends
from spinenet.io.sessions import StackFile
from spinenet.measure.attach import attach, measure_spines
from spinenet.measure.quality import backdrop_of, noise_of, saturated_share, shaft_snr
from spinenet.measure.shape import NOWHERE, Stalk, _shaft_light, measure_shape
from spinenet.measure.skeleton import _radius, find_dendrites
from spinenet.measure.straighten import straighten
from spinenet.pipeline.sessions import _warn_of_limits
from spinenet.pipeline.stacks import RunLog, Stack
from spinenet.synthetic.morphology import Dendrite, Scene, SpineShape, place
from spinenet.synthetic.optics import Microscope, image
from spinenet.synthetic.paint import paint
from spinenet.types import Dendrites, Segment, Segmentation, Session, Volume

VOXEL, SHAPE = (0.5, 0.1, 0.1), (14, 100, 240)
SCOPE = Microscope(
    0.4, 2.0, 0.0, (3.0, 2.0), 200.0, 0.1, 0.1, 0.0, 0.0, 0.0, False, 0.0, 50.0, 100.0, 16
)


def spine(arc, azimuth, radius=0.3, neck=0.6):
    return SpineShape(arc, azimuth, 0.0, neck, 0.1, (radius,) * 3, 0.0, 1.0, "spine")


SPINES = (spine(5, 0), spine(12, 180), spine(18, 0, 0.45))
SHAFT = Dendrite(
    np.stack([np.full(49, 3.25), np.full(49, 5.0), np.linspace(0, 24, 49)], 1),
    np.full(49, 0.4),
    1.0,
    SPINES,
)


@pytest.fixture(scope="module")
def scene():
    painted = paint(Scene((SHAFT,)), SHAPE, VOXEL)
    stack = image(np.random.default_rng(0), painted, VOXEL, SCOPE)
    volume = Volume(stack, VOXEL, Session("m", "r", 0))
    shaft = painted.labels == 1
    centres = np.array([place(SHAFT, s).centre for s in SPINES])
    blank = np.zeros(SHAPE, np.uint8)
    labels = np.where(painted.labels > 1, painted.labels - 1, 0).astype(np.uint16)
    return volume, Segmentation(
        shaft, labels, centres, np.ones(3), shaft.astype(np.uint8) * 255, blank, blank, VOXEL
    )


@pytest.fixture(scope="module")
def dendrites(scene):
    return find_dendrites(scene[1], MeasureConfig())


def test_one_straight_dendrite_of_its_length(dendrites):
    (d,) = dendrites.segments
    assert d.length_um == pytest.approx(24, abs=1.5)
    assert np.median(d.radius_um) == pytest.approx(0.4, abs=0.08)
    assert np.abs(d.points_um[:, 1] - 5).max() < 0.15


def test_twice_the_voxel_is_twice_the_length(scene, dendrites):
    _, seen = scene
    big = Segmentation(**{**seen.__dict__, "voxel_size_um": (1.0, 0.2, 0.2)})
    (d,) = find_dendrites(big, MeasureConfig()).segments
    assert d.length_um == pytest.approx(2 * dendrites.segments[0].length_um, rel=0.06)


def test_spines_measure_what_was_drawn(scene, dendrites):
    volume, seen = scene
    table = measure_spines(volume, seen, dendrites, MeasureConfig(), backdrop_of(volume)).frame
    assert table["spine_id"].tolist() == [1, 2, 3]
    for row, s in zip(table.to_dict("records"), SPINES, strict=True):
        at = place(SHAFT, s)
        assert row["base_x_um"] == pytest.approx(at.base[2], abs=0.2)
        assert abs((row["azimuth_deg"] - s.azimuth_deg + 180) % 360 - 180) < 15
        assert row["length_um"] == pytest.approx(np.linalg.norm(at.tip - at.surface), abs=0.3)
        assert row["neck_length_um"] == pytest.approx(s.neck_um, abs=0.3)
        assert row["head_volume_um3"] == pytest.approx(s.head_volume_um3, rel=0.35)
    assert table["head_width_um"][2] > table["head_width_um"][0]
    assert table["strength"][2] > 1.5 * table["strength"][0]


def test_gain_does_not_change_strength(scene, dendrites):
    volume, seen = scene
    bright = Volume(volume.data.astype(np.float32) * 3 + 50, VOXEL, volume.session)
    a, b = (
        measure_spines(v, seen, dendrites, MeasureConfig(), backdrop_of(v)).frame
        for v in (volume, bright)
    )
    assert b["strength"].to_numpy() == pytest.approx(a["strength"].to_numpy(), rel=1e-3)


def test_heads_far_from_every_shaft_are_no_spines(scene, dendrites):
    volume, seen = scene
    far = Segmentation(**{**seen.__dict__, "centres_um": seen.centres_um + [0, 3.5, 0]})
    assert len(measure_spines(volume, far, dendrites, MeasureConfig(), backdrop_of(volume))) == 1


def test_no_shaft_no_dendrite_no_spine(scene):
    volume, seen = scene
    empty = Segmentation(**{**seen.__dict__, "shaft": np.zeros(SHAPE, bool)})
    none = find_dendrites(empty, MeasureConfig())
    assert len(none) == 0
    assert len(measure_spines(volume, empty, none, MeasureConfig(), backdrop_of(volume))) == 0
    assert attach(np.zeros((0, 3)), none).dendrite.size == 0


def test_straight_ends_are_joined_and_bent_ones_are_not():
    a, b = (np.linspace([0, 0, x], [0, 0, x + 10], 21) for x in (0, 12))
    side = np.linspace([0, 0.5, 10], [0, 12, 10], 21)
    joined = join_ends([a, b, side], 4.0, 0.8)
    assert sorted(len(line) for line in joined) == [21, 42]


def test_snr_falls_outside_the_stack(scene, dendrites):
    volume, _ = scene
    (d,) = dendrites.segments
    off = Segment(0, d.points_um + [0, 50, 0], d.radius_um, d.arc_length_um)
    background, noise = noise_of(volume)
    assert np.nanmedian(shaft_snr(volume, d, background, noise)) > 20
    assert np.isnan(shaft_snr(volume, off, background, noise)).all()


def test_the_straightened_shaft_lies_in_the_middle(scene, dendrites):
    volume, _ = scene
    (d,) = dendrites.segments
    picture = straighten(volume, d, np.arange(2, 20, 0.2))
    assert abs(int(np.nanmean(picture, axis=1).argmax()) - len(picture) // 2) <= 1


def test_ties_of_ids_are_refused():
    with pytest.raises(ValueError, match="repeat"):
        Dendrites((Segment(0, np.eye(2, 3), np.ones(2), np.arange(2.0)),) * 2)


@pytest.mark.parametrize("width", [(2, 2), (2, 4), (4, 4), (3, 3), (1, 2), (1, 4), (3, 6), (5, 8)])
def test_no_shaft_vanishes_whatever_its_section(width):
    shaft = np.zeros((12, 100, 240), bool)
    shaft[4 : 4 + width[0], 30 : 30 + 3 * width[1], :] = True
    blank = np.zeros(shaft.shape, np.uint8)
    seen = Segmentation(
        shaft, blank, np.zeros((0, 3)), np.zeros(0), blank, blank, blank, (0.5, 0.1, 0.1)
    )
    (d,) = find_dendrites(seen, MeasureConfig()).segments
    assert d.length_um == pytest.approx(24, abs=1.5)


def test_a_clipped_detector_is_not_without_noise():
    """Every background voxel reads 0; what was cut off was noise all the same."""
    data = np.zeros((8, 40, 40), np.uint8)
    data[:, 18:22] = 200
    background, noise = noise_of(Volume(data, (1.0, 0.1, 0.1), Session("a", "r", 0)))
    assert background == 0
    assert noise == pytest.approx(0.289, abs=0.001)


@pytest.mark.parametrize("xy_um", [0.06, 0.12, 0.16, 0.24])
def test_the_light_of_the_shaft_does_not_hang_on_the_pixels(xy_um):
    """A tube of even light along x: as much light per um, whatever the pixels."""

    def light_per_um(xy, first=-2.0):
        axes = [np.arange(-2, 2.1, 0.5), np.arange(-2, 2, xy), np.arange(first, 2, xy)]
        grid = list(np.meshgrid(*axes, indexing="ij"))
        tube = np.exp(-0.5 * ((grid[0] / 0.8) ** 2 + (grid[1] / 0.3) ** 2))
        stalk = Stalk(np.zeros(3), np.array([0.0, 0, 1]), 0.4)
        return _shaft_light(tube, grid, stalk, np.zeros(tube.shape, bool)) * xy**2

    assert light_per_um(xy_um) == pytest.approx(light_per_um(0.02), rel=0.05)
    for edge in (-0.8, -0.3, 0.0):  # the stack ends there
        assert light_per_um(xy_um, edge) == pytest.approx(light_per_um(0.02), rel=0.15)


def test_a_second_dendrite_does_not_make_spines_look_smaller():
    """Two shafts along x, one 2.4 um above the other; a spine beside the lower one."""
    voxel = (0.5, 0.1, 0.1)
    z, y, x = np.meshgrid(
        *(np.arange(n) * v for n, v in zip((24, 120, 100), voxel, strict=True)), indexing="ij"
    )

    def tube(at_z, at_y):
        return 200 * np.exp(-0.5 * (((z - at_z) / 0.9) ** 2 + ((y - at_y) / 0.3) ** 2))

    centre, base = np.array([5.0, 7.2, 5.0]), np.array([5.0, 6.0, 5.0])
    spine = 120 * np.exp(
        -0.5 * (((z - 5) / 0.8) ** 2 + ((y - 7.2) / 0.22) ** 2 + ((x - 5) / 0.22) ** 2)
    )
    stalk = Stalk(base, np.array([0.0, 0.0, 1.0]), 0.4)
    above = np.column_stack([np.full(21, 7.4), np.full(21, 6.0), np.arange(21) * 0.5])

    def strength(light, crowd=NOWHERE):
        volume = Volume(light.astype(np.float32), voxel, Session("a", "r", 0))
        return measure_shape(volume, centre, stalk, NOWHERE, 0.0, crowd).strength

    alone, both = spine + tube(5.0, 6.0), spine + tube(5.0, 6.0) + tube(7.4, 6.0)
    assert strength(both) < 0.75 * strength(alone)  # taken for light of its own shaft
    assert strength(both, above) == pytest.approx(strength(alone), rel=0.06)


@pytest.mark.parametrize("sd", [1, 10, 30])
def test_the_noise_is_that_of_the_background(sd):
    """Choosing dark voxels must not make it smaller; a bright dendrite must not make it larger."""
    rng = np.random.default_rng(0)
    data = rng.normal(500, sd, (16, 120, 120))
    data[8, 50:60] += 40 * sd
    volume = Volume(np.rint(data).astype(np.uint16), (1.0, 0.1, 0.1), Session("a", "r", 0))
    background, noise = noise_of(volume)
    assert background == pytest.approx(500, abs=0.1 * sd)
    assert noise == pytest.approx(sd, rel=0.05)


@pytest.mark.parametrize("gain", [1, 20])
def test_the_noise_of_a_clipped_detector_is_not_none(gain):
    """Three of four voxels are zero: what the fourth has is noise too."""
    counts = np.random.default_rng(0).poisson(0.3, (16, 120, 120)) * gain
    volume = Volume(counts.astype(np.uint16), (1.0, 0.1, 0.1), Session("a", "r", 0))
    assert noise_of(volume)[1] == pytest.approx(gain * 0.3**0.5, rel=0.3)


@pytest.mark.parametrize("offset", [30, 10, 5, 3, 1, 0, -3, -6])
def test_the_noise_of_a_detector_does_not_hang_on_its_offset(offset):
    """Cut off at zero, of a tenth or of three quarters: the shaft would look the brighter, the more
    is cut."""
    data = np.random.default_rng(0).normal(offset, 10, (16, 120, 120))
    data[8, 50:60] += 20
    volume = Volume(np.rint(data.clip(0)).astype(np.uint16), (1.0, 0.1, 0.1), Session("a", "r", 0))
    assert noise_of(volume)[1] == pytest.approx(10, rel=0.1)


def test_a_full_detector_is_noticed():
    shaft = np.zeros((8, 40, 40), bool)
    shaft[3:5, 18:22] = True
    light = np.random.default_rng(0).normal(50, 10, shaft.shape) + 150 * shaft
    room, full = (np.rint(light.clip(0, top)).astype(np.uint8) for top in (255, 180))
    session = Session("a", "r", 0)
    assert saturated_share(Volume(room, (1.0, 0.1, 0.1), session), shaft, 50.0) < 0.05
    assert saturated_share(Volume(full, (1.0, 0.1, 0.1), session), shaft, 50.0) > 0.9
    assert saturated_share(Volume(full, (1.0, 0.1, 0.1), session), ~shaft & shaft, 50.0) == 0


def test_a_full_detector_is_told_after_interpolation_too():
    """Clipped at 4095 of 16 bits, then shifted by parts of a pixel, which overshoots."""
    rng = np.random.default_rng(0)
    rows = np.arange(60)[None, :, None]
    light = np.broadcast_to(300 + 9000 * np.exp(-(((rows - 30) / 6) ** 2)), (4, 60, 200))
    noisy = light + rng.normal(0, 1, light.shape) * np.sqrt(30 * light)
    shaft = np.broadcast_to(np.abs(rows - 30) < 6, light.shape)
    for top, least, most in ((4095, 0.5, 1.0), (16_000, 0.0, 0.04)):
        moved = ndimage.shift(np.clip(noisy, 0, top), (0, 0.4, 0.3), order=3, mode="nearest")
        data = np.rint(moved).clip(0).astype(np.uint16)
        assert data.max() > top or top == 16_000  # overshot
        volume = Volume(data, (1.0, 0.1, 0.1), Session("a", "r", 0))
        assert least <= saturated_share(volume, shaft, 300.0) <= most, top


@pytest.mark.parametrize("border", [0, 5, 20])
def test_what_registration_leaves_blank_is_no_background(border):
    """Zeros on all four sides and two blank planes; the stack itself is 100 with a noise of 10."""
    data = np.random.default_rng(0).normal(100, 10, (16, 200, 200))
    data[8, 90:100] += 200
    data = np.pad(data, ((2 * (border > 0), 0), (border, border), (border, border)))
    volume = Volume(np.rint(data).astype(np.uint16), (1.0, 0.1, 0.1), Session("a", "r", 0))
    background, noise = noise_of(volume)
    assert background == pytest.approx(100, abs=1)
    assert noise == pytest.approx(10, rel=0.05)


def test_background_of_an_unevenly_lit_stack_is_not_its_darkest_part():
    ramp = np.linspace(100, 200, 200)[None, None, :]
    data = np.random.default_rng(0).normal(ramp, 3, (16, 120, 200))
    volume = Volume(np.rint(data).astype(np.uint16), (1.0, 0.1, 0.1), Session("a", "r", 0))
    background, noise = noise_of(volume)
    assert background == pytest.approx(150, abs=8)
    assert noise == pytest.approx(3, rel=0.1)


@pytest.mark.parametrize("radius_um", [0.5, 2.0, 2.7, 4.0])
def test_the_radius_of_a_thick_trunk_is_its_own(radius_um):
    shape, voxel = (9, 140, 60), (1.0, 0.1, 0.1)
    y = np.arange(shape[1])[None, :, None] * 0.1
    shaft = np.broadcast_to(np.abs(y - 7.0) <= radius_um, shape)
    blank, none = np.zeros(shape, np.uint8), np.zeros((0, 3))
    seen = Segmentation(
        shaft, blank.astype(np.uint16), none, np.zeros(0), blank, blank, blank, voxel
    )
    found = _radius(seen, np.array([[4.0, 7.0, 3.0]] * 12))
    assert found == pytest.approx(radius_um, abs=0.1)


@pytest.mark.parametrize("row_um", [3.0, 1.0, 0.8])
def test_the_radius_of_a_shaft_along_the_border_is_its_own(row_um):
    """0.8 um thick to either side; at 0.8 um its near edge is the stack's."""
    shape, voxel = (9, 140, 60), (1.0, 0.1, 0.1)
    y = np.arange(shape[1])[None, :, None] * 0.1
    shaft = np.broadcast_to(np.abs(y - row_um) <= 0.8, shape)
    blank, none = np.zeros(shape, np.uint8), np.zeros((0, 3))
    seen = Segmentation(
        shaft, blank.astype(np.uint16), none, np.zeros(0), blank, blank, blank, voxel
    )
    found = _radius(seen, np.array([[4.0, row_um, 3.0]] * 12))
    assert found == pytest.approx(0.8, abs=0.11)


def test_dropped_planes_and_empty_stacks_are_named(scene, dendrites):
    volume, seen = scene
    data = volume.data.copy()
    data[5] = 0
    dropped = Volume(data, VOXEL, volume.session)
    file = StackFile(volume.session, Path("s.tif"))
    log = RunLog()
    _warn_of_limits(Stack(file, dropped, seen, dendrites, None, "", Path()), 1.0, log)
    assert [w.split(":")[0] for w in log.warnings] == ["s.tif"]
    assert "plane 5 (from 0) holds one value only (0)" in log.warnings[0]
    _warn_of_limits(Stack(file, volume, seen, Dendrites(), None, "", Path()), 1.0, log)
    assert "no dendrite was found in s.tif" in log.warnings[1]


def test_a_dendrite_round_a_cell_body_and_thick_slices_are_named(scene):
    volume, seen = scene
    turn = np.linspace(0, 1.95 * np.pi, 60)
    rim = np.column_stack([np.full(60, 3.0), 9 + 4 * np.sin(turn), 9 + 4 * np.cos(turn)])
    ring = Segment(0, rim, np.full(60, 0.8), np.linspace(0, 24.5, 60))
    log, file = RunLog(), StackFile(volume.session, Path("s.tif"))
    _warn_of_limits(Stack(file, volume, seen, Dendrites((ring,)), None, "", Path()), 1.0, log)
    coarse = Volume(volume.data, (2.0, *volume.voxel_size_um[1:]), volume.session)
    _warn_of_limits(Stack(file, coarse, seen, Dendrites((ring,)), None, "", Path()), 1.0, log)
    assert any("its slices lie 2 um apart" in w for w in log.warnings)
    assert not any("slices" in w for w in log.warnings[:1])
    assert "a dendrite of 24 um around 3, 9, 9 um (z, y, x) ends where it begins" in log.warnings[0]
