"""A person's corrections: obeyed exactly, and the rest solved around them."""

import numpy as np
import pandas as pd
import pytest

from spinenet.config import MatchConfig
from spinenet.io.corrections import Corrections, check_review, read_corrections
from spinenet.match.assign import path_cover
from spinenet.match.region import link_region
from spinenet.match.score import Candidates
from spinenet.pipeline.corrections import corrected
from spinenet.pipeline.stacks import RunLog
from spinenet.tables import CORRECTIONS
from spinenet.types import Dendrites, InputError
from tests.unit.drawn_shafts import line, session_of


def chain_of(odds, **pins):
    """Tracks of one spine per session (or as many as `sizes`) with odds by pair of spines."""
    sizes = pins.pop("sizes")
    first = np.r_[0, np.cumsum(sizes)]
    session = np.repeat(np.arange(len(sizes)), sizes)
    candidates = {}
    for t in range(len(sizes)):
        for u in range(t + 1, len(sizes)):
            pairs = [(i, j) for i, j in odds if session[i] == t and session[j] == u]
            i, j = np.array(pairs, int).reshape(-1, 2).T
            value = np.array([odds[p] for p in pairs], float)
            candidates[t, u] = Candidates(i - first[t], j - first[u], value, (sizes[t], sizes[u]))
    return path_cover(list(sizes), candidates, 0.2, **pins).tolist()


def test_spines_said_to_be_the_same_are_one_track_against_all_odds():
    odds = {(0, 2): 50.0, (1, 3): 50.0}
    assert chain_of(odds, sizes=(2, 2)) == [0, 1, 0, 1]
    assert chain_of(odds, sizes=(2, 2), same=[(0, 3)]) == [0, 1, 2, 0]
    assert chain_of({}, sizes=(1, 1), same=[(0, 1)]) == [0, 0]


def test_what_lies_between_two_spines_bound_together_stays_between():
    odds = {(0, 1): 20.0, (1, 2): 20.0}
    assert chain_of(odds, sizes=(1, 1, 1), same=[(0, 2)]) == [0, 0, 0]
    assert chain_of({}, sizes=(1, 1, 1), same=[(0, 2)]) == [0, 1, 0]


def test_three_spines_bound_in_two_lines_are_one_track():
    assert chain_of({}, sizes=(1, 1, 1), same=[(0, 2), (1, 2)]) == [0, 0, 0]


def test_spines_said_to_be_different_are_not_joined_by_way_of_a_third():
    odds = {(0, 1): 50.0, (1, 2): 9.0, (0, 2): 50.0}
    assert chain_of(odds, sizes=(1, 1, 1)) == [0, 0, 0]
    assert chain_of(odds, sizes=(1, 1, 1), different=[(0, 2)]) == [0, 0, 1]


def test_contradictions_are_refused():
    with pytest.raises(InputError, match="by way of others they are"):
        chain_of({}, sizes=(1, 1, 1), same=[(0, 1), (1, 2)], different=[(0, 2)])
    with pytest.raises(InputError, match="two spines of one session"):
        chain_of({}, sizes=(2, 1), same=[(0, 2), (1, 2)])


ROW = {"action": "same", "session": 0, "z_um": 1, "y_um": 2, "x_um": 3, "session_to": 1}
TO = {"to_z_um": 1, "to_y_um": 2, "to_x_um": 3}


def saved(folder, *rows):
    path = folder / "corrections.csv"
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


def test_a_table_of_corrections_is_read_with_its_lines(tmp_path):
    told = read_corrections(saved(tmp_path, ROW | TO, {**ROW, "action": "absent"}))
    rows = told.frame
    assert (told.source, len(told.sha256)) == ("corrections.csv", 64)
    assert rows["action"].tolist() == ["same", "absent"]
    assert rows["line"].tolist() == [2, 3]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({**ROW, "action": "merge"}, "line 2: action 'merge'; same, different"),
        (ROW, "'same' needs to_z_um, to_y_um, to_x_um, which are blank"),
        ({**ROW, "action": "dendrite"}, "'dendrite' needs dendrite_id, which is blank"),
        ({**ROW, **TO, "session_to": 0}, "session and session_to are both 0"),
        ({**ROW, "action": "add", "x_um": None}, "'add' needs x_um"),
    ],
)
def test_a_row_that_cannot_be_obeyed_is_refused(tmp_path, row, message):
    with pytest.raises(InputError, match=message):
        read_corrections(saved(tmp_path, row))


