"""What chance gives: shuffles, free places, spacing, K on a network, strength."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from spinenet.analyze.clusters import find_roles
from spinenet.analyze.deals import deals, shuffle_within
from spinenet.analyze.network import Tree, network_k
from spinenet.analyze.nulls import (
    expected_contiguous,
    free_stretches,
    segment_dispersion,
    shuffled_counts,
    uniform_counts,
)
from spinenet.analyze.spacing import flanked
from spinenet.analyze.strength import COLUMNS, changes, strength_rows
from spinenet.analyze.stretches import scorable, stretches_of
from spinenet.analyze.summary import Evidence, analyze
from spinenet.config import AnalyzeConfig, CohortConfig
from spinenet.synthetic.cohort import simulate_cohort
from spinenet.tables import COVERAGE, SPINES
from spinenet.types import Tracks
from tests.conftest import one, tracks_of

UNBRANCHED = Tree(np.array([[0, 1]]), np.array([60.0]))

FAST = AnalyzeConfig(n_shuffles=400, n_draws=20)


def test_shuffles_keep_every_owners_number():
    flags, whose = np.array([True, False, False, True, True]), np.array([0, 0, 0, 1, 1])
    mixed = shuffle_within(flags, whose, 200, np.random.default_rng(0))
    assert (mixed[:, :3].sum(axis=1) == 1).all()
    assert mixed[:, 3:].all()
    assert (mixed[:, :3].sum(axis=0) > 30).all()


def test_free_stretches_leave_the_exclusion_zones_out():
    spans = np.array([[0.0, 10.0], [20.0, 22.0]])
    starts, widths = free_stretches(np.array([2.0, 2.3, 9.9]), spans, 0.5)
    free = [(s, s + w) for s, w in zip(starts, widths, strict=True) if w > 0]
    assert free == [(0.0, 1.5), (pytest.approx(2.8), pytest.approx(9.4)), (20.0, 22.0)]


def test_uniform_null_of_two_new_spines_by_geometry():
    """Two uniform places on 20 um are within 5 um with probability 1 - (3/4)^2, less those that
    are too close to tell apart."""
    arcs = {1: 3.0, 2: 12.0}
    config = AnalyzeConfig(n_shuffles=20_000)
    h = one({1: "01", 2: "01"}, arcs=arcs)
    counts = uniform_counts(h, lambda *_: np.array([[0.0, 20.0]]), config, np.random.default_rng(0))
    near = 1 - (15 / 20) ** 2 - (1 - (19.5 / 20) ** 2)
    assert (counts > 0).mean() == pytest.approx(near, abs=0.012)


def test_dispersion_is_one_by_chance():
    value, null = segment_dispersion(
        np.array([10, 0]), np.array([20, 20]), 5000, np.random.default_rng(0)
    )
    assert value == pytest.approx(10.0)
    assert null.mean() == pytest.approx(30 / 39, abs=0.05)  # ten of forty, drawn without return


def test_u_is_one_midway_and_zero_at_the_exclusion_zone():
    arcs = {1: 0.0, 2: 4.0, 3: 8.0, 4: 8.3}
    places = flanked([one({1: "11", 2: "01", 3: "11", 4: "01"}, arcs=arcs)], FAST)
    assert places.relative(0.3).tolist() == [1.0]  # spine 4 has no stable one behind it
    arcs = {1: 0.0, 2: 0.3, 3: 8.0}
    places = flanked([one({1: "11", 2: "01", 3: "11"}, arcs=arcs)], FAST)
    assert places.relative(0.3).tolist() == [0.0]
    assert places.relative(0.0).tolist() == [pytest.approx(0.6 / 8)]


@pytest.mark.parametrize("exclusion", [0.0, 0.3, 0.5])
def test_u_is_uniform_with_any_exclusion_zone(exclusion):
    rng = np.random.default_rng(0)
    gap = rng.uniform(2, 6, 4000)
    near = rng.uniform(exclusion, gap / 2)
    frame = pd.DataFrame({"near_um": near, "gap_um": gap})
    relative = type(flanked([], FAST))(frame).relative(exclusion)
    assert stats.kstest(relative, "uniform").pvalue > 0.01


def test_first_succedent_and_simultaneous():
    h = one({1: "111", 2: "011", 3: "001", 4: "111", 5: "011", 6: "011", 7: "111", 8: "001"})
    names = find_roles(h, FAST).names
    assert names == (
        "",
        "first",
        "succedent",
        "",
        "simultaneous",
        "simultaneous",
        "",
        "non_clustered",
    )
    assert find_roles(h, FAST).arrivals == {1: frozenset({2})}


def scattered(tree, n, rng):
    along = rng.uniform(0, tree.total_um, n)
    ends = np.cumsum(tree.length_um)
    edge = np.searchsorted(ends, along)
    return edge, along - (ends - tree.length_um)[edge]


@pytest.mark.parametrize(
    "tree",
    [
        UNBRANCHED,
        Tree(np.array([[0, 1], [1, 2], [1, 3]]), np.array([30.0, 20.0, 25.0])),
    ],
    ids=["straight", "branched"],
)
def test_k_is_r_where_spines_know_nothing_of_each_other(tree):
    rng = np.random.default_rng(0)
    radii = np.array([2.0, 5.0, 10.0])
    sums = sum(network_k(tree, *scattered(tree, 30, rng), radii) for _ in range(150))
    assert sums[:, 0] / sums[:, 1] == pytest.approx(radii, rel=0.04)


def test_k_by_hand_on_a_branched_dendrite():
    """Spines 1 um before a fork and 1 um up one arm: two places lie 2 um beyond the fork, and one
    back along the trunk: each is seen from the first with weight 1/3."""
    tree = Tree(np.array([[0, 1], [1, 2], [1, 3]]), np.array([10.0, 10.0, 10.0]))
    found = network_k(tree, np.array([0, 1]), np.array([9.0, 1.0]), np.array([1.0, 3.0]))
    assert found[:, 0].tolist() == [0.0, pytest.approx(2 / 3)]
    assert found[:, 1].tolist() == [2 / 30, 2 / 30]


def test_paired_spines_raise_k():
    arc = np.r_[np.arange(5, 60, 10.0), np.arange(6, 60, 10.0)]
    found = network_k(UNBRANCHED, np.zeros(len(arc), int), arc, np.array([2.0]))
    # six pairs, seen from either side, half a weight each: as many places lie on the other side
    assert found.tolist() == [[pytest.approx(6.0), pytest.approx(12 * 11 / 60)]]


def strengths(values):
    """spines.csv with the strength of each track in each session."""
    rows = [
        {"animal": "m1", "region": "r1", "session": t, "track_id": k, "spine_id": k, "strength": v}
        for k, of in values.items()
        for t, v in enumerate(of)
        if v
    ]
    return SPINES.frame(rows)


def test_a_first_spine_that_doubles_beside_others_that_stay():
    lives = {1: "1111", 2: "0111", 3: "0011", 4: "1111", 5: "0111", 6: "1111"}
    size = {2: [0, 1, 2, 2], 3: [0, 0, 1, 1], 5: [0, 1, 1, 3]}
    found = changes([one(lives)], strengths(size), FAST)
    first = found[found["first"].astype(bool)]
    assert first["change"].tolist() == [pytest.approx(np.log(2))]
    # only spine 5's step at the same age; its later growth has no counterpart
    assert found.loc[~found["first"].astype(bool), "change"].tolist() == [0.0]


def test_every_spine_tells_of_its_strength_once():
    """Spines 2 and 9 are first, new and two days old. 7, born late, can stand beside the new one
    only; 5 and 6 could stand beside either, and one of them is taken for each."""
    lives = {1: "11111", 2: "01111", 3: "00111", 4: "11111", 5: "01111", 10: "11111"}
    lives |= {6: "01111", 11: "11111", 7: "00011", 8: "11111", 9: "01111", 12: "00011"}
    ones = {k: [float(c) for c in life] for k, life in lives.items()}
    h = one(lives, arcs={k: 10.0 * place for place, k in enumerate(lives)})
    found = changes([h], strengths(ones), FAST)
    age = found.set_index("track_id")["age_days"].to_dict()
    assert sorted(found["track_id"]) == [2, 5, 6, 7, 9]  # none twice
    assert (age[2], age[9], age[7]) == (0.0, 2.0, 0.0)
    assert {age[5], age[6]} == {0.0, 2.0}


def test_a_first_spine_tells_of_its_earliest_succedent_only():
    """Spine 3 comes first, 2 on one side of it next, and 4 on the other side last."""
    lives = {1: "11111", 2: "00111", 3: "01111", 4: "00011", 5: "11111", 6: "01111", 7: "11111"}
    found = changes([one(lives)], strengths({k: [1.0] * 5 for k in (3, 6)}), FAST)
    first = found[found["first"].astype(bool)]
    assert first["age_days"].tolist() == [0.0]
    assert found.loc[~found["first"].astype(bool), "track_id"].tolist() == [6]


def test_dispersion_of_new_spines_is_one_by_chance_in_the_row():
    cohort = simulate_cohort(CohortConfig(animals=20), "a", np.random.default_rng(3)).observed
    found = analyze(cohort, replace(FAST, n_draws=0)).statistics.set_index("name")
    row = found.loc["new_per_dendrite_dispersion"]
    assert row["estimate"] == pytest.approx(row["null_mean"], abs=0.25)
    assert 0.01 < row["p_value"] < 0.99


def test_holes_in_the_coverage_are_no_room_for_spines():
    h = one({1: "11", 2: "11"}, arcs={1: 5.0, 2: 45.0})
    spans = [(0.0, 20.0), (40.0, 60.0), (15.0, 20.0)]
    rows = [
        {"animal": "m1", "region": "r1", "session": 0, "start_um": a, "end_um": b, "usable": True}
        for a, b in spans
    ]
    assert scorable(h, stretches_of(COVERAGE.frame(rows))).tolist() == [[0.0, 20.0], [40.0, 60.0]]


def test_a_stable_spine_at_the_same_place_is_near():
    arcs = {1: 0.0, 2: 4.0, 3: 4.0, 4: 10.0}
    places = flanked([one({1: "11", 2: "11", 3: "01", 4: "11"}, arcs=arcs)], FAST)
    assert places.frame["near_um"].tolist() == [0.0]


def test_old_spines_that_rest_are_not_weak_for_being_first():
    """Young spines grow by half, old ones rest, whatever their class; first members are older."""
    rng = np.random.default_rng(4)
    rows = []
    for animal in "abcd":
        for first, young, old in ((True, 2, 10), (False, 20, 20)):
            for age, n, grows in ((0.0, young, 0.5), (4.0, old, 0.0)):
                for _ in range(n):
                    change = grows + rng.normal(0, 0.05)
                    rows.append((animal, "", "r1", 0, first, age, 2.0, rng.normal(), change))
    found = pd.DataFrame(rows, columns=list(COLUMNS))
    one_, model = strength_rows("", found, FAST, np.random.default_rng(0))
    assert one_["estimate"] == pytest.approx(one_["null_mean"], abs=0.05)
    assert one_["p_value"] > 0.05
    assert model["estimate"] == pytest.approx(0.0, abs=0.03)
    assert model["p_value"] > 0.05


def test_equal_strengths_settle_no_model():
    parts, sizes_ = [], []
    for name in "abc":
        lives = {1: "1111", 2: "0111", 3: "0011", 4: "1111", 5: "0111", 6: "1111", 7: "0111"}
        parts.append(tracks_of(lives, animal=name).frame)
        sizes_ += [
            {"animal": name, "region": "r1", "session": t, "track_id": k, "strength": 1.0}
            for k in lives
            for t in range(4)
        ]
    tracks = Tracks(pd.concat(parts, ignore_index=True))
    found = analyze(tracks, FAST, Evidence(spines=SPINES.frame(sizes_))).statistics
    rows = found.set_index("name")
    assert rows.loc["strength_change_first", "estimate"] == 0
    assert np.isnan(rows.loc["strength_change_difference", "estimate"])


def test_where_nobody_looked_at_first_no_spine_is_dealt_to():
    """24 spines 2 um apart; only the first twelve were in view in the first session, four of them
    new since. Chance is that of four among twelve, not among 24."""
    lives = {**dict.fromkeys(range(12), "11"), **dict.fromkeys(range(12, 24), "o1")}
    lives |= dict.fromkeys((1, 2, 6, 7), "01")
    arcs = {k: 2.0 * k for k in lives}
    h = one(lives, arcs=arcs)
    config = AnalyzeConfig(n_shuffles=20_000)
    share = shuffled_counts(h, config, np.random.default_rng(0))["contiguous"].mean() / 4
    # the last of the twelve has a neighbour beyond the border, but one that is never new
    assert share == pytest.approx(expected_contiguous(12, 4), abs=0.01)
    assert expected_contiguous(24, 4) < 0.3 < share


def test_a_life_goes_to_a_place_of_its_own_stratum():
    own, stratum = np.array([3, 0, 4, 1, 2]), np.array([0, 0, 1, 1, 0])
    place = deals(own, stratum, 200, np.random.default_rng(0))
    assert (stratum[place] == stratum[own][:, None]).all()
    assert (np.sort(place, axis=0) == np.arange(5)[:, None]).all()
    assert len({tuple(column) for column in place.T}) == 12
