"""What a person said of a few spines carries the rest of the dendrite with it."""

from dataclasses import replace

import numpy as np
import pytest

from spinenet.config import MatchConfig
from spinenet.match.drift import drift
from spinenet.match.overlay import overlay
from spinenet.match.pins import Contradiction, Pins
from spinenet.match.region import link_region
from spinenet.types import Dendrites
from tests.unit.drawn_shafts import line, session_of

SHAFT = Dendrites((line((5, 5, 0), (5, 5, 40)),))
CONFIG = MatchConfig()
EVERY_2_UM = np.arange(8.0, 33.0, 2.0)
DRIFT_UM = 1.3
"""More than half a spacing: by their places alone spines belong to the neighbours, as soon as one
at the end is missed."""


def even(t, places_um):
    return session_of(t, SHAFT, *((0, 5, 6.5, x) for x in places_um))


def linked(*said):
    """Which spine of the first session each of the second is linked to, and all of the answer."""
    views = [even(0, EVERY_2_UM), even(1, EVERY_2_UM[:-1] + DRIFT_UM)]
    region = link_region(views, 0, CONFIG, 0.4, pins=Pins(same=said))
    chosen = region.matches.links[region.matches.links["chosen"]]
    return dict(zip(chosen["spine_from"], chosen["spine_to"], strict=True)), region


def pin(k):
    return (0, k), (1, k)


def test_without_a_word_spines_go_to_their_neighbours():
    links, region = linked()
    assert links == {k + 1: k for k in range(1, len(EVERY_2_UM))}
    assert region.warps[1, 0].slip_ambiguous


@pytest.mark.parametrize("spine", [1, 6, 12])
def test_one_pair_that_a_person_joined_carries_its_dendrite(spine):
    links, region = linked(pin(spine))
    assert links == {k: k for k in range(1, len(EVERY_2_UM))}
    assert not region.warps[1, 0].slip_ambiguous


def test_a_word_about_two_later_sessions_lays_one_onto_the_other():
    """The first session lacks the dendrite's spines; the person joined two of the others."""
    local = [np.c_[x, np.full((len(x), 2), 1.0)] for x in ([], EVERY_2_UM, EVERY_2_UM + DRIFT_UM)]
    bound = [np.full(len(x), -1) for x in local]
    bound[1][4] = bound[2][4] = 0
    first, second = overlay(local, 0, 40.0, CONFIG.gate_um, bound)[1:]
    assert second.place(local[2])[:, 0] == pytest.approx(first.place(local[1])[:, 0], abs=0.15)


def test_one_mistaken_word_costs_one_link():
    """A person joined a spine to the neighbour of its own; all others lie where they lay."""
    places = (4.0, 6.1, 8.9, 13.0, 16.4, 18.0, 22.3, 27.0, 29.5, 33.0)
    views = [even(t, places) for t in (0, 1)]
    region = link_region(views, 0, CONFIG, 0.4, pins=Pins(same=(((0, 5), (1, 6)),)))
    chosen = region.matches.links[region.matches.links["chosen"]]
    links = dict(zip(chosen["spine_from"], chosen["spine_to"], strict=True))
    assert links.pop(5) == 6
    assert links.items() >= {k: k for k in (1, 2, 3, 4, 7, 8, 9, 10)}.items()


def test_words_that_no_dendrite_could_follow_still_give_a_drift():
    """Two crowds of spines beside each other, told to lie far away on both sides."""
    moving, known = (
        np.c_[np.repeat(ends, 30), np.ones((60, 2))] for ends in ((10.0, 12.0), (40.0, -18.0))
    )
    assert np.isfinite(drift(moving, known, 40.0, np.arange(60)).shift_um).all()


def test_a_pair_that_a_person_ruled_out_competes_with_no_other():
    """Two heads 1.4 um apart in session 0, one in session 1, nearer to the first: which is not it.
    What is left is as likely as heads so far apart are, and the pair is still told, as 0."""
    rest = [(0, 5, 6.5, x) for x in (5.0, 12.0, 17.0, 24.0, 29.0, 35.0)]
    two = session_of(0, SHAFT, (0, 5, 6.5, 8.0), (0, 5, 6.5, 9.4), *rest)
    one = session_of(1, SHAFT, (0, 5, 6.5, 8.4), *rest)
    pins = Pins(different=(((0, 1), (1, 1)),))
    links = link_region([two, one], 0, CONFIG, 0.4, pins=pins).matches.links
    p = links.set_index(["spine_from", "spine_to"])["p"]
    assert p[1, 1] == 0
    assert p[2, 1] > 0.4


def test_nobody_saw_a_spine_outside_the_stack():
    here, there = even(0, EVERY_2_UM), even(1, EVERY_2_UM[:-1])
    short = replace(there, extent_um=np.array([70.0, 70.0, 28.0]))
    with pytest.raises(Contradiction, match="whose stack does not hold its place"):
        link_region([here, short], 0, CONFIG, 0.4, pins=Pins(present=(((0, 13), 1),)))


def test_a_word_about_one_spine_does_not_change_what_is_thought_of_it():
    """What a person named is sure, and still the net's own height is what judges see."""
    view = even(0, (5.0, 8.0))
    view.spines.frame["probability"] = 1.0
    pins = Pins(heights={(0, 1): 0.4}, glimpses={(0, 2): 0.1})
    assert pins.machine_p(0, view.spines).tolist() == [0.4, 0.1]
    assert pins.machine_p(1, view.spines).tolist() == [1.0, 1.0]
