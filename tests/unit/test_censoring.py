"""What nobody could see is no absence, and what was never there to count is not left out."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from spinenet.analyze.checks import scored
from spinenet.analyze.clusters import find_clusters
from spinenet.analyze.lives import shares
from spinenet.analyze.nulls import clustered
from spinenet.analyze.summary import Evidence, analyze
from spinenet.config import AnalyzeConfig
from spinenet.report.page import five_numbers
from spinenet.tables import COVERAGE
from spinenet.types import InputError, Tracks
from tests.conftest import one, tracks_of

FAST = AnalyzeConfig(n_shuffles=50, n_draws=0)


def together(*parts):
    return Tracks(pd.concat([p.frame for p in parts], ignore_index=True))


def coverage(*rows):
    """Rows of animal, dendrite, session; each stretch from -2 to 18 um."""
    keys = ("animal", "dendrite_id", "session")
    ends = {"region": "r1", "start_um": -2.0, "end_um": 18.0, "usable": True}
    return COVERAGE.frame([dict(zip(keys, row, strict=True)) | ends for row in rows])


def statistics(tracks, table=None):
    return analyze(tracks, FAST, Evidence(table)).statistics.set_index("name")


def test_an_animal_imaged_once_has_no_new_spines_and_no_trouble():
    twice = tracks_of({i: "01" if i in (3, 9) else "11" for i in range(12)}, animal="A")
    once = tracks_of(dict.fromkeys(range(12), "1"), animal="B")
    table = coverage(("A", 0, 0), ("A", 0, 1), ("B", 0, 0))
    assert statistics(together(twice, once), table)["estimate"]["formation"] == 0.2


@pytest.mark.parametrize("old", ["1?1", "1o1", "1??", "1?0"])
def test_an_old_spine_out_of_sight_still_parts_new_ones(old):
    """Until it is known to be gone; the new ones stand from the second session on."""
    found = find_clusters(one({1: "010", 2: old, 3: "010", 4: "111"}), "contiguous", FAST)
    assert found == []


def test_an_old_spine_known_to_be_gone_parts_nothing():
    found = find_clusters(one({1: "001", 2: "1?0", 3: "001", 4: "111"}), "contiguous", FAST)
    assert [c.members for c in found] == [(0, 2)]


def test_a_new_spine_out_of_sight_for_a_session_stands_with_its_neighbour():
    h = one({1: "01?1", 2: "0010", 3: "1111"})
    assert [c.members for c in find_clusters(h, "contiguous", FAST)] == [(0, 1)]
    h = one({1: "01?0", 2: "0010", 3: "1111"})
    assert find_clusters(h, "contiguous", FAST) == []


LIFE = st.text(alphabet="01?", min_size=4, max_size=4).filter(lambda life: "1" in life)


@example(["0010", "1???", "0010"])
@given(st.lists(LIFE, min_size=2, max_size=8))
def test_clusters_are_counted_as_they_are_listed(lives):
    """In and out of sight: the clustered share is of the spines that clusters.csv names."""
    h = one(dict(enumerate(lives)))
    for rule in ("contiguous", "within_d"):
        listed = {k for c in find_clusters(h, rule, FAST) for k in c.members}
        assert clustered(h, FAST)[rule] == len(listed)


def test_filopodia_are_no_non_clustered_spines():
    """They can never be clustered by the contiguous rule, and live short."""
    lives = {1: "0111", 2: "0111", 3: "1111", 4: "0111", 5: "1111"}
    brief = {10 + i: "1111" if i % 2 else "0110" for i in range(12)}
    frames = [tracks_of(lives | brief, animal=a, days=(0.0, 4.0, 8.0, 12.0)).frame for a in "AB"]
    frame = pd.concat(frames, ignore_index=True)
    frame.loc[(frame["track_id"] >= 10) & (frame["track_id"] % 2 == 0), "kind"] = "filopodium"
    with_them = statistics(Tracks(frame))
    assert with_them["estimate"]["survival_non_clustered"] == 1
    assert with_them["n_spines"]["survival_non_clustered"] == 2
    frame.loc[frame["track_id"].isin([3, 5]), "kind"] = "filopodium"
    curves = analyze(Tracks(frame), FAST).survival
    stable = curves[(curves["class"] == "stable") & (curves["day"] == 0)]
    assert stable["at_risk"].tolist() == [12]  # six of each animal; two old filopodia are none


def test_a_dendrite_out_of_view_at_the_end_has_no_survivors():
    gone = tracks_of(dict.fromkeys(range(10), "100"))
    away = tracks_of({100 + i: "1oo" for i in range(10)}, dendrite_id=1)
    assert statistics(together(gone, away))["estimate"]["survival_fraction"] == 0
    assert np.isnan(statistics(tracks_of({1: "1"}))["estimate"]["survival_fraction"])


def survival_of(*schedules):
    """Rows of survival_non_clustered of groups of three animals each, alike but for their days."""
    lives = {1: "0111", 2: "1111", 3: "0110", 4: "1111", 5: "0110", 6: "1111", 7: "0100"}
    parts = [
        tracks_of(
            {i: life[: len(days)] for i, life in lives.items()},
            animal=f"{group}{k}",
            group=group,
            days=days,
        )
        for group, days in zip("xy", schedules, strict=True)
        for k in range(3)
    ]
    table = analyze(together(*parts), FAST).statistics
    rows = table[table["name"] == "survival_non_clustered"]
    return rows[rows["group_b"] == ""], rows[rows["group_b"] == "y"].iloc[0]


@pytest.mark.parametrize("later", [(0.0, 4.0, 8.0, 30.0), (0.0, 4.0, 8.1, 30.0)])
def test_groups_are_compared_on_the_same_day(later):
    """Alike up to day 8, to a day; one was looked at again on day 30."""
    groups, difference = survival_of((0.0, 4.0, 8.0), later)
    assert groups["estimate"].tolist() == [0.75, 0.75]
    assert groups["test"].str.startswith("4 days after the landmark").all()
    assert difference["estimate"] == 0


def test_the_numbers_at_the_top_say_until_which_day_spines_survived():
    lives = {1: "0111", 2: "1111", 3: "0110", 4: "1111", 5: "0110", 6: "1111", 7: "0100"}
    parts = [tracks_of(lives, animal=a, days=(0.0, 4.0, 8.0, 16.0)) for a in "abc"]
    other = five_numbers(analyze(together(*parts), FAST))[-1]
    assert other["name"] == "of other new spines survive"
    assert "12 days after the landmark" in other["note"]


def test_groups_without_a_common_day_are_not_compared():
    """Between two looks nobody knows who is still there."""
    groups, difference = survival_of((0.0, 4.0, 8.0), (0.0, 4.0, 12.0))
    assert groups["estimate"].tolist() == [0.75, 0.75]
    assert groups["test"].str[:6].tolist() == ["4 days", "8 days"]
    assert np.isnan(difference["estimate"])
    assert "share no day" in difference["test"]


def test_one_dendrite_out_of_sight_vetoes_no_day():
    """At the landmark, of day 4, or on the last day: the others were looked at."""
    lives = {1: "0111", 2: "1111", 3: "0110", 4: "1111", 5: "0111", 6: "1111", 7: "0100"}
    days = (0.0, 4.0, 8.0, 16.0)
    for away in ("1?11", "111?"):
        whole = tracks_of(lives, days=days)
        beside = tracks_of({11: away, 12: away}, days=days, dendrite_id=1)
        rows = [
            statistics(t).loc["survival_non_clustered"] for t in (whole, together(whole, beside))
        ]
        assert rows[0]["estimate"] == rows[1]["estimate"]
        assert rows[1]["test"].startswith("12 days after the landmark")


def test_a_link_across_a_session_that_tells_nothing_is_both_links():
    frame = tracks_of({1: "111", 2: "111", 3: "101"}).frame
    linked = frame["presence"] == "present"
    frame["p_link"] = np.where(linked & (frame["session"] == 1), 0.7, np.nan)
    frame.loc[linked & (frame["session"] == 2), "p_link"] = 0.9
    table = coverage(*(("m1", 0, t) for t in range(3)))
    table.loc[1, "usable"] = False
    told = scored(Tracks(frame), table).frame.pivot(index="track_id", columns="session")
    assert told["p_link"][2].tolist() == pytest.approx([0.63, 0.63, 0.9])
    assert (told["presence"][1] == "not_scorable").all()
    table.loc[[0, 1], "usable"] = [False, True]
    told = scored(Tracks(frame), table).frame.pivot(index="track_id", columns="session")
    assert told["p_link"][1].isna().all()


def test_sightings_where_coverage_has_no_stretch_are_refused():
    tracks = tracks_of({1: "11", 2: "11"})
    with pytest.raises(InputError, match="present outside what could be scored of dendrite 0"):
        statistics(tracks, coverage(("m1", 0, 0)))
    with pytest.raises(InputError, match="present outside what could be scored of dendrite 0"):
        statistics(tracks, coverage(("m1", 1, 0)))


def test_a_spine_counts_once_however_many_intervals_it_lives_through():
    found = analyze(tracks_of(dict.fromkeys(range(20), "1111")), FAST)
    rests_on = found.statistics.set_index("name")["n_spines"]
    assert rests_on[["formation", "turnover_ratio", "miss_rate_q"]].tolist() == [20, 20, 20]
    assert five_numbers(found)[0]["note"].startswith("n = 20 spines")


def test_a_dendrite_without_spines_has_a_length_all_the_same():
    tracks = tracks_of(dict.fromkeys(range(10), "11"))
    table = coverage(*[("m1", d, t) for d in (0, 1) for t in (0, 1)])
    found = analyze(tracks, FAST, Evidence(table))
    assert found.statistics.set_index("name")["estimate"]["density_per_um"] == 10 / 40
    by_level = found.intervals.groupby("level")
    assert by_level["density_per_um"].apply(list)["dendrite"] == [10 / 20, 0]
    assert by_level["scorable_um"].apply(list)["animal"] == [40]


def test_late_spines_do_not_bias_how_many_persist():
    """Half are lost in every two days, so a quarter lives over four, whenever they form."""
    rng = np.random.default_rng(0)
    lives = {}
    for i in range(4000):
        life = "0" * int(rng.integers(1, 3)) + "1"
        while len(life) < 4:
            life += "1" if life[-1] == "1" and rng.random() < 0.5 else "0"
        lives[i] = life
    persist, of = shares(one(lives), FAST)["persistent_share"]
    assert persist / of == pytest.approx(0.25, abs=0.03)


def test_what_is_counted_per_um_stands_on_those_um():
    """A spine every 2 um; of every 4 um two could be scored. Spines beside a stretch are scored
    too, and would make dim dendrites look denser."""
    lives = dict.fromkeys(range(10), "11") | {20: "01", 21: "01"}
    arcs = {k: 0.5 + 2.0 * k for k in range(10)} | {20: 4.9, 21: 7.0}
    pieces = [(4.0 * k, 4.0 * k + 2.0) for k in range(5)]
    rows = [
        {"animal": "m1", "region": "r1", "dendrite_id": 0, "session": s, "usable": True}
        | {"start_um": a, "end_um": b}
        for s in (0, 1)
        for a, b in pieces
    ]
    found = statistics(tracks_of(lives, arcs), COVERAGE.frame(rows))["estimate"]
    assert found["density_per_um"] == pytest.approx((5 + 6) / 20)
    assert found["formation_per_um"] == pytest.approx(1 / 10)  # at 4.9 um, not at 7
