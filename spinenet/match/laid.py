"""The sessions of a region laid over each other: by where spines lie, then by their tracks."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import numpy.typing as npt

from spinenet.config import MatchConfig
from spinenet.geometry import axes_at, from_line_frame
from spinenet.match.assign import Pair, bound_together
from spinenet.match.overlay import overlay
from spinenet.match.score import Places
from spinenet.match.tokens import Tokens, about_spines
from spinenet.match.view import SessionView, on_dendrite
from spinenet.match.warp import Warps, fit_warp
from spinenet.types import BoolArray, FloatArray, IntArray


def warp_region(
    views: list[SessionView],
    frames: list[FloatArray],
    reference: int,
    config: MatchConfig,
    same: Collection[Pair] = (),
) -> Warps:
    """The warp of every session and dendrite onto the reference, from where its spines lie and
    which pairs a person said are the same (as `path_cover` takes them)."""
    sizes = [len(v.spines) for v in views]
    bound = np.split(bound_together(same, sum(sizes)), np.cumsum(sizes)[:-1])
    warps: Warps = {}
    for segment in views[reference].dendrites.segments:
        mine = [on_dendrite(v, segment.id) for v in views]
        local = [f[rows] for f, rows in zip(frames, mine, strict=True)]
        told = [b[rows] for b, rows in zip(bound, mine, strict=True)]
        length = float(segment.arc_length_um[-1])
        for t, warp in enumerate(overlay(local, reference, length, config.gate_um, told)):
            warps[t, segment.id] = warp
    return warps


def laid_on_tracks(
    views: list[SessionView],
    frames: list[FloatArray],
    warps: Warps,
    reference: int,
    track_of: list[IntArray],
    sure: list[BoolArray],
) -> Warps:
    """Warps fitted once more: each spine of a session onto the mean place of its track in all other
    sessions. Places known from several sessions scatter less than those of one, and whole tracks
    hold fewer mistakes than the best partners that the first warps were made of. A dendrite that
    only one other session shows stays as it was laid on that.

    Parameters
    ----------
    warps: the first ones
    track_of: (K,) of every session, the tracks of its spines
    sure: (K,) of every session, spines that are surely of their track; the others move nothing
    """
    out = dict(warps)
    for (t, d), warp in warps.items():
        mine = _sure_on(views[t], d, sure[t])
        others = {
            u: there
            for u, view in enumerate(views)
            if u != t and len(there := _sure_on(view, d, sure[u]))
        }
        if t == reference or len(others) < 2:
            continue
        places = np.concatenate([warps[u, d].place(frames[u][k]) for u, k in others.items()])
        whose = np.concatenate([track_of[u][k] for u, k in others.items()])
        known, which, n = np.unique(whose, return_inverse=True, return_counts=True)
        mean = np.stack([np.bincount(which, x) / n for x in places.T], axis=1)
        mine = mine[np.isin(track_of[t][mine], known)]
        onto = mean[np.searchsorted(known, track_of[t][mine])]
        if len(mine):
            out[t, d] = fit_warp(frames[t][mine], onto, warp)
    return out


def _sure_on(view: SessionView, dendrite: int, sure: BoolArray) -> IntArray:
    """The rows of the sure spines of one dendrite."""
    rows = on_dendrite(view, dendrite)
    out: IntArray = rows[sure[rows]]
    return out


def shared_tokens(
    views: list[SessionView],
    frames: list[FloatArray],
    warps: Warps,
    reference: int,
    portrayed: bool,
) -> list[Tokens]:
    """Every session's spines as they are compared; portrayed for a judge that looks at pictures."""
    places = shared_places(views, frames, warps, reference)
    return [
        Tokens(
            place,
            about_spines(view.spines.frame, frame),
            _portraits(view) if portrayed else np.zeros((len(frame), 0), np.float16),
        )
        for view, frame, place in zip(views, frames, places, strict=True)
    ]


def _portraits(view: SessionView) -> npt.NDArray[np.float16]:
    return view.portray(view.spines.centres_um, view.spines.frame["dendrite_id"].to_numpy(int))


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
