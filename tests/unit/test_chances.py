"""P values and error bars of small cases that can be worked out by hand."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from spinenet.analyze.chance import _room, segment_row
from spinenet.analyze.errors import ALONE, Doubt, Rival, combine, draw
from spinenet.analyze.ground import ground_of
from spinenet.analyze.groups import compare, hierarchical_bootstrap, mean_of_animals, welch
from spinenet.analyze.hazard import hazard_row, log_hazard_ratio
from spinenet.analyze.spacing import COLUMNS as PLACES
from spinenet.analyze.spacing import Flanked, spacing_rows
from spinenet.analyze.states import histories
from spinenet.analyze.summary import analyze
from spinenet.analyze.survival import LIFE, PERIOD, Cohort
from spinenet.config import AnalyzeConfig
from spinenet.types import Tracks
from tests.conftest import one, tracks_of

FAST = AnalyzeConfig(n_shuffles=50, n_draws=0)


def cohort_of(rows):
    """Periods at risk: class, dendrite, spine, from, to, lost."""
    periods = pd.DataFrame(
        [("m1", "", kind, d, k, a, b, lost) for kind, d, k, a, b, lost in rows],
        columns=list(PERIOD),
    )
    return Cohort(pd.DataFrame(columns=list(LIFE)), periods, {}, frozenset(), {})


def test_those_followed_longer_are_not_lost_more_for_that():
    """On each dendrite one in four of either class is lost by day 4; then the clustered alone are
    looked at again, and some more are lost."""
    rows = []
    for d in range(12):
        for k in range(4):
            rows.append(("clustered", f"{d}", 10 * d + k, 0.0, 4.0, k == 0))
            rows.append(("non_clustered", f"{d}", 10 * d + 5 + k, 0.0, 4.0, k == 0))
            if k:
                rows.append(("clustered", f"{d}", 10 * d + k, 4.0, 8.0, k == 1))
    row, _ = hazard_row("", cohort_of(rows), FAST, np.random.default_rng(0))
    assert row["estimate"] == pytest.approx(1)
    assert row["p_value"] > 0.5


def test_a_long_interval_is_not_pooled_with_a_short_one():
    """A third is lost in 4 days and two thirds in 16, of either class; of the clustered more were
    looked at late."""
    rows = []
    for to, n_lost, n_clustered, n_other in ((4.0, 1, 1, 5), (16.0, 2, 5, 1)):
        for exposed, n in ((1, n_clustered), (0, n_other)):
            rows += [(exposed, 0.0, to, i % 3 < n_lost) for i in range(3 * n)]
    periods = pd.DataFrame(rows, columns=["exposed", "from_days", "to_days", "lost"])
    periods["spine"] = np.arange(len(periods))
    assert log_hazard_ratio(periods, periods["exposed"].to_numpy(float)) == pytest.approx(
        0, abs=1e-6
    )


def test_a_drawn_p_is_never_zero():
    a = np.arange(12.0)
    found = compare(a + 100, a, np.random.default_rng(0))
    assert "20000 drawn" in found.test
    assert found.p == pytest.approx(1 / 20_001)


def test_the_bootstrap_draws_an_animals_dendrites_too():
    parts = [[np.array([0.0, 10]), np.array([10.0, 10])]]
    drawn = hierarchical_bootstrap(parts, 400, np.random.default_rng(0))
    assert set(np.round(drawn, 6)) == {0.0, 0.5, 1.0}


def test_two_draws_by_hand():
    """Means 0.1 and 0.3, variance of either 0.01, five animals."""
    found = combine(np.array([0.1, 0.3]), np.full(2, 0.01), 5)
    within, drawn = 0.01, 1.5 * 0.02
    total = within + drawn
    freedom = total**2 / (within**2 / 4 + drawn**2 / 1)
    half = stats.t.ppf(0.975, freedom) * total**0.5
    assert (found.low, found.high) == (pytest.approx(0.2 - half), pytest.approx(0.2 + half))


def test_a_sure_rival_is_made_whenever_the_link_is_cut():
    """The link holds in seven of ten draws; else the rival's, three in ten, is the only other."""
    frame = tracks_of({1: "11", 2: "10"}).frame.sort_values(["track_id", "session"])
    frame["p_link"] = [np.nan, 0.7, np.nan, np.nan]
    (h,) = histories(Tracks(frame.reset_index(drop=True)), 0)
    doubt = Doubt(np.full((2, 2), ALONE), (Rival(a=1, ta=0, b=0, tb=1, p=0.3),))
    rng = np.random.default_rng(0)
    drawn = [draw(h, doubt, 0, rng).seen.tolist() for _ in range(400)]
    assert all(sorted(d) == [[1, 0], [1, 1]] for d in drawn)


def test_the_zone_is_the_smallest_at_which_they_keep_away_no_more():
    """New spines stand uniformly but 0.3 um off."""
    gap = np.full(400, 2.0)
    near = 0.3 + 0.7 * (np.arange(400) + 0.5) / 400
    frame = pd.DataFrame(
        [
            ("m1", "", "r1", 0, k, "non_clustered", n, g)
            for k, (n, g) in enumerate(zip(near, gap, strict=True))
        ],
        columns=list(PLACES),
    )
    rows = {r["name"]: r for r in spacing_rows("", Flanked(frame), FAST, np.random.default_rng(1))}
    assert rows["spacing_exclusion_um"]["estimate"] == 0.3


