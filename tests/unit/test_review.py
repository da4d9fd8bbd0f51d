"""What to look at first, from tables small enough to check by eye."""

import numpy as np
import pandas as pd
import pytest

from spinenet.io.corrections import read_corrections
from spinenet.io.write import write_table
from spinenet.report.review import AUDIT, BACK, LOST, NEW, NEW_IN_CLUSTER, SLIP, WEAK, review_list
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
    cover = [WHO | {"session": t, "dendrite_id": d, "slip_ambiguous": True} for t, d in slipped]
    nodes = [
        WHO
        | {"session": t, "dendrite_id": d, "arc_length_um": arc}
        | {"z_um": 1.0, "y_um": 3.0 * t, "x_um": 10 * arc}
        for t in range(4)
        for d in range(3)
        for arc in (0.0, 40.0)
    ]
    frames = {
        "spines": SPINES.frame(spines),
        "dendrites": DENDRITES.frame(nodes),
        "tracks": TRACKS.frame(tracks),
        "links": LINKS.frame(rows),
        "coverage": COVERAGE.frame(cover),
    }
    return frames, CLUSTERS.frame(groups)


def told(found):
    return [(r.why, round(r.doubt, 2), r.session, r.x_um, r.session_to) for r in found.itertuples()]


def test_members_of_clusters_come_before_other_new_spines_and_these_before_lost_ones():
    lives = {1: ("01", 0.1), 2: ("01", 0.3), 3: ("01", 0.6), 4: ("10", 0.9)}
    found = review_list(*tables(lives, clustered=[(1, 2)]), max_gap=1, seed=0)
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
    given = tables({1: ("01", 0.3), 2: ("0?", 0.2)})
    tracks = given[0]["tracks"]
    doubtful = (tracks["track_id"] == 1) & (tracks["session"] == 0)
    given[0]["tracks"] = tracks.assign(
        presence=tracks["presence"].mask(doubtful, "not_scorable"),
        p_present=tracks["p_present"].mask(doubtful, 0.8),
    )
    assert told(review_list(*given, max_gap=1, seed=0)) == [(NEW, 0.8, 1, 10, 0)]


def test_what_nobody_doubts_is_not_asked():
    lives = {1: ("01", 0.01), 2: ("10", 0.0), 3: ("?1", np.nan), 4: ("11", 0.0)}
    assert review_list(*tables(lives), max_gap=1, seed=0).empty


def test_a_rival_link_is_shown_with_its_other_end():
    """A new spine that may be a lost one, and the other way round."""
    links = [(0, 2, 1, 1, 0.4, False), (0, 3, 1, 1, 0.2, False)]
    lives = {1: ("01", 0.1), 2: ("10", 0.05), 3: ("11", 0.0)}
    found = review_list(*tables(lives, links), max_gap=1, seed=0)
    assert told(found) == [(NEW, 0.4, 1, 10, 0), (LOST, 0.4, 0, 20, 1)]
    assert found["to_x_um"].tolist() == [20, 10]


def test_a_dendrite_that_could_be_shifted_comes_first_once_by_its_weakest_link():
    links = [(0, 1, 1, 1, 0.9, True), (0, 2, 1, 2, 0.7, True), (0, 11, 1, 11, 0.5, True)]
    lives = dict.fromkeys((1, 2, 11), ("11", 0.0))
    found = review_list(*tables(lives, links, slipped=[(1, 0)]), max_gap=1, seed=0)
    assert told(found) == [(SLIP, 0.3, 0, 20, 1), (WEAK, 0.5, 0, 110, 1)]


