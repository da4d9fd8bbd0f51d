"""A person's word says what it says and no more: of other spines and sessions the machine judges."""

from dataclasses import replace

import numpy as np
import pytest

from spinenet.config import MatchConfig
from spinenet.io.corrections import Corrections
from spinenet.match.region import link_region
from spinenet.pipeline.corrections import corrected
from spinenet.pipeline.marks import link_marks
from spinenet.pipeline.stacks import RunLog
from spinenet.tables import CORRECTIONS
from spinenet.types import Dendrites, InputError
from tests.unit.drawn_shafts import line, session_of

SHAFTS = Dendrites((line((5, 5, 0), (5, 5, 40)), line((5, 12, 0), (5, 12, 40), 1)))
X_UM = (4.0, 7.5, 9.0, 13.0, 16.5, 18.0, 22.0, 27.0, 29.5, 33.0, 36.0)
FAINT_UM = 22.0


def at(x_um, before=""):
    return dict(zip([f"{before}{a}_um" for a in "zyx"], (5.0, 6.5, x_um), strict=True))


def session(t, height, found=True):
    """Eleven spines, of which the one at 22 um is so faint; found, or only to be looked for."""
    heads = [(0, 5, 6.5, x) for x in X_UM if found or x != FAINT_UM]
    view = session_of(t, SHAFTS, *heads)
    table = view.spines.frame
    table["probability"] = np.where(table["x_um"] == FAINT_UM, height, 0.9)
    return view if found else glimpsed(view, FAINT_UM, height)


def glimpsed(view, x_um, height):
    """The same session in which looking back finds something so faint at a place."""

    def probe(points_um, home):
        seen = view.probe(points_um, home)
        here = (np.abs(points_um[:, 2] - x_um) < 0.4) & (seen.probability == 0)
        return replace(seen, probability=np.where(here, height, seen.probability))

    return replace(view, probe=probe)


def told(views, *rows):
    who = {"animal": "m", "region": "r"}
    frame = CORRECTIONS.frame([who | row for row in rows])
    frame["line"] = np.arange(len(rows)) + 2
    return corrected(views, Corrections(frame, "corrections.csv", ""), RunLog())


def linked(views, *rows, config=None, centre_p=0.4):
    views, pins = told(views, *rows)
    return link_region(views, 0, config or MatchConfig(), centre_p, pins=pins)


def life(region, x_um=FAINT_UM):
    """Rows of the track at a place."""
    spines, tracks = region.spines, region.tracks.frame
    (k,) = spines.loc[(spines["x_um"] - x_um).abs() < 0.1, "track_id"].unique()
    return tracks[tracks["track_id"] == k]


@pytest.mark.parametrize(
    "word",
    [
        {"action": "dendrite", "session": 0, "dendrite_id": 0, **at(FAINT_UM)},
        {"action": "add", "session": 0, **at(FAINT_UM)},
        {
            "action": "different",
            "session": 0,
            "session_to": 1,
            **at(FAINT_UM),
            **at(27.0, "to_"),
        },
    ],
    ids=lambda word: word["action"],
)
def test_a_named_spine_is_no_easier_to_see_elsewhere(word):
    """So faint a spine might well be missed in the other session: nobody said that it is not."""
    views = [session(0, 0.42), session(1, 0.1, found=False)]
    assert life(linked(views))["presence"].tolist() == ["present", "not_scorable"]
    assert life(linked(views, word))["presence"].tolist() == ["present", "not_scorable"]


def test_a_spine_that_only_the_person_saw_may_be_missed_in_other_sessions():
    views = [session(t, 0.2, found=False) for t in range(2)]
    added = linked(views, {"action": "add", "session": 0, **at(FAINT_UM)})
    assert life(added)["presence"].tolist() == ["present", "not_scorable"]


def test_a_spine_deleted_and_said_to_be_present_is_a_contradiction():
    views = [session(0, 0.9), session(1, 0.9)]
    present = {"action": "present", "session": 0, "session_to": 1, **at(FAINT_UM)}
    with pytest.raises(InputError, match="present in session 1 .* where another line deleted one"):
        linked(views, {"action": "delete", "session": 1, **at(FAINT_UM)}, present)


