"""Attraction to stable spines, followers of earlier new ones, clusters where turnover had been."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spinenet.analyze.attraction import slide
from spinenet.analyze.following import following
from spinenet.analyze.hotspots import events_nearby
from spinenet.analyze.summary import Evidence, analyze
from spinenet.config import AnalyzeConfig
from spinenet.tables import COVERAGE
from tests.conftest import like_dendrites, one, tracks_of

FAST = AnalyzeConfig(n_shuffles=300, n_draws=0)
SHORT = replace(FAST, min_spines_per_segment=1, min_seg_um=0.0, edge_um=0.0)
LATE = replace(FAST, window=(5.0, 10.0))


def statistics(tracks, config=FAST):
    return analyze(tracks, config).statistics.set_index("name")


def test_a_slide_goes_out_at_one_end_and_in_at_the_other():
    arc, spans = np.array([2.0, 9.0]), np.array([[0.0, 10.0]])
    assert slide(arc, spans, np.array([0.0, 0.3])) == pytest.approx(np.array([[2, 9], [5, 2]]))


def test_a_slide_steps_over_what_could_not_be_scored():
    spans = np.array([[0.0, 4.0], [10.0, 16.0]])
    moved = slide(np.array([3.0, 12.0]), spans, np.array([0.2, 0.5]))
    assert moved == pytest.approx(np.array([[11.0, 14.0], [14.0, 1.0]]))


@given(st.lists(st.floats(0, 50), min_size=1, max_size=6), st.floats(0, 1))
def test_a_slide_keeps_places_apart_as_they_were_round_the_dendrite(arcs, by):
    moved = slide(np.array(arcs), np.array([[0.0, 50.0]]), np.array([by]))[0]
    before, after = ((np.array(x) - x[0]) % 50 for x in (arcs, moved))
    gap = np.abs(before - after)
    assert np.minimum(gap, 50 - gap).max() < 1e-6


def coverage_of(stretches):
    """coverage.csv of `tracks_of`: by session the stretch that could be scored."""
    who = {"animal": "m1", "group": "", "region": "r1", "dendrite_id": 0, "usable": True}
    return COVERAGE.frame(
        [
            who | {"session": t, "day": 2.0 * t, "start_um": low, "end_um": high}
            for t, (low, high) in stretches.items()
        ]
    )


def nearest(lives, arcs, cover=None):
    """The row of one dendrite, however short."""
    return (
        analyze(tracks_of(lives, arcs), SHORT, Evidence(coverage=cover))
        .statistics.set_index("name")
        .loc["new_to_stable_um"]
    )


def test_distances_are_to_the_nearest_spine_stable_since_the_start():
    # new at 12; stable at 10 and 20; lost at 12.5 before it came
    row = nearest({1: "11", 2: "01", 3: "11", 4: "10"}, {1: 10, 2: 12, 3: 20, 4: 12.5})
    assert row["estimate"] == pytest.approx(2.0)


def test_a_new_spine_within_the_exclusion_zone_or_beyond_what_was_scored_is_not_counted():
    lives = {1: "11", 2: "01", 3: "11", 4: "01", 5: "01"}
    row = nearest(lives, {1: 10, 2: 10.2, 3: 20, 4: 12, 5: 30})
    assert row["estimate"] == pytest.approx(2.0)
    assert row["n_spines"] == 1


def test_what_was_out_of_view_at_first_draws_no_new_spines_away():
    """The first session saw 20 of 80 um: new spines are known there alone, as stable ones are."""
    lives = dict.fromkeys(range(10), "11") | {20 + k: "01" for k in range(3)}
    lives |= {40 + k: "o1" for k in range(10)}
    arcs = {k: 2.0 * k + 1 for k in range(10)} | {20 + k: 6.0 * k + 4 for k in range(3)}
    arcs |= {40 + k: 25.0 + 5 * k for k in range(10)}
    cover = coverage_of({0: (0.0, 20.0), 1: (0.0, 80.0)})
    row = nearest(lives, arcs, cover)
    assert row["estimate"] == pytest.approx(1.0)
    assert row["null_mean"] < 1.0


def test_no_animal_is_dropped_for_few_new_spines():
    lives = dict.fromkeys(range(24), "11") | {30: "01"}
    arcs = {k: 2.5 * k for k in range(24)} | {30: 11.2}
    assert statistics(like_dendrites(lives, arcs, 3, 1)).loc["new_to_stable_um", "n_animals"] == 3


def test_new_spines_beside_stable_ones_stand_out():
    lives = dict.fromkeys(range(10), "111") | {20: "011", 21: "001"}
    arcs = {i: 6.0 * i for i in range(10)} | {20: 12.6, 21: 36.6}
    row = statistics(like_dendrites(lives, arcs, 3, 4)).loc["new_to_stable_um"]
    assert row["estimate"] == pytest.approx(0.6)
    assert row["null_mean"] == pytest.approx(1.65, abs=0.2)
    assert row["p_value"] < 0.02


@pytest.mark.parametrize(
    ("lives", "count"),
    [
        ({1: "011", 2: "001"}, 1),
        ({1: "011", 2: "011"}, 0),  # born together
        ({1: "010", 2: "001"}, 0),  # the first had gone
        ({1: "111", 2: "001"}, 0),  # the other is not new
    ],
)
def test_a_follower_comes_later_while_the_earlier_one_stands(lives, count):
    h = one(lives | {3: "111"}, arcs={1: 10, 2: 13, 3: 40})
    new = (h.is_new(None)).sum()
    assert following(h, np.arange(new)[:, None], FAST)[0] == count


@pytest.mark.parametrize(("at", "count"), [(10.3, 0), (14.9, 1), (15.1, 0)])
def test_a_follower_is_near_and_can_be_told_apart(at, count):
    h = one({1: "011", 2: "001"}, arcs={1: 10, 2: at})
    assert following(h, np.arange(2)[:, None], FAST)[0] == count


def followed(late_at):
    """Twelve dendrites with new spines at 11, 13, 51 and 71 um; two are born later than the rest."""
    lives = dict.fromkeys(range(10), "1111")
    arcs = {i: 8.0 * i for i in range(10)}
    for i, at in enumerate((11.0, 13.0, 51.0, 71.0)):
        lives[20 + i] = "0011" if at in late_at else "0111"
        arcs[20 + i] = at
    return statistics(like_dendrites(lives, arcs, 3, 4)).loc["following_share"]


def test_followers_stand_out_from_births_dealt_out():
    row = followed(late_at=(13.0, 71.0))
    assert row["estimate"] == 0.25
    assert row["null_mean"] == pytest.approx(0.25 * 2 / 3, abs=0.01)  # one of both late: 4 of 6
    assert row["p_value"] < 0.05


def test_neighbours_born_together_followed_nobody():
    assert followed(late_at=(51.0, 71.0))["estimate"] == 0


def test_births_of_one_session_alone_show_no_order():
    rows = statistics(tracks_of({1: "11", 2: "01", 3: "01"}), SHORT)
    assert np.isnan(rows.loc["following_share", "estimate"])
    assert "different sessions" in rows.loc["following_share", "test"]


def test_what_came_and_went_before_the_window_is_counted_near_by():
    # gained at 10 in the first interval, lost at 13 in the second, gained at 30 in the window
    lives = {1: "01111", 2: "11000", 3: "11111", 4: "00011"}
    h = one(lives, arcs={1: 10, 2: 13, 3: 12, 4: 30})
    counts = dict(zip(h.track_ids.tolist(), events_nearby(h, LATE).tolist(), strict=True))
    assert counts == {1: 1, 2: 1, 3: 2, 4: 0}


def test_clusters_where_spines_had_come_and_gone_stand_out():
    lives = dict.fromkeys(range(12), "11111")
    arcs = {i: 5.0 * i for i in range(12)}
    lives |= {20: "11000", 21: "01000", 22: "00011", 23: "00011"}
    arcs |= {20: 21.0, 21: 22.0, 22: 22.5, 23: 24.0}
    row = statistics(like_dendrites(lives, arcs, 3, 3), LATE).loc["turnover_before_clusters"]
    assert row["estimate"] == 3.0
    assert row["null_mean"] < 1.5
    assert row["p_value"] == pytest.approx(1 / 301)


def test_a_window_of_all_sessions_leaves_nothing_before_it():
    rows = statistics(tracks_of({1: "11", 2: "01", 3: "01"}), SHORT)
    row = rows.loc["turnover_before_clusters"]
    assert np.isnan(row["estimate"])
    assert "analyze.window" in row["test"]


def test_backward_a_lost_spine_is_new_and_twice_backward_nothing_has_changed():
    h = one({1: "1100", 2: "0111", 3: "1111", 4: "1?10"}, days=(0.0, 1.0, 4.0, 9.0))
    back = h.backward()
    names = {int(k): int(b) for k, b in zip(back.track_ids, back.birth, strict=True)}
    assert {k: b for k, b in names.items() if b >= 0} == {1: 2, 4: 1}
    assert back.days.tolist() == [0.0, 5.0, 8.0, 9.0]
    again = back.backward()
    assert again.birth.tolist() == h.birth.tolist()
    assert again.days.tolist() == h.days.tolist()


def test_neighbours_lost_together_stand_out_as_no_control_should():
    lives = dict.fromkeys(range(14), "111") | {20: "110", 21: "110"}
    arcs = {i: 4.0 * i for i in range(14)} | {20: 21.0, 21: 23.0}
    row = statistics(like_dendrites(lives, arcs, 3, 4)).loc["lost_clustered_fraction"]
    assert row["estimate"] == 1.0
    assert row["null_mean"] < 0.2
    assert row["p_value"] == pytest.approx(1 / 301)


def test_new_spines_that_clustered_and_went_again_are_no_lost_ones_of_the_control():
    lives = dict.fromkeys(range(12), "111") | {20: "010", 21: "010", 22: "100"}
    arcs = {k: 4.0 * k for k in range(12)} | {20: 13.0, 21: 14.0, 22: 30.0}
    row = statistics(tracks_of(lives, arcs)).loc["lost_clustered_fraction"]
    assert row["n_spines"] == 1
    assert row["estimate"] == 0


def test_a_spine_lost_at_the_very_place_is_no_event_near_by():
    h = one({1: "11000", 2: "00011", 3: "11111"}, arcs={1: 10.0, 2: 10.1, 3: 12.0})
    assert events_nearby(h, LATE).tolist() == [0, 0, 1]
