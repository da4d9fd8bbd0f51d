"""Whole studies: cohorts with a known truth, the published counts, names that change nothing."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spinenet.analyze.states import histories
from spinenet.analyze.summary import Evidence, analyze
from spinenet.config import (
    AnalyzeConfig,
    CohortConfig,
    InferConfig,
    MatchConfig,
    SegmentConfig,
)
from spinenet.report.figures import Strip, as_bytes, as_pages, dendrite_map
from spinenet.report.methods import analysis_methods, linking_methods
from spinenet.report.study import cluster_sizes, clustering, rates, straight_map
from spinenet.report.study import survival as survival_figure
from spinenet.synthetic.cohort import simulate_cohort
from spinenet.tables import CLUSTERS, COVERAGE, SPINES, STATES, SURVIVAL
from spinenet.types import Tracks
from tests.conftest import tracks_of

FAST = AnalyzeConfig(n_shuffles=400, n_draws=20)


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


def test_clustered_spines_that_are_protected_persist_longer():
    """Row 9 of the paper's findings: the direction alone."""
    config = CohortConfig(animals=8, clustered_share=0.6, protection=4.0, new_loss=0.3)
    cohort = simulate_cohort(config, "a", np.random.default_rng(8)).true
    rows = analyze(cohort, FAST).statistics.set_index("name")
    assert rows.loc["hazard_ratio_clustered", "estimate"] < 1
    kinds = [rows.loc[f"survival_{k}", "estimate"] for k in ("clustered", "non_clustered")]
    assert kinds[0] > kinds[1]


def test_clusters_come_with_repetition_of_one_task_alone():
    """Row 10: the group with planted clusters against the one in which new spines are as many."""
    parts = [
        simulate_cohort(
            CohortConfig(animals=6, clustered_share=s), g, np.random.default_rng(9)
        ).true
        for g, s in (("same", 0.6), ("other", 0.0))
    ]
    both = Tracks(pd.concat([p.frame for p in parts], ignore_index=True))
    rows = analyze(both, FAST).statistics.set_index(["name", "group", "group_b"])
    row = rows.loc[("clustered_excess_contiguous", "other", "same")]
    assert row["estimate"] < 0
    assert row["p_value"] < 0.05


def stretches(*new):
    """Four animals of five dendrites: stable spines 10 um apart, a pair born one session apart
    between them at these places."""
    arcs = (0.0, *new, 10.0)
    frames = []
    for animal in "abcd":
        for d in range(5):
            lives = dict(
                zip(range(4 * d, 4 * d + 4), ("1111", "0111", "0011", "1111"), strict=True)
            )
            at = dict(zip(lives, arcs, strict=True))
            frames.append(tracks_of(lives, at, animal=animal, dendrite_id=d).frame)
    return Tracks(pd.concat(frames, ignore_index=True))


def test_new_spines_that_keep_away_and_succedent_ones_that_do_not():
    """Rows 12 and 13: u' above 1/2 is away from stable spines, succedent ones nearer than chance."""
    away = analyze(stretches(4.5, 5.5), FAST).statistics.set_index("name")
    assert away.loc["spacing_u", "estimate"] > 0.5
    assert away.loc["spacing_u", "p_value"] < 0.05
    near = analyze(stretches(5.0, 9.2), FAST).statistics.set_index("name")
    row = near.loc["spacing_near_um_succedent"]
    assert row["estimate"] < row["null_mean"]
    assert row["p_value"] < 0.05


@pytest.mark.parametrize("scale", [500.0, 1.0, 0.01])
def test_pictures_of_dendrites_are_bright_whatever_the_units(scale):
    picture = (scale * np.random.default_rng(0).random((10, 40))).astype(np.float32)
    strip = Strip(0, 0.0, picture, np.linspace(0, 20, 40), 2.0)
    tracks = tracks_of({1: "1"})
    spines = SPINES.frame([{"session": 0, "track_id": 1, "side_um": 1.0}])
    figure = dendrite_map([strip], tracks.frame, spines, {1: "stable"})
    low, high = figure.axes[0].images[0].get_clim()
    assert high == pytest.approx(0.99 * scale, rel=0.05)
    assert low < 0.3 * scale


def test_the_methods_say_what_was_set():
    usual, other = (
        InferConfig(),
        InferConfig(
            segment=SegmentConfig(views=4),
            match=MatchConfig(lookback_share=0.3, least_power=0.5, min_link_p=0.05, gate_um=3.0),
            analyze=AnalyzeConfig(persist_days=10.0, window=(3.0, 9.0)),
        ),
    )
    told = [
        " ".join(
            linking_methods("1.0", p, "by place", config, marked=False)
            + analysis_methods(config.analyze, n_groups, ends_known=known)
        )
        for config, p, known, n_groups in ((usual, 0.4, True, 1), (other, 0.15, False, 2))
    ]
    for text in (
        "of 0.15 or more", "mean over 4 mirror images", "from 0.3 of that threshold",
        "a probability of 0.5 or more", "a probability of 0.05 or more", "within 3 um along",
        "over 10 days or more", "sessions of days 3 to 9", "none is corrected for the number",
    ):  # fmt: skip
        assert text in told[1]
        assert text not in told[0]
    every_look = InferConfig(match=MatchConfig(least_power=0.0))
    (told_absent, _) = linking_methods("1.0", 0.4, "by place", every_look, marked=False)
    assert "it counts as absent where its place could be scored" in told_absent
    assert "without those within 1 um of the end" in told[0]
    assert "of the end of what could be scored" not in told[1]


