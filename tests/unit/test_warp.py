"""One map of a region's dendrites, and the warp that lays each session onto it."""

from dataclasses import replace

import numpy as np
import pytest

from spinenet.match.drift import drift
from spinenet.match.warp import ArcWarp, fit_warp, make_map, place_map, unwarped
from spinenet.types import Dendrites
from tests.unit.drawn_shafts import line


def scattered_heads(seed=0, n=16):
    rng = np.random.default_rng(seed)
    return np.c_[np.sort(rng.uniform(0, 40, n)), rng.normal(0, 1, (n, 2))]


def test_a_shift_along_the_dendrite_is_found():
    spines = scattered_heads()
    warp = drift(spines - [1.3, 0, 0], spines, 40.0)
    assert warp(spines[:, 0]) - spines[:, 0] == pytest.approx(1.3, abs=0.15)
    assert not warp.slip_ambiguous


def test_a_drift_that_turns_round_is_followed():
    spines = scattered_heads(seed=1, n=24)
    bent = spines + np.c_[np.cos(spines[:, 0] * np.pi / 40), np.zeros((24, 2))]
    warp = drift(spines, bent, 40.0)
    assert np.abs(warp(spines[:, 0]) - bent[:, 0]).max() < 0.3


def test_a_spine_that_no_session_shares_does_not_bend_the_drift():
    spines = scattered_heads()
    alone = np.r_[spines - [1.3, 0, 0], [[20.0, 9.0, 9.0]]]
    with_it, without = drift(alone, spines, 40.0), drift(alone[:-1], spines, 40.0)
    assert with_it.shift_um == pytest.approx(without.shift_um, abs=1e-6)


def test_evenly_spaced_spines_could_slip():
    spines = np.c_[np.arange(0, 20, 1.5), np.ones((14, 2))]
    assert drift(spines, spines, 20.0).slip_ambiguous


def test_nothing_drifts_where_there_are_no_spines():
    warp = drift(np.zeros((0, 3)), np.zeros((2, 3)), 20.0)
    assert not warp.shift_um.any()
    assert not warp.slip_ambiguous


def test_a_stretch_of_two_percent_is_followed():
    s = np.linspace(0, 40, 20)
    heads = np.c_[s, np.ones(20), np.zeros(20)]
    stretched = heads + np.c_[0.02 * (s - 20), np.full(20, 0.2), np.full(20, -0.6)]
    warp = fit_warp(heads, stretched, unwarped(40.0))
    placed = warp.place(heads)
    assert np.abs(placed - stretched)[:, 0].max() < 0.15
    assert np.abs(placed - stretched)[:, 1:].max() < 0.25
    assert warp.rms_um < 0.12


def test_a_roll_about_the_axis_is_told_from_an_offset():
    heads = scattered_heads(n=200)
    a = np.deg2rad(15)
    turn = np.array([[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]])
    rolled = np.c_[heads[:, 0], heads[:, 1:] @ turn + [0.2, 0.0]]
    warp = fit_warp(heads, rolled, unwarped(40.0))
    assert np.rad2deg(warp.roll_rad) == pytest.approx(15, abs=1.5)
    assert warp.beside_um == pytest.approx((0.2, 0.0), abs=0.1)


def test_a_warp_can_be_undone():
    nodes = np.linspace(0, 40, 81)
    warp = ArcWarp(np.array([0.0, 40]), np.array([0.5, -0.5]), 0.2, (0.3, -0.4))
    for place in ([12.0, 1.0, 0.2], [41.5, 1.0, 0.2], [-1.0, 1.0, 0.2]):
        there = warp.place(np.array([place]))[0]
        assert warp.back(there, nodes) == pytest.approx(place, abs=1e-6)


def test_no_matches_leave_the_warp_as_it_was():
    start = replace(unwarped(40.0), shift_um=np.full(21, 0.7))
    warp = fit_warp(np.zeros((0, 3)), np.zeros((0, 3)), start)
    assert warp(np.array([3.0])) == pytest.approx([3.7])
    assert warp.roll_rad == 0.0
    assert warp.beside_um == (0.0, 0.0)


def test_the_map_joins_what_each_session_sees():
    first = Dendrites((line((5, 5, 0), (5, 5, 20)),))
    second = Dendrites((line((5, 5, 0), (5, 5, 20)), line((5, 15, 0), (5, 15, 20), 1)))
    region = make_map([first, second], [np.eye(3, 4)] * 2, 8.0)
    assert [round(s.length_um) for s in region.segments] == [20, 20]


def test_a_dendrite_seen_farther_in_one_session_is_longer_on_the_map():
    first = Dendrites((line((5, 5, 0), (5, 5, 20)),))
    second = Dendrites((line((5, 5, 0), (5, 5, 26)),))
    (whole,) = make_map([first, second], [np.eye(3, 4)] * 2, 8.0).segments
    assert whole.length_um == pytest.approx(26, abs=0.1)
    assert np.diff(whole.arc_length_um).max() < 0.6


def test_the_map_is_the_same_however_often_a_session_is_seen():
    gap = Dendrites((line((5, 5, 0), (5, 5, 20)), line((5, 5, 24.5), (5, 5, 45), 1)))
    for n in (1, 2, 3):
        found = make_map([gap] * n, [np.eye(3, 4)] * n, 8.0).segments
        assert [round(s.length_um) for s in found] == [20, 20]


def test_a_dendrite_that_a_session_lacks_is_not_drawn_onto_its_neighbour():
    region = Dendrites((line((5, 10, 0), (5, 10, 20)), line((5, 12, 0), (5, 12, 20), 1)))
    own = Dendrites((line((5, 12.2, 0), (5, 12.2, 20)),))
    first, second = place_map(region, own, np.eye(3, 4)).segments
    assert np.allclose(first.points_um[:, 1], 10)
    assert np.allclose(second.points_um[:, 1], 12.2)


def test_traced_dendrites_keep_their_ids_and_their_ends():
    traced = Dendrites((line((5, 5, 4), (5, 5, 12), 7),))
    seen = Dendrites((line((5, 5.5, 0), (5, 5.5, 20)), line((5, 8, 0), (5, 8, 20), 1)))
    first, *rest = make_map([seen], [np.eye(3, 4)], 8.0, traced).segments
    assert (first.id, first.length_um) == (7, 8)
    assert [s.id for s in rest] == [8]
    assert np.allclose(rest[0].points_um[:, 1], 8)


def test_the_same_dendrite_seen_deeper_is_not_another():
    first = Dendrites((line((5, 5, 0), (5, 5, 20)),))
    second = Dendrites((line((8, 5.5, 0), (8, 5.5, 20)),))
    assert len(make_map([first, second], [np.eye(3, 4)] * 2, 8.0)) == 1


def test_the_map_follows_a_session_sideways_and_keeps_its_arc_length():
    region = Dendrites((line((5, 5, 0), (5, 5, 20)),))
    own = Dendrites((line((5.5, 6, 0), (5.5, 6, 20)),))
    (placed,) = place_map(region, own, np.eye(3, 4)).segments
    assert placed.points_um[20] == pytest.approx([5.5, 6, 10], abs=0.05)
    assert np.array_equal(placed.arc_length_um, region.segments[0].arc_length_um)


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_few_spines_alone_are_no_slip(n):
    spines = scattered_heads(n=16)[:n]
    rng = np.random.default_rng(5)
    assert not drift(spines + rng.normal(0, 0.2, spines.shape), spines, 40.0).slip_ambiguous
