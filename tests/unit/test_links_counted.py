"""What `spinenet evaluate` counts as right, wrong and missed, counted by hand."""

import numpy as np
import pandas as pd
import pytest

from spinenet.evaluate.masks import count_masks
from spinenet.evaluate.spines import detection_table
from spinenet.evaluate.tracks import count, error_runs, link_table
from spinenet.tables import SPINES
from tests.unit.judged_spines import judged, seen, true


def test_two_sightings_in_no_track_are_not_linked():
    truth = [true(s, 1, 10) for s in (0, 1)]
    found = [seen(s, pd.NA, 10) for s in (0, 1)]
    counts = count(link_table(judged(truth, found)))
    assert (counts.right, counts.unlinked) == (0, 1)


def test_runs_are_of_adjacent_sessions():
    """Spines 1 and 2 get new numbers in session 1, and keep them."""
    truth = [true(s, t, 5 * t) for s in (0, 1, 2) for t in (1, 2, 3)]
    found = [
        seen(s, t + 100 * (s > 0 and t < 3), 5 * t, arc_length_um=5.0 * t)
        for s in (0, 1, 2)
        for t in (1, 2, 3)
    ]
    runs = error_runs(link_table(judged(truth, found)))
    assert (runs["error_run_mean"], runs["error_run_longest"]) == (2, 2)
    # two of six links: side by side in one session pair in 4 of 15 ways
    assert runs["error_run_by_chance"] == pytest.approx((4 * 2 + 11) / 15, abs=0.06)


def test_end_to_end_a_link_is_missed_by_the_linker_or_the_detector():
    """Of four true links one is right, one was not made, two lack an end."""
    truth = [true(s, t, 10 * t) for s in (0, 1) for t in (1, 2, 3, 4)]
    found = [seen(0, t, 10 * t) for t in (1, 2, 3, 4)] + [seen(1, 1, 10), seen(1, 9, 20)]
    counts = count(link_table(judged(truth, found)))
    assert counts.given_both()["recall"] == 1 / 2
    assert counts.end_to_end()["recall"] == 1 / 4


def test_a_spine_that_nobody_could_score_is_no_right_answer():
    """Of two sure detections one is of a spine that nobody could score: the other is an alarm."""
    truth = [true(0, 1, 10, scorable="0"), true(0, 2, 30)]
    found = [seen(0, 1, 10, probability=1.0), seen(0, 2, 50, probability=1.0)]
    snr = pd.DataFrame({"animal": ["a"], "region": ["r"], "session": [0], "snr": [10.0]})
    table = detection_table(judged(truth, found), snr, 10)
    ece = table[table["figure"].str.startswith("calibration")].iloc[0]
    assert (ece["value"], ece["n"]) == (1.0, 1)


def test_a_label_over_two_spines_merges_them():
    """One spine of 2 and one of 20 voxels share a label of 22: both are merged."""
    truth, found = np.zeros((2, 1, 1, 30), np.uint16)
    truth[..., :2], truth[..., 2:22] = 2, 3
    found[..., :22] = 2
    assert count_masks(truth, found, np.zeros(0, int)).merged == 2


def test_whole_field_but_one_dendrite():
    """The whole field was annotated, and asked for is dendrite 0: what lies far from it is none of
    its alarms."""
    from spinenet.evaluate.judge import judge
    from spinenet.tables import POINTS, TRACES

    nodes = TRACES.frame(
        [
            {
                "animal": "a",
                "region": "r",
                "session": 0,
                "dendrite_id": d,
                "z_um": 5.0,
                "y_um": 40.0 * d,
                "x_um": x,
            }
            for d in (0, 1)
            for x in (0.0, 40.0)
        ]
    )
    found = SPINES.frame(
        [seen(0, 1, 10) | {"spine_id": 1}, seen(0, 2, 20, y=40.0) | {"spine_id": 2}]
    )
    sessions = pd.DataFrame([{"animal": "a", "region": "r", "session": 0, "whole": True}])
    result = judge(POINTS.frame([]), found, nodes, sessions, (0,))
    assert result.detections["alarm"].tolist() == [True, False]


@pytest.mark.parametrize("found", [0, 1, 2])
def test_a_field_in_which_a_person_painted_nothing_holds_no_spine(found):
    """All that was found there is a false alarm."""
    c = count_masks(np.zeros((2, 3, 3), int), np.full((2, 3, 3), found), np.zeros(0, int))
    assert (c.matched, c.missed, c.false) == (0, 0, found == 2)
