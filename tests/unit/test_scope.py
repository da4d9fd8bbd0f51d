"""Sessions in which nobody could look: they are neither a price nor a loss."""

from dataclasses import replace

import numpy as np
import pytest

from spinenet.analyze.checks import scored
from spinenet.analyze.states import histories
from spinenet.analyze.turnover import flow
from spinenet.config import MatchConfig
from spinenet.match.assign import left_out, path_cover
from spinenet.match.laid import shared_tokens, warp_region
from spinenet.match.pins import Pins
from spinenet.match.region import link_region
from spinenet.match.scope import looked_at
from spinenet.match.score import Candidates
from spinenet.match.support import evidence, settle
from spinenet.match.view import frames_of
from spinenet.types import Dendrites
from tests.unit.drawn_shafts import line, session_of

SHAFT = Dendrites((line((5, 5, 0), (5, 5, 40)),))
PLACES_UM = (4.0, 7.5, 9.0, 13.0, 16.5, 18.0, 22.0, 27.0, 29.5, 33.0, 36.0)
CONFIG = MatchConfig()


def heads(places_um=PLACES_UM, seed=None):
    rng = np.random.default_rng(seed)
    scatter = (
        np.zeros((len(places_um), 3)) if seed is None else rng.normal(0, 1, (len(places_um), 3))
    )
    scatter *= (0.5, 0.25, 0.25)
    side = (1.5, -1.5) * len(places_um)
    return [
        (0, 5 + dz, 5 + y + dy, x + dx)
        for x, y, (dz, dy, dx) in zip(places_um, side, scatter, strict=False)
    ]


def region(*blind):
    """Two sessions that see the shaft, the blind ones, and two that see it again."""
    views = [session_of(t, SHAFT, *heads(seed=t)) for t in (0, 1)]
    views += [
        replace(view, session=replace(view.session, index=t)) for t, view in enumerate(blind, 2)
    ]
    return [*views, *(session_of(t, SHAFT, *heads(seed=t)) for t in (len(views), len(views) + 1))]


FOREIGN = session_of(2, SHAFT, snr=np.nan, usable=False)
DARK = session_of(2, SHAFT, snr=0.1)
ASIDE = replace(session_of(2, SHAFT, snr=np.nan), extent_um=np.array([70.0, 70.0, -5.0]))


@pytest.mark.parametrize("blind", [FOREIGN, DARK, ASIDE])
def test_spines_persist_through_sessions_in_which_nobody_could_look(blind):
    linked = link_region(region(blind, blind, blind), 0, CONFIG, 0.4)
    tracks = linked.tracks.frame
    assert tracks["track_id"].nunique() == len(PLACES_UM)
    told = tracks.groupby("session")["presence"].agg(set)
    assert [told[t] for t in (0, 1, 5, 6)] == [{"present"}] * 4
    assert not any("absent" in told[t] for t in (2, 3, 4))


def test_where_one_could_look_by_session():
    views = region(FOREIGN)
    frames = [frames_of(v) for v in views]
    warps = warp_region(views, frames, 0, CONFIG)
    looked = looked_at(views, frames, warps, CONFIG.min_snr)
    assert looked.shape == (4 * len(PLACES_UM), 5)
    assert (looked == [True, True, False, True, True]).all()
    assert len(shared_tokens(views, frames, warps, 0, False)) == 5


def test_only_sessions_in_which_one_could_look_are_left_out():
    looked = np.array([[1, 0, 1, 0, 1], [1, 1, 1, 1, 1]], bool)
    assert left_out(looked, np.array([0, 1]), 0, 4).tolist() == [1, 3]
    assert left_out(looked, np.array([0, 1]), np.array([1, 2]), np.array([2, 2])).tolist() == [0, 0]
    assert left_out(None, np.array([0, 1]), 0, 4).tolist() == [3, 3]


@pytest.mark.parametrize(("could_look", "n_tracks"), [(True, 2), (False, 1)])
def test_a_link_over_sessions_without_a_sighting(could_look, n_tracks):
    """Odds of 20 to 1 bear one session in which the spine was missed, not three."""
    far = {(0, 4): Candidates(np.array([0]), np.array([0]), np.array([20.0]), (1, 1))}
    looked = np.full((2, 5), could_look)
    sizes = [1, 0, 0, 0, 1]
    cover = path_cover(sizes, far, 0.2, looked=looked)
    assert len(set(cover.tolist())) == n_tracks
    told = replace(evidence(sizes, far), session=np.array([0, 4]))
    settled = settle(told, np.array([0, 1]), 0.2, looked=looked)
    assert len(set(settled.tolist())) == n_tracks


