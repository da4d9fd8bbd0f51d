"""Spines that a person marked: where they count, and where they do not."""

from dataclasses import replace

import pandas as pd
import pytest

from spinenet.config import MatchConfig
from spinenet.io.traces import Traces
from spinenet.match.pins import NO_PINS
from spinenet.pipeline.marks import link_marks, with_marks
from spinenet.pipeline.stacks import RunLog
from spinenet.tables import POINTS, TRACES
from spinenet.types import Dendrites
from tests.unit.drawn_shafts import line, session_of

TWO = Dendrites((line((5, 5, 0), (5, 5, 40)), line((5, 8, 0), (5, 8, 40), 1)))
"""Shafts in y 5 and 8."""


def mark(session, x_um, y_um=6.3, **more):
    who = {"animal": "m", "region": "r", "session": session, "point": "head"}
    return {**who, "z_um": 5.0, "y_um": y_um, "x_um": x_um, **more}


def traced(*sessions, dendrites=(0,)):
    who = {"animal": "m", "region": "r", "z_um": 5}
    nodes = [
        {**who, "session": s, "dendrite_id": d, "y_um": 5 + 3 * d, "x_um": x}
        for s in sessions
        for d in dendrites
        for x in (0, 40)
    ]
    return Traces(TRACES.frame(nodes), "dendrites.csv")


def placed(*marks, traces=None, shafts=TWO):
    log = RunLog()
    views, unsure = with_marks(
        [session_of(t, shafts) for t in range(3)], POINTS.frame(marks), traces, log
    )
    return views, unsure, log


def presence(views, unsure):
    pins = replace(NO_PINS, unsure_um=unsure)
    tracks = link_marks(views, 0, MatchConfig(), None, pins).tracks.frame
    return tracks.pivot(index="track_id", columns="session", values="presence").to_numpy().tolist()


def test_a_session_that_nobody_scored_is_no_loss():
    views, unsure, log = placed(mark(0, 10), mark(1, 10))
    assert [v.usable for v in views] == [True, True, False]
    assert presence(views, unsure) == [["present", "present", "not_scorable"]]
    assert any("session 2 is marked: it counts as not scored" in w for w in log.warnings)


def test_a_traced_session_without_a_mark_was_scored():
    views, unsure, log = placed(mark(0, 10), mark(1, 10), traces=traced(0, 2))
    assert presence(views, unsure) == [["present", "present", "absent"]]
    assert not log.warnings


@pytest.mark.parametrize("word", [{"scorable": "0"}, {"bad": "1"}])
def test_where_the_person_was_not_sure_nobody_knows(word):
    views, unsure, _ = placed(
        mark(0, 10), mark(1, 10, **word), mark(1, 30), mark(2, 10), mark(2, 30)
    )
    first, other = presence(views, unsure)
    assert first == ["present", "not_scorable", "present"]
    assert other == ["absent", "present", "present"]


def test_a_mark_is_on_the_dendrite_that_the_person_says():
    """Nearer to the first shaft, and said to be of the second."""
    told = mark(0, 10, dendrite_id=1)
    views, _, _ = placed(told, traces=traced(0))
    assert views[0].spines.frame["dendrite_id"].tolist() == [1]
    views, _, _ = placed(told)  # nothing says which dendrite has the number 1
    assert views[0].spines.frame["dendrite_id"].tolist() == [0]
    views, _, _ = placed(mark(0, 10, dendrite_id=pd.NA), traces=traced(0))
    assert views[0].spines.frame["dendrite_id"].tolist() == [0]


def test_a_dendrite_that_nobody_scored_in_a_session_lost_nothing_there():
    """The second shaft is marked in session 0 only; the first in all three."""
    marks = [mark(s, 10) for s in range(3)] + [mark(0, 20, y_um=8.8, dendrite_id=1)]
    views, unsure, log = placed(*marks, traces=traced(0, 1, 2))
    assert presence(views, unsure) == [["present"] * 3, ["present", *["not_scorable"] * 2]]
    assert sum("dendrite 1 has neither a mark nor a trace" in w for w in log.warnings) == 2
    traces = traced(0, 1, 2, dendrites=(0, 1))
    views, unsure, log = placed(*marks, traces=traces)
    assert presence(views, unsure) == [["present"] * 3, ["present", "absent", "absent"]]
    assert not log.warnings


@pytest.mark.parametrize("beside_um", [0.0, 0.5, 1.9])
def test_an_unsure_mark_a_little_beside_its_place_says_that_nobody_knows(beside_um):
    rest = [mark(s, x) for s in range(3) for x in (4, 16, 30)]
    seen = mark(0, 22), mark(1, 22)
    views, unsure, _ = placed(*rest, *seen, mark(2, 22 + beside_um, bad="1"))
    assert ["present", "present", "not_scorable"] in presence(views, unsure)
    views, unsure, _ = placed(*rest, *seen, mark(2, 22 + beside_um))  # as far as links reach
    assert presence(views, unsure) == [["present"] * 3] * 4


def test_a_mark_far_from_the_dendrite_that_it_names_is_left_out():
    """Traces that were numbered anew: the mark lies beside the first, and names another far off."""
    far = Dendrites((TWO.segments[0], line((5, 45, 0), (5, 45, 40), 1)))
    marks = mark(0, 10), mark(0, 15), mark(0, 20, dendrite_id=1)
    views, _, log = placed(*marks, traces=traced(0), shafts=far)
    assert views[0].spines.frame["x_um"].tolist() == [10, 15]
    assert any("1 of 3 marked spines" in w for w in log.warnings)


def test_a_session_marked_in_pixels_was_not_scored():
    wrong = [mark(1, 10 * x, y_um=65.0) for x in (4, 16, 30)]
    right = [mark(s, x) for s in (0, 2) for x in (4, 16, 30)]
    views, unsure, log = placed(*right, *wrong)
    assert [v.usable for v in views] == [True, False, True]
    assert {row[1] for row in presence(views, unsure)} == {"not_scorable"}
    assert any("the session counts as not scored" in w for w in log.warnings)


def test_marks_of_a_dendrite_that_is_not_traced_are_not_put_on_another():
    views, _, log = placed(
        mark(0, 10), mark(0, 15), mark(0, 20, dendrite_id=7), traces=traced(0, 1, 2)
    )
    assert views[0].spines.frame["x_um"].tolist() == [10, 15]
    assert any("1 of 3 marked spines" in w for w in log.warnings)
