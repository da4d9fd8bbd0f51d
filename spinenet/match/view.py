"""What matching knows of one session of a region, and where its spines lie on the dendrites."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from spinenet.geometry import to_line_frame
from spinenet.types import BoolArray, Dendrites, FloatArray, IntArray, Session, SpineTable


@dataclass(frozen=True)
class Probe:
    """What a session shows at places (K): centre probability (0 where no spine sticks out), the
    head's centre, its measures."""

    probability: FloatArray
    centres_um: FloatArray
    rows: list[dict[str, object]]

    def of(self, order: IntArray) -> Probe:
        """The same of some of the places, in that order."""
        rows = [self.rows[n] for n in order.tolist()]
        return Probe(self.probability[order], self.centres_um[order], rows)

    def replaced(self, by: dict[int, Probe]) -> Probe:
        """The same but for some places, each of which shows what one other place does."""
        probability, centres, rows = self.probability.copy(), self.centres_um.copy(), [*self.rows]
        for n, other in by.items():
            (probability[n],), (centres[n],), (rows[n],) = (
                other.probability,
                other.centres_um,
                other.rows,
            )
        return Probe(probability, centres, rows)


def everywhere(points_um: FloatArray, aside_um: FloatArray) -> BoolArray:
    """(N,) of a stack without blank borders."""
    return np.ones(len(points_um), bool)


def no_peaks(place_um: FloatArray, reach_um: FloatArray, home: int, least_p: float) -> Probe:
    """Around a place (3,) of a stack that shows nothing."""
    return Probe(np.zeros(0), np.zeros((0, 3)), [])


@dataclass(frozen=True)
class SessionView:
    """What matching knows of one session; dendrites are those of the region's map that are
    analysed, placed in it."""

    session: Session
    spines: SpineTable
    dendrites: Dendrites
    snr: dict[int, FloatArray]
    """By dendrite, (N,) signal over noise at its nodes; nan outside the stack."""
    extent_um: FloatArray
    usable: bool
    probe: Callable[[FloatArray, IntArray], Probe]
    """Looks near places (K, 3) for heads on the dendrites (K,)."""
    measure: Callable[[FloatArray, IntArray], list[dict[str, object]]]
    """Rows of heads at places (K, 3) on the dendrites (K,)."""
    portray: Callable[[FloatArray, IntArray], npt.NDArray[np.float16]]
    """Pictures (K, 5, 17, 17) of heads at places (K, 3) on the dendrites (K,)."""
    imaged: Callable[[FloatArray, FloatArray], BoolArray] = everywhere
    """Which points (N, 3) lie so far (y, x) within what was imaged: registration leaves borders
    blank."""
    peaks: Callable[[FloatArray, FloatArray, int, float], Probe] = no_peaks
    """All heads of a dendrite as near (z, y, x) to a place (3,), and as sure, but those that were
    found as spines of the session."""


def track_by_spine(
    views: list[SessionView], track_of: list[IntArray]
) -> dict[tuple[int, int], int]:
    """By position of the session and spine_id there, the spine's track."""
    return {
        (t, spine): int(k)
        for t, view in enumerate(views)
        for spine, k in zip(view.spines.ids.tolist(), track_of[t], strict=True)
    }


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
    """The view with its K spines on the dendrites (K,) that their tracks are on, measured there."""
    frame = view.spines.frame
    moved = np.flatnonzero(frame["dendrite_id"].to_numpy(int) != dendrite_of)
    if not len(moved):
        return view
    frame = frame.copy()
    rows = view.measure(view.spines.centres_um[moved], dendrite_of[moved])
    measured = frame.columns.intersection(list(rows[0])).difference(["source", "track_id"])
    for column in measured:
        frame.loc[frame.index[moved], column] = [row[column] for row in rows]
    return replace(view, spines=SpineTable(frame))
