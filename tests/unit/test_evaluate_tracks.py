"""Links, identities and clusters against truths small enough to count by hand."""

import numpy as np
import pandas as pd
import pytest

from spinenet.evaluate.identity import identity_figures, link_calibration
from spinenet.evaluate.tracks import (
    by_gap,
    by_size_change,
    count,
    error_runs,
    link_table,
    where_named,
)
from spinenet.pipeline.true_clusters import clustered_shares, fair_tracks
from spinenet.tables import CONTESTED, LINKS
from tests.conftest import tracks_of
from tests.unit.judged_spines import judged, seen, true


def test_links_right_wrong_unlinked_and_missed():
    truth = [true(s, t, 10 * t) for s in (0, 1) for t in (1, 2, 3, 4)]
    found = [
        *(seen(0, t, 10 * t) for t in (1, 2, 3, 4)),
        seen(1, 1, 10),  # right
        seen(1, 3, 20),  # the track of spine 3 sits on spine 2: wrong, and 2 and 3 are unlinked
        seen(1, 9, 30),
    ]
    table = link_table(judged(truth, found))
    adjacent, every = count(table[table["adjacent"]]), count(table)
    assert adjacent == every
    assert (adjacent.right, adjacent.wrong, adjacent.unlinked, adjacent.missed) == (1, 1, 2, 1)
    assert adjacent.given_both()["f1"] == pytest.approx(2 / 5)


@pytest.mark.parametrize(
    ("of", "n"), [({}, 1), ({"animal": "a"}, 1), ({"animal": "b"}, 0), ({"region": "q"}, 0)]
)
def test_a_contested_link_is_left_out(of, n):
    """Of every animal, or of the one it is said of."""
    truth = [true(s, 1, 10) for s in (0, 1, 2)]
    found = [seen(0, 1, 10), seen(1, 2, 10), seen(2, 2, 10)]
    contested = CONTESTED.frame([{"session": 0, "session_to": 1, "track_id": 1, **of}])
    table = link_table(judged(truth, found), contested)
    adjacent, every = count(table[table["adjacent"]]), count(table)
    assert (adjacent.right, adjacent.unlinked, adjacent.contested) == (1, 1 - n, n)
    assert every.unlinked == 2 - n  # session 0 to 2 still counts


def test_links_by_days_between_and_by_growth():
    """Spine 1 is followed over 2 and 10 days as it doubles; spine 2, which halves, is lost."""
    days = {0: 0.0, 1: 2.0, 2: 10.0}
    truth = [true(s, t, 10 * t) for s in days for t in (1, 2)]
    size = {1: (0.1, 0.1, 0.2), 2: (0.2, 0.2, 0.1)}
    number = {1: (5, 5, 5), 2: (6, 6, 7)}
    found = [
        seen(s, number[t][s], 10 * t, day=day, head_volume_um3=size[t][s])
        for s, day in days.items()
        for t in (1, 2)
    ]
    table = link_table(judged(truth, found))
    gaps = {k: (c.right, c.unlinked) for k, c in by_gap(table).items()}
    assert gaps == {"0 to 2 days": (2, 0), "7 to 14 days": (2, 2)}
    growth = {k: (c.right, c.unlinked) for k, c in by_size_change(table).items()}
    assert growth == {"0 to 0.25 log volume": (2, 0), "0.5 to 1 log volume": (2, 2)}


def test_errors_side_by_side_make_runs():
    """Of ten spines along a dendrite three neighbours and one other are not linked."""
    lost = {3, 4, 5, 8}
    truth = [true(s, t, 5 * t) for s in (0, 1) for t in range(10)]
    found = [
        seen(s, t + 100 * (s and t in lost), 5 * t, arc_length_um=5.0 * t)
        for s in (0, 1)
        for t in range(10)
    ]
    assert error_runs(link_table(judged(truth, found))) == {
        "error_run_mean": 2,
        "error_run_longest": 3,
        # one to four runs in 7, 63, 105 and 35 of the 210 ways to scatter four of ten
        "error_run_by_chance": pytest.approx((7 * 4 + 63 * 2 + 105 * 4 / 3 + 35) / 210, abs=0.1),
    }
    right = error_runs(
        link_table(judged(truth, [seen(s, t, 5 * t) for s in (0, 1) for t in (1, 2)]))
    )
    assert np.isnan(right["error_run_mean"])


