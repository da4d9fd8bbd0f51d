"""Who survives: published counts (Shao 2021, Fig. S2), the landmark, curves and the hazard."""

import numpy as np
import pandas as pd
import pytest

from spinenet.analyze.hazard import cloglog, design_of, log_hazard_ratio
from spinenet.analyze.states import histories
from spinenet.analyze.summary import analyze
from spinenet.analyze.survival import corrected_share, follow, kaplan_meier, survival, turnbull
from spinenet.config import AnalyzeConfig
from spinenet.types import Tracks
from tests.conftest import one, tracks_of

FAST = AnalyzeConfig(n_shuffles=400, n_draws=20)


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
    lives = pd.DataFrame({"told": [{8.0: True}] * 72 + [{8.0: False}] * 28 + [{4.0: True}] * 9})
    assert corrected_share(lives, 0.1, 8.0) == pytest.approx(0.8)
    assert np.isnan(corrected_share(lives, 0.1, 12.0))


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


def test_a_ratio_of_classes_never_seen_together_is_not_settled():
    columns = ["spine", "exposed", "from_days", "to_days", "lost"]
    rows = [(k, 1, 0.0, 4.0, k % 2 == 0) for k in range(10)]
    rows += [(10 + k, 0, 0.0, 5.0, k % 2 == 0) for k in range(10)]
    periods = pd.DataFrame(rows, columns=columns)
    assert np.isnan(log_hazard_ratio(periods, periods["exposed"].to_numpy(float)))


def test_curves_of_one_animal_have_no_band():
    lives = {1: "01110", 2: "01111", 3: "11111"}
    curves = analyze(tracks_of(lives, days=(0.0, 2, 4, 8, 16)), FAST).survival
    assert curves["ci_low"].isna().all()


def test_bands_hold_their_curve_and_the_estimate_is_of_one_day_for_all():
    """One animal of 12 spines that stay and two of 2 that are lost: all spines together 12 of 16."""
    many = tracks_of({0: "111"} | dict.fromkeys(range(1, 13), "011"), animal="a")
    few = [tracks_of({0: "111", 1: "010", 2: "010"}, animal=a) for a in "bc"]
    frame = pd.concat([t.frame for t in (many, *few)], ignore_index=True)
    curves = survival(follow(histories(Tracks(frame), 1), AnalyzeConfig(landmark_day=2)))
    last = curves[curves["class"] == "all_new"].iloc[-1]
    assert last["survival"] == pytest.approx(12 / 16)
    assert last["ci_low"] <= last["survival"] <= last["ci_high"]
    longer = tracks_of({0: "1111", 1: "0110", 2: "1111"}, animal="a", arcs={1: 1.0, 2: 2.0})
    shorter = tracks_of({0: "111", 1: "011", 2: "111"}, animal="b", arcs={1: 1.0, 2: 2.0})
    both = Tracks(pd.concat([longer.frame, shorter.frame], ignore_index=True))
    rows = analyze(both, AnalyzeConfig(landmark_day=2, n_shuffles=50)).statistics
    # on day 2 after the landmark, to which both were followed, nobody was lost
    assert rows.set_index("name").loc["survival_non_clustered", "estimate"] == 1.0


def test_groups_imaged_at_other_intervals_are_not_compared_per_interval():
    """The same spines, seen every second day in one group and every eighth in the other."""
    lives = {1: "0110", 2: "0011", 3: "1111", 4: "1101"}
    both = [
        tracks_of(lives, days=tuple(step * np.arange(4.0)), animal=f"{group}{k}").frame.assign(
            group=group
        )
        for group, step in (("often", 2), ("seldom", 8))
        for k in range(4)
    ]
    found = analyze(Tracks(pd.concat(both, ignore_index=True)), FAST)
    rows = found.statistics[found.statistics["group_b"] == "seldom"].set_index("name")
    for name in ("formation", "elimination", "turnover_ratio", "formation_mixed"):
        assert np.isnan(rows.loc[name, ["estimate", "p_value"]].astype(float)).all()
        assert "2 days apart in often and 8 in seldom" in rows.loc[name, "test"]
    assert "cannot be compared" in found.verdict
    assert np.isfinite(rows.loc["miss_rate_q", "estimate"])


def test_an_animal_that_lost_everything_was_looked_at_like_the_others():
    days = (0.0, 4, 8, 12)
    parts = [
        tracks_of({1: life, 2: "1111"}, days=days, animal=name).frame
        for name, life in (("a", "0100"), ("b", "0111"))
    ]
    hs = histories(Tracks(pd.concat(parts, ignore_index=True)), 1)
    assert not follow(hs, FAST).uneven


