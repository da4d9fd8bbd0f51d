from dataclasses import replace

import numpy as np
import pytest

from spinenet.config import MorphologyConfig, OpticsConfig, SimulateConfig, TurnoverConfig
from spinenet.synthetic.experiment import simulate_region
from spinenet.synthetic.morphology import (
    Clutter,
    Dendrite,
    Scene,
    SpineShape,
    beyond_shaft_um,
    place,
)
from spinenet.synthetic.optics import Microscope, draw_microscope, image
from spinenet.synthetic.paint import paint
from spinenet.synthetic.patches import draw_example
from spinenet.synthetic.seen import seen_labels
from spinenet.synthetic.turnover import live

VOXEL = (0.5, 0.1, 0.1)
SHAPE = (12, 80, 120)
# a straight dendrite along x at z = 3, y = 4, and one spine that points down in the image
SPINE = SpineShape(6.0, 0.0, 0.0, 0.5, 0.1, (0.3, 0.3, 0.3), 0.0, 1.0, "spine")
STRAIGHT = Dendrite(
    np.stack([np.full(25, 3.0), np.full(25, 4.0), np.linspace(0, 12, 25)], 1),
    np.full(25, 0.4),
    1.0,
    (SPINE,),
)
SCOPE = Microscope(
    0.4, 2.0, 0.1, (3.0, 2.0), 60.0, 0.1, 0.1, 0.0, 0.0, 0.0, False, 0.0, 50.0, 100.0, 16
)


def test_a_spine_stands_where_it_was_put():
    at = place(STRAIGHT, SPINE)
    assert at.base == pytest.approx([3, 4, 6])
    assert at.surface == pytest.approx([3, 4.4, 6])
    assert at.centre == pytest.approx([3, 5.2, 6])
    assert at.tip == pytest.approx([3, 5.5, 6])


def test_labels_show_shaft_and_spine():
    labels = paint(Scene((STRAIGHT,)), SHAPE, VOXEL).labels
    assert labels[6, 40, 60] == 1
    assert labels[6, 52, 60] == 2
    assert labels[0].max() == 0
    assert set(np.unique(labels)) == {0, 1, 2}


def test_the_painted_head_has_its_volume():
    fine = paint(Scene((STRAIGHT,)), (60, 80, 120), (0.1, 0.1, 0.1)).labels
    head = (fine == 2).sum() * 0.1**3
    neck = np.pi * 0.15**2 * 0.5
    assert head == pytest.approx(SPINE.head_volume_um3 + neck, rel=0.15)


def test_a_tiny_head_is_seen_as_large_as_the_blur():
    tiny = replace(SPINE, neck_radius_um=0.01, head_radii_um=(0.05, 0.05, 0.05))
    fine = (0.1, 0.05, 0.05)
    painted = paint(Scene((replace(STRAIGHT, spines=(tiny,)),)), (60, 120, 240), fine)
    mine = seen_labels(painted, fine, SCOPE) == 2
    assert (painted.labels == 2)[:, 90:].any(axis=(1, 2)).sum() * 0.1 < 0.4
    depth, height = (mine.any(axis=(1, 2)).sum() * 0.1, mine.any(axis=(0, 1)).sum() * 0.05)
    assert depth == pytest.approx(SCOPE.axial_fwhm_um, rel=0.1)
    assert height == pytest.approx(SCOPE.lateral_fwhm_um, rel=0.25)


def test_of_two_spines_that_touch_each_is_seen_at_its_place():
    beside = replace(SPINE, arc_um=6.7)
    seen = seen_labels(
        paint(Scene((replace(STRAIGHT, spines=(SPINE, beside)),)), SHAPE, VOXEL), VOXEL, SCOPE
    )
    assert seen[6, 52, 60] == 2
    assert seen[6, 52, 67] == 3
    assert seen[6, 40, 60] == 1


@pytest.mark.parametrize("voxel", [(0.2, 0.1, 0.1), (0.5, 0.1, 0.1)])
def test_a_spine_that_the_border_cuts_is_seen_up_to_it(voxel):
    shape = (30, 53, 120) if voxel[0] == 0.2 else (12, 53, 120)
    painted = paint(Scene((STRAIGHT,)), shape, voxel)
    seen = seen_labels(painted, voxel, SCOPE)
    assert seen[round(3 / voxel[0]), 52, 60] == 2
    flat = paint(Scene((STRAIGHT,)), (1, 80, 120), (0.2, 0.1, 0.1))
    assert seen_labels(flat, (0.2, 0.1, 0.1), SCOPE).shape == (1, 80, 120)


def test_clutter_has_no_label():
    ball = (np.array([3.0, 4.0, 6.0]), np.array([0.5, 0.5, 0.5]), 1.0)
    painted = paint(Scene((), Clutter((), (ball,))), SHAPE, VOXEL)
    assert painted.labels.max() == 0
    assert painted.density.max() == 1