def test_identities_all_right():
    truth = [true(s, t, 10 * t) for s in (0, 1, 2) for t in (1, 2)]
    found = [seen(s, 7 + t, 10 * t) for s in (0, 1, 2) for t in (1, 2)]
    figures = identity_figures(judged(truth, found))
    assert figures == {
        "MOTA": 1,
        "AssA": 1,
        "complete_tracks": 1,
        "switches_per_100_links": 0,
        "turnover_bias_points": 0,
    }


def test_identities_exchanged_in_the_last_session():
    truth = [true(s, t, 10 * t) for s in (0, 1, 2) for t in (1, 2)]
    found = [seen(s, t, 10 * t) for s in (0, 1) for t in (1, 2)]
    found += [seen(2, 2, 10), seen(2, 1, 20)]
    figures = identity_figures(judged(truth, found))
    # each true track shares two sightings with one number (2 of 4 in either) and one (1 of 5)
    # with the other
    assert figures["AssA"] == pytest.approx((2 * 2 / 4 + 1 / 5) / 3)
    assert figures["MOTA"] == pytest.approx(1 - 2 / 6)
    assert figures["switches_per_100_links"] == 50
    assert figures["complete_tracks"] == 0
    assert figures["turnover_bias_points"] == 0


def test_a_missed_spine_and_an_alarm_are_turnover_that_is_not_there():
    truth = [true(s, t, 10 * t) for s in (0, 1) for t in (1, 2)]
    found = [seen(0, 1, 10), seen(1, 1, 10), seen(0, 2, 20), seen(1, 5, 40)]
    figures = identity_figures(judged(truth, found))
    assert figures["MOTA"] == pytest.approx(1 - 2 / 4)
    assert figures["complete_tracks"] == 0.5
    assert figures["turnover_bias_points"] == pytest.approx(50)  # one lost, one new among four
    assert figures["AssA"] == pytest.approx((1 + 1 + 1 / 2) / 3)


def test_nothing_found_has_no_association():
    figures = identity_figures(judged([true(0, 1, 10), true(1, 1, 10)], []))
    assert figures["MOTA"] == 0
    assert np.isnan(figures["AssA"])


def test_links_promise_what_they_hold():
    truth = [true(s, t, 10 * t) for s in (0, 1) for t in (1, 2)]
    found = [seen(s, t, 10 * t) for s in (0, 1) for t in (1, 2)] + [seen(1, 9, 40)]
    links = [
        {"spine_from": 0, "spine_to": 2, "p": 0.995},  # right
        {"spine_from": 1, "spine_to": 3, "p": 0.6},  # right
        {"spine_from": 1, "spine_to": 4, "p": 0.3},  # to an alarm: wrong
    ]
    who = {"animal": "a", "region": "r", "session_from": 0, "session_to": 1, "chosen": True}
    table = LINKS.frame([who | row for row in links])
    figures, n = link_calibration(judged(truth, found), table)
    assert n == 3
    assert figures["link_ECE"] == pytest.approx((0.005 + 0.4 + 0.3) / 3)
    assert figures["link_error_at_p_0.99"] == 0
    assert figures["links_at_p_0.99"] == 1


