from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import ndimage
from scipy.optimize import linear_sum_assignment

from spinenet.analyze.states import SEEN, histories, miss_counts
from spinenet.config import MatchConfig
from spinenet.geometry import affine_apply, arc_length
from spinenet.match.align import THUMB_UM, Thumb, align, make_thumb
from spinenet.match.assign import path_cover, session_pairs
from spinenet.match.lookback import Home, Rules, _accept, look_back
from spinenet.match.pins import Pins
from spinenet.match.record import _as_sure_as_their_tracks, _track_table
from spinenet.match.region import _once_surely_seen, _one_dendrite_per_track, link_by_places
from spinenet.match.score import (
    PLACE_SD_UM,
    Candidates,
    Places,
    apart,
    fit_scatter,
    near_pairs,
    pair_odds,
)
from spinenet.match.tokens import Tokens
from spinenet.match.view import Probe, SessionView, frames_of, rehomed
from spinenet.match.warp import ArcWarp, fit_warp, make_map, place_map, slide
from spinenet.measure.attach import attach
from spinenet.tables import SPINES
from spinenet.types import Dendrites, InputError, Segment, Session, SpineTable, Tracks, Volume


def line(start, stop, number=0, step=0.5):
    n = int(np.linalg.norm(np.subtract(stop, start)) / step) + 1
    p = np.linspace(start, stop, n).astype(float)
    return Segment(number, p, np.full(n, 0.4), arc_length(p))


def linked(a, b):
    """(M, N) link probability of heads at (along, sideways, upward) places."""
    a, b = np.asarray(a, float), np.asarray(b, float)
    away = b[None] - a[:, None]
    return every_pair(pair_odds(away, PLACE_SD_UM, 2.0)).probability.reshape(len(a), len(b))


def every_pair(odds):
    """All pairs of two sessions, from their (M, N) odds."""
    odds = np.asarray(odds, float)
    i, j = (n.ravel() for n in np.indices(odds.shape))
    return Candidates(i, j, odds.ravel(), odds.shape)


def places(*points):
    """Heads near a dendrite along x: along is x, sideways is y, upward is -z."""
    axes = np.array([[0, 0, 1.0], [0, 1, 0], [-1, 0, 0]])
    return Places(np.array(points, float).reshape(-1, 3), np.tile(axes, (len(points), 1, 1)))


def spines(*points):
    """The same, nothing known of them but their places."""
    n = len(points)
    blank = np.zeros((n, 4), np.float32), np.zeros((n, 5, 17, 17), np.float16)
    return Tokens(places(*points), *blank)


def linked_tracks(*sessions):
    return [t.tolist() for t in link_by_places(list(sessions), MatchConfig())[1]]


def test_the_same_place_is_the_same_spine():
    assert linked([[0, 0, 0]], [[0, 0, 0]])[0, 0] > 0.98


def test_far_away_is_another_spine():
    assert linked([[0, 0, 0]], [[2.5, 0, 0]])[0, 0] == 0
    assert linked([[0, 0, 0]], [[0, 3, 0]])[0, 0] < 0.1


def test_rivals_share_the_probability():
    p = linked([[0, 0, 0]], [[0.2, 0, 0], [-0.2, 0, 0]])
    assert p[0] == pytest.approx([0.5, 0.5], abs=0.02)


def test_both_orders_agree():
    rng = np.random.default_rng(0)
    a, b = rng.normal(0, 1, (4, 3)), rng.normal(0, 1, (6, 3))
    assert np.allclose(linked(a, b), linked(b, a).T)


def test_distances_are_seen_from_the_dendrite():
    first = np.zeros(1, int)
    away = apart(places((0, 0, 0)), places((-0.5, 0.25, 2)), first, first)
    assert away[0] == pytest.approx([2, 0.25, 0.5])


def test_only_spines_near_each_other_are_compared():
    here = places((0, 0, 0), (0, 0, 50))
    there = places((0, 0, 2.9), (0, 0, 3.1), (4.9, 0, 0), (0, 2.5, 52.5))
    i, j = near_pairs(here, there)
    assert list(zip(i, j, strict=True)) == [(0, 0), (0, 2)]
    assert near_pairs(here, places())[0].size == 0


def test_the_scatter_is_learned_from_many_pairs_and_expected_of_few():
    rng = np.random.default_rng(0)
    pairs = rng.normal([0.3, 0, 0], [0.2, 0.3, 2.0], (2000, 3))
    assert fit_scatter(pairs) == pytest.approx([0.2, 0.3, 2.0], rel=0.1)
    assert fit_scatter(pairs[:1]) == pytest.approx(PLACE_SD_UM, rel=0.1)
    assert fit_scatter(pairs[:0]) == pytest.approx(PLACE_SD_UM)