@pytest.mark.parametrize(
    ("filled", "copied", "kept"),
    [
        ({"dendrite_id": 2}, {"dendrite_id": 2}, True),
        ({"dendrite_id": 2}, {"dendrite_id": 1}, False),
        ({"dendrite_id": 2, "animal": "m1"}, {"dendrite_id": 2, "animal": "m2"}, False),
        ({"dendrite_id": 2, "animal": "m1"}, {"dendrite_id": 2}, True),  # there is one animal only
        ({"action": "same", "dendrite_id": 2}, {"action": "same"}, True),  # it says nothing there
    ],
)
def test_what_was_filled_into_the_list_must_stand_in_the_corrections(
    tmp_path, filled, copied, kept
):
    plain = {**ROW, **TO, "action": "dendrite", "animal": "", "region": ""}
    told = read_corrections(saved(tmp_path, plain | copied))
    pd.DataFrame([plain | filled]).to_csv(tmp_path / "review.csv", index=False)
    if kept:
        check_review(tmp_path / "review.csv", told)
    else:
        with pytest.raises(InputError, match="has an action in line 2"):
            check_review(tmp_path / "review.csv", told)


def test_a_line_that_says_what_the_machine_thinks_changes_nothing():
    odds = {(k, k + 1): 20.0 for k in range(4)}
    one = (1, 1, 1, 1, 1)
    for pair in ((0, 3), (0, 4), (1, 3)):
        assert chain_of(odds, sizes=one, same=[pair]) == [0] * 5


def test_a_missing_link_is_bridged_with_all_that_hangs_on_its_ends():
    odds = {(0, 1): 20.0, (1, 2): 20.0}
    assert chain_of(odds, sizes=(1, 1, 1, 1), same=[(0, 3)]) == [0, 0, 0, 0]
    odds = {(1, 2): 20.0, (2, 3): 20.0}
    assert chain_of(odds, sizes=(1, 1, 1, 1), same=[(0, 3)]) == [0, 0, 0, 0]


def test_what_the_machine_put_between_gives_way_to_what_a_person_said():
    odds = {(0, 1): 20.0, (1, 2): 20.0, (2, 3): 20.0}
    told = {"same": [(0, 2), (2, 3)], "different": [(1, 3)]}
    assert chain_of(odds, sizes=(1, 1, 1, 1), **told) == [0, 1, 0, 0]
    told = {"same": [(0, 2)], "different": [(1, 3)]}
    assert chain_of(odds, sizes=(1, 1, 1, 1), **told) == [0, 1, 0, 0]


TWO = Dendrites((line((5, 5, 0), (5, 5, 20)), line((5, 8, 0), (5, 8, 20), 1)))


def told(*rows):
    """What a person said of one session with a spine between two shafts."""
    frame = CORRECTIONS.frame([{**ROW, "y_um": 6.3, "z_um": 5, "x_um": 10, **row} for row in rows])
    frame["line"] = np.arange(len(rows)) + 2
    views = [session_of(t, TWO, (0, 5, 6.3, 10)) for t in (0, 1)]
    return corrected(views, Corrections(frame, "corrections.csv", ""), RunLog())


def test_two_lines_cannot_put_one_spine_on_two_dendrites():
    one = {"action": "dendrite", "dendrite_id": 1, "session_to": None}
    _, pins = told(one, one)
    assert dict(pins.home) == {(0, 1): 1}
    with pytest.raises(InputError, match="line 3: another line puts this spine on dendrite 1"):
        told(one, {**one, "dendrite_id": 0})


def test_what_lies_outside_the_stack_cannot_be_deleted():
    with pytest.raises(InputError, match="line 2: the place 5, 6.3, 500 um"):
        told({"action": "delete", "x_um": 500, "session_to": None})


SHAFT = Dendrites((line((5, 5, 0), (5, 5, 40)),))
XS = (4.0, 7.5, 13.0, 16.5, 20.0, 27.0, 29.5, 33.0, 36.0)


def said(*lines):
    who = {"animal": "m", "region": "r"}
    frame = CORRECTIONS.frame([who | one for one in lines])
    return Corrections(frame.assign(line=range(2, len(frame) + 2)), "corrections.csv", "")