def test_chance_of_u_weighs_animals_as_the_mean_does():
    """One animal's single spine stands midway, forty of another's are spread: no evidence."""
    near = np.r_[1.0, (np.arange(40) + 0.5) / 40]
    frame = pd.DataFrame(
        [("ab"[k > 0], "", "r1", 0, k, "non_clustered", n, 2.0) for k, n in enumerate(near)],
        columns=list(PLACES),
    )
    config = replace(FAST, exclusion_um=0.0, n_shuffles=4000)
    row = spacing_rows("", Flanked(frame), config, np.random.default_rng(1))[0]
    assert row["estimate"] == pytest.approx(0.75)
    # the mean of one uniform number and (nearly) one half is as far off in nearly no draw
    assert row["p_value"] > 0.01


def test_dispersion_weighs_regions_by_their_dendrites():
    """Two dendrites of one region with 2 and 0 new of 10 each, three of another with 1 each."""
    parts = []
    for region, sessions, news in (("r1", 2, (2, 0)), ("r2", 3, (1, 1, 1))):
        for d, n in enumerate(news):
            lives = {100 * d + k: "1" * sessions for k in range(12 - n)}
            lives |= {100 * d + 50 + k: "0" + "1" * (sessions - 1) for k in range(n)}
            arcs = {k: 2.0 * i for i, k in enumerate(lives)}
            parts.append(tracks_of(lives, arcs, region=region, dendrite_id=d).frame)
    hs = histories(Tracks(pd.concat(parts, ignore_index=True)), 1)
    row = segment_row("", ground_of(hs, None, FAST), FAST, np.random.default_rng(0))
    # (1 + 1) / 1 over one degree of freedom, and 0 over two
    assert row["estimate"] == pytest.approx(2 / 3)


def test_spines_that_could_never_be_called_new_are_no_share():
    """Two dendrites with 12 old spines and one new each; twelve more of the second came into view
    late."""
    parts = []
    for d in (0, 1):
        lives = {100 * d + k: "11" for k in range(12)} | {100 * d + 50: "01"}
        lives |= {100 * d + 60 + k: "?1" for k in range(12 * d)}
        arcs = {k: 2.0 * i for i, k in enumerate(lives)}
        parts.append(tracks_of(lives, arcs, dendrite_id=d).frame)
    hs = histories(Tracks(pd.concat(parts, ignore_index=True)), 1)
    row = segment_row("", ground_of(hs, None, FAST), FAST, np.random.default_rng(0))
    assert row["estimate"] == 0  # each has its share of the new ones


def test_no_place_is_dealt_that_nobody_looked_at_any_more():
    span = np.array([[0.0, 40.0]])
    scored = [np.array([[0.0, 40.0]]), np.array([[0.0, 30.0]]), np.array([[0.0, 10.0]])]
    assert _room(span, scored, 1, 1).tolist() == [[0.0, 30.0]]
    assert _room(span, scored, 1, 2).tolist() == [[0.0, 10.0]]


def test_chance_of_replacement_deals_the_new_spine_elsewhere():
    """Lost at 10 um, new at 11.5; dealt to the place at 30 um the new one replaces nothing."""
    from spinenet.analyze.replacement import replacing

    h = one({1: "100", 2: "001", 3: "111"}, arcs={1: 10.0, 2: 11.5, 3: 30.0})
    assert replacing(h, np.array([[0, 0], [1, 2], [2, 1]]), FAST).tolist() == [1, 0]


def test_places_typed_to_a_tenth_lie_within_a_limit_by_every_measure():
    """8.3 um lies 5.000000000000001 um from 3.3 um."""
    lives = {1: "01", 2: "01"} | dict.fromkeys(range(3, 15), "11")
    estimates = []
    for first, second in ((3.0, 8.0), (3.3, 8.3)):
        arcs = {1: first, 2: second} | {k: 4.0 * (k - 3) + 1.5 for k in range(3, 15)}
        found = analyze(tracks_of(lives, arcs=arcs), FAST).statistics.set_index("name")
        names = ["clustered_fraction_within_d", "network_k_at_5", "network_k_new"]
        estimates.append(found.loc[names, "estimate"].tolist())
    assert estimates[0] == pytest.approx(estimates[1])
    assert min(estimates[0]) > 0


def test_a_succedent_spine_on_the_edge_of_the_zone_lies_outside_it():
    near = 8.6 - 8.3
    places = pd.DataFrame(
        [("m1", "", "r1", 0, 2, "succedent", near, 4.0)] * 3, columns=list(PLACES)
    )
    rows = spacing_rows("", Flanked(places), FAST, np.random.default_rng(0))
    by_name = {r["name"]: r for r in rows}
    assert by_name["spacing_near_um_succedent"]["estimate"] == pytest.approx(0.3)


def test_animals_of_one_group_that_do_not_differ_give_no_interval():
    same, other = np.array([0.2, 0.2, 0.2]), np.array([0.1, 0.15, 0.3])
    means = [mean_of_animals(of, -np.inf, np.inf) for of in (same, other)]
    assert np.isnan(welch(*means).low)
    assert welch(means[1], replace(means[0], variance=0.1)).low < 0
    of_labels = compare(same, other, np.random.default_rng(0))
    assert np.isnan(of_labels.low)
    assert "no interval: too few animals, or animals that do not differ" in of_labels.test


@pytest.mark.parametrize("which", [0, 1])
def test_a_group_of_one_animal_is_not_compared_whichever_comes_first(which):
    several = mean_of_animals(np.array([0.1, 0.15, 0.3]), -np.inf, np.inf)
    one = mean_of_animals(np.array([0.2]), -np.inf, np.inf)
    between = welch(*[(one, several), (several, one)][which])
    assert np.isnan(between.p)
    assert between.test.startswith("too few animals")