def test_a_pair_between_two_dendrites_can_be_one_spine():
    assert linked_tracks(spines((3, 4, 5)), spines((3.2, 4.1, 5.1))) == [[0], [0]]


def test_crowded_spines_keep_their_order():
    crowd = [(3, 4, x) for x in (5.0, 5.8, 6.6)]
    moved = [(3, 4, x + 0.3) for x in (5.0, 5.8, 6.6)]
    before, after = linked_tracks(spines(*crowd), spines(*moved))
    assert before == after


def test_over_many_sessions_a_spine_was_once_surely_seen():
    dendrite = Dendrites((line((5, 5, 0), (5, 5, 20)),))
    views = [view_of(dendrite, (0, 5, 6.5, 4), (0, 5, 6.5, 12)) for _ in range(3)]
    for view, faint, clear in zip(views, (0.4, 0.3, 0.4), (0.4, 0.7, 0.4), strict=True):
        view.spines.frame["probability"] = [faint, clear]
    tracks = [np.array([0, 1])] * 3
    kept, numbers = _once_surely_seen(views, tracks, 0.6)
    assert [n.tolist() for n in numbers] == [[0]] * 3
    assert all(v.spines.frame["x_um"].tolist() == [12] for v in kept)
    assert _once_surely_seen(views[:2], tracks[:2], 0.6)[0] == views[:2]


def test_a_spine_is_on_the_dendrite_that_a_person_told():
    two = Dendrites((line((5, 5, 0), (5, 5, 20)), line((5, 9, 0), (5, 9, 20), number=1)))
    views = [view_of(two, (0, 5, 6.5, 4)) for _ in range(3)]
    tracks = [np.array([0])] * 3
    spine = int(views[1].spines.ids[0])
    homes = [
        [
            int(v.spines.frame["dendrite_id"].iloc[0])
            for v in _one_dendrite_per_track(views, tracks, told)
        ]
        for told in ({}, {(1, spine): 1})
    ]
    assert homes == [[0, 0, 0], [1, 1, 1]]
    with pytest.raises(InputError, match="puts one spine on the dendrites 0 and 1"):
        _one_dendrite_per_track(views, tracks, {(0, spine): 0, (1, spine): 1})


def test_a_track_skips_a_session_in_which_the_spine_was_missed():
    odds = {(0, 1): np.zeros((1, 0)), (0, 2): [[9.0]], (1, 2): np.zeros((0, 1))}
    assert covered([1, 0, 1], odds) == [0, 0]


def test_neighbouring_sessions_are_linked_first():
    assert covered([1, 1, 1], dict.fromkeys(session_pairs(3), [[20.0]])) == [0, 0, 0]


def test_the_best_whole_beats_the_best_pair():
    assert covered([2, 2], {(0, 1): [[9.0, 4.0], [6.0, 0.1]]}) == [0, 1, 1, 0]


def test_unlikely_links_are_not_made():
    assert covered([1, 1], {(0, 1): [[0.1]]}) == [0, 1]


def test_no_spines_no_tracks():
    assert covered([0, 0], {(0, 1): np.zeros((0, 0))}) == []


def test_solving_group_by_group_finds_what_solving_at_once_finds():
    rng = np.random.default_rng(4)
    worth = np.where(rng.random((9, 9)) < 0.25, rng.uniform(0.5, 30, (9, 9)), 0.0)
    track = np.array(covered([9, 9], {(0, 1): worth}))
    gain = np.maximum(np.log(np.maximum(worth, 1e-12) * 4), 0)
    rows, columns = linear_sum_assignment(gain, maximize=True)
    i, j = np.nonzero(track[:9, None] == track[9:])
    assert gain[i, j].sum() == pytest.approx(gain[rows, columns].sum())


def covered(sizes, odds):
    """Tracks by (M, N) odds of every two sessions."""
    return path_cover(sizes, {k: every_pair(o) for k, o in odds.items()}, 0.2).tolist()


def test_slide_finds_a_shift_along_the_dendrite():
    rng = np.random.default_rng(0)
    spines = np.c_[np.sort(rng.uniform(0, 40, 16)), rng.normal(0, 1, (16, 2))]
    shift, ambiguous = slide(spines - [1.3, 0, 0], spines, PLACE_SD_UM)
    assert shift == pytest.approx(1.3, abs=0.11)
    assert not ambiguous


def test_evenly_spaced_spines_could_slip():
    spines = np.c_[np.arange(0, 20, 1.5), np.ones((14, 2))]
    assert slide(spines, spines, PLACE_SD_UM)[1]


