"""Which dendrite branches off which: a drawn Y, and what it does to the network K."""

import numpy as np
import pandas as pd
import pytest

from spinenet.analyze.animals import around, ratios_of_animals
from spinenet.analyze.branches import branch_orders, branching, grow
from spinenet.analyze.network import network_k
from spinenet.analyze.states import histories
from spinenet.analyze.stretches import stretches_of
from spinenet.analyze.summary import Evidence, analyze
from spinenet.analyze.survival import follow
from spinenet.config import AnalyzeConfig
from spinenet.tables import COVERAGE, DENDRITES
from spinenet.types import Tracks
from tests.conftest import tracks_of

KEY = "m1", "r1"
FAST = AnalyzeConfig(n_shuffles=200)


def nodes(*lines):
    """A dendrite per line, from its first to its last place (y, x); a node every um."""
    rows = []
    for d, (start, end) in enumerate(lines):
        start, end = np.array(start, float), np.array(end, float)
        n = round(float(np.linalg.norm(end - start)))
        for k in range(n + 1):
            y, x = start + (end - start) * k / n
            at = {"z_um": 5.0, "y_um": y, "x_um": x, "arc_length_um": float(k)}
            rows.append(
                {"animal": "m1", "region": "r1", "session": 0, "dendrite_id": d, "node": k} | at
            )
    return DENDRITES.frame(rows)


MOTHER = ((0, 0), (0, 40))
DAUGHTER = ((2, 20), (32, 20))
FAR = ((20, 0), (20, 12))


def test_a_daughter_begins_at_her_mothers_side():
    (joint,) = branching(nodes(MOTHER, DAUGHTER, FAR))[KEY]
    assert (joint.daughter, joint.end_um, joint.mother, joint.arc_um) == (1, 0, 0, 20)
    assert joint.gap_um == 2
    assert joint.inside


def test_orders_are_counted_from_the_trunk():
    twig = ((20, 22), (20, 40))
    drawn = nodes(MOTHER, DAUGHTER, FAR, twig)
    orders = branch_orders(branching(drawn), drawn)
    assert [orders[*KEY, d] for d in range(4)] == [0, 1, 0, 2]


def test_a_dendrite_that_goes_on_is_no_branch():
    drawn = nodes(MOTHER, ((0, 42), (0, 60)))
    (joint,) = branching(drawn)[KEY]
    assert not joint.inside
    assert set(branch_orders(branching(drawn), drawn).values()) == {0}


def test_a_daughter_in_two_pieces_has_one_order():
    drawn = nodes(MOTHER, ((2, 20), (12, 20)), ((13, 20), (32, 20)))
    orders = branch_orders(branching(drawn), drawn)
    assert [orders[*KEY, d] for d in range(3)] == [0, 1, 1]


def test_two_daughters_side_by_side_both_stand_on_the_mother():
    drawn = nodes(MOTHER, ((2, 20), (20, 12)), ((2, 21), (20, 30)))
    orders = branch_orders(branching(drawn), drawn)
    assert [orders[*KEY, d] for d in range(3)] == [0, 1, 1]


def test_a_gap_is_counted_once_though_a_twig_stands_beside_it():
    drawn = nodes(MOTHER, DAUGHTER, ((4, 22), (4, 34)))
    spans = {0: np.array([[0.0, 40.0]]), 1: np.array([[0.0, 30.0]]), 2: np.array([[0.0, 12.0]])}
    (tree,) = grow(spans, branching(drawn)[KEY])
    assert tree.tree.total_um == pytest.approx(40 + (30 + 2) + (12 + 2))


def test_two_that_meet_twice_are_joined_once():
    ring = nodes(((0, 0), (0, 20)), ((2, 20), (2, 0)))
    assert len(branching(ring)[KEY]) == 1


def test_without_dendrites_nothing_is_joined_or_known():
    assert branching(None) == {}
    assert branch_orders({}, None) == {}


def test_a_tree_is_as_long_as_its_stretches_and_the_gap():
    spans = {0: np.array([[0.0, 40.0]]), 1: np.array([[0.0, 30.0]]), 2: np.array([[0.0, 12.0]])}
    trees = grow(spans, branching(nodes(MOTHER, DAUGHTER, FAR))[KEY])
    assert [round(t.tree.total_um, 3) for t in trees] == [72, 12]
    far = trees[0].tree.node_distance()
    assert far.max() == pytest.approx(20 + 2 + 30)


