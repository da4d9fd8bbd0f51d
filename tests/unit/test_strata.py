"""Who and what counts: marks without a dendrite, nameless sessions, strata, corrected copies."""

import numpy as np
import pandas as pd
import pytest

from spinenet.evaluate.identity import identity_figures
from spinenet.evaluate.masks import count_masks
from spinenet.evaluate.spines import counts, detection_table
from spinenet.evaluate.tracks import count, link_table, where_named
from tests.unit.judged_spines import judged, seen, traced, true

NO_SNR = pd.DataFrame(columns=["animal", "region", "session", "snr"])
NODES = traced({0: 2.0, 1: 22.0})


def figures(truth, found):
    table = detection_table(judged(truth, found), NO_SNR, n_draws=20)
    return table.set_index(["figure", "stratum"])["value"]


def test_a_mark_that_names_no_dendrite_is_of_the_nearest():
    """Two spines on each of two dendrites, all found, and one false alarm on each."""
    marks = [true(0, k, 10 * k, y=20.0 * d, dendrite_id=None) for d in (0, 1) for k in (1, 2)]
    found = [seen(0, None, 10 * k, y=20.0 * d) for d in (0, 1) for k in (1, 2, 3)]
    assert counts(judged(marks, found, NODES)) == (4, 2, 0)
    assert counts(judged(marks, found, NODES, (1,))) == (2, 1, 0)


@pytest.mark.parametrize("beside_um", [2.0, 4.5])
def test_long_spines_that_name_no_dendrite_are_missed_all_the_same(beside_um):
    marks = [true(0, 1, 10, y=2.0 - beside_um, dendrite_id=None)]
    assert counts(judged(marks, [], NODES, (0,))) == (0, 0, 1)


def test_a_mark_is_of_the_dendrite_that_it_names():
    marks = [true(0, 1, 10, dendrite_id=1)]
    assert counts(judged(marks, [seen(0, 1, 10)], NODES, (0,))) == (0, 0, 0)


def test_sessions_without_identities_say_nothing_of_links():
    """Nobody named the spine in the session between; a false alarm there bears another's number."""
    truth = [true(0, 1, 10), true(1, None, 10), true(2, 1, 10), true(0, 2, 20), true(2, 2, 20)]
    found = [seen(s, 1, 10) for s in (0, 1, 2)] + [seen(s, 2, 20) for s in (0, 2)]
    result = where_named(judged(truth, [*found, seen(1, 2, 30)]))
    table = link_table(result)
    adjacent = count(table[table["adjacent"]])
    assert (adjacent.right, adjacent.wrong, adjacent.unlinked) == (2, 0, 0)
    assert identity_figures(result)["complete_tracks"] == 1


def test_precision_is_of_the_detections_of_a_stratum_and_recall_of_its_spines():
    """Nobody gave the bases, so that the spines are of no direction; what was found is lateral."""
    bare = {"base_z_um": np.nan, "base_y_um": np.nan, "base_x_um": np.nan}
    value = figures(
        [true(0, k, 10 * k, **bare) for k in range(4)],
        [seen(0, None, 10 * k) for k in range(4)] + [seen(0, None, 55)],
    )
    assert value["precision", "all"] == value["precision", "lateral"] == 0.8
    assert value["recall", "all"] == 1
    assert np.isnan(value["recall", "lateral"])


def test_f1_of_a_stratum_is_of_the_precision_and_recall_beside_it():
    """Of six lateral spines one is measured lateral, three upright; one false alarm is lateral."""
    upright = {"base_y_um": 0.0, "base_z_um": 7.0}
    hits = [seen(0, None, 0), *(seen(0, None, 10.0 * k, **upright) for k in (1, 2, 3))]
    value = figures([true(0, k, 10 * k) for k in range(6)], [*hits, seen(0, None, 75)])
    p, r = value["precision", "lateral"], value["recall", "lateral"]
    assert (p, r) == (pytest.approx(1 / 2), pytest.approx(4 / 6))
    assert value["f1", "lateral"] == pytest.approx(2 * p * r / (p + r))


def test_a_stratum_without_a_true_spine_still_shows_its_false_alarms():
    upright = {"base_y_um": 0.0, "base_z_um": 7.0}
    value = figures([true(0, 1, 0)], [seen(0, 1, 0), seen(0, 2, 20, **upright)])
    assert value["precision", "lateral"] == 1
    assert value["precision", "axial"] == 0


def test_a_machine_is_not_measured_by_its_own_measures():
    """A person corrects a copy of the results and adds a spine."""
    size = {"head_volume_um3": 0.1, "head_width_um": 0.6}
    truth = [
        true(0, 1, 0, source="detected", **size),
        true(0, 2, 20, source="person", **size | {"head_volume_um3": 0.2}),
    ]
    value = figures(truth, [seen(0, 1, 0, **size), seen(0, 2, 20.3, **size)])
    assert value["lateral centre error um", "all"] == pytest.approx(0.3)
    assert value["head volume error", "all"] == pytest.approx(0.5)


def test_a_true_spine_that_nobody_drew_is_no_false_mask():
    truth = np.zeros((3, 20, 40), int)
    found = np.zeros_like(truth)
    truth[:, 2:4] = found[:, 2:4] = 1
    truth[:, 6:10, 4:8] = found[:, 6:10, 4:8] = 2
    found[:, 6:10, 20:24] = 3
    assert count_masks(truth, found, np.array([])).figures()["AP50"] == 0.5
    assert count_masks(truth, found, np.array([]), np.array([3])).figures()["AP50"] == 1
