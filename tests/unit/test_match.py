import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from spinenet.config import MatchConfig
from spinenet.match.assign import path_cover, session_pairs
from spinenet.match.region import _once_surely_seen, _one_dendrite_per_track, link_by_places
from spinenet.match.score import (
    PLACE_SD_UM,
    Candidates,
    Places,
    apart,
    fit_scatter,
    near_pairs,
    pair_odds,
)
from spinenet.match.tokens import Tokens
from spinenet.types import Dendrites, InputError
from tests.unit.drawn_shafts import line, view_of


def linked(a, b):
    """(M, N) link probability of heads at (along, sideways, upward) places."""
    a, b = np.asarray(a, float), np.asarray(b, float)
    away = b[None] - a[:, None]
    return every_pair(pair_odds(away, PLACE_SD_UM, 2.0)).probability.reshape(len(a), len(b))


def every_pair(odds):
    """All pairs of two sessions, from their (M, N) odds."""
    odds = np.asarray(odds, float)
    i, j = (n.ravel() for n in np.indices(odds.shape))
    return Candidates(i, j, odds.ravel(), odds.shape)


def places(*points):
    """Heads near a dendrite along x: along is x, sideways is y, upward is -z."""
    axes = np.array([[0, 0, 1.0], [0, 1, 0], [-1, 0, 0]])
    return Places(np.array(points, float).reshape(-1, 3), np.tile(axes, (len(points), 1, 1)))


def spines(*points):
    """The same, nothing known of them but their places."""
    n = len(points)
    blank = np.zeros((n, 4), np.float32), np.zeros((n, 5, 17, 17), np.float16)
    return Tokens(places(*points), *blank)


def linked_tracks(*sessions):
    return [t.tolist() for t in link_by_places(list(sessions), MatchConfig())[1]]


def test_the_same_place_is_the_same_spine():
    assert linked([[0, 0, 0]], [[0, 0, 0]])[0, 0] > 0.98


def test_far_away_is_another_spine():
    assert linked([[0, 0, 0]], [[2.5, 0, 0]])[0, 0] == 0
    assert linked([[0, 0, 0]], [[0, 3, 0]])[0, 0] < 0.1


def test_rivals_share_the_probability():
    p = linked([[0, 0, 0]], [[0.2, 0, 0], [-0.2, 0, 0]])
    assert p[0] == pytest.approx([0.5, 0.5], abs=0.02)


def test_both_orders_agree():
    rng = np.random.default_rng(0)
    a, b = rng.normal(0, 1, (4, 3)), rng.normal(0, 1, (6, 3))
    assert np.allclose(linked(a, b), linked(b, a).T)


def test_distances_are_seen_from_the_dendrite():
    first = np.zeros(1, int)
    away = apart(places((0, 0, 0)), places((-0.5, 0.25, 2)), first, first)
    assert away[0] == pytest.approx([2, 0.25, 0.5])


def test_only_spines_near_each_other_are_compared():
    here = places((0, 0, 0), (0, 0, 50))
    there = places((0, 0, 2.9), (0, 0, 3.1), (4.9, 0, 0), (0, 2.5, 52.5))
    i, j = near_pairs(here, there)
    assert list(zip(i, j, strict=True)) == [(0, 0), (0, 2)]
    assert near_pairs(here, places())[0].size == 0


def test_the_scatter_is_learned_from_many_pairs_and_expected_of_few():
    rng = np.random.default_rng(0)
    pairs = rng.normal([0.3, 0, 0], [0.2, 0.3, 2.0], (2000, 3))
    assert fit_scatter(pairs) == pytest.approx([0.2, 0.3, 2.0], rel=0.1)
    assert fit_scatter(pairs[:1]) == pytest.approx(PLACE_SD_UM, rel=0.1)
    assert fit_scatter(pairs[:0]) == pytest.approx(PLACE_SD_UM)