def test_the_image_is_bright_on_the_shaft_and_holds_its_photons():
    painted = paint(Scene((STRAIGHT,)), SHAPE, VOXEL)
    stack = image(np.random.default_rng(0), painted, VOXEL, SCOPE).astype(float)
    shaft = (stack[6, 40, 20:100] - SCOPE.offset) / SCOPE.gain
    assert shaft.mean() == pytest.approx(60, rel=0.1)
    assert (stack[0, 5] - SCOPE.offset).mean() / SCOPE.gain < 3


def test_photon_noise_is_poisson():
    painted = paint(Scene((STRAIGHT,)), SHAPE, VOXEL)
    rng = np.random.default_rng(0)
    shots = np.array([image(rng, painted, VOXEL, SCOPE)[6, 40, 60] for _ in range(200)], float)
    photons = (shots - SCOPE.offset) / SCOPE.gain
    assert photons.var() == pytest.approx(photons.mean(), rel=0.35)


def test_a_smoothed_stack_has_less_noise_alike_in_all_directions_of_the_plane():
    bright = paint(Scene(()), (4, 200, 200), VOXEL)
    scope = replace(SCOPE, background_photons=50.0)
    rough, smooth = (
        image(np.random.default_rng(0), bright, VOXEL, replace(scope, smoothing_px=s)).astype(float)
        for s in (0.0, 0.7)
    )
    assert smooth.mean() == pytest.approx(rough.mean(), rel=0.01)
    assert smooth.std() < 0.6 * rough.std()
    for axis, alike in ((0, False), (1, True), (2, True)):
        a, b = (np.take(smooth, range(k, smooth.shape[axis] - 1 + k), axis) for k in (0, 1))
        assert (np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.3) == alike


def test_eight_bit_detectors_clip_at_both_ends():
    rng = np.random.default_rng(1)
    optics = OpticsConfig(clip_8bit_chance=1.0, photons=(20, 20))
    scope = draw_microscope(rng, optics)
    stack = image(rng, paint(Scene((STRAIGHT,)), SHAPE, VOXEL), VOXEL, scope)
    assert stack.dtype == np.uint8
    assert stack.min() == 0


def test_examples_are_seeded():
    a, b = (
        draw_example(np.random.default_rng(5), (8, 48, 48), OpticsConfig(), MorphologyConfig())
        for _ in range(2)
    )
    assert np.array_equal(a.image, b.image)
    assert np.array_equal(a.labels, b.labels)


def test_nothing_happens_without_turnover():
    still = TurnoverConfig(formation_per_day=0, elimination_per_day=0)
    lives = live(np.random.default_rng(0), STRAIGHT, MorphologyConfig(), still)
    assert lives.present.all()


def test_planted_clusters_have_no_existing_spine_between():
    busy = TurnoverConfig(formation_per_day=0.15, clustered_share=0.9)
    lives = live(np.random.default_rng(2), STRAIGHT, MorphologyConfig(spines_per_um=(1, 1)), busy)
    groups = [np.flatnonzero(lives.planted == g) for g in range(lives.planted.max() + 1)]
    assert groups
    arc = np.array([spine.arc_um for spine in lives.spines])
    born = lives.present.argmax(axis=1)
    for members in groups:
        assert len(members) >= 2
        assert (born[members] > 0).all()
        first, *later = sorted(members, key=lambda k: (born[k], k))
        joined = [first]
        for k in later:
            # beside one of those before it, with none between that was there when it formed
            between = [
                np.flatnonzero((arc > min(arc[k], arc[m])) & (arc < max(arc[k], arc[m])))
                for m in joined
            ]
            assert any(not lives.present[those[those < k], born[k]].any() for those in between)
            joined.append(k)


def test_how_often_one_looks_does_not_change_what_lives():
    """Spines that come and go unseen in a long gap are none; sizes drift back as in short ones."""

    def after_60_days(step):
        days = tuple(np.arange(0.0, 61.0, step))
        turnover = TurnoverConfig(days=days, clustered_share=0.0, recurrent_share=0.0)
        dendrite = Dendrite(
            STRAIGHT.points_um * [1, 1, 8], STRAIGHT.radius_um, 1.0
        )  # 96 um, so that there is room
        lives = [
            live(np.random.default_rng(seed), dendrite, MorphologyConfig(), turnover)
            for seed in range(40)
        ]
        grown = sum(int(x.present[:, -1].sum()) for x in lives)
        start = sum(int(x.present[:, 0].sum()) for x in lives)
        return grown / start, np.concatenate([x.log_size[:, -1] for x in lives]).std()

    often, seldom = after_60_days(2.0), after_60_days(60.0)
    assert seldom[0] == pytest.approx(often[0], rel=0.1)
    assert seldom[1] == pytest.approx(often[1], rel=0.15)


