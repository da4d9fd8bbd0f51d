"""Where on the dendrites, and in which sessions, a spine could have been seen."""

from __future__ import annotations

import numpy as np

from spinenet.geometry import inside
from spinenet.match.view import SessionView, on_dendrite
from spinenet.match.warp import Warps
from spinenet.types import BoolArray, FloatArray, Segment

EDGE_UM = 0.5
BEYOND_UM = 1.0
"""Farther outside its stack no person saw a spine."""


def scorable_nodes(view: SessionView, segment: Segment, min_snr: float) -> BoolArray:
    """(N,) nodes of a dendrite in view at which its shaft is bright enough."""
    bright: BoolArray = view.snr[segment.id] >= min_snr  # nan is not
    return in_view(view, segment.points_um) & bright


def in_view(view: SessionView, points_um: FloatArray) -> BoolArray:
    """(N,) points that lie within the stack and where it was imaged, not at the very border."""
    border = np.full(2, EDGE_UM)
    return inside(points_um, view.extent_um, EDGE_UM) & view.imaged(points_um, border)


def held(view: SessionView, place_um: FloatArray) -> bool:
    """Whether a person may have seen a spine at a place (3,) in a session's stack."""
    return bool(inside(place_um, view.extent_um, -BEYOND_UM)[0])


def looked_at(
    views: list[SessionView],
    frames: list[FloatArray],
    warps: Warps,
    min_snr: float,
) -> BoolArray:
    """(N, T) for every spine, counted through all sessions: could one be seen at its place along
    the dendrite in each of them?

    Parameters
    ----------
    frames: (K, 3) arc length, sideways and upward offset of every session's spines on their
        dendrites
    warps: by session position and dendrite, onto the shared arc length
    """
    first = np.r_[0, np.cumsum([len(frame) for frame in frames])]
    looked = np.zeros((first[-1], len(views)), bool)
    for u, other in enumerate(views):
        for d, segment in other.dendrites.by_id().items():
            there = np.maximum.accumulate(warps[u, d](segment.arc_length_um))
            good = scorable_nodes(other, segment, min_snr) & other.usable
            for t, (view, frame) in enumerate(zip(views, frames, strict=True)):
                here = on_dendrite(view, d)
                arc = warps[t, d](frame[here, 0])
                looked[first[t] + here, u] = np.interp(arc, there, good.astype(float)) >= 0.5
    return looked