def about(action, session, x_um, session_to, to_x_um):
    place = {"z_um": 5.0, "y_um": 6.5, "x_um": x_um}
    there = {"to_z_um": 5.0, "to_y_um": 6.5, "to_x_um": to_x_um}
    return {"action": action, "session": session, "session_to": session_to} | place | there


def tracks_after(views, *lines):
    views, pins = corrected(views, said(*lines), RunLog())
    linked = link_region(views, 0, MatchConfig(), 0.4, None, pins)
    return linked.spines, linked.tracks.frame


def test_a_track_that_is_cut_is_two():
    """As `import` says it: a spine of five sessions, cut between the second and the third."""
    views = [session_of(t, SHAFT, *[(0, 5, 6.5, x) for x in XS]) for t in range(5)]
    apart = [about("different", t, 20.0, u, 20.0) for t in (0, 1) for u in (2, 3, 4)]
    kept = [about("same", t, 20.0, t + 1, 20.0) for t in (0, 2, 3)]
    spines, _ = tracks_after(views, *apart, *kept)
    first, *rest = spines.loc[spines["x_um"] == 20.0, "track_id"].tolist()
    assert [first, *rest] == [first, first, rest[1], rest[1], rest[1]]
    assert first != rest[1]


def test_what_a_person_joined_over_a_gap_is_sure_on_its_way():
    """Sessions 0 and 2 are said to be one spine 3 um apart; one of session 1 goes with them."""
    rest = [x for x in XS if x != 20.0]
    views = [
        session_of(t, SHAFT, *[(0, 5, 6.5, x) for x in [*rest, at]])
        for t, at in enumerate((20.0, 20.0, 23.0))
    ]
    spines, tracks = tracks_after(views, about("same", 0, 20.0, 2, 23.0))
    (k,) = set(spines.loc[spines["x_um"].isin([20.0, 23.0]), "track_id"])
    links = tracks.loc[tracks["track_id"] == k, "p_link"].dropna().tolist()
    assert links == [1.0] * len(links)
    assert links


def test_a_number_of_a_dendrite_far_away_is_refused():
    both = Dendrites((*SHAFT.segments, line((5, 45, 0), (5, 45, 40), 1)))
    views = [session_of(t, both, *[(0, 5, 6.5, x) for x in XS]) for t in range(2)]
    place = {"session": 0, "z_um": 5.0, "y_um": 6.5, "x_um": 20.0, "dendrite_id": 1}
    with pytest.raises(InputError, match=r"38\.1 um beside dendrite 1"):
        corrected(views, said({"action": "dendrite", **place}), RunLog())
    # of other actions the column says nothing: it may come from spines.csv along with the place
    line_of = about("different", 0, 20.0, 1, 20.0) | {"dendrite_id": 1}
    after, _ = corrected(views, said(line_of), RunLog())
    assert set(after[0].spines.frame["dendrite_id"]) == {0}


def test_deleted_is_absent_even_where_nobody_could_have_seen_it():
    """In a session whose shaft is too dim to show a spine, as where it is bright."""
    for snr in (20.0, 1.0):
        views = [
            session_of(t, SHAFT, *[(0, 5, 6.5, x) for x in XS], snr=snr if t == 1 else 20.0)
            for t in range(3)
        ]
        place = {"session": 1, "z_um": 5.0, "y_um": 6.5, "x_um": 20.0}
        spines, tracks = tracks_after(views, {"action": "delete", **place})
        k = spines.loc[(spines["session"] == 0) & (spines["x_um"] == 20.0), "track_id"].iloc[0]
        row = tracks[(tracks["track_id"] == k) & (tracks["session"] == 1)].iloc[0]
        assert (row["presence"], row["p_present"]) == ("absent", 0.0)


def test_what_a_person_joined_has_no_rivals_left():
    """Of two spines near one place of the first session the person chose the farther."""
    views = [
        session_of(t, SHAFT, *[(0, 5, 6.5, x) for x in (*XS, *more)])
        for t, more in enumerate(((), (20.9,)))
    ]
    views, pins = corrected(views, said(about("same", 0, 20.0, 1, 20.9)), RunLog())
    links = link_region(views, 0, MatchConfig(), 0.4, None, pins).matches.links
    ends = ["session_from", "spine_from"], ["session_to", "spine_to"]
    for end in ends:
        assert links.groupby(end)["p"].sum().max() <= 1 + 1e-9
    assert links.loc[links["p"] == 1, "chosen"].all()