def test_nothing_to_slide():
    assert slide(np.zeros((0, 3)), np.zeros((2, 3)), PLACE_SD_UM) == (0.0, False)


def test_a_stretch_of_two_percent_is_followed():
    s = np.linspace(0, 40, 20)
    heads = np.c_[s, np.ones(20), np.zeros(20)]
    stretched = heads + np.c_[0.02 * (s - 20), np.full(20, 0.2), np.full(20, -0.6)]
    warp = fit_warp(heads, stretched, 40.0, 0.0)
    assert np.abs(warp(s) - stretched[:, 0]).max() < 0.15
    assert warp.rms_um < 0.12
    assert warp.beside_um == pytest.approx((0.2, -0.6), rel=0.2)


def test_a_warp_can_be_undone():
    nodes = np.linspace(0, 40, 81)
    warp = ArcWarp(np.array([0.0, 40]), np.array([0.5, -0.5]), (0.3, -0.4))
    for place in ([12.0, 1.0, 0.2], [41.5, 1.0, 0.2], [-1.0, 1.0, 0.2]):
        there = warp.place(np.array([place]))[0]
        assert warp.back(there, nodes) == pytest.approx(place, abs=1e-6)


def test_no_matches_leave_the_slide():
    warp = fit_warp(np.zeros((0, 3)), np.zeros((0, 3)), 40.0, 0.7)
    assert warp(np.array([3.0])) == pytest.approx([3.7])
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


def view_of(dendrites, *spines):
    """A session with heads at (dendrite, z, y, x); their arc length is their x."""
    rows = [
        {"spine_id": i, "dendrite_id": d, "z_um": z, "y_um": y, "x_um": x, "arc_length_um": x}
        for i, (d, z, y, x) in enumerate(spines, start=1)
    ]
    frame = SPINES.frame(rows).assign(side_um=0.0)

    def measure(points_um, home):
        at = attach(points_um, dendrites, home)
        return [
            {"dendrite_id": int(d), "arc_length_um": s, "base_y_um": b[1], "side_um": side}
            for d, s, b, side in zip(home, at.arc_um, at.base_um, at.side_um, strict=True)
        ]

    session = Session("m", "r", 0)
    extent = np.full(3, 30.0)
    return SessionView(session, SpineTable(frame), dendrites, {}, extent, True, None, measure, None)


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
    assert [str(m[0]) for m in missing.values()] == ([presence] if presence else [])
    assert found == ([] if presence else [3])
    assert [r["source"] for r in rows] == ["lookback"] * len(found)


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
        else {"absent": "a", "not_scorable": "?"}[str(life.missing[0, t][0])]
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


def picture(seed=0, shape=(24, 90, 120)):
    rng = np.random.default_rng(seed)
    field = np.zeros(shape)
    at = (rng.uniform(0, 1, (60, 3)) * shape).astype(int)
    field[tuple(at.T)] = 50
    return (ndimage.gaussian_filter(field, 1.5) ** 0.5).astype(np.float32)


def thumb(picture):
    return Thumb(picture, np.array(THUMB_UM), np.zeros(3))


def test_a_shifted_field_is_brought_back():
    still = picture()
    moved = ndimage.shift(still, (1.0, 6.0, -4.0), order=1)
    found = align(thumb(moved), thumb(still), MatchConfig())
    points = np.array([[12.0, 18, 24]])
    moved_um = points + np.array([1.0, 6.0, -4.0]) * THUMB_UM
    assert affine_apply(found.affine, moved_um)[0] == pytest.approx(points[0], abs=0.15)
    assert found.same_field


def test_a_turned_field_is_brought_back():
    still = picture()
    turned = ndimage.rotate(still, 4, axes=(1, 2), reshape=False, order=1)
    found = align(thumb(turned), thumb(still), MatchConfig())
    assert found.score > 0.85


def test_alignment_is_the_same_on_every_run():
    a, b = picture(), ndimage.shift(picture(), (0, 2.5, 1.5), order=1)
    one, two = (align(thumb(b), thumb(a), MatchConfig()).affine for _ in range(2))
    assert np.array_equal(one, two)


def test_another_field_is_noticed():
    assert not align(thumb(picture(1)), thumb(picture(2)), MatchConfig()).same_field


def test_a_thumb_is_small_and_dark_outside():
    data = np.full((20, 80, 80), 100, np.uint16)
    data[10, 40, :] = 4000
    made = make_thumb(Volume(data, (0.5, 0.1, 0.1), Session("m", "r", 0)))
    assert made.picture.shape == (10, 20, 20)
    assert made.picture[0, 0, 0] == 0
