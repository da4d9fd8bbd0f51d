"""What matching knows of one session of a region, and where its spines lie on the dendrites."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from spinenet.geometry import project, to_line_frame
from spinenet.types import Dendrites, FloatArray, IntArray, Session, SpineTable


@dataclass(frozen=True)
class Probe:
    """What a session shows at places (K): centre probability, the head's centre, its measures."""

    probability: FloatArray
    centres_um: FloatArray
    rows: list[dict[str, object]]


@dataclass(frozen=True)
class SessionView:
    """What matching knows of one session; dendrites are the region's map placed in it."""

    session: Session
    spines: SpineTable
    dendrites: Dendrites
    snr: dict[int, FloatArray]
    """By dendrite, (N,) signal over noise at its nodes; nan outside the stack."""
    extent_um: FloatArray
    usable: bool
    probe: Callable[[FloatArray], Probe]


def on_dendrite(view: SessionView, dendrite: int) -> IntArray:
    return np.flatnonzero(view.spines.frame["dendrite_id"].to_numpy() == dendrite)


def frames_of(view: SessionView) -> FloatArray:
    """(K, 3) arc length, sideways and upward offset of a session's heads on their dendrites."""
    out = np.zeros((len(view.spines), 3))
    arcs = view.spines.frame["arc_length_um"].to_numpy(float)
    centres = view.spines.centres_um
    for d, segment in view.dendrites.by_id().items():
        m = on_dendrite(view, d)
        if len(m):
            out[m] = to_line_frame(centres[m], arcs[m], segment.points_um, segment.arc_length_um)
    return out


def rehomed(view: SessionView, dendrite_of: IntArray) -> SessionView:
    """The view with its K spines on the dendrites (K,) that their tracks are on."""
    frame = view.spines.frame
    moved = np.flatnonzero(frame["dendrite_id"].to_numpy(int) != dendrite_of)
    if not len(moved):
        return view
    frame = frame.copy()
    segments = view.dendrites.by_id()
    for i in moved:
        segment = segments[int(dendrite_of[i])]
        centre = view.spines.centres_um[i : i + 1]
        _, arc, _ = project(centre, segment.points_um, segment.arc_length_um)
        place = to_line_frame(centre, arc, segment.points_um, segment.arc_length_um)[0]
        frame.loc[frame.index[i], ["dendrite_id", "arc_length_um", "side_um"]] = [
            segment.id,
            arc[0],
            place[1],
        ]
    frame["dendrite_id"] = frame["dendrite_id"].astype("int64")
    return replace(view, spines=SpineTable(frame))