@pytest.mark.parametrize(
    ("azimuth", "lean", "beyond"), [(0, 0, 1.1), (0, 40, 0.65), (90, 0, -0.4), (90, 40, -0.4)]
)
def test_what_leans_along_its_shaft_does_not_stick_out_of_it(azimuth, lean, beyond):
    """A spine 1.5 um long on a shaft of radius 0.4: sideways, leaning, above, leaning above."""
    spine = replace(SPINE, azimuth_deg=azimuth, lean_deg=lean)
    at = place(STRAIGHT, spine)
    assert np.linalg.norm(at.tip - at.base) == pytest.approx(1.5)
    expected = 1.5 * np.cos(np.deg2rad(lean)) * np.cos(np.deg2rad(azimuth)) - 0.4
    assert beyond_shaft_um(STRAIGHT, at) == pytest.approx(expected, abs=1e-6)
    assert beyond == pytest.approx(expected, abs=0.11)


def test_near_a_border_lost_spines_count_as_those_that_live_on():
    unmoved = SimulateConfig(
        shape=(12, 96, 160), dendrites=3, shift_um=0, rotation_deg=0, tilt_deg=0, warp_um=0,
        roll_deg=0, arc_jitter_um=0, neck_log_sd=0,
        turnover=TurnoverConfig(days=(0, 8), elimination_per_day=0.1, size_log_sd=0),
    )  # fmt: skip
    tracks = simulate_region(unmoved, "m", "r", 3).tracks
    told = tracks.groupby("track_id")["presence"].agg(set)
    assert sum("absent" in states for states in told) > 5
    assert all("out_of_view" not in states or len(states) == 1 for states in told)


def test_planted_clusters_are_numbered_through_a_region():
    turnover = TurnoverConfig(formation_per_day=0.15, clustered_share=0.9)
    made = simulate_region(
        SimulateConfig(shape=(12, 96, 160), dendrites=3, turnover=turnover), "m", "r", 0
    )
    planted = made.tracks[made.tracks["planted"] >= 0]
    assert planted["dendrite_id"].nunique() > 1
    assert planted.groupby("planted")["dendrite_id"].nunique().max() == 1


@pytest.fixture(scope="module")
def region():
    config = SimulateConfig(shape=(16, 96, 160), dendrites=1, seed=1)
    return simulate_region(config, "m", "r", 0)


def test_the_truth_agrees_with_the_labels(region):
    met = 0
    for volume, labels in zip(region.volumes, region.labels, strict=True):
        mine = region.spines[region.spines["session"] == volume.session.index]
        for row in mine[mine["scorable"] & (mine["kind"] == "spine")].to_dict("records"):
            z, y, x = (
                round(row[f"{a}_um"] / v) for a, v in zip("zyx", volume.voxel_size_um, strict=True)
            )
            near = labels[max(z - 1, 0) : z + 2, y - 1 : y + 2, x - 1 : x + 2]
            assert row["label"] in near
            met += 1
    assert met > 10


def test_a_spine_moves_a_little_between_sessions_and_keeps_its_track(region):
    places = region.spines.pivot(index="track_id", columns="session", values="arc_length_um")
    moved = (places[1] - places[0]).dropna().abs()
    assert 0 < moved.median() < 0.3
    assert moved.max() < 1


def test_without_perturbations_a_spine_stays_where_it_is():
    still = TurnoverConfig(days=(0.0, 4.0), formation_per_day=0, elimination_per_day=0)
    config = SimulateConfig(
        shape=(16, 96, 160), dendrites=1, seed=1, shift_um=0, rotation_deg=0, tilt_deg=0,
        warp_um=0, roll_deg=0, arc_jitter_um=0, neck_log_sd=0, turnover=replace(still, size_log_sd=0),
    )  # fmt: skip
    made = simulate_region(config, "m", "r", 0).spines
    first, second = (made[made["session"] == t].reset_index(drop=True) for t in (0, 1))
    for column in ("z_um", "y_um", "x_um", "head_volume_um3", "length_um"):
        assert np.allclose(first[column], second[column])


def test_tracks_and_spines_agree(region):
    seen = region.tracks[region.tracks["presence"] == "present"]
    assert len(seen) == len(region.spines)
    assert set(region.tracks["presence"]) <= {"present", "absent", "out_of_view"}


def test_scorable_spines_lie_inside(region):
    extent = region.volumes[0].extent_um
    good = region.spines[region.spines["scorable"]][["z_um", "y_um", "x_um"]].to_numpy()
    assert (good >= 1).all()
    assert (good <= extent - 1).all()


def test_the_same_seed_gives_the_same_experiment(region):
    again = simulate_region(SimulateConfig(shape=(16, 96, 160), dendrites=1, seed=1), "m", "r", 0)
    assert np.array_equal(again.volumes[2].data, region.volumes[2].data)
    assert again.spines.equals(region.spines)