def test_a_pair_between_two_dendrites_can_be_one_spine():
    assert linked_tracks(spines((3, 4, 5)), spines((3.2, 4.1, 5.1))) == [[0], [0]]


def test_crowded_spines_keep_their_order():
    crowd = [(3, 4, x) for x in (5.0, 5.8, 6.6)]
    moved = [(3, 4, x + 0.3) for x in (5.0, 5.8, 6.6)]
    before, after = linked_tracks(spines(*crowd), spines(*moved))
    assert before == after


def test_over_many_sessions_a_spine_was_once_surely_seen():
    dendrite = Dendrites((line((5, 5, 0), (5, 5, 20)),))
    views = [view_of(dendrite, (0, 5, 6.5, 4), (0, 5, 6.5, 12)) for _ in range(3)]
    for view, faint, clear in zip(views, (0.4, 0.3, 0.4), (0.4, 0.7, 0.4), strict=True):
        view.spines.frame["probability"] = [faint, clear]
    tracks = [np.array([0, 1])] * 3
    kept, numbers = _once_surely_seen(views, tracks, 0.6)
    assert [n.tolist() for n in numbers] == [[0]] * 3
    assert all(v.spines.frame["x_um"].tolist() == [12] for v in kept)
    assert _once_surely_seen(views[:2], tracks[:2], 0.6)[0] == views[:2]


def test_a_spine_is_on_the_dendrite_that_a_person_told():
    two = Dendrites((line((5, 5, 0), (5, 5, 20)), line((5, 9, 0), (5, 9, 20), number=1)))
    views = [view_of(two, (0, 5, 6.5, 4)) for _ in range(3)]
    tracks = [np.array([0])] * 3
    spine = int(views[1].spines.ids[0])
    homes = [
        [
            int(v.spines.frame["dendrite_id"].iloc[0])
            for v in _one_dendrite_per_track(views, tracks, told)
        ]
        for told in ({}, {(1, spine): 1})
    ]
    assert homes == [[0, 0, 0], [1, 1, 1]]
    with pytest.raises(InputError, match="one spine is on the dendrites 0 and 1"):
        _one_dendrite_per_track(views, tracks, {(0, spine): 0, (1, spine): 1})


def test_a_track_skips_a_session_in_which_the_spine_was_missed():
    odds = {(0, 1): np.zeros((1, 0)), (0, 2): [[9.0]], (1, 2): np.zeros((0, 1))}
    assert covered([1, 0, 1], odds) == [0, 0]


def test_neighbouring_sessions_are_linked_first():
    assert covered([1, 1, 1], dict.fromkeys(session_pairs(3), [[20.0]])) == [0, 0, 0]


def test_the_best_whole_beats_the_best_pair():
    assert covered([2, 2], {(0, 1): [[9.0, 4.0], [6.0, 0.1]]}) == [0, 1, 1, 0]


def test_unlikely_links_are_not_made():
    assert covered([1, 1], {(0, 1): [[0.1]]}) == [0, 1]


def test_no_spines_no_tracks():
    assert covered([0, 0], {(0, 1): np.zeros((0, 0))}) == []


def test_solving_group_by_group_finds_what_solving_at_once_finds():
    rng = np.random.default_rng(4)
    worth = np.where(rng.random((9, 9)) < 0.25, rng.uniform(0.5, 30, (9, 9)), 0.0)
    track = np.array(covered([9, 9], {(0, 1): worth}))
    gain = np.maximum(np.log(np.maximum(worth, 1e-12) * 4), 0)
    rows, columns = linear_sum_assignment(gain, maximize=True)
    i, j = np.nonzero(track[:9, None] == track[9:])
    assert gain[i, j].sum() == pytest.approx(gain[rows, columns].sum())


def covered(sizes, odds):
    """Tracks by (M, N) odds of every two sessions."""
    return path_cover(sizes, {k: every_pair(o) for k, o in odds.items()}, 0.2).tolist()