def test_present_makes_the_links_between_sure_and_no_others():
    views = [session(t, 0.9) for t in range(4)]
    without = life(linked(views))["p_link"].tolist()
    said = {"action": "present", "session": 0, "session_to": 1, **at(FAINT_UM)}
    assert life(linked(views, said))["p_link"].tolist()[1:] == pytest.approx([1, *without[2:]])
    said["session_to"] = 2
    assert life(linked(views, said))["p_link"].tolist()[1:] == pytest.approx([1, 1, without[3]])


def test_a_spine_that_a_person_added_is_kept_however_sure_the_machine_must_be():
    views = [session(t, 0.2, found=False) for t in range(3)]
    add = {"action": "add", "session": 0, **at(FAINT_UM)}
    region = linked(views, add, config=MatchConfig(sure_share=2.1), centre_p=0.5)
    assert region.spines["source"].tolist() == ["person"]


def test_the_order_of_lines_does_not_matter():
    views = [session(0, 0.9), session(1, 0.9)]
    add = {"action": "add", "session": 0, **at(22.3)}
    move = {"action": "dendrite", "session": 0, "dendrite_id": 1, **at(22.3)}
    absent = [
        {"action": "absent", "session": 0, "session_to": 1, **at(x)} for x in (25.0, 25.35, 25.7)
    ]
    rows = [add, move, *absent]
    found = [
        told(views, *order)[0][0].spines.frame[["x_um", "dendrite_id"]].to_numpy().tolist()
        for order in (rows, rows[::-1], [*absent[1:], move, absent[0], add])
    ]
    assert found[0] == found[1] == found[2]
    assert [22.0, 0] in found[0]
    assert [22.3, 1] in found[0]


@pytest.mark.parametrize("share", [0.7, 0.4])
def test_marks_alone_are_linked_whatever_looking_back_is_set_to(share):
    views = [session_of(t, SHAFTS, (0, 5, 6.5, x)) for t, x in enumerate((10.0, 30.0))]
    for view in views:
        view.spines.frame["source"] = "person"
    config = MatchConfig(lookback_share=share)
    tracks = link_marks(
        [glimpsed(v, x, 0.9) for v, x in zip(views, (30.0, 10.0), strict=True)],
        0,
        config,
        None,
        told(views)[1],
    ).tracks.frame
    assert tracks["presence"].tolist() == ["present", "absent", "absent", "present"]


@pytest.mark.parametrize(("z_um", "hidden"), [(8.0, False), (14.5, True), (1.0, True)])
def test_near_the_ends_of_a_stack_nobody_knows_whether_a_spine_lies_outside(z_um, hidden):
    """Tracks there are left out, seen or not: else only losses would be forgotten."""
    shaft = Dendrites((line((z_um, 5, 0), (z_um, 5, 40)),))
    views = [
        replace(
            session_of(t, shaft, *((0, z_um, 6.5, x) for x in X_UM if t == 0 or x != FAINT_UM)),
            extent_um=np.array([16.0, 70.0, 70.0]),
        )
        for t in range(2)
    ]
    region = linked(views)
    assert (region.tracks.frame["hidden"] == hidden).all()
    named = {"action": "same", "session": 0, "session_to": 1}
    said = linked(
        views,
        {
            **named,
            **dict(zip(("z_um", "y_um", "x_um"), (z_um, 6.5, 9.0), strict=True)),
            **dict(zip(("to_z_um", "to_y_um", "to_x_um"), (z_um, 6.5, 9.0), strict=True)),
        },
    )
    assert not life(said, 9.0)["hidden"].any()


def test_an_added_spine_says_nothing_of_others():
    """It was chosen as the machine missed it: the session is no dimmer for that."""
    views = [session(0, 0.62), session(1, 0.1, found=False)]
    assert life(linked(views))["presence"].tolist() == ["present", "absent"]
    add = {"action": "add", "session": 1, **at(24.5)}
    assert life(linked(views, add))["presence"].tolist() == ["present", "absent"]
