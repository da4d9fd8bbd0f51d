"""States, turnover, clusters, null and survival on histories that can be read as strings."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spinenet.analyze.clusters import count_sites, find_clusters
from spinenet.analyze.lives import shares, states
from spinenet.analyze.nulls import clustered, expected_contiguous, shuffled_counts
from spinenet.analyze.rows import p_value
from spinenet.analyze.states import births, fill_gaps, histories, miss_counts
from spinenet.analyze.stretches import stretches_of
from spinenet.analyze.summary import analyze
from spinenet.analyze.survival import follow, survival
from spinenet.analyze.turnover import intervals
from spinenet.config import AnalyzeConfig
from spinenet.tables import COVERAGE
from spinenet.types import InputError, Tracks
from tests.conftest import one, tracks_of

FAST = AnalyzeConfig(n_shuffles=500)


def counts(rows):
    frame = intervals([one(rows)], None)
    mine = frame[frame["level"] == "dendrite"]
    return mine[["n_before", "n_after", "n_new", "n_lost", "n_stable"]].to_numpy().tolist()


def test_new_stable_lost():
    assert counts({1: "11", 2: "01", 3: "10"}) == [[2, 2, 1, 1, 1]]


@pytest.mark.parametrize("life", ["o1", "?1", "1o", "1?", "oo"])
def test_unknown_is_neither_new_nor_lost(life):
    assert counts({1: "11", 2: life}) == [[1, 1, 0, 0, 1]]


def test_a_single_absence_between_two_sightings_is_filled():
    assert counts({1: "101"}) == [[1, 1, 0, 0, 1], [1, 1, 0, 0, 1]]


def test_a_spine_back_after_a_longer_gap_was_lost_once_and_is_not_new():
    assert counts({1: "1001", 2: "1111"}) == [[2, 1, 0, 1, 1], [1, 1, 0, 0, 1], [1, 2, 0, 0, 1]]


def test_hidden_spines_are_neither_new_nor_neighbours():
    tracks = tracks_of({1: "11", 2: "01", 3: "01", 4: "01"}, {1: 1, 2: 4, 3: 5, 4: 6})
    hidden = Tracks(tracks.frame.assign(hidden=tracks.frame["track_id"] == 3))
    all_of_them, (h,) = histories(tracks, 1), histories(hidden, 1)
    assert [len(all_of_them[0].track_ids), h.track_ids.tolist()] == [4, [1, 2, 4]]
    (cluster,) = find_clusters(h, "contiguous", FAST)
    assert sorted(h.track_ids[list(cluster.members)].tolist()) == [2, 4]


def test_a_sighting_lent_by_other_sessions_is_a_miss_of_its_own():
    tracks = tracks_of({1: "111", 2: "111"})
    second = tracks.frame["session"] == tracks.frame["session"].unique()[1]
    lent = tracks.frame.assign(between=second & (tracks.frame["track_id"] == 1))
    (h,) = histories(Tracks(lent), 1)
    assert miss_counts(h) == (1, 1)
    assert (h.seen == 1).all()


def test_gaps_and_births():
    seen = np.array([[1, 0, 1], [0, 1, 1], [-1, 1, 1], [-1, 0, 1]], np.int8)
    assert fill_gaps(seen, 1)[0].tolist() == [1, 1, 1]
    assert fill_gaps(seen, 0)[0].tolist() == [1, 0, 1]
    assert births(fill_gaps(seen, 1)).tolist() == [-1, 1, -1, 2]


def test_rates_and_density_by_hand():
    cover = COVERAGE.frame(
        [
            {
                "animal": "m1",
                "region": "r1",
                "session": t,
                "start_um": 0.0,
                "end_um": e,
                "usable": True,
            }
            for t, e in ((0, 10.0), (1, 8.0))
        ]
    )
    row = intervals([one({1: "11", 2: "11", 3: "10", 4: "01"})], stretches_of(cover)).iloc[0]
    assert (row["formation"], row["elimination"]) == (1 / 3, 1 / 3)
    assert row["turnover_ratio"] == 2 / 6
    assert (row["scorable_um"], row["density_per_um"]) == (8, 3 / 8)


def test_animals_imaged_at_other_hours_share_a_group_row():
    days = {"a": (0.0, 3.98), "b": (0.0, 4.02)}
    parts = [tracks_of({1: "11", 2: "01"}, animal=a, days=d).frame for a, d in days.items()]
    frame = intervals(histories(Tracks(pd.concat(parts, ignore_index=True)), 1), None)
    (row,) = frame[frame["level"] == "group"].to_dict("records")
    assert (row["n_before"], row["n_new"]) == (2, 2)
    assert row["day_to"] == pytest.approx(4.0)


def test_no_spines_is_nan_not_zero():
    row = intervals([one({1: "00"})], None).iloc[0]
    assert np.isnan([row["formation"], row["turnover_ratio"], row["density_per_um"]]).all()


def test_miss_rate_counts_101():
    assert miss_counts(one({1: "101", 2: "111", 3: "111", 4: "110"})) == (1, 2)


# E = existing, N = new; arc lengths 1, 2, 3, ...
def row_of(letters):
    return {i: "11" if c == "E" else "01" for i, c in enumerate(letters, 1)}


@pytest.mark.parametrize(
    ("letters", "found"),
    [
        ("ENNENE", [(2, 3)]),
        ("ENENE", []),
        ("NNN", [(1, 2, 3)]),
        ("EE", []),
        ("NNENN", [(1, 2), (4, 5)]),
    ],
)
def test_contiguous_clusters(letters, found):
    h = one(row_of(letters))
    got = [tuple(h.track_ids[list(c.members)]) for c in find_clusters(h, "contiguous", FAST)]
    assert got == found


def test_within_d_chains_over_existing_spines():
    arcs = dict(zip(range(1, 7), [0.0, 1, 2, 3, 6, 9], strict=True))
    h = one(row_of("ENNEN" + "E"), arcs=arcs)
    (cluster,) = find_clusters(h, "within_d", FAST)
    assert h.arc_um[list(cluster.members)].tolist() == [1, 2, 6]
    assert cluster.n_existing_between == 1


def test_unresolved_neighbours_are_one_site():
    arcs = {1: 0.0, 2: 0.3, 3: 5.0}
    assert not find_clusters(one(row_of("NNE"), arcs=arcs), "contiguous", FAST)
    (cluster,) = find_clusters(one(row_of("NNN"), arcs=arcs), "contiguous", FAST)
    assert (cluster.n_sites, cluster.resolution_limited) == (2, True)
    assert count_sites(np.array([0.0, 0.3, 5.0]), 0.5) == 2


def test_a_limit_is_met_whatever_the_last_digit_of_a_difference():
    """8.3 - 3.3 is a hair more than 5, 5.3 - 5 a hair less than 0.3."""
    assert 8.3 - 3.3 > 5
    for at in (0.0, 3.3):
        arcs = {1: at, 2: at + 2, 3: round(at + 5, 1)}
        assert find_clusters(one(row_of("NEN"), arcs=arcs), "within_d", FAST), at
    assert count_sites(np.array([5.0, 5.3]), 0.3) == 2


def test_members_must_coexist():
    assert not find_clusters(one({1: "0100", 2: "0001", 3: "1111"}), "contiguous", FAST)
    assert find_clusters(one({1: "0110", 2: "0011", 3: "1111"}), "contiguous", FAST)


@pytest.mark.parametrize(
    ("life", "state"),
    [
        ("1111", "stable"),
        ("?111", "stable"),
        ("1011", "stable"),
        ("1100", "lost"),
        ("0100", "transient"),
        ("0?10", "transient"),
        ("0111", "persistent"),
        ("0110", "new"),
        ("0001", "new"),
        ("010?", "transient"),
        ("01??", "new"),
        ("1001", "recurrent"),
    ],
)
def test_what_became_of_a_spine(life, state):
    """Sessions two days apart; persistent is what was there over four days."""
    assert states(one({1: life, 2: "1111"}), FAST)[0] == state


def test_shares_by_hand():
    """Of four new spines two are transient; of the two that formed early enough to be followed over
    four days one persists; of two at the start, a third out of sight at the end, one is left.
    """
    lives = {1: "0100", 2: "0111", 3: "0010", 4: "1111", 5: "1100", 6: "111?", 7: "0011"}
    found = shares(one(lives), FAST)
    assert found == {
        "transient_share": (2, 4),
        "persistent_share": (1, 2),
        "survival_fraction": (1, 2),
    }
    # of the two born on day 2 one was seen once only, the other over four days
    early = shares(one(lives), replace(FAST, window=(1.0, 3.0)))
    assert (early["transient_share"], early["persistent_share"]) == ((1, 2), (1, 2))


def test_a_spine_that_came_back_is_new_no_more():
    h = one({1: "01001", 2: "00001", 3: "11111"}, arcs={1: 4.0, 2: 5.0, 3: 9.0})
    assert not find_clusters(h, "contiguous", FAST)
    assert not find_clusters(h, "within_d", FAST)
    assert clustered(h, FAST) == {"contiguous": 0, "within_d": 0}


def test_a_filopodium_neither_joins_nor_breaks_a_contiguous_cluster():
    tracks = tracks_of(row_of("NEN"))
    tracks.frame.loc[tracks.frame["track_id"] == 2, "kind"] = "filopodium"
    (h,) = histories(tracks, 1)
    assert len(find_clusters(h, "contiguous", FAST)) == 1


def test_the_window_is_in_days():
    h = one({1: "011", 2: "001", 3: "111"})
    assert find_clusters(h, "contiguous", FAST)
    assert not find_clusters(h, "contiguous", AnalyzeConfig(window=(1.0, 2.0)))


@pytest.mark.parametrize(
    ("n", "k", "expected"),
    [(24, 2, 0.0833), (24, 3, 0.163), (40, 4, 0.1462), (100, 5, 0.0788), (200, 36, 0.320)],
)
def test_closed_form_of_the_label_null(n, k, expected):
    assert expected_contiguous(n, k) == pytest.approx(expected, abs=6e-4)


@pytest.mark.parametrize(("n", "k"), [(24, 2), (24, 5), (40, 4)])
def test_shuffles_agree_with_the_closed_form(n, k):
    h = one(row_of("N" * k + "E" * (n - k)))
    config = AnalyzeConfig(n_shuffles=20_000)
    null = shuffled_counts(h, config, np.random.default_rng(0))["contiguous"] / k
    error = null.std() / np.sqrt(len(null))
    assert abs(null.mean() - expected_contiguous(n, k)) < 4 * error + 1e-12


@given(st.text("EN", min_size=2, max_size=12))
@settings(max_examples=60)
def test_reversing_the_dendrite_changes_nothing(letters):
    size = [len(c.members) for c in find_clusters(one(row_of(letters)), "contiguous", FAST)]
    back = [len(c.members) for c in find_clusters(one(row_of(letters[::-1])), "contiguous", FAST)]
    assert sorted(size) == sorted(back)


@given(
    st.lists(st.sampled_from(["111", "011", "001", "010", "110", "101"]), min_size=2, max_size=9),
    st.lists(st.sampled_from([0.2, 0.3, 0.6, 2.0, 6.0]), min_size=9, max_size=9),
)
@settings(max_examples=150)
def test_counting_by_pairs_is_the_written_rule(lives, steps):
    arcs = dict(enumerate(np.cumsum(steps), 1))
    h = one(dict(enumerate(lives, 1)), arcs=arcs)
    for rule in ("contiguous", "within_d"):
        members = {i for c in find_clusters(h, rule, FAST) for i in c.members}
        assert clustered(h, FAST)[rule] == len(members)


def test_p_value_adds_one():
    assert p_value(5.0, np.zeros(99)) == 0.01
    assert p_value(0.0, np.zeros(99)) == 1.0


def test_survival_from_the_landmark():
    lives = {
        1: "01110",
        2: "01111",
        3: "11111",
        4: "11110",
        5: "00111",
        6: "11011",
        7: "0100" + "0",
    }
    days = (0.0, 2.0, 4.0, 8.0, 16.0)
    h = one(lives, days=days, arcs={1: 1, 2: 2, 3: 3, 4: 4, 5: 9, 6: 8, 7: 20})
    curves = survival(follow([h], FAST))
    last = curves.groupby("class").last()
    assert last.loc["clustered", "survival"] == 0.5
    assert last.loc["non_clustered", "survival"] == 1.0
    assert last.loc["stable", "survival"] == pytest.approx(2 / 3)
    assert last.loc["all_new", "survival"] == pytest.approx(2 / 3)


def test_nobody_to_follow_without_a_later_session():
    assert survival(follow([one({1: "01", 2: "11"})], FAST)).empty


def cohort(seed=0, animals=3):
    rng = np.random.default_rng(seed)
    parts = []
    for a in range(animals):
        lives = {
            i: rng.choice(["111", "011", "110", "001"], p=[0.7, 0.15, 0.1, 0.05]) for i in range(40)
        }
        parts.append(tracks_of(lives, animal=f"m{a}", days=(0.0, 4.0, 8.0)).frame)
    return Tracks(pd.concat(parts, ignore_index=True))


def test_statistics_name_what_a_lab_needs():
    names = set(analyze(cohort(), FAST).statistics["name"])
    assert {
        "formation",
        "elimination",
        "turnover_ratio",
        "density_per_um",
        "miss_rate_q",
        "clustered_fraction_contiguous",
        "clustered_fraction_within_d",
        "survival_clustered",
        "cluster_count_contiguous",
        "cluster_pairs_share",
        "survival_non_clustered",
    } <= names


def test_same_seed_same_numbers():
    pd.testing.assert_frame_equal(
        analyze(cohort(), FAST).statistics, analyze(cohort(), FAST).statistics
    )


def test_renaming_tracks_changes_no_number():
    tracks = cohort()
    other = Tracks(tracks.frame.assign(track_id=tracks.frame["track_id"] + 1000))
    columns = ["name", "estimate", "ci_low", "null_mean", "p_value"]
    pd.testing.assert_frame_equal(
        analyze(tracks, FAST).statistics[columns], analyze(other, FAST).statistics[columns]
    )


def test_an_unusable_session_is_bridged():
    assert counts({1: "1?1", 2: "1?0", 3: "0?1", 4: "1?1"}) == [[3, 3, 1, 1, 2]]


def test_an_unusable_session_makes_no_new_and_no_lost_spines():
    tracks = cohort()
    frame = tracks.frame.copy()
    frame.loc[frame["session"] == 1, "presence"] = "not_scorable"
    whole, less = (analyze(t, FAST).intervals for t in (tracks, Tracks(frame)))
    for name in ("n_new", "n_lost"):
        of = [s.loc[s["level"] == "dendrite", name].sum() for s in (whole, less)]
        assert of[1] <= of[0]


def test_one_animal_gives_no_interval_over_animals():
    rows = analyze(cohort(animals=1), FAST).statistics.set_index("name")
    assert np.isnan(rows.loc["formation", "ci_low"])
    assert "fewer than two animals" in rows.loc["formation", "test"]


def test_no_tracks_give_empty_tables():
    empty = analyze(Tracks(cohort().frame.iloc[:0]), FAST)
    assert empty.intervals.empty
    assert empty.statistics.empty


def test_faulty_tracks_are_explained():
    frame = cohort().frame
    with pytest.raises(InputError, match="presence 'yes' is not one of"):
        histories(Tracks(frame.assign(presence="yes")), 1)
    with pytest.raises(InputError, match="in several groups"):
        histories(Tracks(frame.assign(group=np.where(frame["session"] > 0, "a", "b"))), 1)
    with pytest.raises(InputError, match="do not increase"):
        histories(Tracks(frame.assign(day=-frame["day"])), 1)
    with pytest.raises(InputError, match="hidden in some rows only"):
        histories(Tracks(frame.assign(hidden=frame["session"] > 0)), 1)


def test_with_nobody_left_the_interval_is_unknown():
    tracks = tracks_of({1: "0110", 2: "0110", 3: "1111"}, {1: 1, 2: 5, 3: 9}, days=(0, 4, 8, 12))
    curves = survival(follow(histories(tracks, 1), AnalyzeConfig(landmark_day=4)))
    last = curves[curves["class"] == "clustered"].iloc[-1]
    assert last["survival"] == 0
    assert np.isnan(last["ci_low"])
    assert np.isnan(last["ci_high"])