def test_a_stretch_that_nobody_could_score_parts_the_tree():
    spans = {0: np.array([[0.0, 10.0], [30.0, 40.0]]), 1: np.array([[0.0, 30.0]])}
    trees = grow(spans, branching(nodes(MOTHER, DAUGHTER))[KEY])
    assert sorted(round(t.tree.total_um, 3) for t in trees) == [10, 10, 32]


def test_places_that_know_nothing_of_each_other_have_k_of_r_on_the_tree():
    rng = np.random.default_rng(0)
    spans = {0: np.array([[0.0, 40.0]]), 1: np.array([[0.0, 30.0]])}
    (tree,) = grow(spans, branching(nodes(MOTHER, DAUGHTER))[KEY])
    sums = np.zeros((1, 2))
    for _ in range(300):
        whose = rng.choice([0, 1], 12, p=[40 / 70, 30 / 70])
        arc = rng.uniform(0, np.where(whose == 0, 40, 30))
        sums += network_k(tree.tree, *tree.place(whose, arc), np.array([5.0]))
    assert sums[0, 0] / sums[0, 1] == pytest.approx(5, rel=0.08)


def test_new_spines_across_a_branch_point_are_near_each_other():
    """Three on the mother and three on the daughter, all within 2 um of the branch point."""
    mother = tracks_of(dict.fromkeys(range(3), "01"), {0: 19.0, 1: 20.0, 2: 21.0}).frame
    daughter = tracks_of(
        dict.fromkeys(range(3, 6), "01"), {3: 0.0, 4: 0.5, 5: 1.0}, dendrite_id=1
    ).frame
    cover = COVERAGE.frame(
        [
            {"animal": "m1", "region": "r1", "session": s, "usable": True}
            | {"dendrite_id": d, "start_um": 0.0, "end_um": end}
            for s in (0, 1)
            for d, end in ((0, 40.0), (1, 30.0))
        ]
    )
    tracks = Tracks(pd.concat([mother, daughter], ignore_index=True))
    drawn = nodes(MOTHER, DAUGHTER)
    hs = histories(tracks, 1)
    known = hs, follow(hs, FAST), 4.0, FAST
    apart = ratios_of_animals(*known, around(hs, stretches_of(cover)))[0]["network_k_new"]
    branched = around(hs, stretches_of(cover), branching(drawn))
    together = ratios_of_animals(*known, branched)[0]["network_k_new"]
    assert together != apart
    # every ordered pair counts, weighed by one over the places as far away: over 2 or 3
    assert 30 / 3 <= together[0] * 5 * 30 / 72 <= 30
    found = analyze(tracks, FAST, Evidence(cover, dendrites=drawn))
    rows = found.intervals[found.intervals["level"] == "dendrite"]
    assert rows["branch_order"].tolist() == [0, 1]
    alone = analyze(tracks, FAST, Evidence(cover)).intervals
    assert alone["branch_order"].isna().all()


def in_a_row(new_at, n=24, pitch_um=2.0):
    """An unbranched dendrite of old spines, those at the given places new."""
    lives = {i: "01" if i in new_at else "11" for i in range(n)}
    return analyze(
        tracks_of(lives, arcs={i: pitch_um * i for i in lives}), FAST
    ).statistics.set_index("name")


def test_new_neighbours_depart_from_shuffled_labels_at_short_distance():
    rows = in_a_row({3, 4, 5, 6, 7, 20})
    curve = rows.loc["network_k_curve"]
    assert curve["estimate"] > 0
    assert curve["p_value"] < 0.05
    near, far = (rows.loc[f"network_k_at_{r}"] for r in (2, 10))
    assert near["estimate"] > 2 * near["null_mean"]
    assert far["estimate"] < 2 * far["null_mean"]
    assert rows.loc["network_k_at_5", "estimate"] == pytest.approx(
        rows.loc["network_k_new", "estimate"]
    )


def test_new_spines_far_from_each_other_depart_downward():
    rows = in_a_row({0, 6, 12, 18, 23})
    assert rows.loc["network_k_curve", "estimate"] < 0
    assert rows.loc["network_k_at_3", "estimate"] == 0


def test_one_new_spine_has_no_curve():
    rows = in_a_row({5})
    assert np.isnan(rows.loc["network_k_curve", "p_value"])
    assert "no two new spines" in rows.loc["network_k_curve", "test"]
