"""Clusters, had the machine believed fewer of its spines."""

import numpy as np
import pytest

from spinenet.analyze.states import GONE, SEEN
from spinenet.analyze.summary import analyze
from spinenet.analyze.sureness import surely
from spinenet.config import AnalyzeConfig
from spinenet.types import Tracks
from tests.conftest import like_dendrites, one

FAST = AnalyzeConfig(n_shuffles=300, n_draws=0)
NAME = "clustered_fraction_contiguous"


def test_a_doubtful_sighting_is_an_absence_and_a_spine_never_surely_seen_is_none():
    h = one({1: "111", 2: "011", 3: "0?1"})
    h.p_present[:] = [[0.9, 0.4, 0.9], [0.1, 0.4, 0.9], [0.1, np.nan, 0.4]]
    strict = surely(h, 0.5, 1)
    assert strict.track_ids.tolist() == [1, 2]
    assert strict.told.tolist() == [[SEEN, GONE, SEEN], [GONE, GONE, SEEN]]
    assert strict.seen[0].tolist() == [SEEN, SEEN, SEEN]  # a single gap is filled
    assert strict.birth[1] == 2
    mild = surely(h, 0.3, 1)
    assert (mild.told == h.told).all()


def test_a_cluster_of_doubtful_spines_stands_at_a_low_threshold_alone():
    lives = dict.fromkeys(range(14), "111") | {20: "011", 21: "011"}
    arcs = {i: 4.0 * i for i in range(14)} | {20: 21.0, 21: 23.0}
    frame = like_dendrites(lives, arcs, 3, 4).frame
    frame["p_present"] = 0.95
    frame.loc[frame["track_id"] % 100 == 21, "p_present"] = 0.6
    rows = analyze(Tracks(frame), FAST).statistics.set_index("name")
    assert rows.loc[f"{NAME}_p50", "estimate"] == rows.loc[NAME, "estimate"] == 1.0
    assert rows.loc[f"{NAME}_p50", "p_value"] == pytest.approx(1 / 301)
    assert rows.loc[f"{NAME}_p70", "estimate"] == 0.0
    assert rows.loc[f"{NAME}_p70", "n_spines"] == 12


def test_where_nobody_said_how_likely_sightings_are_no_threshold_can_be_tried():
    lives = dict.fromkeys(range(12), "111") | {20: "011", 21: "011"}
    arcs = {i: 4.0 * i for i in range(12)} | {20: 21.0, 21: 23.0}
    rows = analyze(like_dendrites(lives, arcs, 1, 1), FAST).statistics.set_index("name")
    assert np.isnan(rows.loc[f"{NAME}_p50", "estimate"])
    assert "needs p_present" in rows.loc[f"{NAME}_p50", "test"]
