"""All sessions of one region: dendrites warped onto one another, spines to tracks."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from spinenet.config import MatchConfig
from spinenet.geometry import axes_at, from_line_frame
from spinenet.match.assign import path_cover, session_pairs
from spinenet.match.lookback import look_back
from spinenet.match.record import LinkedRegion, record
from spinenet.match.score import (
    PLACE_SD_UM,
    Places,
    apart,
    fit_scatter,
    link_probability,
    pair_odds,
)
from spinenet.match.view import SessionView, frames_of, on_dendrite, rehomed
from spinenet.match.warp import ArcWarp, fit_warp, slide
from spinenet.types import FloatArray, IntArray, SpineTable

WARP_ROUNDS = 3
LINK_ROUNDS = 2
MANY_SESSIONS = 3
Warps = dict[tuple[int, int], ArcWarp]


@dataclass(frozen=True)
class _Linked:
    """Track of every spine by session, and the scatter (3,) that its links show."""

    track_of: list[IntArray]
    scatter_um: FloatArray


def link_region(
    views: list[SessionView], reference: int, config: MatchConfig, centre_p: float
) -> LinkedRegion:
    """Link the spines of all sessions of a region.

    Parameters
    ----------
    reference: position in `views` of the session whose arc length is the shared frame
    centre_p: centre probability from which a spine was detected
    """
    frames = [frames_of(v) for v in views]
    warps: Warps = {}
    for segment in views[reference].dendrites.segments:
        local = [f[on_dendrite(v, segment.id)] for f, v in zip(frames, views, strict=True)]
        length = float(segment.arc_length_um[-1])
        for t, warp in enumerate(_warps(local, reference, length, config)):
            warps[t, segment.id] = warp
    linked = _link(shared_places(views, frames, warps, reference), config)
    views, track_of = _once_surely_seen(views, linked.track_of, config.sure_share * centre_p)
    views = _one_dendrite_per_track(views, track_of)
    frames = [frames_of(v) for v in views]
    life = look_back(views, frames, track_of, warps, config, config.lookback_share * centre_p)
    places = shared_places(life.views, life.frames, warps, reference)
    return record(life, places, linked.scatter_um, warps, config)


def shared_places(
    views: list[SessionView], frames: list[FloatArray], warps: Warps, reference: int
) -> list[Places]:
    """Every session's heads where they would lie in the reference session."""
    segments = views[reference].dendrites.by_id()
    out = []
    for t, (view, frame) in enumerate(zip(views, frames, strict=True)):
        points, axes = np.zeros((len(frame), 3)), np.tile(np.eye(3), (len(frame), 1, 1))
        for d, segment in segments.items():
            mine = on_dendrite(view, d)
            if len(mine):
                there = warps[t, d].place(frame[mine])
                line, s = segment.points_um, segment.arc_length_um
                points[mine] = from_line_frame(there, line, s)
                axes[mine] = axes_at(line, s, there[:, 0])
        out.append(Places(points, axes))
    return out


def _link(places: list[Places], config: MatchConfig) -> _Linked:
    """Tracks over all sessions and dendrites at once; the scatter is learned from the links."""
    scatter = PLACE_SD_UM
    between = {(t, u): apart(places[t], places[u]) for t, u in session_pairs(len(places))}
    sizes = [len(p.points_um) for p in places]
    first = np.r_[0, np.cumsum(sizes)]
    for _ in range(LINK_ROUNDS):
        odds = {k: pair_odds(away, scatter, config.gate_um) for k, away in between.items()}
        track = path_cover(sizes, odds, config.min_link_p)
        track_of = [track[a:b] for a, b in zip(first[:-1], first[1:], strict=True)]
        pairs = [
            away[np.nonzero(track_of[t][:, None] == track_of[u][None])]
            for (t, u), away in between.items()
        ]
        scatter = fit_scatter(np.concatenate(pairs) if pairs else np.zeros((0, 3)))
    return _Linked(track_of, scatter)


def _once_surely_seen(
    views: list[SessionView], track_of: list[IntArray], sure_p: float
) -> tuple[list[SessionView], list[IntArray]]:
    """The tracks whose surest sighting reaches `sure_p`; of few sessions all."""
    if sum(v.usable for v in views) < MANY_SESSIONS:
        return views, track_of
    tracks = np.concatenate(track_of)
    p = np.concatenate([v.spines.frame["probability"].to_numpy(float) for v in views])
    sure = np.unique(tracks[p >= sure_p])
    kept_views: list[SessionView] = []
    kept_tracks: list[IntArray] = []
    for view, numbers in zip(views, track_of, strict=True):
        keep = np.isin(numbers, sure)
        spines = SpineTable(view.spines.frame[keep].reset_index(drop=True))
        kept_views.append(replace(view, spines=spines))
        kept_tracks.append(np.searchsorted(sure, numbers[keep]).astype(np.int64))
    return kept_views, kept_tracks


def _one_dendrite_per_track(
    views: list[SessionView], track_of: list[IntArray]
) -> list[SessionView]:
    """Near a branch point one spine may hang on another dendrite in every session: the commonest
    dendrite of a track is taken for all of it."""
    seen: dict[int, list[int]] = {}
    for view, numbers in zip(views, track_of, strict=True):
        for k, d in zip(numbers.tolist(), view.spines.frame["dendrite_id"], strict=True):
            seen.setdefault(k, []).append(int(d))
    home = {k: max(sorted(set(ds)), key=ds.count) for k, ds in seen.items()}
    return [
        rehomed(view, np.array([home[k] for k in numbers.tolist()], int))
        for view, numbers in zip(views, track_of, strict=True)
    ]


def _warps(
    local: list[FloatArray], reference: int, length_um: float, config: MatchConfig
) -> list[ArcWarp]:
    """A warp onto the reference for each session: the best slide, then rounds of match and fit.

    Sessions already warped join the reference, so that spines it lacks help as well.
    """
    still = ArcWarp(np.array([0.0, max(length_um, 1e-3)]), np.zeros(2), rms_um=0.0)
    warps = [still] * len(local)
    known = local[reference]
    for t in sorted(range(len(local)), key=lambda t: abs(t - reference)):
        if t == reference:
            continue
        start, ambiguous = slide(local[t], known, PLACE_SD_UM)
        warp = replace(still, shift_um=np.full(2, start))
        for _ in range(WARP_ROUNDS):
            p = _likeness(warp.place(local[t]), known, config)
            good = np.flatnonzero(p.max(axis=1, initial=0) > 0.5)
            partners = known[p[good].argmax(axis=1)] if len(good) else known[:0]
            warp = fit_warp(local[t][good], partners, length_um, start)
        warps[t] = replace(warp, slip_ambiguous=ambiguous)
        placed = warps[t].place(local[t])
        new = _likeness(placed, known, config).max(axis=1, initial=0) < 0.2
        known = np.concatenate([known, placed[new]])
    return warps


def _likeness(placed: FloatArray, known: FloatArray, config: MatchConfig) -> FloatArray:
    """(M, N) probability that spines of one dendrite, in its frame, are the same."""
    away = known[None] - placed[:, None]
    return link_probability(pair_odds(away, PLACE_SD_UM, config.gate_um))
