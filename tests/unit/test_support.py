"""Spines against whole tracks: dendrites drawn as places along a line, one list per session."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spinenet.match.assign import path_cover, session_pairs
from spinenet.match.score import PLACE_SD_UM, Candidates, pair_odds
from spinenet.match.support import (
    LEAST_LOG_ODDS,
    against_tracks,
    evidence,
    settle,
    supported,
    sure_of_track,
)

LEAST_P = 0.2


def compared(sessions):
    """Candidates of every two sessions, of heads so far (um) along one line."""
    found = {}
    for t, u in session_pairs(len(sessions)):
        a, b = np.array(sessions[t], float), np.array(sessions[u], float)
        i, j = (n.ravel() for n in np.indices((len(a), len(b))))
        away = np.c_[b[j] - a[i], np.zeros((len(i), 2))]
        found[t, u] = Candidates(i, j, pair_odds(away, PLACE_SD_UM, 2.0), (len(a), len(b)))
    return found


def settled(sessions, start=None, **pins):
    sizes, found = [len(s) for s in sessions], compared(sessions)
    track = path_cover(sizes, found, LEAST_P) if start is None else np.array(start)
    return settle(evidence(sizes, found), track, LEAST_P, **pins).tolist()


def test_a_sighting_beside_its_place_stays_with_its_track():
    # seen at 5 um but for the third session, where another one stands between
    sessions = [[5.0], [5.0], [5.9, 4.2], [5.0], [5.0]]
    chains = settled(sessions, start=[0, 0, 1, 2, 1, 1])
    assert chains[0] == chains[1] == chains[4] == chains[5]


def test_two_tracks_that_swapped_half_way_swap_back():
    sessions = [[0.0, 1.4]] * 5
    crossed = settled(sessions, start=[0, 1, 0, 1, 0, 1, 1, 0, 0, 1])
    assert crossed == [0, 1] * 5


def test_a_spine_far_from_every_track_is_alone():
    assert len(set(settled([[0.0], [0.0], [0.0, 9.0]], start=[0, 0, 0, 0]))) == 2


def test_two_sessions_stay_as_the_cover_leaves_them():
    sessions = [[0.0, 1.1, 4.0], [0.6, 3.6, 9.0]]
    cover = path_cover([3, 3], compared(sessions), LEAST_P)
    found = settled(sessions)
    assert [found.index(k) for k in found] == [cover.tolist().index(k) for k in cover]


def test_what_a_person_bound_stays_and_what_they_parted_is_not_joined():
    sessions = [[5.0], [5.0], [5.0, 5.4], [5.0]]
    bound = settled(sessions, start=[0, 0, 1, 0, 0], same=[(0, 3), (1, 3)])
    assert bound[3] == bound[0] == bound[1]
    parted = settled(sessions, start=[0, 0, 1, 0, 0], different=[(0, 2)])
    assert parted[0] != parted[2]


def test_no_spines_no_tracks():
    assert settled([[], []]) == []


def test_a_third_session_that_agrees_makes_a_link_surer():
    sessions = [[5.0], [5.6], [5.3]]
    alone = compared(sessions)
    whole = supported(alone, [np.array([0])] * 3)
    assert whole[0, 1].probability[0] > alone[0, 1].probability[0]


def test_of_two_sessions_the_odds_are_those_of_the_pair():
    alone = compared([[5.0, 7.0], [5.6, 7.3]])
    whole = supported(alone, [np.array([0, 1])] * 2)
    right = [0, 3]
    assert whole[0, 1].odds[right] == pytest.approx(alone[0, 1].odds[right])


def test_a_sighting_too_far_to_be_a_candidate_counts_the_least():
    found = compared([[0.0], [0.0], [50.0]])
    on = against_tracks(evidence([1, 1, 1], found), np.array([0, 0, 0]))
    assert on.mean[on.one == 2] == pytest.approx([LEAST_LOG_ODDS])


@given(
    st.lists(st.lists(st.floats(0, 12), max_size=5), min_size=2, max_size=5),
    st.integers(0, 2**32 - 1),
)
def test_no_track_holds_two_spines_of_a_session(sessions, seed):
    start = np.random.default_rng(seed).permutation(sum(map(len, sessions)))
    found = settled(sessions, start=start)
    session = np.repeat(np.arange(len(sessions)), [len(s) for s in sessions])
    assert len(set(zip(found, session.tolist(), strict=True))) == len(session)


def test_a_lost_and_a_new_spine_far_apart_stay_unlikely():
    far = {(0, 1): Candidates(np.array([0]), np.array([0]), np.array([1e-5]), (1, 1))}
    whole = supported(far, [np.array([0]), np.array([1])])
    assert whole[0, 1].odds == pytest.approx([1e-5])


def test_nothing_joins_what_the_gate_forbids():
    start = np.array([0, 1])
    far = evidence([1, 1], compared([[0.0], [2.9]]))
    assert len(set(settle(far, start, 0.1).tolist())) == 2


def test_a_chosen_link_is_as_sure_as_its_tracks_though_its_own_sightings_are_far_apart():
    sessions = [[5.0], [5.0], [5.0], [4.0], [6.2]]
    alone = compared(sessions)
    assert alone[3, 4].odds[0] == 0
    assert supported(alone, [np.array([0])] * 5)[3, 4].probability[0] > 0.2


def test_two_spines_of_one_session_told_apart_may_still_swap():
    crossed = settled([[0.0, 1.4]] * 3, start=[0, 1, 1, 0, 0, 1], different=[(2, 3)])
    assert crossed == [0, 1] * 3


def test_a_spine_at_the_place_of_one_lost_long_before_is_not_it():
    # 0.8 um apart: near enough for the next session, not for one three sessions later
    assert len(set(settled([[5.0], [5.8], [], []], start=[0, 1]))) == 1
    assert len(set(settled([[5.0], [], [], [5.8]], start=[0, 1]))) == 2


def test_between_two_sightings_no_session_is_left_out():
    assert len(set(settled([[5.0], [], [5.5], [], [5.0]], start=[0, 1, 0]))) == 1


def test_what_is_likelier_than_not_of_its_track_is_sure():
    """Three sightings at 5 um, of which the last lies between two spines of its session, and one
    alone."""
    sessions = [[5.0, 20.0], [5.0], [5.05, 5.1]]
    track_of = [np.array([0, 1]), np.array([0]), np.array([0, 2])]
    sure = sure_of_track(compared(sessions), track_of)
    assert sure[0].tolist() == [True, False]
    assert sure[1].tolist() == [True]
    assert sure[2].tolist() == [True, False]


def test_a_sighting_far_from_its_track_is_not_sure():
    far = [np.array([0]), np.array([0])]
    assert not any(s.any() for s in sure_of_track(compared([[5.0], [6.9]]), far))


@pytest.mark.parametrize(("others", "sure"), [(1, False), (4, True)])
def test_a_whole_track_makes_sure_what_one_sighting_does_not(others, sure):
    """Half way between two spines of one session, but four sessions saw it at one place."""
    sessions = [[5.0, 6.0]] * others + [[5.5]]
    track_of = [np.array([0, 1])] * others + [np.array([0])]
    assert sure_of_track(compared(sessions), track_of)[-1].tolist() == [sure]
