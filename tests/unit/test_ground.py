"""What nulls and tests look at, several rules and windows at once, and groups by other models."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from spinenet.analyze.chance import Chance, largest_excess
from spinenet.analyze.clusters import find_clusters
from spinenet.analyze.ground import ground_of
from spinenet.analyze.groups import Mean, jackknife, welch
from spinenet.analyze.hazard import hazard_difference
from spinenet.analyze.mixed import mixed_rows
from spinenet.analyze.nulls import members
from spinenet.analyze.stretches import stretches_of
from spinenet.analyze.summary import Evidence, analyze
from spinenet.config import AnalyzeConfig
from spinenet.tables import COVERAGE
from spinenet.types import Tracks
from tests.conftest import one, tracks_of

FAST = AnalyzeConfig(n_shuffles=200, n_draws=0)


def old_and_new(n_old, pitch_um):
    """Old spines in a row and two new neighbours at its end."""
    lives = dict.fromkeys(range(n_old), "11") | {n_old: "01", n_old + 1: "01"}
    return tracks_of(lives, arcs={i: 2 + pitch_um * i for i in lives})


def ends_at(start_um, end_um):
    who = {"animal": "m", "group": "g", "region": "r", "dendrite_id": 0}
    rows = [
        {
            **who,
            "session": t,
            "day": 4.0 * t,
            "start_um": start_um,
            "end_um": end_um,
            "snr": 20.0,
            "usable": True,
        }
        for t in (0, 1)
    ]
    return COVERAGE.frame(rows)


@pytest.mark.parametrize(("n_old", "pitch_um"), [(7, 3.0), (30, 0.3)])
def test_few_spines_or_a_short_stretch_are_counted_but_not_tested(n_old, pitch_um):
    found = analyze(old_and_new(n_old, pitch_um), replace(FAST, resolution_um=0.1))
    row = found.statistics.set_index("name").loc["clustered_fraction_contiguous"]
    assert row["estimate"] == 1.0
    assert np.isnan(row["p_value"])
    assert np.isnan(row["null_mean"])
    assert "10 spines or more on 10 um or more" in row["test"]
    assert len(found.clusters[found.clusters["rule"] == "contiguous"]) == 1


def test_what_is_asked_of_a_dendrite_can_be_lowered():
    config = replace(FAST, min_spines_per_segment=0, min_seg_um=0.0)
    row = analyze(old_and_new(7, 3.0), config).statistics.set_index("name")
    assert 0 < row.loc["clustered_fraction_contiguous", "p_value"] < 1


def test_spines_at_the_end_of_what_could_be_scored_are_not_tested():
    h = one(dict.fromkeys(range(12), "11"), arcs={i: 0.5 + 2.0 * i for i in range(12)})
    who = {"animal": h.animal, "region": h.region, "dendrite_id": h.dendrite_id}
    (left,) = ground_of([h], stretches_of(ends_at(0.0, 24.0).assign(**who)), FAST).histories
    assert left.track_ids.tolist() == list(range(1, 12))
    (left,) = ground_of([h], None, FAST).histories
    assert left.track_ids.tolist() == list(range(12))
    assert (
        ground_of([h], stretches_of(ends_at(0.0, 24.0)), FAST).histories == []
    )  # of another dendrite


def test_spines_beside_a_gap_still_part_those_on_its_sides():
    lives = dict.fromkeys(range(12), "11") | {12: "01", 13: "01"}
    arcs = {i: 2.0 + i for i in range(6)} | {i: 16.0 + i for i in range(6, 12)}
    arcs |= {5: 9.5, 6: 20.5, 12: 8.6, 13: 21.4}
    tracks = tracks_of(lives, arcs=arcs)
    who = tracks.frame[["animal", "group", "region", "dendrite_id"]].iloc[0].to_dict()
    parts = [ends_at(0.0, 10.0), ends_at(20.0, 30.0)]
    coverage = pd.concat(parts, ignore_index=True).assign(**who)
    rows = analyze(tracks, FAST, Evidence(coverage)).statistics.set_index("name")
    assert rows.loc["clustered_fraction_contiguous", "estimate"] == 0
    assert rows.loc["clustered_excess_contiguous", "estimate"] < 0


def test_drawn_histories_of_enough_spines_are_measured_too():
    """Some draws cut a link: one spine becomes two."""
    lives = dict.fromkeys(range(12), "11") | {12: "01", 13: "01"}
    frame = tracks_of(lives).frame
    frame["p_link"] = np.where(frame["session"] == 1, 0.7, np.nan)
    frame["p_present"] = np.where(frame["presence"] == "present", 0.95, 0.05)
    rows = analyze(Tracks(frame), replace(FAST, n_draws=10)).statistics.set_index("name")
    row = rows.loc["clustered_excess_contiguous"]
    assert row["machine_low"] < row["machine_high"]


READINGS = (
    FAST,
    replace(FAST, require_coexistence=False),
    replace(FAST, existing_rule="ever"),
    replace(FAST, require_coexistence=False, existing_rule="ever", filopodia_in=()),
    replace(FAST, filopodia_in=("contiguous", "within_d")),
)


@given(
    st.lists(st.sampled_from(["1111", "0111", "0010", "0100", "1101", "0011", "1000"]), min_size=2),
    st.lists(st.sampled_from([0.2, 0.3, 0.6, 2.0, 6.0]), min_size=12, max_size=12),
    st.lists(st.booleans(), min_size=12, max_size=12),
    st.sampled_from(READINGS),
)
@settings(max_examples=150)
def test_each_window_holds_what_was_born_in_it_by_every_reading(lives, steps, thin, reading):
    lives = dict(enumerate(lives[:12], 1))
    kinds = {k: "filopodium" if thin[k - 1] else "spine" for k in lives}
    h = one(lives, arcs=dict(enumerate(np.cumsum(steps), 1)))
    h = replace(h, filopodium=np.array([kinds[k] == "filopodium" for k in h.track_ids]))
    found = members(h, replace(reading, n_shuffles=2), np.random.default_rng(0), each_session=True)
    days = [None, *((h.days[t], h.days[t]) for t in h.window(None))]
    for w, window in enumerate(days):
        config = replace(reading, window=window)
        for r, rule in enumerate(("contiguous", "within_d")):
            inside = {i for c in find_clusters(h, rule, config) for i in c.members}
            assert found.observed[r, w] == len(inside)


def pairs_of(lives, reading, thin=()):
    h = one(dict(enumerate(lives, 1)))
    h = replace(h, filopodium=np.isin(h.track_ids, thin))
    return [len(find_clusters(h, rule, reading)) for rule in ("contiguous", "within_d")]


def test_members_that_never_met_are_a_cluster_only_if_they_need_not():
    assert pairs_of(["111", "010", "001", "111"], FAST) == [0, 0]
    assert pairs_of(["111", "010", "001", "111"], READINGS[1]) == [1, 1]


def test_a_lost_spine_parts_new_ones_only_if_it_always_does():
    assert pairs_of(["111", "011", "100", "011", "111"], FAST) == [1, 1]
    assert pairs_of(["111", "011", "100", "011", "111"], READINGS[2]) == [0, 1]


def test_filopodia_take_part_by_the_rules_that_name_them():
    lives = ["111", "011", "011", "111"]
    assert pairs_of(lives, FAST, thin=[3]) == [0, 1]
    assert pairs_of(lives, READINGS[3], thin=[3]) == [0, 0]
    assert pairs_of(lives, READINGS[4], thin=[3]) == [1, 1]


def test_a_burst_in_one_session_is_found_among_all_rules_and_windows():
    """Ten dendrites: in the second session a pair of neighbours, later new ones apart."""
    frames = []
    for d in range(10):
        lives = {i + 20 * d: "1111" for i in range(12)}
        lives |= {12 + 20 * d: "0111", 13 + 20 * d: "0111", 14 + 20 * d: "0001"}
        arcs = {k: 2.0 * (k - 20 * d) for k in lives}
        arcs |= {12 + 20 * d: 5.1, 13 + 20 * d: 5.8, 14 + 20 * d: 20.9}
        frames.append(tracks_of(lives, arcs, animal=f"m{d % 5}", dendrite_id=d).frame)
    tracks = Tracks(pd.concat(frames, ignore_index=True))
    rows = analyze(tracks, FAST).statistics.set_index("name")
    row = rows.loc["clustered_fraction_any_rule_or_window"]
    assert row["p_value"] == pytest.approx(1 / 201)
    assert row["estimate"] >= rows.loc["clustered_fraction_either_rule", "estimate"]


def test_leaving_out_animals_of_a_mean_gives_its_t_interval():
    values = np.array([0.2, 0.4, 0.9])
    found = jackknife(values.mean(), np.array([np.delete(values, i).mean() for i in range(3)]))
    low, high = stats.t.interval(0.95, 2, values.mean(), stats.sem(values))
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))
    assert np.isnan(jackknife(0.5, np.array([0.5, np.nan])).low)


def test_two_hazard_ratios_are_compared_on_the_log_scale():
    a, b = np.array([0.1, 0.3, 0.2, 0.4]), np.array([1.0, 1.4, 0.9])
    means = {
        g: jackknife(v.mean(), np.array([np.delete(v, i).mean() for i in range(len(v))]))
        for g, v in (("a", a), ("b", b))
    }
    row = hazard_difference("a", "b", means)
    assert row["estimate"] == pytest.approx(np.exp(a.mean() - b.mean()))
    assert row["p_value"] == pytest.approx(stats.ttest_ind(a, b, equal_var=False).pvalue)
    unsettled = Mean(np.nan, np.nan, np.nan, 0, np.nan)
    assert np.isnan(welch(means["a"], unsettled).p)


def dendrites(*ratios):
    """Per animal its dendrites, each with 100 spines."""
    return {
        name: [[np.array([100 * r, 100.0]) for r in animal] for animal in ratios]
        for name in ("formation", "elimination", "turnover_ratio")
    }


def test_a_mixed_model_finds_the_difference_of_two_groups():
    low = dendrites((0.05, 0.06), (0.04, 0.05), (0.06, 0.07))
    high = dendrites((0.15, 0.16), (0.14, 0.15), (0.16, 0.17))
    (row, *_) = mixed_rows({"high": high, "low": low}, {})
    assert (row["name"], row["group"], row["group_b"]) == ("formation_mixed", "high", "low")
    assert row["estimate"] == pytest.approx(0.1)
    # animals' own means differ from one another by 0.01: a t test of them
    means = [[np.mean(a) for a in g] for g in (((0.155, 0.145, 0.165)), ((0.055, 0.045, 0.065)))]
    assert row["p_value"] == pytest.approx(stats.ttest_ind(*means).pvalue, rel=0.01)


def test_many_dendrites_of_few_animals_are_few():
    few = dendrites((0.1,) * 20, (0.2,) * 20)
    (row, *_) = mixed_rows({"a": few, "b": few}, {})
    assert np.isnan(row["estimate"])
    assert "3 animals a group" in row["test"]


def test_a_group_whose_dendrites_have_no_spine_at_risk_has_no_mixed_model():
    seen = dendrites((0.1, 0.2), (0.2, 0.3), (0.3, 0.1))
    empty = {name: [[np.array([0.0, 0.0])]] for name in seen}
    (row, *_) = mixed_rows({"a": seen, "b": empty}, {})
    assert np.isnan(row["estimate"])


def test_animals_with_one_dendrite_each_have_no_mixed_model():
    single = dendrites((0.1,), (0.2,), (0.3,))
    (row, *_) = mixed_rows({"a": single, "b": single}, {})
    assert "some with two dendrites" in row["test"]


def test_counts_of_clusters_have_intervals_over_animals():
    """Four animals with one pair each, one with two: 6, and all are pairs."""
    frames = []
    for a, n in enumerate((1, 1, 1, 1, 2)):
        for d in range(n):
            k = 10 * (3 * a + d)
            lives = {k: "111", k + 1: "011", k + 2: "011", k + 3: "111"}
            frames.append(tracks_of(lives, animal=f"m{a}", dendrite_id=d).frame)
    rows = analyze(Tracks(pd.concat(frames, ignore_index=True)), FAST).statistics
    rows = rows.set_index("name")
    count = rows.loc["cluster_count_contiguous"]
    assert count["estimate"] == 6
    low, high = stats.t.interval(0.95, 4, 1.2, stats.sem([1, 1, 1, 1, 2]))
    assert (count["ci_low"], count["ci_high"]) == (pytest.approx(5 * low), pytest.approx(5 * high))
    pairs = rows.loc["cluster_pairs_share"]
    assert pairs["estimate"] == 1
    assert np.isnan([pairs["ci_low"], pairs["ci_high"]]).all()  # six of six are no certainty


def test_an_interval_cut_at_zero_still_knows_its_width():
    """Counts 0, 0, 0, 9 and a machine that is nearly sure: the total interval is the sampling one."""
    frames = []
    for a, n in enumerate((0, 0, 0, 9)):
        for d in range(max(n, 1)):
            k = 10 * (10 * a + d)
            lives = {
                k: "111",
                k + 1: "011" if n else "111",
                k + 2: "011" if n else "111",
                k + 3: "111",
            }
            frames.append(tracks_of(lives, animal=f"m{a}", dendrite_id=d).frame)
    frame = pd.concat(frames, ignore_index=True)
    frame["p_present"] = np.where(frame["presence"] == "present", 1 - 1e-9, 1e-9)
    rows = analyze(Tracks(frame), replace(FAST, n_draws=5)).statistics.set_index("name")
    row = rows.loc["cluster_count_contiguous"]
    assert row["sampling_low"] == 0
    assert row["ci_high"] == pytest.approx(row["sampling_high"], rel=1e-6)


def test_shuffles_that_all_agree_still_give_a_p():
    """All shares alike, and so is every shuffle: nothing stands out, whatever the rounding."""
    same = Chance(np.full(9, 1 / 3), np.full((9, 99), 1 / 3), 27)
    assert largest_excess("x", "", [same], "")["p_value"] == 1.0
    above = Chance(np.full(9, 2 / 3), np.full((9, 99), 1 / 3), 27)
    assert largest_excess("x", "", [above], "")["p_value"] == pytest.approx(0.01)


@pytest.mark.parametrize(("end_um", "left_out"), [(32.5, True), (40.0, False)])
def test_evidence_of_ends_reaches_the_statistics(end_um, left_out):
    """The last spine stands at 32 um."""
    tracks = old_and_new(14, 2.0)
    who = tracks.frame[["animal", "group", "region", "dendrite_id"]].iloc[0]
    coverage = ends_at(0.0, end_um).assign(**who)
    rows = analyze(tracks, FAST, Evidence(coverage)).statistics.set_index("name")
    row = rows.loc["clustered_fraction_contiguous"]
    assert ("within 1 um of the end" in row["test"]) == left_out
