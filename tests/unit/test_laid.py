"""Sessions laid over each other once more, by what whole tracks say."""

from dataclasses import replace

import numpy as np
import pytest

from spinenet.config import MatchConfig
from spinenet.match.laid import laid_on_tracks, warp_region
from spinenet.match.region import lay
from spinenet.match.view import frames_of
from spinenet.match.warp import ArcWarp, unwarped
from spinenet.types import Dendrites
from tests.unit.drawn_shafts import line, session_of

SHAFT = Dendrites((line((5, 5, 0), (5, 5, 40)),))
TWO_SHAFTS = Dendrites((line((5, 5, 0), (5, 5, 40)), line((5, 25, 0), (5, 25, 40), number=1)))
PLACES_UM = np.array([4.0, 7.5, 9.0, 13.0, 16.5, 18.0, 22.0, 27.0, 29.5, 33.0, 36.0])
TRACKS = np.arange(len(PLACES_UM))
SURE = np.ones(len(PLACES_UM), bool)
NOT_5 = TRACKS != 5


def session(t, shift_um=0.0, moved=0.0):
    """All spines on one side of the shaft; number 5 may have moved by so much."""
    along = PLACES_UM + shift_um + np.where(NOT_5, 0.0, moved)
    return session_of(t, SHAFT, *((0, 5.0, 6.5, x) for x in along))


def laid(views, sure=None, given=None, tracks=None):
    frames = [frames_of(v) for v in views]
    flat = {(t, 0): unwarped(40.0) for t in range(len(views))} | (given or {})
    tracks = tracks or [TRACKS] * len(views)
    return laid_on_tracks(views, frames, flat, 0, tracks, sure or [SURE] * len(views))


def test_a_shift_that_the_first_warps_missed_is_made_up_for():
    warps = laid([session(0), session(1, shift_um=0.8), session(2), session(3)])
    assert warps[1, 0](PLACES_UM + 0.8) == pytest.approx(PLACES_UM, abs=0.15)
    for t in (2, 3):  # they see one in three sightings aside
        assert warps[t, 0](PLACES_UM) == pytest.approx(PLACES_UM, abs=0.3)


def test_the_reference_stays():
    assert not laid([session(0, shift_um=0.8), session(1), session(2)])[0, 0].shift_um.any()


def test_two_sessions_stay_as_they_were_laid():
    assert not laid([session(0), session(1, shift_um=0.8)])[1, 0].shift_um.any()


@pytest.mark.parametrize("doubted", [1, 2])
def test_a_sighting_that_is_not_sure_moves_nothing(doubted):
    """Neither its own session, nor another one."""
    views = [session(t, moved=3.0 * (t == doubted)) for t in range(3)]
    sure = [NOT_5 if t == doubted else SURE for t in range(3)]
    assert not any(laid(views, sure)[t, 0].shift_um.any() for t in range(3))
    assert all(laid(views)[t, 0].shift_um.any() for t in (1, 2))


def test_where_nothing_is_sure_the_warp_stays():
    given = ArcWarp(np.array([0.0, 40.0]), np.array([0.5, 0.7]))
    views = [session(0), session(1), session(2)]
    assert laid(views, [SURE, ~SURE, SURE], {(1, 0): given})[1, 0] is given


def test_what_was_found_before_is_kept_not_found_anew():
    """Laid twice, a session that lies 1 um deeper comes nearer, from however few sure spines."""
    views = [
        session_of(t, SHAFT, *((0, 5.0 + (t == 1), 6.5, x) for x in PLACES_UM)) for t in (0, 1, 2)
    ]
    once = laid(views)[1, 0]
    few = np.isin(TRACKS, [2, 3])
    twice = laid(views, [SURE, few, SURE], {(1, 0): once})[1, 0]
    assert 0.5 < once.beside_um[1] < twice.beside_um[1] < 1.0