def test_links_that_may_have_slipped_are_not_sure():
    """Spines every 2 um, and each of the next session half way between two of them."""
    places = tuple(np.arange(12.0, 36.0, 2.0))
    between = tuple(x + 1.0 for x in places[:-1])

    def even(t, at):
        return session_of(t, SHAFT, *((0, 5, 6.5, x) for x in at))

    linked = link_region([even(0, places), even(1, between)], 0, CONFIG, 0.4)
    assert linked.warps[1, 0].slip_ambiguous
    chosen = linked.matches.links[linked.matches.links["chosen"]]
    assert len(chosen) > 6
    assert chosen["p"].max() < 0.6
    assert chosen["slip_group"].notna().all()


def test_a_deleted_spine_is_surely_gone():
    """The machine still sees it, with 0.9; the person's word goes before."""
    views = [session_of(t, SHAFT, *heads()) for t in range(3)]
    place = np.array([views[2].spines.centres_um[4]])
    left = views[2].spines.frame.drop(index=4).reset_index(drop=True)
    views[2] = replace(views[2], spines=replace(views[2].spines, frame=left))
    linked = link_region(views, 0, CONFIG, 0.4, pins=Pins(empty_um={2: place}))
    gone = linked.tracks.frame.query("session == 2 and presence == 'absent'")
    assert len(gone) == 1
    assert gone["p_present"].iloc[0] == 0.0


def test_what_a_person_says_is_gone_could_be_scored_there():
    """Too dim to tell for the machine; the person could."""
    views = [session_of(t, SHAFT, *heads()) for t in (0, 1)]
    views.append(session_of(2, SHAFT, snr=0.1))
    spine = (1, int(views[1].spines.ids[4]))
    linked = link_region(views, 0, CONFIG, 0.4, pins=Pins(absent=((spine, 2),)))
    stretch = linked.coverage.query("session == 2").iloc[0]
    assert stretch["start_um"] <= PLACES_UM[4] <= stretch["end_um"]
    last = linked.tracks.frame.query("session == 2")
    assert sorted(last["presence"].unique()) == ["absent", "not_scorable"]
    assert last.loc[last["presence"] == "absent", "p_present"].tolist() == [0.0]


def test_where_a_shaft_is_too_dim_neither_sightings_nor_losses_count():
    """Eleven spines in three sessions; in the last, dim one the machine finds eight of them. Of
    these none can be told to live on while the other three cannot be told to be lost."""
    shaft = Dendrites((line((15, 15, 0), (15, 15, 40)),))
    places = [4.0, 7.5, 9.0, 13.0, 16.5, 18.0, 22.0, 27.0, 29.5, 33.0, 36.0]
    heads = [(0, 15, 16.5, x) for x in places]
    bright = [session_of(t, shaft, *heads) for t in (0, 1)]

    def flow_of(last):
        linked = link_region([*bright, last], 1, CONFIG, 0.4)
        (h,) = histories(scored(linked.tracks, linked.coverage), 1)
        return flow(h)

    seen = flow_of(session_of(2, shaft, *heads[3:]))
    assert (seen.n_before[1], seen.n_lost[1]) == (11, 3)
    dim = flow_of(session_of(2, shaft, *heads[3:], snr=3.0))
    assert dim.n_lost.tolist() == [0]  # of the first interval; of the second nothing is told


@pytest.mark.parametrize("seed", range(6))
def test_every_sighting_stands_on_a_stretch_however_the_light_flickers(seed):
    """Shafts whose nodes are bright and dim by chance: usable or not, something is said of each."""
    rng = np.random.default_rng(seed)
    flickering = [
        replace(view, snr={0: rng.choice([2.0, 20.0], len(SHAFT.segments[0].points_um))})
        for view in (session_of(t, SHAFT, *heads(seed=t)) for t in (0, 1, 2))
    ]
    linked = link_region(flickering, 0, CONFIG, 0.4)
    told = scored(linked.tracks, linked.coverage)  # refuses sightings that stand nowhere
    assert len(told.frame) == len(linked.tracks.frame)
    assert linked.coverage["usable"].nunique() == 2
