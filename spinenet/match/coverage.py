"""Which stretches of a session's dendrites could be scored, in the shared arc length."""

from __future__ import annotations

import numpy as np

from spinenet.match.pins import PERSON
from spinenet.match.scope import scorable_nodes
from spinenet.match.view import SessionView, on_dendrite
from spinenet.match.warp import Warps
from spinenet.types import BoolArray, FloatArray

SEEN_UM = 1.0


def stretches(
    t: int,
    view: SessionView,
    warps: Warps,
    min_snr: float,
    settled: dict[tuple[int, int], list[float]],
) -> list[dict[str, object]]:
    """Runs of nodes in view whose shaft is bright enough, or with a person's word of a spine, or
    that none is there, in the shared arc length. Beside other spines the rest is told as well, but
    is not usable: of those there the gone ones could not be told from the missed."""
    rows = []
    for segment in view.dendrites.segments:
        snr = view.snr[segment.id]
        warp = warps[t, segment.id]
        good = scorable_nodes(view, segment, min_snr)
        here = view.spines.frame.iloc[on_dendrite(view, segment.id)]
        seen_um = warp(here["arc_length_um"].to_numpy(float))
        of_person = (here["source"] == PERSON).to_numpy(bool)
        arc_um = warp(segment.arc_length_um)
        good |= _beside(arc_um, [*seen_um[of_person], *settled.get((t, segment.id), [])])
        runs = [(a, b, view.usable) for a, b in _runs(good) if b > a]
        dim = _beside(arc_um, seen_um.tolist())
        for a, b, _ in runs:
            dim[a : b + 1] = False
        last = len(dim) - 1  # a node alone has no length: it takes its neighbours in
        runs += [(max(a - 1, 0), min(b + 1, last), False) for a, b in _runs(dim)]
        for a, b, usable in runs:
            ends = warp(segment.arc_length_um[[a, b]])
            session = view.session
            rows.append(
                {
                    **session.columns,
                    "dendrite_id": segment.id,
                    "start_um": ends[0],
                    "end_um": ends[1],
                    "snr": _median(snr[a : b + 1]),
                    "usable": usable,
                    "slip_ambiguous": warp.slip_ambiguous,
                    "warp_rms_um": warp.rms_um,
                }
            )
    return rows


def _beside(arc_um: FloatArray, places_um: list[float]) -> BoolArray:
    """(N,) which nodes stand by one of these places."""
    if not places_um:
        return np.zeros(len(arc_um), bool)
    near: BoolArray = np.abs(arc_um[:, None] - places_um).min(axis=1) <= SEEN_UM
    return near


def _runs(of: BoolArray) -> list[tuple[int, int]]:
    """First and last node of every run."""
    edges = np.flatnonzero(np.diff(np.r_[0, of.astype(int), 0]))
    return [(int(a), int(b) - 1) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _median(snr: FloatArray) -> float:
    """Of the nodes within the stack; nan without any."""
    known = snr[np.isfinite(snr)]
    return float(np.median(known)) if len(known) else float("nan")