def compared(days_of, lives):
    """The rows that compare two groups of three animals, seen on those days."""
    frames = [
        tracks_of(lives[group], animal=f"{group}{i}", group=group, days=days_of[group]).frame
        for group in lives
        for i in range(3)
    ]
    found = analyze(Tracks(pd.concat(frames, ignore_index=True)), FAST).statistics
    return found[found["group_b"] != ""].set_index("name")


def test_one_long_interval_of_a_group_is_told_from_short_ones():
    """The medians are alike: 2 days. The long interval of the second group is 12."""
    lives = {"a": {1: "111", 2: "011", 3: "110"}, "b": {1: "1111", 2: "0111", 3: "1100"}}
    rows = compared({"a": (0, 2, 4), "b": (0, 2, 4, 16)}, lives)
    assert np.isnan(rows.loc["formation", "p_value"])
    assert "on average 2 days apart in a and 5.33 in b" in rows.loc["formation", "test"]


def test_groups_followed_for_unlike_times_are_not_compared_over_the_study():
    lives = {"a": {1: "111", 2: "110", 3: "111"}, "b": {1: "11111", 2: "11110", 3: "11100"}}
    rows = compared({"a": (0, 4, 8), "b": (0, 4, 8, 12, 16)}, lives)
    assert np.isnan(rows.loc["survival_fraction", "p_value"])
    assert "lasted 8 days in a and 16 in b" in rows.loc["survival_fraction", "test"]
    assert np.isfinite(rows.loc["elimination", "estimate"])


def test_a_spine_that_nobody_looked_at_on_the_day_is_no_survivor():
    """Told on day 8, which both groups share: of a's clustered spines one of the two looked at was
    lost; four on another dendrite, last seen on day 4 and gone by day 16, tell nothing."""
    days = (0, 4, 8, 16)
    lives = {10: "11?1", 11: "01?0", 12: "01?0", 13: "11?1", 14: "01?0", 15: "01?0", 16: "11?1"}
    frames = []
    for k in range(3):
        first = {1: "1111", 2: "0100", 3: "0111", 4: "1111"}
        a, b = {"animal": f"a{k}", "group": "A"}, {"animal": f"b{k}", "group": "B"}
        frames += [
            tracks_of(first, days=days, **a).frame,
            tracks_of(lives, days=days, dendrite_id=1, **a).frame,
            tracks_of({1: "111", 2: "011", 3: "010", 4: "111"}, days=days[:3], **b).frame,
        ]
    found = analyze(Tracks(pd.concat(frames, ignore_index=True)), FAST).statistics
    rows = found[(found["name"] == "survival_clustered") & (found["group_b"] == "")]
    assert rows.set_index("group")["estimate"].to_dict() == {"A": 0.5, "B": 0.5}


def test_a_landmark_after_which_nobody_looked_is_said_to_be_one():
    rows = analyze(tracks_of({1: "111", 2: "011", 3: "011", 4: "110"}), FAST).statistics
    told = rows.set_index("name").loc["survival_clustered", "test"]
    assert told.startswith("no session follows the landmark")


def test_shares_of_two_groups_lie_no_further_apart_than_one():
    """Two animals a group: the t interval alone would reach from -2.6 to 2.3."""
    rows = [
        tracks_of({1: first, 2: "11111", 3: second}).frame.assign(animal=name, group=name[0])
        for name, first, second in (
            ("a1", "01111", "01111"),
            ("a2", "01111", "01000"),
            ("b1", "01111", "01000"),
            ("b2", "01000", "01000"),
        )
    ]
    found = analyze(Tracks(pd.concat(rows, ignore_index=True)), FAST).statistics
    between = found[(found["group_b"] != "") & np.isfinite(found["ci_low"])].set_index("name")
    assert between.loc["persistent_share", "sampling_low"] == -1
    shares = between.loc[["persistent_share", "transient_share"]]
    assert (shares[["ci_low", "sampling_low"]] >= -1).all(axis=None)
    assert (shares[["ci_high", "sampling_high"]] <= 1).all(axis=None)


def test_a_landmark_before_every_session_is_said_to_be_one():
    """Days counted as the age of the mouse."""
    late = tracks_of({1: "111", 2: "011", 3: "011", 4: "110"}, days=(45.0, 47.0, 49.0))
    rows = analyze(late, FAST).statistics.set_index("name")
    told = rows.loc["survival_clustered", "test"]
    assert told.startswith("the first session is on day 45, after the landmark, day 4")
