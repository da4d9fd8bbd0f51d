"""Dendrites that were not looked at alike: chance, survival and comparisons keep to where and when
somebody looked."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from spinenet.analyze.groups import compare
from spinenet.analyze.machine import Redrawn, difference_with_machine
from spinenet.analyze.nulls import expected_contiguous, shuffled_counts
from spinenet.analyze.rows import difference_row
from spinenet.analyze.summary import Evidence, analyze
from spinenet.config import AnalyzeConfig
from spinenet.tables import COVERAGE
from spinenet.types import Tracks
from tests.conftest import one, tracks_of

FAST = AnalyzeConfig(n_shuffles=500, n_draws=0)


def together(*parts):
    return Tracks(pd.concat([part.frame for part in parts], ignore_index=True))


def statistics(tracks, config=FAST, evidence=None):
    return analyze(tracks, config, evidence).statistics.set_index("name")


def test_where_nobody_looked_any_more_no_spine_is_dealt_to():
    """24 spines 2 um apart; the last twelve left the view after the second session, and four of the
    first twelve are new in the third. Chance is that of four among twelve, not among 24."""
    lives = {**dict.fromkeys(range(12), "1111"), **dict.fromkeys(range(12, 24), "11oo")}
    lives |= dict.fromkeys((1, 2, 6, 7), "0011")
    h = one(lives, arcs={k: 2.0 * k for k in lives})
    config = AnalyzeConfig(n_shuffles=20_000)
    share = shuffled_counts(h, config, np.random.default_rng(0))["contiguous"].mean() / 4
    assert share == pytest.approx(expected_contiguous(12, 4), abs=0.01)


def test_places_dealt_out_along_the_dendrite_keep_to_what_was_in_view():
    """Forty um in view at first, the first ten only from the third session on, in which five spines
    form: anywhere in ten um they lie closer together than anywhere in forty."""
    old = dict.fromkeys(range(20, 30), "11oo") | dict.fromkeys(range(10), "1111")
    arcs = {k: 1.0 * k for k in range(10)} | {k: 12.0 + 2.8 * (k - 20) for k in range(20, 30)}
    arcs |= {100: 0.5, 101: 2.5, 102: 4.5, 103: 6.5, 104: 8.5}
    tracks = tracks_of(old | dict.fromkeys(range(100, 105), "0011"), arcs=arcs)
    rows = [
        {"animal": "m1", "region": "r1", "session": t, "day": 2.0 * t, "dendrite_id": 0}
        | {"start_um": 0.0, "end_um": 40.0 if t < 2 else 10.0, "usable": True}
        for t in range(4)
    ]
    config = replace(FAST, d_um=2.0, edge_um=0.0, min_spines_per_segment=5, n_shuffles=4000)
    found = statistics(tracks, config, Evidence(coverage=COVERAGE.frame(rows)))
    row = found.loc["clustered_fraction_within_d_uniform"]
    # of five in ten um all but few have another within 2 um; in forty it would be about a third
    assert row["null_mean"] > 0.55
    assert row["p_value"] > 0.05


def test_those_who_turned_out_to_live_are_no_fair_sample_of_those_nobody_looked_at():
    """On day 12, of which survival is told, one of two new spines was lost. Seven more nobody looked
    at that day; that some of them were there on day 16 tells of day 12 no more than that others
    were gone."""
    days = (0.0, 2.0, 4.0, 8.0, 12.0, 16.0)
    whole = {1: "111111", 2: "011111", 4: "111111", 5: "011100", 7: "111111"}
    stable = (10, 12, 15, 18, 21, 24, 27, 30, 33)
    blind = {k: "0111?1" if k % 2 else "0111?0" for k in range(11, 31, 3)}
    blind |= dict.fromkeys(stable, "111111")
    parts = []
    for animal in "abc":
        parts.append(tracks_of(whole, days=days, animal=animal))
        parts.append(tracks_of(blind, days=days, animal=animal, dendrite_id=1))
    short = {k: life[:5] for k, life in whole.items()}
    parts += [tracks_of(short, days=days[:5], animal=a, group="x") for a in "def"]
    found = analyze(together(*parts), FAST).statistics
    rows = found[(found["name"] == "survival_non_clustered") & (found["group_b"] == "")]
    assert rows["test"].str.startswith("8 days after the landmark").all()
    assert rows["estimate"].tolist() == [0.5, 0.5]


def test_what_hangs_on_how_often_one_looks_is_not_compared_between_unlike_schedules():
    often, seldom = (0.0, 2.0, 4.0, 6.0, 8.0), (0.0, 4.0, 8.0)
    lives = {1: "11111", 2: "01111", 3: "00111", 4: "11111", 5: "01000", 6: "11111"}
    parts = [tracks_of(lives, animal=f"a{k}", group="a", days=often) for k in range(3)]
    parts += [
        tracks_of({k: v[::2] for k, v in lives.items()}, animal=f"b{k}", group="b", days=seldom)
        for k in range(3)
    ]
    found = analyze(together(*parts), FAST).statistics
    for name in ("transient_share", "persistent_share", "succedent_share"):
        row = found[(found["name"] == name) & (found["group_b"] == "b")].iloc[0]
        assert np.isnan(row["estimate"])
        assert "sessions lie 2 days apart in a and 4 in b" in row["test"]


def test_dendrites_looked_at_more_often_do_not_gather_new_spines():
    """Two regions alike, one imaged seven times and one three times: two dendrites each, and on
    every one a new spine per interval."""
    parts = []
    for region, sessions in (("r1", 7), ("r2", 3)):
        for dendrite in (0, 1):
            old = {100 * dendrite + k: "1" * sessions for k in range(20)}
            new = {
                100 * dendrite + 20 + t: "0" * t + "1" * (sessions - t) for t in range(1, sessions)
            }
            parts.append(tracks_of(old | new, region=region, dendrite_id=dendrite))
    row = statistics(together(*parts)).loc["new_per_dendrite_dispersion"]
    assert row["estimate"] == 0  # on dendrites of one region there are as many as on the other
    assert row["p_value"] > 0.5


def test_animals_imaged_some_minutes_early_or_late_are_told_alike():
    lives = {1: "11111", 2: "01111", 3: "00111", 4: "11111", 5: "01110", 6: "11111", 7: "00101"}
    exact = [(0.0, 2.0, 4.0, 8.0, 12.0)] * 4
    off = [tuple(max(d + s, 0.0) for d in exact[0]) for s in (-0.02, 0.02, 0.03, -0.03)]
    rows = [
        statistics(
            together(*(tracks_of(lives, animal=f"m{k}", days=d) for k, d in enumerate(days))),
            replace(FAST, window=(2.0, 8.0)),
        )
        for days in (exact, off)
    ]
    for name in (
        "survival_clustered",
        "survival_non_clustered",
        "persistent_share",
        "clustered_fraction_contiguous",
    ):
        assert rows[1].loc[name, "estimate"] == pytest.approx(rows[0].loc[name, "estimate"])
        assert np.isfinite(rows[0].loc[name, "estimate"])


def test_three_against_four_animals_are_enough_to_invert():
    """The smallest P of 35 labellings is 0.029: the interval must agree with it."""
    found = compare(
        np.array([0.30, 0.34, 0.55]), np.array([0.10, 0.12, 0.14, 0.16]), np.random.default_rng(0)
    )
    assert found.p == pytest.approx(1 / 35)
    assert "interval by inversion" in found.test
    assert found.low > 0


def test_a_difference_with_the_machines_doubts_has_welchs_degrees_of_freedom():
    """Where the draws agree the total interval is Welch's; without an interval there is none."""
    rng = np.random.default_rng(1)
    a, b = rng.normal(0.5, 0.1, 3), rng.normal(0.3, 0.02, 10)
    of = [
        Redrawn({"x": np.full(20, v.mean())}, {"x": np.full(20, v.var(ddof=1) / len(v))})
        for v in (a, b)
    ]
    row = difference_row("x", "a", "b", compare(a, b, rng))
    found = difference_with_machine(row, *of, (3, 10))
    va, vb = a.var(ddof=1) / 3, b.var(ddof=1) / 10
    freedom = (va + vb) ** 2 / (va**2 / 2 + vb**2 / 9)
    half = stats.t.ppf(0.975, freedom) * (va + vb) ** 0.5
    middle = a.mean() - b.mean()
    assert found["ci_low"] == pytest.approx(middle - half)
    assert found["ci_high"] == pytest.approx(min(middle + half, 1.0))
    unsettled = row | {"sampling_low": np.nan, "ci_low": np.nan, "ci_high": np.nan}
    assert np.isnan(difference_with_machine(unsettled, *of, (3, 10))["ci_low"])