def test_the_session_that_could_be_shifted_is_shown():
    """Not the weakest link of the dendrite in all sessions; without a link, an expected place."""
    links = [(0, 1, 1, 1, 0.9, True), (1, 1, 2, 1, 0.95, True), (2, 1, 3, 1, 0.97, True)]
    given = tables({1: ("1111", 0.0)}, links, slipped=[(3, 0)])
    assert told(review_list(*given, max_gap=1, seed=0))[0] == (SLIP, 0.03, 2, 10, 3)
    given = tables({1: ("1110", 0.01)}, links[:2], slipped=[(3, 0)])
    (first, *_) = review_list(*given, max_gap=1, seed=0).itertuples()
    assert (first.why, first.session, first.session_to, first.to_x_um) == (SLIP, 0, 3, 10)


def test_one_link_of_two_sessions_that_could_be_shifted_is_listed_once():
    links = [(0, 1, 1, 1, 0.9, True)]
    given = tables({1: ("11", 0.0)}, links, slipped=[(0, 0), (1, 0)])
    (first,) = review_list(*given, max_gap=1, seed=0).itertuples()
    assert first.why == SLIP
    assert first.note.endswith("shifted in session 0 and 1")


def test_a_spine_that_comes_back_is_asked_about_where_it_went_and_came():
    found = review_list(*tables({1: ("10011", 0.45), 2: ("1011", 0.45)}), max_gap=1, seed=0)
    assert [(r.why, r.session, r.session_to) for r in found.itertuples()] == [
        (LOST, 0, 1),
        (BACK, 3, 2),
    ]


def test_a_new_spine_may_be_nothing():
    given = tables({1: ("01", 0.02), 2: ("11", 0.0)})
    birth = (given[0]["tracks"]["track_id"] == 1) & (given[0]["tracks"]["session"] == 1)
    given[0]["tracks"] = given[0]["tracks"].assign(
        p_present=given[0]["tracks"]["p_present"].mask(birth, 0.3)
    )
    (row,) = review_list(*given, max_gap=1, seed=0).itertuples()
    assert (row.why, round(row.doubt, 2), row.session) == (NEW, 0.7, 1)
    assert row.note.endswith("perhaps no spine (delete)")


def test_what_is_not_analysed_or_a_person_said_is_not_drawn():
    lives = dict.fromkeys(range(400), ("11", 0.0))
    links = [(0, k, 1, k, 0.5 if k % 2 else 1.0, True) for k in lives]
    given = tables(lives, links)
    given[0]["tracks"] = given[0]["tracks"].assign(hidden=given[0]["tracks"]["track_id"] % 2 == 1)
    assert review_list(*given, max_gap=1, seed=0).empty


def test_some_sure_links_are_drawn_to_know_how_often_they_are_wrong():
    lives = dict.fromkeys(range(1000), ("11", 0.0))
    links = [(0, k, 1, k, 0.95, True) for k in lives]
    given = tables(lives, links)
    drawn = review_list(*given, max_gap=1, seed=0)
    assert set(drawn["why"]) == {AUDIT}
    assert len(drawn) == pytest.approx(20, abs=12)
    assert review_list(*given, max_gap=1, seed=0).equals(drawn)
    assert set(review_list(*given, max_gap=1, seed=1)["note"]) != set(drawn["note"])


def test_the_list_with_some_actions_filled_in_is_a_table_of_corrections(tmp_path):
    lives = {1: ("01", 0.1), 2: ("01", 0.3), 3: ("01", 0.6)}
    found = review_list(*tables(lives), max_gap=1, seed=0)
    path = write_table(tmp_path, REVIEW, found)
    assert read_corrections(path).frame.empty
    found.loc[1, "action"] = "present"
    write_table(tmp_path, REVIEW, found)
    corrections = read_corrections(path).frame
    assert corrections[["action", "line", "x_um", "session_to"]].to_numpy().tolist() == [
        ["present", 3, 20.0, 0]
    ]


def test_tables_without_anything_give_an_empty_list():
    found = review_list(*tables({}), max_gap=1, seed=0)
    assert found.empty
    assert list(found.columns) == REVIEW.names
    assert isinstance(found, pd.DataFrame)
    assert not np.any(found.isna())