def test_clusters_are_counted_in_both_and_only_of_what_could_be_scored():
    """Of three new neighbours one was never scorable; found are two that are not neighbours."""
    life = {1: "11", 2: "01", 3: "01", 4: "01", 5: "11"}
    true_tracks = tracks_of(life).frame
    rows = [
        {"animal": "m1", "region": "r1", "track_id": k, "counts": k != 4}
        for k, seen_in in life.items()
        for _ in range(seen_in.count("1"))
    ]
    fair = fair_tracks(true_tracks, pd.DataFrame(rows))
    assert sorted(fair.frame["track_id"].unique()) == [1, 2, 3, 5]
    found = tracks_of({1: "11", 2: "01", 3: "11", 4: "01"})
    assert clustered_shares(fair, found) == {
        "clustered_fraction_true": 1,
        "clustered_fraction_found": 0,
        "clustered_inflation_points": -100,
    }


def test_what_nobody_believes_any_more_counts_neither_way():
    """Track 1 was joined from session 0 to 1 by mistake, and the machine calls them two spines."""
    truth = [true(s, t, 10 * t) for s in (0, 1) for t in (1, 2)]
    found = [seen(0, 1, 10), seen(0, 2, 20), seen(1, 7, 10), seen(1, 2, 20)]
    doubted = CONTESTED.frame([{"session": 0, "session_to": 1, "track_id": 1}])
    figures = identity_figures(judged(truth, found), doubted)
    assert [figures[k] for k in ("MOTA", "AssA", "complete_tracks")] == [1, 1, 1]
    assert figures["switches_per_100_links"] == figures["turnover_bias_points"] == 0
    who = {"animal": "a", "region": "r", "session_from": 0, "session_to": 1}
    links = [{"spine_from": 1, "spine_to": 3, "p": 0.995}, {"spine_from": 0, "spine_to": 2, "p": 0}]
    table = LINKS.frame([who | row for row in links])
    assert link_calibration(judged(truth, found), table)[0]["link_ECE"] == pytest.approx(0.5025)
    assert link_calibration(judged(truth, found), table, doubted)[0]["link_ECE"] < 0.01
    elsewhere = doubted.assign(region="other")
    assert identity_figures(judged(truth, found), elsewhere)["MOTA"] == 0.75


def test_links_of_what_nobody_could_score_promise_nothing():
    """Spine 1 is linked rightly; spine 2, which nobody could score in session 1, wrongly."""
    truth = [
        true(s, t, 10 * t, scorable="0" if s and t == 2 else "1") for s in (0, 1) for t in (1, 2)
    ]
    found = [seen(s, t, 10 * t) for s in (0, 1) for t in (1, 2)]
    who = {"animal": "a", "region": "r", "session_from": 0, "session_to": 1, "p": 0.995}
    links = [{"spine_from": 0, "spine_to": 2}, {"spine_from": 0, "spine_to": 3}]
    figures, n = link_calibration(judged(truth, found), LINKS.frame([who | k for k in links]))
    assert n == 1
    assert figures["link_error_at_p_0.99"] == 0


def test_turnover_is_told_of_spines_that_count_in_both_sessions():
    """Ten spines that stay: six could not be scored in session 1, three of these were missed
    in session 0. All that can be known is right."""
    truth = [
        true(s, t, 10 * t, scorable="0" if s and t < 6 else "1") for s in (0, 1) for t in range(10)
    ]
    found = [seen(s, t, 10 * t) for s in (0, 1) for t in range(10) if s or t >= 3]
    assert identity_figures(judged(truth, found))["turnover_bias_points"] == 0
    renamed = [seen(s, t + 100 * (s and t > 7), 10 * t) for s in (0, 1) for t in range(10)]
    bias = identity_figures(judged(truth, renamed))["turnover_bias_points"]
    assert bias == pytest.approx(50)  # of the four that count two were given a new number


def test_a_session_without_any_identity_says_nothing_of_identities():
    truth = [true(s, t if s < 2 else pd.NA, 10 * t) for s in (0, 1, 2) for t in (1, 2)]
    found = [seen(s, t, 10 * t) for s in (0, 1, 2) for t in (1, 2)] + [seen(2, 9, 50)]
    figures = identity_figures(where_named(judged(truth, found)))
    assert (figures["MOTA"], figures["turnover_bias_points"]) == (1, 0)
