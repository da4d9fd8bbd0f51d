"""How fast new spines go, and whether they come where others went."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from spinenet.analyze.days import same_days
from spinenet.analyze.hazard import hazard_row
from spinenet.analyze.kinetics import decay, kinetics_rows
from spinenet.analyze.replacement import losses, replacing
from spinenet.analyze.states import NEVER, histories
from spinenet.analyze.summary import analyze
from spinenet.analyze.survival import follow, survival
from spinenet.analyze.turnover import intervals
from spinenet.config import AnalyzeConfig, CohortConfig
from spinenet.synthetic.cohort import simulate_cohort
from spinenet.types import Tracks
from tests.conftest import like_dendrites, one, tracks_of

FAST = AnalyzeConfig(n_shuffles=300, n_draws=0)


def test_a_drawn_decay_is_read_back():
    days = np.array([0.0, 2, 4, 8, 16, 32])
    share, tau = decay(days, 0.4 * np.exp(-days / 5) + 0.6, np.full(6, 30.0))
    assert (share, tau) == (pytest.approx(0.4, abs=1e-3), pytest.approx(5, abs=0.02))


def test_where_nobody_left_there_is_no_decay():
    assert np.isnan(decay(np.arange(5.0), np.ones(5), np.full(5, 9.0))).all()
    assert np.isnan(decay(np.arange(3.0), np.array([1, 0.5, 0.4]), np.full(3, 9.0))).all()


@pytest.mark.parametrize("left", [[0.6, 0.6, 0.6, 0.6], [0.99, 0.98, 0.97, 0.96]])
def test_losses_faster_or_slower_than_the_looks_have_no_time_constant(left):
    days = np.array([0.0, 4, 8, 12, 16])
    _, tau = decay(days, np.array([1.0, *left]), np.full(5, 30.0))
    assert np.isnan(tau)


def test_doubling_the_days_doubles_the_time_constant():
    config = CohortConfig(animals=4, new_loss=0.4, days=(0.0, 2.0, 4.0, 6.0, 8.0, 10.0))
    frame = simulate_cohort(config, "a", np.random.default_rng(3)).true.frame
    slow = frame.assign(day=2 * frame["day"])
    found = []
    for tracks, landmark in ((frame, 4.0), (slow, 8.0)):
        reading = replace(FAST, landmark_day=landmark)
        rows = kinetics_rows("a", follow(histories(Tracks(tracks), 1), reading))
        found.append([r["estimate"] for r in rows])
    assert found[1][0] == pytest.approx(found[0][0], abs=0.01)
    assert found[1][1] == pytest.approx(2 * found[0][1], rel=0.02)


def test_few_new_spines_have_no_kinetics():
    rows = analyze(tracks_of({1: "11111", 2: "01110"}), FAST).statistics.set_index("name")
    assert np.isnan(rows.loc["decay_days_new", "estimate"])
    assert "10 new spines" in rows.loc["decay_days_new", "test"]


def test_a_loss_is_the_first_absence_after_the_last_sighting():
    h = one({1: "1100", 2: "1111", 3: "0110", 4: "1?00"})
    assert losses(h).tolist() == [2, NEVER, 3, 2]


@pytest.mark.parametrize(
    ("new_at", "new", "count"),
    [(11.5, "001", 1), (13.0, "001", 0), (10.2, "001", 0), (11.5, "011", 1)],
)
def test_a_spine_replaces_one_that_was_lost_near_by_and_by_then(new_at, new, count):
    """The lost one stood at 10 um and was missing from the second session on."""
    h = one({1: "100", 2: new, 3: "111"}, arcs={1: 10.0, 2: new_at, 3: 30.0})
    own = np.arange(3)[:, None]
    assert replacing(h, own, FAST)[0] == count


def test_a_spine_born_before_the_other_was_lost_replaces_nothing():
    h = one({1: "110", 2: "011", 3: "111"}, arcs={1: 10.0, 2: 11.0, 3: 30.0})
    assert replacing(h, np.arange(3)[:, None], FAST)[0] == 0


def test_replaced_sites_stand_out_from_chance():
    lives = dict.fromkeys(range(14), "111") | {20: "100", 21: "001"}
    arcs = {i: 4.0 * i for i in range(14)} | {20: 21.5, 21: 22.5}
    rows = analyze(like_dendrites(lives, arcs, 3, 4), FAST).statistics
    row = rows.set_index("name").loc["replacement_share"]
    assert row["estimate"] == 1.0
    assert row["null_mean"] < 0.2
    assert row["p_value"] == pytest.approx(1 / 301)


@pytest.mark.parametrize("hours", [[0.0, 2.4, 4.8, 3.6], [0.0, 1.5, -1.5, 0.7]])
def test_the_hour_at_which_an_animal_is_imaged_changes_nothing_of_persistence(hours):
    """Every animal a constant later; then every session at an hour of its own."""
    config = CohortConfig(animals=4, new_loss=0.4, days=(0.0, 2.0, 4.0, 6.0, 8.0, 10.0))
    frame = simulate_cohort(config, "a", np.random.default_rng(3)).true.frame
    aside = frame["animal"].str[-1].astype(int).map(dict(enumerate(hours))) / 24
    if min(hours) < 0:
        aside *= np.where(frame["session"] % 2 == 0, 1, -1)
    whole, late = (
        follow(histories(Tracks(frame.assign(day=frame["day"] + by)), 1), FAST) for by in (0, aside)
    )
    assert late.uneven == whole.uneven == frozenset()
    assert survival(late).round(6).equals(survival(whole).round(6))
    for rows_of in (
        lambda cohort: kinetics_rows("a", cohort),
        lambda cohort: [hazard_row("a", cohort, FAST, np.random.default_rng(0))[0]],
    ):
        assert [r["estimate"] for r in rows_of(late)] == [r["estimate"] for r in rows_of(whole)]
        assert np.isfinite([r["estimate"] for r in rows_of(whole)]).all()


def test_days_within_hours_are_one_day():
    assert same_days([0, 2.1, 1.9, 4.2, 4.1], [2.0]).tolist() == [0, 2, 2, 4.15, 4.15]
    assert same_days([0, 0.1, 0.2, 0.3], [0.1]).tolist() == [0, 0.1, 0.2, 0.3]
    assert same_days([8.2 - 4.2, 4.0], [2.0]).tolist() == [4, 4]


@pytest.mark.parametrize("later", [0.04, 0.1])
def test_intervals_are_shared_across_noon(later):
    rows = [tracks_of({1: "111"}).frame.assign(day=lambda t: 4.0 * t["session"] + 0.45)]
    rows.append(rows[0].assign(animal="other", day=rows[0]["day"] + later))
    found = intervals(histories(Tracks(pd.concat(rows, ignore_index=True)), 1), None)
    assert found.loc[found["level"] == "group", "n_before"].tolist() == [2, 2]
