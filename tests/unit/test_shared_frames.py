"""What sessions that are laid over each other say of spines and stretches."""

import numpy as np
import pytest

from spinenet.chain import Rates, presence
from spinenet.match.absence import with_presence, without_doubtful_absences
from spinenet.match.laid import warp_region
from spinenet.match.region import link_region
from spinenet.match.scope import looked_at
from spinenet.match.view import frames_of
from spinenet.match.warp import fit_warp, unwarped
from tests.conftest import tracks_of
from tests.unit.drawn_shafts import session_of
from tests.unit.test_scope import CONFIG, SHAFT, heads

SURE = 1e9


def test_young_spines_are_lost_sooner():
    """Nobody looked in the last session: the old one is there but for 6 %, the new one for 30 %."""
    looks = np.array([[SURE, SURE, np.nan], [1 / SURE, SURE, np.nan]])
    assert presence(looks, Rates(0.06, 0.06, 0.3), 0.5)[:, 2] == pytest.approx(
        [0.94, 0.7], abs=1e-3
    )


def test_a_spine_may_have_formed_in_any_interval_alike():
    """Absent, then twice not looked for, then seen."""
    found = presence(np.array([[1 / SURE, np.nan, np.nan, SURE]]), Rates(0.06, 0.0, 0.0), 0.5)
    assert found[0] == pytest.approx([0, 1 / 3, 2 / 3, 1], abs=1e-3)


def test_heads_that_rolled_are_laid_where_they_were():
    rng = np.random.default_rng(0)
    heads_ = np.c_[np.sort(rng.uniform(0, 40, 200)), rng.normal(0, 1, (200, 2))]
    a = np.deg2rad(15)
    turn = np.array([[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]])
    rolled = np.c_[heads_[:, 0], heads_[:, 1:] @ turn]
    warp = fit_warp(heads_, rolled, unwarped(40.0))
    assert np.abs(warp.place(heads_) - rolled).max() < 0.15


def test_stretches_are_told_in_the_arc_length_that_spines_have():
    """All spines of the second session lie 1.5 um farther on: so does its stretch begin."""
    later = [(d, z, y, x + 1.5) for d, z, y, x in heads()]
    linked = link_region(
        [session_of(0, SHAFT, *heads()), session_of(1, SHAFT, *later)], 0, CONFIG, 0.4
    )
    start = linked.coverage.groupby("session")["start_um"].min()
    assert start[1] - start[0] == pytest.approx(-1.5, abs=0.2)


def test_of_a_session_that_is_not_usable_no_stretch_is():
    views = [session_of(0, SHAFT, *heads()), session_of(1, SHAFT, *heads(), usable=False)]
    linked = link_region(views, 0, CONFIG, 0.4)
    usable = linked.coverage.groupby("session")["usable"].any()
    assert usable[0]
    assert not usable.get(1, False)


def test_sessions_left_out_have_no_price():
    views = [session_of(0, SHAFT, *heads()), session_of(1, SHAFT, usable=False)]
    frames = [frames_of(v) for v in views]
    looked = looked_at(views, frames, warp_region(views, frames, 0, CONFIG), CONFIG.min_snr)
    assert (looked == [True, False]).all()


def test_a_look_that_others_outvote_is_no_absence():
    frame = tracks_of({1: "101", 2: "110"}).frame
    frame["p_present"] = [0.99, 0.8, 0.99, 0.99, 0.99, 0.1]
    found = without_doubtful_absences(frame)["presence"].tolist()
    assert found == ["present", "not_scorable", "present", "present", "present", "absent"]


@pytest.mark.parametrize(
    ("life", "becomes"),
    [
        ("01011", "?1011"),  # missed once between two sightings: it may have been missed before
        ("11010", "1101?"),  # or after
        ("01111", "01111"),  # never missed: it is new
        ("0111?", "0111?"),
        ("00001", "00001"),  # seen once: nothing lies between
        ("11010000", "11010000"),  # so many misses on end are none
        ("0o1b1", "?o1b1"),  # found between only because it was seen before and after: missed too
        ("01b11o0", "?1b11o?"),
    ],
)
def test_the_absences_of_a_spine_that_is_missed_at_times_are_doubtful(life, becomes):
    frame = tracks_of({1: life.replace("b", "1")}).frame
    frame["between"] = [c == "b" for c in life]
    frame["p_present"] = 0.1
    names = {"present": "1", "absent": "0", "not_scorable": "?", "out_of_view": "o"}
    found = without_doubtful_absences(frame)
    found = [
        "b" if b else names[p] for p, b in zip(found["presence"], found["between"], strict=True)
    ]
    assert "".join(found) == becomes


def test_what_a_person_called_absent_is_absent():
    frame = tracks_of({1: "01011", 2: "01011"}).frame.assign(p_present=0.1)
    found = without_doubtful_absences(frame, {(1, 0), (2, 2)})["presence"].tolist()
    assert found == frame["presence"].tolist()
    once_gone = tracks_of({1: "110100"}).frame.assign(p_present=0.1)
    found = without_doubtful_absences(once_gone, {(1, 4)})["presence"].tolist()
    assert found == once_gone["presence"].tolist()


def test_only_links_from_one_sighting_to_the_next_are_chosen():
    linked = link_region([session_of(t, SHAFT, *heads()) for t in range(3)], 0, CONFIG, 0.4)
    links = linked.matches.links
    chosen = links[links["chosen"]]
    assert set(zip(chosen["session_from"], chosen["session_to"], strict=True)) == {(0, 1), (1, 2)}


def test_what_is_out_of_view_has_no_probability_of_its_own():
    frame = tracks_of({1: "1o1"}).frame
    frame["p_present"] = [0.9, 0.02, 0.9]
    assert with_presence(frame)["p_present"].iloc[1] == 0.02