def test_without_draws_the_methods_tell_of_none():
    told = [analysis_methods(AnalyzeConfig(n_draws=n), 1, ends_known=True)[1] for n in (50, 1)]
    assert "50 histories were drawn" in told[0]
    assert "histories" not in told[1]


def test_the_map_tells_what_nobody_could_score_from_what_was_not_imaged():
    """As its legend says: ? and a cross."""
    tracks = tracks_of({1: "1?o"})
    (axis,) = straight_map(tracks.frame, STATES.frame(), CLUSTERS.frame()).axes
    at = {
        line.get_marker(): line.get_ydata()[0]
        for line in axis.lines
        if line.get_marker() in ("$?$", "x")
    }
    assert at == {"$?$": 1, "x": 2}


def test_numbers_at_risk_do_not_run_together():
    days = [0.0, 9.0, 10.0, 20.0, 40.0]
    rows = [{"class": "clustered", "day": d, "at_risk": 30, "survival": 1.0} for d in days]
    (axis,) = survival_figure(SURVIVAL.frame(rows)).axes
    assert [t.get_position()[0] for t in axis.texts if t.get_text() == "30"] == [40, 20, 10, 0]


def test_markers_lie_on_their_spines_where_the_tissue_stretched():
    """Half of the dendrite is drawn out to twice its length: a bright head at 20 um of 30."""
    s = np.r_[np.arange(0, 10, 0.1), np.arange(10, 30, 0.2)]
    picture = np.zeros((11, len(s)), np.float32)
    picture[8, np.argmin(np.abs(s - 20))] = 100
    figure = dendrite_map(
        [Strip(0, 0.0, picture, s, 2.0)],
        tracks_of({1: "1"}).frame.assign(arc_length_um=20.0),
        SPINES.frame([{"session": 0, "track_id": 1, "side_um": 1.2}]),
        {1: "stable"},
    )
    shown, start, end = (
        figure.axes[0].images[0].get_array(),
        *figure.axes[0].images[0].get_extent()[:2],
    )
    columns = np.flatnonzero(np.asarray(shown)[8] > 0)
    at = start + (columns + 0.5) * (end - start) / shown.shape[1]
    (marker,) = figure.axes[0].lines
    assert len(at)
    assert np.abs(at - marker.get_xdata()[0]).max() < 0.2


def test_a_first_spine_grows_as_the_second_arrives():
    """Row 11: doubled beside others of its age that stay as they are."""
    lives = {1: "1111", 2: "0111", 3: "0011", 4: "1111", 5: "0111", 6: "1111"}
    size = {2: (1, 2, 2), 5: (1, 1, 1), 3: (1, 1)}
    parts, spines = [], []
    for name in "abcd":
        parts.append(tracks_of(lives, animal=name).frame)
        spines += [
            {"animal": name, "region": "r1", "track_id": k, "session": t, "strength": float(v)}
            for k, of in size.items()
            for t, v in zip(range(4 - len(of), 4), of, strict=True)
        ]
    tracks = Tracks(pd.concat(parts, ignore_index=True))
    found = analyze(tracks, FAST, Evidence(spines=SPINES.frame(spines))).statistics
    row = found.set_index("name").loc["strength_change_first"]
    assert row["estimate"] == pytest.approx(np.log(2))
    assert row["estimate"] > row["null_mean"] == pytest.approx(np.log(2) / 2, abs=0.05)


@given(st.permutations(range(6)), st.floats(-50, 50))
@settings(max_examples=4)
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


def test_a_blank_kind_does_not_hide_a_filopodium():
    frame = tracks_of({1: "11", 2: "01", 3: "11"}).frame
    new = frame["track_id"] == 2
    frame["kind"] = np.where(new & (frame["presence"] == "present"), "filopodium", "")
    for order in (1, -1):
        (h,) = histories(Tracks(frame[::order].reset_index(drop=True)), 1)
        assert h.filopodium.tolist() == [False, True, False]


@pytest.mark.drawn
@pytest.mark.parametrize("names", [("$5 mg$", "$x_$"), ("_before", "_after")])
def test_names_are_drawn_as_they_stand(names):
    """No formulas, and none left out of the legend."""
    config = CohortConfig(animals=2, clustered_share=0.6, formation=0.3)
    parts = [simulate_cohort(config, g, np.random.default_rng(3)).true.frame for g in names]
    tracks = Tracks(pd.concat(parts, ignore_index=True))
    found = analyze(tracks, FAST)
    lines = rates(found.intervals)
    legend = [text.get_text() for text in lines.axes[1].get_legend().get_texts()]
    assert [text.strip().replace(r"\$", "$") for text in legend] == sorted(names)
    for figure in (lines, clustering(found), cluster_sizes(found.clusters)):
        assert as_bytes(figure, "png")
    assert as_pages({names[0]: lines})
