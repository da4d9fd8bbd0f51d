"""What looking back says of the places where a spine was not seen."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from spinenet.analyze.states import SEEN, histories, miss_counts
from spinenet.config import MatchConfig
from spinenet.match.home import Home
from spinenet.match.lookback import Rules, _accept, look_back
from spinenet.match.pins import Pins
from spinenet.match.record import _as_sure_as_their_tracks, _track_table
from spinenet.match.region import link_region
from spinenet.match.view import Probe, frames_of, rehomed
from spinenet.match.warp import ArcWarp
from spinenet.types import Dendrites, Session, Tracks
from tests.unit.drawn_shafts import line, session_of, view_of


def test_heads_are_seen_in_the_frame_of_their_dendrite():
    view = view_of(Dendrites((line((5, 5, 0), (5, 5, 20)),)), (0, 4, 6.5, 8))
    assert frames_of(view)[0] == pytest.approx([8, 1.5, 1.0])


def test_a_head_beyond_the_end_of_its_dendrite_lies_farther_along():
    view = view_of(Dendrites((line((5, 5, 0), (5, 5, 20)),)), (0, 5, 6.5, 20))
    beyond = view_of(view.dendrites, (0, 5, 6.5, 21.2))
    beyond.spines.frame["arc_length_um"] = 20.0
    assert (frames_of(beyond) - frames_of(view))[0] == pytest.approx([1.2, 0, 0])


def test_a_head_can_change_its_dendrite():
    two = Dendrites((line((5, 5, 0), (5, 5, 20)), line((5, 8, 0), (5, 8, 20), 1)))
    moved = rehomed(view_of(two, (0, 5, 6.5, 8)), np.array([1])).spines.frame.iloc[0]
    assert moved["dendrite_id"] == 1
    assert moved["arc_length_um"] == pytest.approx(8)
    assert moved["base_y_um"] == pytest.approx(8)
    assert moved["side_um"] == pytest.approx(-1.5)


@pytest.mark.parametrize(
    ("p", "y_um", "faint", "presence"),
    [
        (0.1, 8.0, False, "absent"),  # looked for and not there
        (0.1, 8.0, True, "not_scorable"),  # so faint a spine might have been missed
        (0.9, 6.6, False, "not_scorable"),  # what is seen there is the neighbour
        (0.9, 8.0, False, None),  # found
        (0.9, 8.0, True, None),  # found, however faint
    ],
)
def test_what_looking_back_says_of_a_place(p, y_um, faint, presence):
    view = view_of(Dendrites((line((5, 5, 0), (5, 5, 20)),)), (0, 5, 6.5, 8))
    seen = Probe(np.array([p]), np.array([[5, y_um, 8.0]]), [{"dendrite_id": 0}])
    missing = {}
    rules = Rules(0.3, frozenset([3] if faint else []))
    homes = {3: Home(0, np.array([8.0, 1, 0]))}
    rows, found = _accept(view, seen, [3], homes, missing, 1, rules)
    assert [str(m.presence) for m in missing.values()] == ([presence] if presence else [])
    assert found == ([] if presence else [3])
    assert [r["source"] for r in rows] == ["lookback"] * len(found)


@pytest.mark.parametrize("places", [(8.0, 8.5), (8.5, 8.0)])
def test_one_light_is_of_the_spine_that_is_nearest_to_it(places):
    """Two spines close by, and one faint light between: the order of rows says nothing."""
    shaft = Dendrites((line((5, 5, 0), (5, 5, 20)),))

    def probe(points_um, home):
        row = {"dendrite_id": 0, "arc_length_um": 8.33, "side_um": 1.5}
        row |= {"z_um": 5.0, "y_um": 6.5, "x_um": 8.33}
        light = np.tile([5, 6.5, 8.33], (len(home), 1))
        return Probe(np.full(len(home), 0.45), light, [row] * len(home))

    snr = {0: np.full(len(shaft.segments[0].points_um), 20.0)}
    views = [
        replace(
            view_of(shaft, *[(0, 5, 6.5, x) for x in places if t != 1]),
            session=Session("m", "r", t, float(t)),
            snr=snr,
            probe=probe,
        )
        for t in range(3)
    ]
    numbers = [np.arange(len(v.spines)) for v in views]
    warp = ArcWarp(np.array([0.0, 20.0]), np.zeros(2), rms_um=0.0)
    warps = {(t, 0): warp for t in range(3)}
    frames = [frames_of(v) for v in views]
    life = look_back(views, frames, numbers, warps, MatchConfig(lookback_share=0.8), 0.5)
    assert [places[k] for k in life.track_of[1]] == [8.5]


def looked_back(heights, seen, head_zy=(5, 6.5), arc=8, source="detected", **more):
    """Sessions of one dendrite of radius 0.4 um, in y and z at 5, and of one spine: where it was
    seen at first, and what the net answers at its place in every session."""
    shaft = Dendrites((line((5, 5, 0), (5, 5, 20)),))

    def session(t, height, here):
        def probe(points_um, home):
            row = {"dendrite_id": 0, "arc_length_um": min(arc, 20), "side_um": head_zy[1] - 5}
            return Probe(np.full(len(home), height), points_um, [row] * len(home))

        view = view_of(shaft, *[(0, *head_zy, arc)] * here)
        view.spines.frame["arc_length_um"] = float(min(arc, 20))
        view.spines.frame["probability"] = height
        view.spines.frame["source"] = source
        snr = {0: np.full(len(shaft.segments[0].points_um), 20.0)}
        return replace(view, session=Session("m", "r", t, float(t)), snr=snr, probe=probe)

    views = [session(t, p, here) for t, (p, here) in enumerate(zip(heights, seen, strict=True))]
    numbers = [np.zeros(here, np.int64) for here in seen]
    warp = ArcWarp(np.array([0.0, 20.0]), np.zeros(2), rms_um=0.0)
    warps = {(t, 0): warp for t in range(len(seen))}
    config = MatchConfig(**more.pop("config", {}))
    return look_back(views, [frames_of(v) for v in views], numbers, warps, config, 0.5, **more)


def letters(life):
    """Of one spine: P present, B present between, a absent, ? not scorable, by session."""
    return "".join(
        ("B" if (0, t) in life.between else "P")
        if len(of)
        else {"absent": "a", "not_scorable": "?"}[str(life.missing[0, t].presence)]
        for t, of in enumerate(life.track_of)
    )


@pytest.mark.parametrize(
    ("head_zy", "arc", "hidden"),
    [
        ((5, 6.5), 8, False),  # far out beside the shaft
        ((5, 4.3), 8, False),  # just beside its edge, on the other side
        ((5, 5.5), 8, True),  # its middle at the edge
        ((7, 5.1), 8, True),  # above
        ((7, 5.8), 8, False),  # above, but beside as well
        ((5, 5), 21, False),  # at the dendrite's tip
    ],
)
def test_what_a_shaft_hides_is_not_known_to_be_absent(head_zy, arc, hidden):
    life = looked_back([0.9, 0.9, 0.0], [1, 1, 0], head_zy, arc)
    assert life.hidden == ({0} if hidden else set())
    assert letters(life) == ("PP?" if hidden else "PPa")


def test_a_session_that_is_left_out_hides_no_spine_of_others():
    """Laid over the others by chance, its border runs along the dendrite."""
    shaft = Dendrites((line((15, 5, 0), (15, 5, 40)),))
    spines = [(0, 15, 6.5, x) for x in (4.0, 7.5, 13.0, 16.5, 20.0, 27.0)]
    good = [session_of(t, shaft, *spines) for t in range(3)]
    at_border = Dendrites((line((15, -0.8, 0), (15, -0.8, 40)),))
    for usable in (False, True):
        last = session_of(3, at_border, usable=usable, snr=20.0 if usable else float("nan"))
        tracks = link_region([*good, last], 1, MatchConfig(), 0.4).tracks.frame
        assert tracks["hidden"].any() == usable


def test_where_registration_left_the_stack_blank_nothing_is_absent():
    """The last session was imaged up to 1.2 um beside the shaft, and its heads lie 1.5 um beside."""
    shaft = Dendrites((line((15, 5, 0), (15, 5, 40)),))
    xs = (4.0, 7.5, 13.0, 16.5, 20.0, 27.0)
    views = [session_of(t, shaft, *[(0, 15, 6.5, x) for x in xs]) for t in (0, 1)]
    last = session_of(2, shaft)
    for view, presence in (
        (last, "absent"),
        (replace(last, imaged=lambda p, aside: p[:, 1] + aside[0] <= 6.2), "out_of_view"),
        (
            replace(last, imaged=lambda p, aside: p[:, 1] + aside[0] <= 6.7),
            "out_of_view",
        ),  # at its very border
    ):
        tracks = link_region([*views, view], 0, MatchConfig(), 0.4).tracks.frame
        assert set(tracks.loc[tracks["session"] == 2, "presence"]) == {presence}


def test_what_a_person_saw_is_not_hidden():
    life = looked_back([1.0, 0.0], [1, 0], (7, 5.1), source="person", config={"least_power": 0.0})
    assert life.hidden == set()
    assert letters(life) == "Pa"


@pytest.mark.parametrize(
    ("heights", "seen", "found"),
    [
        ([0.45, 0.1, 0.45], [1, 0, 1], "PBP"),  # the faintest sign is enough
        ([0.45, 0.01, 0.45], [1, 0, 1], "PaP"),  # but there must be one
        ([0.9, 0.1, 0.9], [1, 0, 1], "PaP"),  # so bright a spine would have been seen better
        ([0.45, 0.1, 0.1, 0.45], [1, 0, 0, 1], "PBBP"),
        ([0.45, 0.1, 0.01, 0.45], [1, 0, 0, 1], "PBaP"),
        ([0.45, 0.1, 0.1], [1, 0, 0], "P??"),  # gone, or too faint
        ([0.1, 0.1, 0.45], [0, 0, 1], "??P"),  # not yet there, or too faint
        ([0.9, 0.4, 0.9], [1, 0, 1], "PPP"),  # bright enough by itself
        ([0.45, 0.1, 0.4], [1, 0, 0], "PBP"),  # looking back saw it again later
    ],
)
def test_a_spine_between_two_sightings_is_there_however_faint(heights, seen, found):
    life = looked_back(heights, seen)
    assert letters(life) == found
    assert set(life.missing) == {(0, t) for t, c in enumerate(found) if c not in "PB"}


def test_a_person_decides_what_lies_between():
    later = Pins(present=(((0, 1), 2),))
    assert letters(looked_back([0.45, 0.1, 0.0], [1, 0, 0], pins=later)) == "PBP"
    gone = Pins(absent=(((0, 1), 1),))
    assert letters(looked_back([0.45, 0.3, 0.1, 0.45], [1, 0, 0, 1], pins=gone)) == "Pa?P"


@pytest.mark.parametrize("heights", [[0.9, 0.06, 0.9], [0.9, 0.06, 0.06, 0.9]])
def test_a_spine_seen_between_is_as_sure_as_its_track_and_yet_a_miss(heights):
    dim = {"least_power": 0.999}
    life = looked_back(heights, [1, *[0] * (len(heights) - 2), 1], config=dim)
    spines = [v.spines.frame for v in life.views]
    tracks = _track_table(life, spines, {}, {})
    assert tracks["presence"].unique().tolist() == ["present"]
    assert tracks["between"].tolist() == [p == 0.06 for p in heights]
    assert tracks["p_present"].min() > 0.95
    own = pd.concat(spines, ignore_index=True).assign(session=tracks["session"])
    assert _as_sure_as_their_tracks(own, tracks)["probability"].min() > 0.85
    (h,) = histories(Tracks(tracks), max_gap=1)
    assert (h.seen == SEEN).all()
    assert miss_counts(h) == ((1, 0) if len(heights) == 3 else (0, 0))
