"""No number hangs on which end of a dendrite was traced first, nor on where its arc length begins."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from spinenet.analyze.clusters import find_roles
from spinenet.analyze.network import Tree, network_k
from spinenet.analyze.nulls import uniform_counts
from spinenet.analyze.spacing import COLUMNS, Flanked, spacing_rows
from spinenet.analyze.summary import analyze
from spinenet.config import AnalyzeConfig
from tests.conftest import like_dendrites, one

FAST = AnalyzeConfig(n_shuffles=200, n_draws=0)
LENGTH_UM = 20.0


def both_ways(arcs):
    return arcs, {k: LENGTH_UM - at for k, at in arcs.items()}


def test_a_spine_between_two_clusters_is_succedent_either_way():
    """2 and 3 stand together, then 3 and 4 do: 3 came after 2, and 4 after 3."""
    lives = {1: "11111", 2: "01100", 3: "00111", 4: "00011", 5: "11111"}
    for arcs in both_ways({1: 2.0, 2: 5.0, 3: 6.0, 4: 7.0, 5: 12.0}):
        h = one(lives, arcs=arcs)
        role = dict(zip(h.track_ids.tolist(), find_roles(h, FAST).names, strict=True))
        assert role == {1: "", 2: "first", 3: "succedent", 4: "succedent", 5: ""}


def test_of_spines_born_together_each_is_part_of_the_earliest():
    """8 um has a loss within 5 um, 12 um has one too; 3 um apart from both nothing happened."""
    lives = {1: "1111", 2: "1111", 3: "0001", 4: "0001", 5: "1000", 6: "1111"}
    config = replace(FAST, window=(5.0, 7.0), d_um=4.5, min_spines_per_segment=2, edge_um=0.0)
    found = []
    for arcs in both_ways({1: 1.0, 2: 4.0, 3: 8.0, 4: 12.0, 5: 16.0, 6: 19.0}):
        rows = analyze(like_dendrites(lives, arcs, 2, 1), config).statistics.set_index("name")
        row = rows.loc["turnover_before_clusters"]
        assert row["n_spines"] == 2
        found.append(row["estimate"])
    assert found == [0.5, 0.5]


@pytest.mark.parametrize("zero", [0.0, 0.7, 1.1, 3.0])
def test_a_gap_without_room_tells_nothing_wherever_arc_length_begins(zero):
    """Stable spines 0.6 um apart leave no room outside their exclusion zones of 0.3 um."""
    a, new, b = 2.0 + zero, 2.3 + zero, 2.6 + zero
    places = ("m1", "", "r1", 0, 2, "succedent", min(new - a, b - new), b - a)
    here = Flanked(pd.DataFrame([places], columns=list(COLUMNS)))
    assert here.relative(0.3).isna().all()
    rows = {r["name"]: r for r in spacing_rows("", here, FAST, np.random.default_rng(0))}
    assert rows["spacing_near_um_succedent"]["test"] == "no succedent spine between stable ones"


def test_the_exclusion_zone_says_why_there_is_none():
    far = [("m1", "", "r1", 0, k, "first", 4.9, 10.0) for k in range(12)]
    always = Flanked(pd.DataFrame(far, columns=list(COLUMNS)))
    nothing = Flanked(pd.DataFrame(columns=list(COLUMNS)))
    rng = np.random.default_rng(0)
    for here, why in ((always, "avoided at 0.7 um, the widest"), (nothing, "no new spine between")):
        rows = {r["name"]: r for r in spacing_rows("", here, FAST, rng)}
        assert np.isnan(rows["spacing_exclusion_um"]["estimate"])
        assert rows["spacing_exclusion_um"]["test"].startswith(why)


@pytest.mark.parametrize("zero", [0.0, 0.1, 0.3, 1.7])
def test_a_place_at_the_very_end_counts_wherever_arc_length_begins(zero):
    """New spines at 2.4, 4.8 and 9.1 of 20 um: a place 2.4 um from the first is the very end."""
    tree = Tree(np.array([[0, 1]]), np.array([LENGTH_UM]))
    offset = np.array([2.4, 4.8, 9.1]) + zero - zero
    near = network_k(tree, np.zeros(3, int), offset, np.array([5.0]))
    assert near[0, 0] == pytest.approx(4 * 0.5)  # two pairs either way, each at two places


def test_new_spines_without_room_stay_where_they_are_in_the_null():
    """Other spines so close that nothing is left: chance cannot make fewer clusters of them."""
    crowd = dict.fromkeys(range(10, 31), "11") | {1: "01", 2: "01"}
    arcs = {k: 0.5 * (k - 10) for k in range(10, 31)} | {1: 3.3, 2: 4.2}
    room = np.array([[0.0, 10.0]])
    counts = uniform_counts(
        one(crowd, arcs=arcs),
        lambda *_: room,
        replace(FAST, exclusion_um=0.3),
        np.random.default_rng(0),
    )
    assert (counts == 2).all()


def test_animals_without_clusters_have_no_interval_of_their_excess_either():
    """Their chances differ by the shuffles alone."""
    lives = dict.fromkeys(range(12), "11") | {20: "01", 21: "01"}
    arcs = {k: 2.0 + k for k in range(12)} | {20: 4.5, 21: 9.5}
    rows = analyze(like_dendrites(lives, arcs, 3, 1), FAST).statistics.set_index("name")
    for name in ("clustered_fraction_contiguous", "clustered_excess_contiguous"):
        assert np.isnan(rows.loc[name, "ci_low"])
        assert "animals do not differ" in rows.loc[name, "test"]
    assert rows.loc["clustered_excess_contiguous", "estimate"] < 0
