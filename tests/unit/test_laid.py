"""Sessions laid over each other once more, by what whole tracks say."""

import numpy as np
import pytest

from spinenet.config import MatchConfig
from spinenet.match.laid import laid_on_tracks
from spinenet.match.region import lay
from spinenet.match.view import frames_of
from spinenet.match.warp import ArcWarp, unwarped
from spinenet.types import Dendrites
from tests.unit.drawn_shafts import line, session_of

SHAFT = Dendrites((line((5, 5, 0), (5, 5, 40)),))
PLACES_UM = np.array([4.0, 7.5, 9.0, 13.0, 16.5, 18.0, 22.0, 27.0, 29.5, 33.0, 36.0])
TRACKS = np.arange(len(PLACES_UM))
SURE = np.ones(len(PLACES_UM), bool)


def session(t, shift_um=0.0, moved=None):
    """All spines on one side of the shaft; one of them may have moved by so much (number, um)."""
    along = PLACES_UM + shift_um
    if moved:
        along[moved[0]] += moved[1]
    return session_of(t, SHAFT, *((0, 5.0, 6.5, x) for x in along))


def laid(views, sure=None, **warps):
    frames = [frames_of(v) for v in views]
    flat = {(t, 0): unwarped(40.0) for t in range(len(views))} | warps.get("given", {})
    tracks = [TRACKS] * len(views)
    return laid_on_tracks(views, frames, flat, 0, tracks, sure or [SURE] * len(views))


def test_a_shift_that_the_first_warps_missed_is_made_up_for():
    warps = laid([session(0), session(1, shift_um=0.8), session(2), session(3)])
    assert warps[1, 0](PLACES_UM + 0.8) == pytest.approx(PLACES_UM, abs=0.15)
    for t in (2, 3):  # they see one in three sightings aside
        assert warps[t, 0](PLACES_UM) == pytest.approx(PLACES_UM, abs=0.3)


def test_the_reference_stays():
    assert not laid([session(0, shift_um=0.8), session(1)])[0, 0].shift_um.any()


def test_a_track_that_is_not_believed_moves_nothing():
    sure = SURE.copy()
    sure[5] = False
    views = [session(0), session(1, moved=(5, 3.0)), session(2)]
    warps = laid(views, [SURE, sure, SURE])
    assert not warps[1, 0].shift_um.any()
    assert laid(views)[1, 0].shift_um.any()


def test_where_nothing_is_believed_the_warp_stays():
    given = ArcWarp(np.array([0.0, 40.0]), np.array([0.5, 0.7]))
    nobody = np.zeros(len(SURE), bool)
    warps = laid([session(0), session(1)], [SURE, nobody], given={(1, 0): given})
    assert warps[1, 0] is given


def test_what_lay_beside_before_is_found_again_not_added():
    """Depth is told anew from the spines, whatever the first warp made of it."""
    lower = [session_of(t, SHAFT, *((0, 5.0 + t, 6.5, x) for x in PLACES_UM)) for t in (0, 1)]
    once = laid(lower)[1, 0]
    twice = laid(lower, given={(1, 0): once})[1, 0]
    assert once.beside_um[1] != 0
    assert twice.beside_um == pytest.approx(once.beside_um, abs=0.05)


def test_a_spine_that_joined_no_other_session_has_no_place_to_go():
    views = [session(0), session(1)]
    frames = [frames_of(v) for v in views]
    flat = {(t, 0): unwarped(40.0) for t in (0, 1)}
    alone = [TRACKS, TRACKS + 100]
    assert not laid_on_tracks(views, frames, flat, 0, alone, [SURE, SURE])[1, 0].shift_um.any()


def test_laying_twice_brings_sightings_nearer():
    """Five sessions, each found with 0.3 um of scatter and 2 um aside of the last."""
    rng = np.random.default_rng(3)
    views = [
        session_of(
            t,
            SHAFT,
            *((0, 5.0, 6.5, x) for x in PLACES_UM + 0.7 * t + rng.normal(0, 0.3, len(PLACES_UM))),
        )
        for t in range(5)
    ]
    there = lay(views, [frames_of(v) for v in views], 2, MatchConfig())
    along = np.array([t.places.points_um[:, 2] for t in there.tokens])
    assert np.abs(along - along.mean(axis=0)).max() < 0.8
    assert there.looked.all()
    assert there.places.scatter_um[0] < 0.5
