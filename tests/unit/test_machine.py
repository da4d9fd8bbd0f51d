"""The machine's own mistakes: drawn histories, all sightings together, the verdict on the data."""

import numpy as np
import pytest
from scipy import stats

from spinenet.analyze.errors import ALONE, Doubt, Rival, combine, doubts, draw
from spinenet.analyze.machine import HAZARD, Redrawn, with_machine
from spinenet.analyze.quality import judge_quality
from spinenet.analyze.states import histories
from spinenet.analyze.summary import analyze
from spinenet.chain import Rates, presence
from spinenet.config import AnalyzeConfig
from spinenet.tables import COVERAGE, LINKS
from spinenet.types import Tracks
from tests.conftest import one, tracks_of

FAST = AnalyzeConfig(n_shuffles=400, n_draws=20)


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


def test_links_of_hidden_spines_are_nobodys():
    frame = tracks_of({1: "11", 2: "11"}).frame
    hidden = Tracks(frame.assign(hidden=frame["track_id"] == 2))
    who = {"animal": "m1", "region": "r1", "session_from": 0, "session_to": 1}
    rows = [{**who, "spine_from": a, "spine_to": b, "p": 0.4} for a, b in ((1, 2), (2, 1), (2, 2))]
    hs = histories(hidden, 1)
    (doubt,) = doubts(hs, hidden.frame, LINKS.frame(rows))
    assert doubt.rivals == ()


def test_intervals_of_draws_hold_both_parts():
    rng = np.random.default_rng(0)
    same = combine(np.full(50, 0.2), np.full(50, 0.01**2), 5)
    low, high = stats.t.interval(0.95, 4, 0.2, 0.01)
    assert (same.low, same.high) == (pytest.approx(low), pytest.approx(high))
    wide = combine(rng.normal(0.2, 0.05, 50), np.full(50, 0.01**2), 5)
    assert wide.high - wide.low > same.high - same.low
    assert wide.machine_low < 0.2 < wide.machine_high


@pytest.mark.parametrize("bounds", [(0.0, np.inf), (1e-200, 1e300), (np.nan, np.nan)])
def test_a_hazard_ratio_of_too_few_has_an_interval_without_end_or_none(bounds):
    row = {"name": HAZARD, "n_animals": 3, "sampling_low": bounds[0], "sampling_high": bounds[1]}
    drawn = Redrawn({HAZARD: np.array([0.1, 0.2, 0.3])}, {})
    out = with_machine(row, drawn)
    assert out["machine_low"] < 1.3 < out["machine_high"]
    assert "ci_low" not in out or out["ci_high"] > 1e100


def test_without_probabilities_the_machines_columns_are_blank():
    stats_ = analyze(tracks_of({1: "11", 2: "01", 3: "10"}), FAST).statistics
    assert stats_["machine_low"].isna().all()


def test_a_faint_sighting_between_two_sure_ones_was_there():
    sure, faint = 1e9, 0.3
    together = presence(
        np.array([[sure, faint, sure], [0.02, faint, 0.02]]), Rates(0.05, 0.05), 0.5
    )
    assert together[0].min() > 0.99
    assert together[1, 1] < 0.1


def test_what_nobody_looked_at_follows_its_neighbours():
    together = presence(np.array([[1e9, np.nan, 1e9], [1e9, np.nan, 1e-9]]), Rates(0.05, 0.05), 0.5)
    assert together[0, 1] == pytest.approx(1)
    assert together[1, 1] == pytest.approx(0.5, abs=0.05)


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


def test_a_session_whose_missed_spines_came_back_under_new_names_is_named():
    """No gap shows in any track: ten are lost into session 2 and ten others new out of it."""
    lives = dict.fromkeys(range(30), "11111")
    lives |= dict.fromkeys(range(30, 40), "11000") | dict.fromkeys(range(40, 50), "00011")
    verdict = judge_quality([one(lives)], None, 0).verdict
    assert "session 2 of m1" in verdict
    assert "10 lost and 0 new into it, 10 new and 0 lost out of it" in verdict


def test_a_burst_of_formation_is_no_dip():
    burst = dict.fromkeys(range(30), "11111") | dict.fromkeys(range(30, 50), "00011")
    assert "No reason" in judge_quality([one(burst)], None, 0).verdict


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


def test_a_lost_and_a_new_spine_may_have_been_one():
    h = doubtful({1: "10", 2: "01"})
    doubt = Doubt(np.full((2, 2), ALONE), (Rival(a=0, ta=0, b=1, tb=1, p=1.0),))
    assert draw(h, doubt, 0, np.random.default_rng(0)).seen.tolist() == [[1, 1]]


def test_an_unsure_spine_is_there_or_not_in_all_sessions_alike():
    h = doubtful({1: "111"}, [[0.6, 0.6, 0.6]])
    rng = np.random.default_rng(0)
    drawn = np.array([draw(h, alone(h), 0, rng).seen[0] for _ in range(500)])
    assert set(drawn.sum(axis=1)) == {0, 3}


def test_two_sessions_cannot_vouch_for_themselves():
    assert "cannot be told" in judge_quality([one({1: "11", 2: "01"})], None, 0).verdict
