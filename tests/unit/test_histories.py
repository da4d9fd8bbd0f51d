"""What is known of each spine of a dendrite, session by session."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from spinenet.analyze.clusters import cluster_table, find_clusters
from spinenet.analyze.errors import linked
from spinenet.analyze.hotspots import events_nearby
from spinenet.analyze.kinetics import decay
from spinenet.analyze.spacing import stable_at
from spinenet.analyze.states import histories
from spinenet.analyze.strength import sizes
from spinenet.analyze.summary import _corrected, analyze
from spinenet.analyze.survival import PERIOD, Cohort, follow, kaplan_meier
from spinenet.config import AnalyzeConfig
from spinenet.report.study import rates
from spinenet.tables import INTERVALS, LINKS, SPINES
from spinenet.types import Tracks
from tests.conftest import like_dendrites, one, tracks_of

FAST = AnalyzeConfig(n_shuffles=300, n_draws=0)


def test_what_is_said_of_a_spine_goes_with_it_along_the_dendrite():
    """Track 1, which the machine doubts, is a filopodium behind track 2."""
    frame = tracks_of({1: "11", 2: "11"}, arcs={1: 9.0, 2: 3.0}).frame
    mine, late = frame["track_id"] == 1, frame["session"] == 1
    frame["kind"] = np.where(mine, "filopodium", "spine")
    frame["p_present"] = np.where(mine, 0.6, 0.9)
    frame["p_link"] = np.where(late, np.where(mine, 0.7, 0.8), np.nan)
    frame["between"] = mine & late
    (h,) = histories(Tracks(frame), 1)
    assert h.track_ids.tolist() == [2, 1]
    assert h.filopodium.tolist() == [False, True]
    assert h.p_present[:, 1].tolist() == [0.9, 0.6]
    assert h.p_link[:, 1].tolist() == [0.8, 0.7]
    assert h.between.tolist() == [[False, False], [False, True]]


def test_doubts_stay_with_their_session():
    """Session 1 tells nothing of the dendrite."""
    frame = tracks_of({1: "1?1", 2: "1?1"}).frame
    frame["p_present"] = frame["session"].map({0: 0.9, 1: np.nan, 2: 0.6})
    (h,) = histories(Tracks(frame), 1)
    assert h.sessions.tolist() == [0, 2]
    assert h.p_present.tolist() == [[0.9, 0.6]] * 2


def test_a_dendrite_that_left_the_view_halfway_has_no_survivors():
    from spinenet.analyze.summary import analyze

    gone = tracks_of(dict.fromkeys(range(10), "100")).frame
    away = tracks_of({100 + i: "11o" for i in range(10)}, dendrite_id=1).frame
    both = Tracks(pd.concat([gone, away], ignore_index=True))
    row = analyze(both, FAST).statistics.set_index("name").loc["survival_fraction"]
    assert row["estimate"] == 0


def test_what_nobody_could_see_is_not_filled():
    from spinenet.analyze.states import fill_gaps

    assert fill_gaps(np.array([[1, 0, 1, -1, 1], [1, 0, -1, 1, 1]], np.int8), 1).tolist() == [
        [1, 1, 1, -1, 1],
        [1, 1, -1, 1, 1],
    ]


def test_a_session_some_hours_late_is_in_the_window():
    h = one({1: "011", 2: "111"}, days=(0.0, 2.1, 4.0))
    assert h.window((1.0, 2.0)) == [1]


def test_a_spine_that_was_gone_for_long_is_not_stable():
    assert stable_at(one({1: "1001", 2: "1111", 3: "1011"}), 3).tolist() == [False, True, True]


def test_the_corrected_share_asks_what_was_seen_not_what_was_filled():
    """Missed on day 8 and seen on day 16: the curve bridges it, the correction makes up for it."""
    h = one({1: "01101", 2: "11111"}, days=(0.0, 2, 4, 8, 16))
    lives = follow([h], FAST).lives.set_index("class")
    assert not lives.loc["non_clustered", "lost"]
    assert lives.loc["non_clustered", "told"] == {0.0: True, 4.0: False, 12.0: True}


def test_nobody_knows_of_survival_after_the_last_look():
    lives = pd.DataFrame({"days": [4.0, 8.0, 8.0], "lost": [True, False, False]})
    curve = kaplan_meier(lives, np.array([0.0, 4, 8, 12]))
    assert curve[:3] == pytest.approx([1, 2 / 3, 2 / 3])
    assert np.isnan(curve[3])


def test_a_filopodium_between_is_no_existing_spine():
    tracks = tracks_of({1: "01", 2: "11", 3: "11", 4: "01", 5: "11"})
    tracks.frame.loc[tracks.frame["track_id"] == 2, "kind"] = "filopodium"
    (h,) = histories(tracks, 1)
    (cluster,) = find_clusters(h, "within_d", FAST)
    assert cluster.n_existing_between == 1


def test_the_table_counts_what_can_be_told_apart():
    h = one({1: "01", 2: "01", 3: "01", 4: "11"}, arcs={1: 0.0, 2: 0.3, 3: 2.0, 4: 5.0})
    table = cluster_table([h], FAST)
    assert table["size"].tolist() == [2, 2]
    assert table["span_um"].tolist() == [2.0, 2.0]
    assert table["resolution_limited"].all()


def test_a_sighting_that_others_lent_has_no_strength():
    frame = tracks_of({1: "111"}).frame
    (h,) = histories(Tracks(frame.assign(between=frame["session"] == 1)), 1)
    who = {"animal": "m1", "region": "r1", "track_id": 1, "spine_id": 1, "strength": 0.5}
    found = sizes(h, SPINES.frame([who | {"session": t} for t in range(3)]))
    assert found[0].tolist() == pytest.approx([0.5, np.nan, 0.5], nan_ok=True)


def test_what_is_lost_in_the_window_is_not_lost_before_it():
    """The window begins with session 3, in which spine 1 is first missing."""
    h = one({1: "11100", 2: "11111"}, arcs={1: 10.0, 2: 12.0})
    assert events_nearby(h, AnalyzeConfig(window=(6.0, 8.0))).tolist() == [0, 0]


def test_filopodia_come_and_go_and_are_no_events():
    h = one({1: "11000", 2: "11000", 3: "11111"}, arcs={1: 10.0, 2: 14.0, 3: 12.0})
    late = AnalyzeConfig(window=(6.0, 8.0))
    assert h.track_ids.tolist() == [1, 3, 2]
    assert events_nearby(h, late).tolist()[1] == 2
    thin = replace(h, filopodium=np.array([True, False, False]))
    assert events_nearby(thin, late).tolist()[1] == 1


def test_a_cluster_tells_once_of_what_came_and_went():
    """Beside the first of a cluster two had come and gone, beside its second none."""
    lives = dict.fromkeys(range(12), "11111") | {20: "11000", 21: "01000", 22: "00011", 23: "00001"}
    arcs = {i: 5.0 * i for i in range(12)} | {20: 18.0, 21: 19.0, 22: 22.5, 23: 24.5}
    config = replace(FAST, window=(6.0, 8.0))
    row = analyze(like_dendrites(lives, arcs, 3, 3), config).statistics.set_index("name")
    assert row.loc["turnover_before_clusters", "estimate"] == 3.0
    assert row.loc["turnover_before_clusters", "n_spines"] == 9


def test_the_link_of_a_sighting_is_that_to_the_last_one():
    tracks = tracks_of({1: "111"})
    who = {"animal": "m1", "region": "r1", "spine_from": 1, "spine_to": 1, "chosen": True}
    ends = [(0, 1, 0.9), (0, 2, 0.3), (1, 2, 0.8)]
    rows = [who | {"session_from": a, "session_to": b, "p": p} for a, b, p in ends]
    assert linked(tracks, LINKS.frame(rows)).frame["p_link"].tolist()[1:] == [0.9, 0.8]


def test_looks_at_more_spines_tell_more():
    """A look at four times as many spines counts as four looks."""
    days, share = np.array([0.0, 2, 4, 8, 16]), np.array([1.0, 0.9, 0.6, 0.65, 0.5])
    once = decay(days, share, np.array([10.0, 10, 40, 10, 10]))
    again = decay(days[[0, 1, 2, 2, 2, 2, 3, 4]], share[[0, 1, 2, 2, 2, 2, 3, 4]], np.full(8, 10.0))
    assert once == pytest.approx(again, rel=1e-3)


def test_an_animal_without_a_miss_rate_does_not_lower_it():
    """Half was missed in one animal; of the other nobody knows. Half of the cohort was seen."""
    lives = pd.DataFrame(
        {
            "animal": ["a", "b"] * 4,
            "group": "",
            "class": "clustered",
            "told": [{4.0: True}] * 4 + [{4.0: False}] * 4,
        }
    )
    cohort = Cohort(lives, pd.DataFrame(columns=list(PERIOD)), {}, frozenset(), {})
    row = _corrected("", cohort, {"a": 0.2, "b": np.nan}, 4.0)[0]
    assert row["estimate"] == pytest.approx(0.5 / 0.8)


def test_rows_of_an_animal_are_of_all_its_regions():
    """One new spine in one field, none in the other."""
    fields = [
        tracks_of({1: "11", 2: "01"}, region="a"),
        tracks_of({3: "11", 4: "11"}, region="b", dendrite_id=1),
    ]
    found = analyze(Tracks(pd.concat([f.frame for f in fields], ignore_index=True)), FAST)
    (row,) = found.intervals[found.intervals["level"] == "animal"].to_dict("records")
    assert (row["n_before"], row["n_new"], row["region"]) == (3, 1, "")


def test_regions_imaged_on_other_days_have_rows_and_lines_of_their_own():
    """Turnover of one field on days 0, 4, 8 and of another on days 1, 5, 9 is no zigzag."""
    fields = [
        tracks_of({1: "111", 2: "001"}, days=(0.0, 4.0, 8.0), region="a"),
        tracks_of({3: "111", 4: "110"}, days=(1.0, 5.0, 9.0), region="b", dendrite_id=1),
    ]
    found = analyze(Tracks(pd.concat([f.frame for f in fields], ignore_index=True)), FAST)
    mine = found.intervals[found.intervals["level"] == "animal"].sort_values(["region", "day_to"])
    assert mine["region"].tolist() == ["a", "a", "b", "b"]
    assert mine["n_lost"].tolist() == [0, 0, 0, 1]
    lines = [line.get_xdata().tolist() for line in rates(found.intervals).axes[1].lines]
    assert lines == [[4.0, 8.0], [5.0, 9.0]]


def test_a_line_of_turnover_is_broken_where_no_interval_follows_on_the_last():
    rows = [(0, 1, 4.0), (2, 3, 12.0)]
    frame = INTERVALS.frame(
        [
            {"level": "animal", "animal": "m1", "session_from": a, "session_to": b, "day_to": day}
            for a, b, day in rows
        ]
    )
    assert [line.get_xdata().tolist() for line in rates(frame).axes[0].lines] == [[4.0], [12.0]]


def test_rows_that_no_draw_redoes_say_that_they_are_of_sampling_alone():
    animals = [
        tracks_of({1: "1101", 2: life, 3: "1111"}, animal=name).frame.assign(p_present=0.9)
        for name, life in (("m1", "0111"), ("m2", "1011"), ("m3", "1111"))
    ]
    found = analyze(Tracks(pd.concat(animals, ignore_index=True)), replace(FAST, n_draws=5))
    rows = found.statistics.set_index("name")
    assert "sampling alone" in rows.loc["miss_rate_q", "test"]
    assert "sampling alone" not in rows.loc["formation", "test"]
    undrawn = analyze(Tracks(pd.concat(animals, ignore_index=True)), replace(FAST, n_draws=0))
    told = undrawn.statistics.set_index("name").loc["formation", "test"]
    assert told.endswith("no histories drawn (analyze.n_draws): sampling alone")
