"""The analysis beyond counting: groups, spacing, strength, hazard, the machine's mistakes, and the
numbers that the literature fixes."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lifelines.statistics import logrank_test
from scipy import stats

from spinenet.analyze.clusters import find_roles
from spinenet.analyze.errors import ALONE, Doubt, Rival, combine, draw
from spinenet.analyze.groups import compare, hierarchical_bootstrap, mean_of_animals
from spinenet.analyze.hazard import cloglog, design_of, log_hazard_ratio
from spinenet.analyze.network import Tree, network_k, segment
from spinenet.analyze.nulls import (
    free_stretches,
    segment_dispersion,
    shuffle_within,
    uniform_counts,
)
from spinenet.analyze.power import power_of
from spinenet.analyze.quality import judge_quality
from spinenet.analyze.spacing import flanked
from spinenet.analyze.states import histories
from spinenet.analyze.strength import changes
from spinenet.analyze.summary import Evidence, analyze
from spinenet.analyze.survival import corrected_share, follow, kaplan_meier, turnbull
from spinenet.analyze.turnover import scorable
from spinenet.chain import presence
from spinenet.cli import main
from spinenet.commands import BAD_INPUT, DONE
from spinenet.config import AnalyzeConfig, CohortConfig
from spinenet.synthetic.cohort import simulate_cohort
from spinenet.tables import COVERAGE, SPINES
from spinenet.types import Tracks
from tests.conftest import tracks_of

FAST = AnalyzeConfig(n_shuffles=400, n_draws=20)


def one(rows, **more):
    return histories(tracks_of(rows, **more), 1)[0]


# groups


def test_mean_over_animals_is_the_textbook_t_interval():
    mean = mean_of_animals(np.array([0.1, 0.2, 0.3, np.nan]), 0.0, 1.0)
    assert (mean.value, mean.n) == (pytest.approx(0.2), 3)
    low, high = stats.t.interval(0.95, 2, 0.2, 0.1 / np.sqrt(3))
    assert (mean.low, mean.high) == (max(low, 0), pytest.approx(high))


def test_permutation_of_animals_is_exact():
    found = compare(np.array([5.0, 6, 7, 8]), np.array([1.0, 2, 3, 4]), np.random.default_rng(0))
    assert found.p == 2 / 70  # the two most extreme of 70 labellings
    assert found.low < 4 < found.high
    assert found.low > 0


def test_swapping_the_groups_changes_the_sign():
    a, b = np.array([0.1, 0.3, 0.2, 0.25]), np.array([0.4, 0.35, 0.6, 0.5])
    one_way, other = (compare(*ab, np.random.default_rng(0)) for ab in ((a, b), (b, a)))
    assert one_way.p == other.p
    assert one_way.value == pytest.approx(-other.value)
    assert one_way.low == pytest.approx(-other.high, abs=1e-6)


def test_two_animals_a_group_cannot_be_inverted():
    found = compare(np.array([1.0, 2]), np.array([3.0, 4]), np.random.default_rng(0))
    assert found.p == pytest.approx(2 / 6)
    assert "Welch" in found.test


def test_two_equal_animals_do_not_vouch_for_each_other():
    found = compare(np.array([1.0, 1]), np.array([3.0, 4]), np.random.default_rng(0))
    assert np.isnan([found.low, found.high]).all()


def test_the_bootstrap_draws_animals_not_spines():
    parts = [[np.array([0.0, 10])] * 3, [np.array([10.0, 10])] * 3]
    drawn = hierarchical_bootstrap(parts, 400, np.random.default_rng(0))
    assert set(np.round(drawn, 6)) == {0.0, 0.5, 1.0}


# nulls


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
    counts = uniform_counts(h, np.array([[0.0, 20.0]]), config, np.random.default_rng(0))
    near = 1 - (15 / 20) ** 2 - (1 - (19.5 / 20) ** 2)
    assert (counts > 0).mean() == pytest.approx(near, abs=0.012)


def test_dispersion_is_one_by_chance():
    value, null = segment_dispersion(
        np.array([10, 0]), np.array([20, 20]), 5000, np.random.default_rng(0)
    )
    assert value == pytest.approx(10.0)
    assert null.mean() == pytest.approx(30 / 39, abs=0.05)  # ten of forty, drawn without return


# spacing


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


# strength


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


# persistence: Shao 2021, Fig. S2; events by day, spines followed from day 1


def shao(n, lost, exposed):
    days = (1, 3, 5, 7, 34)
    ends = [d for d, k in lost for _ in range(k)]
    ends += [None] * (n - len(ends))
    rows = []
    for spine, end in enumerate(ends):
        for a, b in zip(days[:-1], days[1:], strict=True):
            rows.append((f"{exposed}-{spine}", exposed, float(a), float(b), end == b))
            if end == b:
                break
    return pd.DataFrame(rows, columns=["spine", "exposed", "from_days", "to_days", "lost"])


def test_hazard_of_the_published_counts():
    saline = shao(36, ((3, 11), (5, 2), (7, 3), (34, 6)), 0)
    drug = shao(53, ((3, 21), (5, 2), (7, 5), (34, 7)), 1)
    periods = pd.concat([saline, drug], ignore_index=True)
    exposed = periods["exposed"].to_numpy(float)
    assert log_hazard_ratio(periods, exposed) == pytest.approx(0.1769, abs=1e-4)
    design, lost = design_of(periods, exposed)
    first, *others = cloglog(design, lost)[:-1]
    assert first == pytest.approx(-0.9145, abs=1e-4)
    steps = sorted(float(b - first) for b in others)
    assert steps == pytest.approx([-1.8096, -0.9986, -0.2641], abs=1e-4)


@pytest.mark.parametrize(
    ("n", "lost", "shares"),
    [
        (36, ((3, 11), (5, 2), (7, 3), (34, 6)), [0.6944, 0.6389, 0.5556, 0.3889]),
        (53, ((3, 21), (5, 2), (7, 5), (34, 7)), [0.6038, 0.5660, 0.4717, 0.3396]),
    ],
)
def test_survival_of_the_published_counts(n, lost, shares):
    periods = shao(n, lost, 0)
    last = periods.groupby("spine").last()
    lives = pd.DataFrame({"days": last["to_days"], "lost": last["lost"].astype(bool)})
    assert kaplan_meier(lives, np.array([3.0, 5, 7, 34])) == pytest.approx(shares, abs=5e-5)


def test_log_rank_of_the_published_counts():
    """chi2 .3809, P .5371: the curves of both arms do not differ."""
    arms = [
        shao(36, ((3, 11), (5, 2), (7, 3), (34, 6)), 0).groupby("spine").last(),
        shao(53, ((3, 21), (5, 2), (7, 5), (34, 7)), 1).groupby("spine").last(),
    ]
    found = logrank_test(arms[0]["to_days"], arms[1]["to_days"], arms[0]["lost"], arms[1]["lost"])
    assert found.test_statistic == pytest.approx(0.3809, abs=1e-4)
    assert found.p_value == pytest.approx(0.5371, abs=1e-4)


def test_a_class_of_which_nobody_was_lost_has_no_hazard_ratio():
    periods = pd.concat([shao(20, ((3, 5),), 0), shao(20, (), 1)], ignore_index=True)
    assert np.isnan(log_hazard_ratio(periods, periods["exposed"].to_numpy(float)))


def test_turnbull_is_kaplan_meier_on_common_days():
    """Two of eight lost by day 4, two more by day 8."""
    lives = pd.DataFrame(
        {
            "days": [4.0, 4, 8, 8, 8, 8, 8, 8],
            "last_seen_days": [0.0, 0, 4, 4, 8, 8, 8, 8],
            "lost": [True] * 4 + [False] * 4,
        }
    )
    assert turnbull(lives, np.array([0.0, 4, 8])) == pytest.approx([1, 0.75, 0.5], abs=1e-3)


def test_animals_seen_on_other_days_share_a_curve_without_a_band():
    lives = {1: "0111", 2: "0110", 3: "1111", 4: "1111"}
    parts = [
        tracks_of(lives, days=days, animal=name).frame
        for name, days in (("a", (0.0, 4, 8, 12)), ("b", (0.0, 4, 9, 14)))
    ]
    tracks = Tracks(pd.concat(parts, ignore_index=True))
    curves = analyze(tracks, FAST).survival
    new = curves[curves["class"] == "all_new"].set_index("day")["survival"]
    assert new.loc[0.0] == 1.0
    assert new.iloc[-1] == pytest.approx(0.5, abs=0.01)
    assert curves["ci_low"].isna().all()


def test_missed_sightings_do_not_lower_the_corrected_survival():
    lives = pd.DataFrame({"seen_at_end": [1.0] * 72 + [0.0] * 28})
    assert corrected_share(lives, 0.1) == pytest.approx(0.8)
    assert np.isnan(corrected_share(lives.iloc[:0], 0.1))


# the machine's mistakes


def doubtful(lives, p_present=None, p_link=None):
    tracks = tracks_of(lives)
    frame = tracks.frame.sort_values(["track_id", "session"]).reset_index(drop=True)
    if p_present is not None:
        frame["p_present"] = np.array(p_present, float).ravel()
    if p_link is not None:
        frame["p_link"] = np.array(p_link, float).ravel()
    return histories(Tracks(frame), 0)[0]


def alone(h):
    return Doubt(np.full(h.told.shape, ALONE))


def test_what_is_certain_is_drawn_as_it_is():
    h = doubtful({1: "110", 2: "011"}, [[1, 1, 0], [0, 1, 1]], [[np.nan, 1, np.nan]] * 2)
    drawn = draw(h, alone(h), 0, np.random.default_rng(0))
    assert (drawn.seen == h.seen).all()


def test_sightings_come_and_go_as_often_as_their_probability_says():
    h = doubtful({1: "10"}, [[0.8, 0.3]])
    rng = np.random.default_rng(0)
    drawn = np.array([draw(h, alone(h), 0, rng).seen[0] for _ in range(2000)])
    assert drawn.mean(axis=0) == pytest.approx([0.8, 0.3], abs=0.03)


def test_a_wrong_link_makes_one_lost_and_one_new():
    h = doubtful({1: "11"}, p_link=[[np.nan, 0.0]])
    drawn = draw(h, alone(h), 0, np.random.default_rng(0))
    assert drawn.seen.tolist() == [[1, 0], [0, 1]]


def test_links_of_one_slip_group_fail_together():
    h = doubtful({1: "11", 2: "11", 3: "11"}, p_link=[[np.nan, 0.5]] * 3)
    slip = Doubt(np.array([[ALONE, 7]] * 3))
    rng = np.random.default_rng(0)
    sizes = {len(draw(h, slip, 0, rng).track_ids) for _ in range(100)}
    assert sizes == {3, 6}


def test_a_rival_takes_the_place_of_a_link_that_was_cut():
    h = doubtful({1: "11", 2: "11"}, p_link=[[np.nan, 0.0], [np.nan, 1.0]])
    rivals = (Rival(a=0, ta=0, b=0, tb=1, p=1.0),)
    drawn = draw(h, Doubt(np.full((2, 2), ALONE), rivals), 0, np.random.default_rng(0))
    assert drawn.seen.tolist() == [[1, 1], [1, 1]]


def test_intervals_of_draws_hold_both_parts():
    rng = np.random.default_rng(0)
    same = combine(np.full(50, 0.2), np.full(50, 0.01**2), 5)
    low, high = stats.t.interval(0.95, 4, 0.2, 0.01)
    assert (same.low, same.high) == (pytest.approx(low), pytest.approx(high))
    wide = combine(rng.normal(0.2, 0.05, 50), np.full(50, 0.01**2), 5)
    assert wide.high - wide.low > same.high - same.low
    assert wide.machine_low < 0.2 < wide.machine_high


def test_without_probabilities_the_machines_columns_are_blank():
    stats_ = analyze(tracks_of({1: "11", 2: "01", 3: "10"}), FAST).statistics
    assert stats_["machine_low"].isna().all()


# quality


def cover(**snr):
    rows = [
        {"animal": "m1", "region": "r1", "session": int(k[1:]), "snr": v, "usable": True}
        for k, v in snr.items()
    ]
    return COVERAGE.frame(rows)


def test_a_session_that_missed_many_is_named():
    lives = dict.fromkeys(range(30), "11111") | dict.fromkeys(range(30, 40), "11011")
    verdict = judge_quality([one(lives)], None, 0).verdict
    assert "session 2 of m1" in verdict
    assert "Do not believe" in verdict


def test_misses_side_by_side_are_named_and_scattered_ones_are_not():
    together = {k: "101" if 40 <= k < 46 else "111" for k in range(300)}
    apart = {k: "101" if k % 60 == 0 else "111" for k in range(300)}
    assert "side by side" in judge_quality([one(together)], None, 0).verdict
    assert "No reason" in judge_quality([one(apart)], None, 0).verdict


def test_uneven_snr_and_slips_are_named():
    h = [one(dict.fromkeys(range(30), "111"))]
    assert "SNR" in judge_quality(h, cover(s0=20.0, s1=5.0), 0).verdict
    slipped = cover(s0=20.0, s1=20.0).assign(slip_ambiguous=True)
    assert "shifted by one spine" in judge_quality(h, slipped, 0).verdict
    assert "No reason" in judge_quality(h, cover(s0=20.0, s1=20.0), 0).verdict


# cohorts


def test_the_simulated_doubt_is_calibrated():
    config = CohortConfig(animals=4, miss_rate=0.1, link_error=0.0, animal_log_sd=0.0)
    cohort = simulate_cohort(config, "a", np.random.default_rng(0))
    keys = ["animal", "dendrite_id", "arc_length_um", "session"]
    both = cohort.observed.frame.merge(cohort.true.frame, on=keys, suffixes=("", "_true"))
    missed = both[both["presence"] == "absent"]
    truly = (missed["presence_true"] == "present").to_numpy()
    assert truly.mean() == pytest.approx(missed["p_present"].mean(), abs=0.03)


def test_drawn_histories_bring_the_formation_back_to_the_truth():
    config = CohortConfig(animals=6, miss_rate=0.08, animal_log_sd=0.0)
    cohort = simulate_cohort(config, "a", np.random.default_rng(1))
    rows = analyze(cohort.observed, FAST).statistics.set_index("name").loc["formation"]
    true = analyze(cohort.true, FAST).statistics.set_index("name").loc["formation", "estimate"]
    assert rows["estimate"] > rows["machine_high"] > rows["machine_low"]
    assert rows["ci_low"] < true < rows["ci_high"]


def fu_segment(kind, start, animal, group, first_track):
    """E NN E (a pair), E NNN E (a triplet), E N E (alone): one stretch of a dendrite."""
    letters = {"pair": "ENNE", "triplet": "ENNNE", "alone": "ENE"}[kind]
    rows = {first_track + i: "11" if c == "E" else "01" for i, c in enumerate(letters)}
    arcs = {k: start + 2.0 * i for i, k in enumerate(rows)}
    return tracks_of(rows, arcs, days=(0.0, 4.0), animal=animal, group=group).frame


def fu_group(group, animals):
    """One (pairs, triplets, alone) per animal."""
    parts = []
    for a, (pairs, triplets, alone_) in enumerate(animals):
        kinds = ["pair"] * pairs + ["triplet"] * triplets + ["alone"] * alone_
        parts += [
            fu_segment(kind, 20.0 * i, f"{group}{a}", group, 10 * i) for i, kind in enumerate(kinds)
        ]
    return pd.concat(parts, ignore_index=True)


def test_a_cohort_with_the_published_counts():
    """Fu et al. 2012, text: 61 pairs and 2 triplets; clustered 32.5 % early, 6.8 % in controls,
    7.4 % late; means over animals."""
    early = [(13, 0, 54), (12, 1, 56), (12, 0, 50), (12, 1, 56), (12, 0, 50)]
    control = [(1, 0, 26), (1, 0, 28), (1, 0, 28), (1, 0, 27)]
    late = [(1, 0, 25), (1, 0, 25), (1, 0, 25), (1, 0, 25)]
    frame = pd.concat(
        [fu_group("early", early), fu_group("control", control), fu_group("late", late)]
    )
    found = analyze(Tracks(frame.reset_index(drop=True)), FAST)
    stats_ = found.statistics[found.statistics["group_b"] == ""].set_index(["name", "group"])
    share = stats_.loc["clustered_fraction_contiguous", "estimate"]
    assert share["early"] == pytest.approx(0.325, abs=0.003)
    assert share["control"] == pytest.approx(0.068, abs=0.003)
    assert share["late"] == pytest.approx(0.074, abs=0.0005)
    sizes = found.clusters[
        (found.clusters["group"] == "early") & (found.clusters["rule"] == "contiguous")
    ]["size"].value_counts()
    assert sizes.to_dict() == {2: 61, 3: 2}
    assert stats_.loc[("cluster_count_contiguous", "early"), "estimate"] == 63
    assert stats_.loc[("cluster_pairs_share", "early"), "estimate"] == pytest.approx(61 / 63)
    stats_ = found.statistics.set_index(["name", "group", "group_b"])
    row = stats_.loc[("clustered_fraction_contiguous", "control", "early")]
    assert row["estimate"] < 0
    assert row["p_value"] < 0.05


@given(st.permutations(range(6)), st.floats(-50, 50))
@settings(max_examples=4, deadline=None)
def test_names_and_shifts_change_no_number(order, shift):
    cohort = simulate_cohort(
        CohortConfig(animals=2, dendrites=2), "a", np.random.default_rng(5)
    ).observed
    frame = cohort.frame.copy()
    frame["track_id"] = frame["track_id"] * 7 + order[0]
    frame["arc_length_um"] += shift
    columns = ["name", "estimate"]
    one_way, other = (analyze(t, FAST).statistics[columns] for t in (cohort, Tracks(frame)))
    pd.testing.assert_frame_equal(one_way, other, rtol=1e-6)


def test_animals_counted_twice_narrow_the_interval_and_move_nothing():
    cohort = simulate_cohort(CohortConfig(animals=3), "a", np.random.default_rng(2)).observed
    twin = cohort.frame.assign(animal=cohort.frame["animal"] + "b")
    twice = Tracks(pd.concat([cohort.frame, twin], ignore_index=True))
    rows = [analyze(t, FAST).statistics.set_index("name").loc["formation"] for t in (cohort, twice)]
    assert rows[0]["estimate"] == pytest.approx(rows[1]["estimate"])
    width = [r["sampling_high"] - r["sampling_low"] for r in rows]
    assert width[1] < width[0]


def test_evidence_fills_density_and_strength():
    tracks = tracks_of({1: "11", 2: "01", 3: "11"})
    spans = [
        {"animal": "m1", "region": "r1", "session": t, "start_um": 0, "end_um": 10} for t in (0, 1)
    ]
    coverage = COVERAGE.frame([s | {"usable": True, "snr": 20.0} for s in spans])
    rows = [(1, 0, 2.0), (1, 1, 2.0), (2, 1, 1.0), (3, 0, 1.0), (3, 1, 1.0)]
    spines = SPINES.frame(
        [
            {"animal": "m1", "region": "r1", "track_id": k, "session": t, "strength": s}
            for k, t, s in rows
        ]
    )
    found = analyze(tracks, FAST, Evidence(coverage=coverage, spines=spines)).statistics
    stats_ = found.set_index("name")
    assert stats_.loc["density_per_um", "estimate"] == pytest.approx(5 / 20)
    assert "no first spine" in stats_.loc["strength_change_first", "test"]


# all sightings of a spine together


def test_a_faint_sighting_between_two_sure_ones_was_there():
    sure, faint = 1e9, 0.3
    together = presence(np.array([[sure, faint, sure], [0.02, faint, 0.02]]), 0.05, 0.05, 0.5)
    assert together[0].min() > 0.99
    assert together[1, 1] < 0.1


def test_what_nobody_looked_at_follows_its_neighbours():
    together = presence(np.array([[1e9, np.nan, 1e9], [1e9, np.nan, 1e-9]]), 0.05, 0.05, 0.5)
    assert together[0, 1] == pytest.approx(1)
    assert together[1, 1] == pytest.approx(0.5, abs=0.05)


# planning


def test_power_of_a_textbook_difference():
    """Two groups of 20, one standard deviation apart: a t test has 0.87."""
    rng = np.random.default_rng(0)
    pools = [rng.normal(1, 1, 4000), rng.normal(0, 1, 4000)]
    assert power_of(pools, 20, 800, rng) == pytest.approx(0.87, abs=0.05)
    assert power_of([pools[1], pools[1]], 8, 2000, rng) < 0.07


def test_a_plan_is_printed(capsys):
    how = ["--dendrites", "[3]", "--most_animals", "5", "--pool", "6", "--studies", "50"]
    assert main(["power", *how]) == DONE
    assert "3 dendrites per animal" in capsys.readouterr().out


# K on a network


def scattered(tree, n, rng):
    along = rng.uniform(0, tree.total_um, n)
    ends = np.cumsum(tree.length_um)
    edge = np.searchsorted(ends, along)
    return edge, along - (ends - tree.length_um)[edge]


@pytest.mark.parametrize(
    "tree",
    [
        segment(60.0),
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
    found = network_k(segment(60.0), np.zeros(len(arc), int), arc, np.array([2.0]))
    # six pairs, seen from either side, half a weight each: as many places lie on the other side
    assert found.tolist() == [[pytest.approx(6.0), pytest.approx(12 * 11 / 60)]]


# traps


def cohort_frame(lives, **more):
    return Tracks(tracks_of(lives, **more).frame)


def classes(lives, **more):
    """Class at the landmark (day 4) of the tracks with days 0, 2, 4, 8, 16."""
    h = one(lives, days=(0.0, 2, 4, 8, 16), **more)
    lives_ = follow([h], FAST).lives
    return sorted(lives_.loc[lives_["class"] != "stable", "class"])


def test_what_comes_after_the_landmark_makes_no_class():
    """Two new spines with an old one between them at day 4; it is lost later."""
    between = {1: "00111", 2: "11110", 3: "00111"}
    assert classes(between) == ["non_clustered", "non_clustered"]
    assert classes({1: "00111", 2: "11000", 3: "00111"}) == ["clustered", "clustered"]


def test_two_that_cannot_be_told_apart_are_no_cluster_at_the_landmark():
    late = {1: "00111", 2: "00111", 3: "00011"}
    assert classes(late, arcs={1: 1.0, 2: 1.3, 3: 3.0}) == ["non_clustered"] * 2


def test_the_landmark_is_a_day_not_a_duration():
    h = one({1: "0111", 2: "1111"}, days=(-4.0, 0, 4, 16))
    assert follow([h], FAST).periods["to_days"].max() == 12


def test_a_lost_and_a_new_spine_may_have_been_one():
    h = doubtful({1: "10", 2: "01"})
    doubt = Doubt(np.full((2, 2), ALONE), (Rival(a=0, ta=0, b=1, tb=1, p=1.0),))
    assert draw(h, doubt, 0, np.random.default_rng(0)).seen.tolist() == [[1, 1]]


def test_an_unsure_spine_is_there_or_not_in_all_sessions_alike():
    h = doubtful({1: "111"}, [[0.6, 0.6, 0.6]])
    rng = np.random.default_rng(0)
    drawn = np.array([draw(h, alone(h), 0, rng).seen[0] for _ in range(500)])
    assert set(drawn.sum(axis=1)) == {0, 3}


def test_a_blank_kind_does_not_hide_a_filopodium():
    frame = tracks_of({1: "11", 2: "01", 3: "11"}).frame
    new = frame["track_id"] == 2
    frame["kind"] = np.where(new & (frame["presence"] == "present"), "filopodium", "")
    for order in (1, -1):
        (h,) = histories(Tracks(frame[::order].reset_index(drop=True)), 1)
        assert h.filopodium.tolist() == [False, True, False]


def test_dispersion_of_new_spines_is_one_by_chance_in_the_row():
    cohort = simulate_cohort(CohortConfig(animals=20), "a", np.random.default_rng(3)).observed
    row = analyze(cohort, FAST).statistics.set_index("name").loc["new_per_dendrite_dispersion"]
    assert row["estimate"] == pytest.approx(row["null_mean"], abs=0.25)
    assert 0.01 < row["p_value"] < 0.99


def test_two_sessions_cannot_vouch_for_themselves():
    assert "cannot be told" in judge_quality([one({1: "11", 2: "01"})], None, 0).verdict


def test_a_ratio_of_classes_never_seen_together_is_not_settled():
    columns = ["spine", "exposed", "from_days", "to_days", "lost"]
    rows = [(k, 1, 0.0, 4.0, k % 2 == 0) for k in range(10)]
    rows += [(10 + k, 0, 0.0, 5.0, k % 2 == 0) for k in range(10)]
    periods = pd.DataFrame(rows, columns=columns)
    assert np.isnan(log_hazard_ratio(periods, periods["exposed"].to_numpy(float)))


def test_holes_in_the_coverage_are_no_room_for_spines():
    h = one({1: "11", 2: "11"}, arcs={1: 5.0, 2: 45.0})
    spans = [(0.0, 20.0), (40.0, 60.0), (15.0, 20.0)]
    rows = [
        {"animal": "m1", "region": "r1", "session": 0, "start_um": a, "end_um": b, "usable": True}
        for a, b in spans
    ]
    assert scorable(h, COVERAGE.frame(rows)).tolist() == [[0.0, 20.0], [40.0, 60.0]]


def test_a_stable_spine_at_the_same_place_is_near():
    arcs = {1: 0.0, 2: 4.0, 3: 4.0, 4: 10.0}
    places = flanked([one({1: "11", 2: "11", 3: "01", 4: "11"}, arcs=arcs)], FAST)
    assert places.frame["near_um"].tolist() == [0.0]


def test_curves_of_one_animal_have_no_band():
    lives = {1: "01110", 2: "01111", 3: "11111"}
    curves = analyze(tracks_of(lives, days=(0.0, 2, 4, 8, 16)), FAST).survival
    assert curves["ci_low"].isna().all()


def test_an_animal_that_lost_everything_was_looked_at_like_the_others():
    days = (0.0, 4, 8, 12)
    parts = [
        tracks_of({1: life, 2: "1111"}, days=days, animal=name).frame
        for name, life in (("a", "0100"), ("b", "0111"))
    ]
    hs = histories(Tracks(pd.concat(parts, ignore_index=True)), 1)
    assert not follow(hs, FAST).uneven


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


def test_so_few_animals_cannot_be_planned(capsys):
    assert main(["power", "--most_animals", "3"]) == BAD_INPUT
    assert "at least 4 animals" in capsys.readouterr().err
