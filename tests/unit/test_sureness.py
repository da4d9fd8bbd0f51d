"""Clusters, had the machine believed fewer of its sightings."""

import numpy as np
import pandas as pd
import pytest

from spinenet.analyze.measured import by_sighting
from spinenet.analyze.states import GONE, SEEN
from spinenet.analyze.summary import Evidence, analyze
from spinenet.analyze.sureness import surely
from spinenet.config import AnalyzeConfig
from tests.conftest import like_dendrites, one

FAST = AnalyzeConfig(n_shuffles=300, n_draws=0)
NAME = "clustered_fraction_contiguous"
LIVES = dict.fromkeys(range(14), "111") | {20: "011", 21: "011"}
ARCS = {i: 4.0 * i for i in range(14)} | {20: 21.0, 21: 23.0}


def sightings(tracks, probability):
    """spines.csv of tracks; `probability` by track and session where it is not 0.95."""
    seen = tracks.frame[tracks.frame["presence"] == "present"]
    columns = ["animal", "group", "region", "session", "day", "track_id", "dendrite_id"]
    told = [
        probability.get((k, t), 0.95)
        for k, t in zip(seen["track_id"] % 100, seen["session"], strict=True)
    ]
    return seen[columns].assign(probability=told, strength=np.nan)


def statistics(tracks, probability=None, config=FAST):
    evidence = None if probability is None else Evidence(spines=sightings(tracks, probability))
    return analyze(tracks, config, evidence).statistics.set_index("name")


def test_a_doubtful_sighting_is_an_absence_and_a_spine_never_surely_seen_is_none():
    h = one({1: "111", 2: "011", 3: "0?1", 4: "110"})
    rows = [(1, 0, 0.9), (1, 1, 0.4), (1, 2, 0.9), (2, 1, 0.4), (2, 2, 0.9), (3, 2, 0.4)]
    table = pd.DataFrame(rows, columns=["track_id", "session", "probability"])
    probability = by_sighting(h, table.assign(animal="m1", region="r1"), "probability")
    strict = surely(h, probability, 0.5, 1)
    assert strict.track_ids.tolist() == [1, 2, 4]  # of 4 nobody said how likely it is
    assert strict.told.tolist() == [[SEEN, GONE, SEEN], [GONE, GONE, SEEN], [SEEN, SEEN, GONE]]
    assert strict.seen[0].tolist() == [SEEN, SEEN, SEEN]  # a single gap is filled
    assert strict.birth[1] == 2
    assert (surely(h, probability, 0.3, 1).told == h.told).all()


def test_a_cluster_of_doubtful_spines_stands_at_a_low_threshold_alone():
    rows = statistics(like_dendrites(LIVES, ARCS, 3, 4), {(21, 1): 0.6, (21, 2): 0.6})
    assert rows.loc[f"{NAME}_p50", "estimate"] == rows.loc[NAME, "estimate"] == 1.0
    assert rows.loc[f"{NAME}_p50", "p_value"] == pytest.approx(1 / 301)
    assert rows.loc[f"{NAME}_p70", "estimate"] == 0.0
    assert rows.loc[f"{NAME}_p70", "n_spines"] == 12


def test_neighbours_hardly_seen_at_first_become_a_cluster_at_a_high_threshold():
    faint = {(k, 0): 0.4 for k in (5, 6)}
    rows = statistics(like_dendrites(dict.fromkeys(range(14), "111"), ARCS, 3, 4), faint)
    assert np.isnan(rows.loc[f"{NAME}_p30", "estimate"])  # nothing was new
    assert rows.loc[f"{NAME}_p50", "estimate"] == 1.0


def test_where_nothing_is_doubtful_every_threshold_gives_the_plain_fraction():
    short = {k: at for k, at in ARCS.items() if k in (1, 5, 6, 20, 21)}  # no ground for chance
    tracks = like_dendrites({k: LIVES[k] for k in short}, short, 1, 1)
    rows = statistics(tracks, {})
    assert rows.loc[f"{NAME}_p70", "estimate"] == rows.loc[NAME, "estimate"] == 1.0
    assert "no new spines to judge chance by" in rows.loc[f"{NAME}_p70", "test"]


def test_where_nobody_said_how_likely_sightings_are_no_threshold_can_be_tried():
    rows = statistics(like_dendrites(LIVES, ARCS, 1, 1))
    assert np.isnan(rows.loc[f"{NAME}_p50", "estimate"])
    assert "needs probability in spines.csv" in rows.loc[f"{NAME}_p50", "test"]
