"""What to look at first, from tables small enough to check by eye."""

import numpy as np
import pandas as pd
import pytest

from spinenet.io.corrections import read_corrections
from spinenet.io.write import write_table
from spinenet.report.review import AUDIT, LOST, NEW, NEW_IN_CLUSTER, SLIP, WEAK, review_list
from spinenet.tables import CLUSTERS, COVERAGE, DENDRITES, LINKS, REVIEW, SPINES, TRACKS

WHO = {"animal": "m1", "region": "r1"}


def tables(lives, links=(), clustered=(), slipped=()):
    """Spines `{track: (life, p)}`, p of being there where it was not seen; each spine has the number
    of its track, and lies at x = 10 x track, beside a dendrite that moves by 3 um in y from session
    to session."""
    spines, tracks = [], []
    for track, (life, p) in lives.items():
        for session, c in enumerate(life):
            row = WHO | {"session": session, "day": 2.0 * session, "track_id": track}
            row |= {"dendrite_id": track // 10, "arc_length_um": float(track)}
            word = {"1": "present", "0": "absent", "?": "not_scorable"}[c]
            seen = {"spine_id": track} if c == "1" else {}
            tracks.append(row | seen | {"presence": word, "p_present": 1.0 if seen else p})
            if seen:
                spines.append(row | seen | {"z_um": 1.0, "y_um": 2.0, "x_um": 10.0 * track})
    names = ("session_from", "spine_from", "session_to", "spine_to", "p", "chosen")
    rows = [WHO | dict(zip(names, link, strict=True)) for link in links]
    groups = [WHO | {"rule": "contiguous", "track_ids": ";".join(map(str, k))} for k in clustered]
    cover = [WHO | {"dendrite_id": d, "slip_ambiguous": True} for d in slipped]
    nodes = [
        WHO
        | {"session": t, "dendrite_id": d, "arc_length_um": arc}
        | {"z_um": 1.0, "y_um": 3.0 * t, "x_um": 10 * arc}
        for t in range(4)
        for d in range(3)
        for arc in (0.0, 40.0)
    ]
    frames = (
        SPINES.frame(spines),
        DENDRITES.frame(nodes),
        TRACKS.frame(tracks),
        LINKS.frame(rows),
    )
    return (*frames, CLUSTERS.frame(groups), COVERAGE.frame(cover))


def told(found):
    return [(r.why, round(r.doubt, 2), r.session, r.x_um, r.session_to) for r in found.itertuples()]


def test_members_of_clusters_come_before_other_new_spines_and_these_before_lost_ones():
    lives = {1: ("01", 0.1), 2: ("01", 0.3), 3: ("01", 0.6), 4: ("10", 0.9)}
    found = review_list(*tables(lives, clustered=[(1, 2)]), seed=0)
    assert told(found) == [
        (NEW_IN_CLUSTER, 0.3, 1, 20, 0),
        (NEW_IN_CLUSTER, 0.1, 1, 10, 0),
        (NEW, 0.6, 1, 30, 0),
        (LOST, 0.9, 0, 40, 1),
    ]
    assert found["rank"].tolist() == [1, 2, 3, 4]
    # where to look for them: as far beside the dendrite, where that lies in the other session
    assert found["to_x_um"].tolist() == [20, 10, 30, 40]
    assert found["to_y_um"].tolist() == [-1, -1, -1, 5]
    assert found["note"].iloc[0] == "dendrite 0, 2.0 um, track 2"


def test_what_is_too_doubtful_for_an_absence_is_asked_first_of_all():
    """Likelier there than not: neither new nor lost, until somebody has looked."""
    given = list(tables({1: ("01", 0.3), 2: ("0?", 0.2)}))
    tracks = given[2]
    doubtful = (tracks["track_id"] == 1) & (tracks["session"] == 0)
    given[2] = tracks.assign(
        presence=tracks["presence"].mask(doubtful, "not_scorable"),
        p_present=tracks["p_present"].mask(doubtful, 0.8),
    )
    assert told(review_list(*given, seed=0)) == [(NEW, 0.8, 1, 10, 0)]


def test_what_nobody_doubts_is_not_asked():
    lives = {1: ("01", 0.01), 2: ("10", 0.0), 3: ("?1", np.nan), 4: ("11", 0.0)}
    assert review_list(*tables(lives), seed=0).empty


def test_a_rival_link_is_shown_with_its_other_end():
    """A new spine that may be a lost one, and the other way round."""
    links = [(0, 2, 1, 1, 0.4, False), (0, 3, 1, 1, 0.2, False)]
    lives = {1: ("01", 0.1), 2: ("10", 0.05), 3: ("11", 0.0)}
    found = review_list(*tables(lives, links), seed=0)
    assert told(found) == [(NEW, 0.4, 1, 10, 0), (LOST, 0.4, 0, 20, 1)]
    assert found["to_x_um"].tolist() == [20, 10]


def test_a_dendrite_that_could_be_shifted_comes_first_once_by_its_weakest_link():
    links = [(0, 1, 1, 1, 0.9, True), (0, 2, 1, 2, 0.7, True), (0, 11, 1, 11, 0.5, True)]
    lives = dict.fromkeys((1, 2, 11), ("11", 0.0))
    found = review_list(*tables(lives, links, slipped=[0]), seed=0)
    assert told(found) == [(SLIP, 0.3, 0, 20, 1), (WEAK, 0.5, 0, 110, 1)]


def test_some_sure_links_are_drawn_to_know_how_often_they_are_wrong():
    lives = dict.fromkeys(range(1000), ("11", 0.0))
    links = [(0, k, 1, k, 0.95, True) for k in lives]
    given = tables(lives, links)
    drawn = review_list(*given, seed=0)
    assert set(drawn["why"]) == {AUDIT}
    assert len(drawn) == pytest.approx(20, abs=12)
    assert review_list(*given, seed=0).equals(drawn)
    assert set(review_list(*given, seed=1)["note"]) != set(drawn["note"])


def test_the_list_with_some_actions_filled_in_is_a_table_of_corrections(tmp_path):
    lives = {1: ("01", 0.1), 2: ("01", 0.3), 3: ("01", 0.6)}
    found = review_list(*tables(lives), seed=0)
    path = write_table(tmp_path, REVIEW, found)
    assert read_corrections(path).frame.empty
    found.loc[1, "action"] = "present"
    write_table(tmp_path, REVIEW, found)
    corrections = read_corrections(path).frame
    assert corrections[["action", "line", "x_um", "session_to"]].to_numpy().tolist() == [
        ["present", 3, 20.0, 0]
    ]


def test_tables_without_anything_give_an_empty_list():
    nothing = [t.frame() for t in (SPINES, DENDRITES, TRACKS, LINKS, CLUSTERS, COVERAGE)]
    found = review_list(*nothing, seed=0)
    assert found.empty
    assert list(found.columns) == REVIEW.names
    assert isinstance(found, pd.DataFrame)
    assert not np.any(found.isna())
