"""What may be compared, and what chance and the machine's mistakes make of it."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from spinenet.analyze.groups import mean_of_animals
from spinenet.analyze.quality import judge_quality
from spinenet.analyze.states import histories
from spinenet.analyze.summary import analyze
from spinenet.config import AnalyzeConfig, CohortConfig
from spinenet.report.page import five_numbers
from spinenet.synthetic.cohort import simulate_cohort
from spinenet.types import Tracks
from tests.conftest import one, tracks_of

FAST = AnalyzeConfig(n_shuffles=200, n_draws=0)


def together(*tracks):
    return Tracks(pd.concat([t.frame for t in tracks], ignore_index=True))


def test_the_excess_of_clusters_is_not_pulled_below_chance_by_what_was_missed():
    """Nothing clusters and a tenth of the sightings is missed: clustered shares and their chance
    rise alike, and so they fall alike in the drawn histories."""
    config = CohortConfig(animals=5, miss_rate=0.1, animal_log_sd=0.0)
    cohort = simulate_cohort(config, "a", np.random.default_rng(3))
    found = analyze(cohort.observed, replace(FAST, n_draws=8)).statistics.set_index("name")
    for rule in ("contiguous", "within_d"):
        row = found.loc[f"clustered_excess_{rule}"]
        assert (row["machine_low"] + row["machine_high"]) / 2 == pytest.approx(0, abs=0.08)


@pytest.mark.parametrize("value", [0.1, 0.25, 1 / 3, 7.0])
def test_alike_animals_have_no_interval_however_numbers_are_rounded(value):
    assert np.isnan(mean_of_animals(np.full(3, value), 0.0, 10.0).low)
    assert np.isfinite(mean_of_animals(np.array([value, value + 0.01]), 0.0, 10.0).low)


def test_turnover_before_clusters_is_compared_within_dendrites():
    """One dendrite on which every spine has come lately, with a late cluster; one on which nothing
    ever happens. That clusters are where more is going on is no more than that."""
    busy = dict.fromkeys(range(1, 13), "0111") | {13: "0001", 14: "0001"}
    calm = dict.fromkeys(range(101, 115), "1111")
    arcs = {k: 1.0 * (k % 100) for k in (*busy, *calm)}
    days = (0.0, 2.0, 4.0, 8.0)
    table = together(tracks_of(busy, arcs, days), tracks_of(calm, arcs, days, dendrite_id=1))
    config = replace(FAST, window=(7.0, 9.0), edge_um=0.0)
    row = analyze(table, config).statistics.set_index("name").loc["turnover_before_clusters"]
    assert row["estimate"] > 0
    assert row["p_value"] > 0.2
    assert "of the same dendrites" in row["test"]


def test_groups_followed_for_unlike_times_are_not_compared_in_clustered_shares():
    config = CohortConfig(animals=4, dendrites=3)
    long, short = (replace(config, days=d) for d in ((0.0, 4.0, 8.0, 12.0, 16.0), (0.0, 4.0, 8.0)))
    parts = [
        simulate_cohort(c, g, np.random.default_rng(k)).true
        for k, (c, g) in enumerate(((long, "a"), (short, "b")))
    ]
    found = analyze(together(*parts), FAST).statistics
    between = found[found["group_b"] == "b"].set_index("name")
    for name in ("clustered_fraction_contiguous", "clustered_fraction_within_d", "succedent_share"):
        assert np.isnan(between.loc[name, "p_value"])
        assert "cannot be compared" in between.loc[name, "test"]
    assert np.isfinite(between.loc["clustered_excess_contiguous", "p_value"])


def test_corrected_survival_is_told_of_the_day_of_the_survival_beside_it():
    """Two animals; the second was last looked at eight days after the landmark, the first once
    more, when all is gone."""
    lives = {1: "01110", 2: "11111", 3: "01110", 4: "11111"}
    days = (0.0, 2.0, 4.0, 12.0, 20.0)
    first = tracks_of(lives, None, days, animal="m1")
    second = tracks_of({k: life[:-1] for k, life in lives.items()}, None, days, animal="m2")
    found = analyze(together(first, second), FAST).statistics.set_index("name")
    row = found.loc["survival_non_clustered_corrected"]
    assert row["estimate"] == found.loc["survival_non_clustered", "estimate"] == 1
    assert "8 days after the landmark" in row["test"]


def test_what_other_sessions_lent_was_missed_for_the_corrected_survival():
    """Two new spines are seen to the end, one of them on the day of the survival only because it
    was seen before and after; the second animal was not looked at any longer."""
    days = (0.0, 2.0, 4.0, 12.0, 20.0)
    first = tracks_of({1: "01111", 2: "01111", 3: "11111"}, None, days, animal="m1")
    lent = (first.frame["track_id"] == 1) & (first.frame["session"] == 3)
    first = Tracks(first.frame.assign(between=lent))
    second = tracks_of({1: "0111", 2: "0111", 3: "1111"}, None, days, animal="m2")
    second = Tracks(second.frame.assign(between=False))
    found = analyze(together(first, second), FAST).statistics.set_index("name")
    q = found.loc["miss_rate_q", "estimate"]
    assert q > 0
    assert found.loc["survival_clustered", "estimate"] == 1
    seen = (1 / 2 + 2 / 2) / 2
    corrected = found.loc["survival_clustered_corrected", "estimate"]
    assert corrected == pytest.approx(seen / (1 - q))


def test_groups_that_were_missed_unequally_are_named():
    full = dict.fromkeys(range(1, 40), "11111")
    gaps = {k: "11011" if k % 4 == 0 else "11111" for k in range(1, 40)}
    verdict = judge_quality([one(full, group="a"), one(gaps, group="b", animal="m2")], None, 0)
    assert "0.0 % of sightings between two others were missed in a and" in verdict.verdict
    alike = judge_quality([one(full, group="a"), one(full, group="b", animal="m2")], None, 0)
    assert alike.verdict.startswith("No reason was found")
    assert "What was missed in these two nobody can tell" in alike.verdict


def test_what_a_spine_is_its_sightings_say():
    """Seen twice, as a filopodium; rows in which it is absent, and blanks, say spine."""
    frame = tracks_of({1: "0011", 2: "1111", 3: "1111"}).frame
    seen = (frame["track_id"] == 1) & (frame["presence"] == "present")
    frame.loc[seen, "kind"] = "filopodium"
    frame.loc[(frame["track_id"] == 2) & (frame["session"] == 0), "kind"] = "filopodium"
    frame.loc[(frame["track_id"] == 2) & (frame["session"] > 0), "kind"] = ""
    (h,) = histories(Tracks(frame), 1)
    assert h.filopodium.tolist() == [True, False, False]


def test_the_page_says_of_which_dendrites_chance_was_told():
    """A short dendrite with two neighbours that are new, and a long one with single new ones."""
    short = {1: "11", 2: "01", 3: "01", 4: "11"}
    long = {k: "01" if k % 4 == 0 else "11" for k in range(101, 121)}
    arcs = {k: 1.0 * (k % 100) for k in (*short, *long)}
    parts = [
        tracks_of(of, arcs, animal=a, dendrite_id=d)
        for a in ("m1", "m2")
        for d, of in enumerate((short, long))
    ]
    numbers = five_numbers(analyze(together(*parts), FAST))
    assert numbers[0]["name"] == "formed per interval of 2 days"
    (note,) = [
        n["note"]
        for n in numbers
        if "clustered" in n["name"] and "new" in n["name"] and "survive" not in n["name"]
    ]
    assert "; on 2 of 4 dendrites 0.0 %, by chance " in note