def test_a_spine_that_joined_no_other_session_has_no_place_to_go():
    views = [session(t, shift_um=0.8 * t) for t in range(3)]
    alone = [TRACKS + 100 * t for t in range(3)]
    assert not laid(views, tracks=alone)[1, 0].shift_um.any()


def test_dendrites_are_laid_each_by_its_own_spines():
    """One session's spines lie 0.8 um aside on the first dendrite; a track that spans both dendrites
    tells neither where the other's spines are."""

    def both(t):
        first = [(0, 5.0, 6.5, x + 0.8 * (t == 1)) for x in PLACES_UM]
        return session_of(t, TWO_SHAFTS, *first, *((1, 5.0, 26.5, x) for x in PLACES_UM))

    views = [both(t) for t in range(3)]
    flat = {(t, d): unwarped(40.0) for t in range(3) for d in (0, 1)}
    tracks = np.r_[TRACKS, TRACKS + 100]
    spanning = np.where(tracks == 103, 9, tracks)  # 13 um on the second is one with 33 on the first
    warps = laid_on_tracks(
        views,
        [frames_of(v) for v in views],
        flat,
        0,
        [tracks, tracks, spanning],
        [np.r_[SURE, SURE]] * 3,
    )
    assert warps[1, 0](PLACES_UM + 0.8) == pytest.approx(PLACES_UM, abs=0.15)
    assert not warps[1, 1].shift_um.any()
    assert not warps[2, 1].shift_um.any()


def crowded(seed):
    """Five sessions that slide past the middle one by 0.7 um a step, with a spine every 1.2 um on
    either side: found with a scatter of 0.3 um, one in seven not, one in ten invented."""
    rng = np.random.default_rng(seed)
    places, sides = rng.uniform(0, 40, 32), rng.choice([3.5, 6.5], 32)
    views = []
    for t in range(5):
        there = rng.random(32) > 0.15
        along = places + 0.7 * (t - 2) + rng.normal(0, 0.3, 32)
        heads = [(0, 5.0, y, x) for y, x in zip(sides[there], along[there], strict=True)]
        for _ in range(rng.binomial(32, 0.1)):
            heads.append((0, 5.0, rng.choice([3.5, 6.5]), rng.uniform(0, 40)))
        views.append(session_of(t, SHAFT, *heads))
    return views


def test_sessions_agree_better_after_the_second_laying():
    along = np.linspace(2, 38, 19)
    first, second, scatter = [], [], []
    for seed in range(16):
        views = crowded(seed)
        frames = [frames_of(v) for v in views]
        before = warp_region(views, frames, 2, MatchConfig())
        after = lay(views, frames, 2, MatchConfig(), False)
        for warps, spreads in ((before, first), (after.warps, second)):
            off = [warps[t, 0](along + 0.7 * (t - 2)) - along for t in range(5)]
            spreads.append(np.std(off, axis=0).mean())
        scatter.append(after.by_places.scatter_um[0])
        moved = after.tokens[0].places.points_um[:, 2]
        assert moved == pytest.approx(after.warps[0, 0](frames[0][:, 0]))
    assert np.mean(second) < 0.97 * np.mean(first)
    assert np.mean(scatter) == pytest.approx(0.3 * np.sqrt(2), abs=0.06)


def test_one_word_about_a_spine_that_moved_far_leaves_the_others():
    """A person says that a spine 3 um away is the same: true, and no reason for its neighbours."""
    views = [session(t, moved=3.0 * (t == 1)) for t in range(4)]
    first = np.arange(4) * len(PLACES_UM)
    same = [(5, int(first[1]) + 5)]
    there = lay(views, [frames_of(v) for v in views], 0, MatchConfig(), False, same)
    assert there.warps[1, 0](PLACES_UM[NOT_5]) == pytest.approx(PLACES_UM[NOT_5], abs=0.25)
    unsaid = lay(
        [replace(v) for v in views], [frames_of(v) for v in views], 0, MatchConfig(), False
    )
    assert unsaid.warps[1, 0](PLACES_UM[NOT_5]) == pytest.approx(PLACES_UM[NOT_5], abs=0.1)
