"""All sessions of one region: dendrites warped onto one another, spines to tracks."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from spinenet.config import MatchConfig
from spinenet.match.assign import Pair, path_cover, session_pairs
from spinenet.match.head import Judge, MatchingHead, PlacesAlone, all_candidates
from spinenet.match.laid import (
    laid_on_tracks,
    shared_places,
    shared_tokens,
    warp_region,
)
from spinenet.match.lookback import look_back
from spinenet.match.pins import NO_PINS, PERSON, Contradiction, Pins, Spine
from spinenet.match.record import LinkedRegion, record
from spinenet.match.scope import looked_at
from spinenet.match.score import PLACE_SD_UM, apart, fit_scatter
from spinenet.match.support import evidence, settle, sure_of_track
from spinenet.match.tokens import Tokens
from spinenet.match.view import SessionView, frames_of, rehomed
from spinenet.match.warp import Warps
from spinenet.types import BoolArray, FloatArray, IntArray, SpineTable

LINK_ROUNDS = 2
MANY_SESSIONS = 3


@dataclass(frozen=True)
class Laid:
    """The sessions of a region laid over each other: warps onto the reference; spines where these
    put them; the judge by places, which knows the scatter that is left; and where one could look,
    as `path_cover` takes it."""

    warps: Warps
    tokens: list[Tokens]
    by_places: PlacesAlone
    looked: BoolArray


def link_region(
    views: list[SessionView],
    reference: int,
    config: MatchConfig,
    centre_p: float,
    head: MatchingHead | None = None,
    pins: Pins = NO_PINS,
) -> LinkedRegion:
    """Link the spines of all sessions of a region.

    Parameters
    ----------
    reference: position in `views` of the session whose arc length is the shared frame
    centre_p: centre probability from which a spine was detected
    head: judges which spines are one; without it their places alone do
    pins: what a person said of the spines

    Raises
    ------
    Contradiction
        If what a person said contradicts itself.
    """
    frames = [frames_of(v) for v in views]
    same, different = pinned_pairs(views, pins)
    portrayed = head is not None
    laid = lay(_as_seen(views, pins), frames, reference, config, portrayed, same, different)
    judge: Judge = laid.by_places
    if head is not None:
        judge = replace(head, scatter_um=laid.by_places.scatter_um)
    track_of = tracks_by(judge, laid.tokens, config, same, different, laid.looked)
    views, track_of = _once_surely_seen(views, track_of, config.sure_share * centre_p)
    views = _one_dendrite_per_track(views, track_of, pins.home)
    frames = [frames_of(v) for v in views]
    life = look_back(views, frames, track_of, laid.warps, config, centre_p, pins)
    seen = _as_seen(life.views, pins)
    tokens = shared_tokens(seen, life.frames, laid.warps, reference, portrayed)
    return record(life, tokens, judge, laid.warps, config, pins)


def lay(
    views: list[SessionView],
    frames: list[FloatArray],
    reference: int,
    config: MatchConfig,
    portrayed: bool,
    same: Collection[Pair] = (),
    different: Collection[Pair] = (),
) -> Laid:
    """Lay the sessions over each other, link them by places, and lay them over each other once more
    by the tracks of which that is sure.

    Parameters
    ----------
    frames: (K, 3) arc length, sideways and upward offset of the spines of every session
    portrayed: whether a judge will look at pictures of the spines
    same, different: as `path_cover` takes them
    """
    warps = warp_region(views, frames, reference, config, same)
    tokens = shared_tokens(views, frames, warps, reference, portrayed)
    looked = looked_at(views, frames, warps, config.min_snr)
    judge, track_of = link_by_places(tokens, config, same, different, looked)
    sure = sure_of_track(all_candidates(judge, tokens), track_of)
    warps = laid_on_tracks(views, frames, warps, reference, track_of, sure)
    places = shared_places(views, frames, warps, reference)
    tokens = [replace(token, places=there) for token, there in zip(tokens, places, strict=True)]
    judge = replace(judge, scatter_um=scatter_of(tokens, track_of))
    return Laid(warps, tokens, judge, looked_at(views, frames, warps, config.min_snr))


def _as_seen(views: list[SessionView], pins: Pins) -> list[SessionView]:
    """The sessions with what the machine thinks of their spines: that a person named one says
    nothing of who it is, nor of its neighbours."""
    return [
        replace(
            view,
            spines=SpineTable(view.spines.frame.assign(probability=pins.machine_p(t, view.spines))),
        )
        for t, view in enumerate(views)
    ]


def pinned_pairs(views: list[SessionView], pins: Pins) -> tuple[list[Pair], list[Pair]]:
    """Which spines, counted through all sessions, shall be in one track and which shall not."""
    numbers: dict[Spine, int] = {}
    for t, view in enumerate(views):
        numbers |= {
            (t, spine): len(numbers) + k for k, spine in enumerate(view.spines.ids.tolist())
        }

    def pairs(told: Iterable[tuple[Spine, Spine]]) -> list[Pair]:
        both = (sorted((numbers[a], numbers[b])) for a, b in told)
        return [(i, j) for i, j in both]

    gone = [
        (spine, (t, other)) for spine, t in pins.absent for other in views[t].spines.ids.tolist()
    ]
    return pairs(pins.same), pairs([*pins.different, *gone])


def link_by_places(
    tokens: list[Tokens],
    config: MatchConfig,
    same: Collection[Pair] = (),
    different: Collection[Pair] = (),
    looked: BoolArray | None = None,
) -> tuple[PlacesAlone, list[IntArray]]:
    """Tracks over all sessions and dendrites at once, by places alone, and the judge that made
    them: the scatter is learned from the links.

    Parameters
    ----------
    same, different, looked: as `path_cover` takes them
    """
    judge = PlacesAlone(PLACE_SD_UM, config.gate_um)
    for _ in range(LINK_ROUNDS):
        track_of = tracks_by(judge, tokens, config, same, different, looked)
        judge = replace(judge, scatter_um=scatter_of(tokens, track_of))
    return judge, track_of


def scatter_of(tokens: list[Tokens], track_of: list[IntArray]) -> FloatArray:
    """(3,) along, sideways and upward, how far sightings of one track lie from each other, um."""
    pairs: list[FloatArray] = [np.zeros((0, 3))]
    for t, u in session_pairs(len(tokens)):
        _, i, j = np.intersect1d(track_of[t], track_of[u], return_indices=True)
        pairs.append(apart(tokens[t].places, tokens[u].places, i, j))
    return fit_scatter(np.concatenate(pairs))


def tracks_by(
    judge: Judge,
    tokens: list[Tokens],
    config: MatchConfig,
    same: Collection[Pair] = (),
    different: Collection[Pair] = (),
    looked: BoolArray | None = None,
) -> list[IntArray]:
    """The track of every spine, by session."""
    sizes = [len(t.about) for t in tokens]
    candidates = all_candidates(judge, tokens)
    track = path_cover(sizes, candidates, config.min_link_p, same, different, looked)
    told = evidence(sizes, candidates)
    track = settle(told, track, config.min_link_p, same, different, looked)
    first = np.r_[0, np.cumsum(sizes)]
    return [track[a:b] for a, b in zip(first[:-1], first[1:], strict=True)]


def _once_surely_seen(
    views: list[SessionView],
    track_of: list[IntArray],
    sure_p: float,
) -> tuple[list[SessionView], list[IntArray]]:
    """The tracks whose surest sighting reaches `sure_p`, or of which a person named one; of few
    sessions all."""
    if sum(v.usable for v in views) < MANY_SESSIONS:
        return views, track_of
    tracks = np.concatenate(track_of)
    p = np.concatenate([v.spines.frame["probability"].to_numpy(float) for v in views])
    named = np.concatenate([(v.spines.frame["source"] == PERSON).to_numpy(bool) for v in views])
    sure = np.unique(tracks[(p >= sure_p) | named])
    kept_views: list[SessionView] = []
    kept_tracks: list[IntArray] = []
    for view, numbers in zip(views, track_of, strict=True):
        keep = np.isin(numbers, sure)
        spines = SpineTable(view.spines.frame[keep].reset_index(drop=True))
        kept_views.append(replace(view, spines=spines))
        kept_tracks.append(np.searchsorted(sure, numbers[keep]).astype(np.int64))
    return kept_views, kept_tracks


def _one_dendrite_per_track(
    views: list[SessionView], track_of: list[IntArray], told: Mapping[Spine, int]
) -> list[SessionView]:
    """Near a branch point one spine may hang on another dendrite in every session: the dendrite
    that a person told, else the commonest of a track, is taken for all of it."""
    seen: dict[int, list[int]] = {}
    said: dict[int, set[int]] = {}
    for t, (view, numbers) in enumerate(zip(views, track_of, strict=True)):
        table = zip(
            numbers.tolist(),
            view.spines.ids.tolist(),
            view.spines.frame["dendrite_id"],
            strict=True,
        )
        for k, spine, d in table:
            seen.setdefault(k, []).append(int(d))
            if (t, spine) in told:
                said.setdefault(k, set()).add(told[t, spine])
    for k, dendrites in said.items():
        if len(dendrites) > 1:
            raise Contradiction(
                f"one spine is on the dendrites {' and '.join(map(str, sorted(dendrites)))} in "
                "different sessions. A spine is on one dendrite in all of them: remove one of the "
                "lines, or say that they are different spines"
            )
        seen[k] = list(dendrites)
    home = {k: max(sorted(set(ds)), key=ds.count) for k, ds in seen.items()}
    return [
        rehomed(view, np.array([home[k] for k in numbers.tolist()], int))
        for view, numbers in zip(views, track_of, strict=True)
    ]
