"""The sessions of one dendrite laid over each other, from where its spines lie alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from spinenet.match.drift import drift
from spinenet.match.score import PLACE_SD_UM, Candidates, pair_odds
from spinenet.match.warp import ArcWarp, fit_warp, unwarped
from spinenet.types import FloatArray, IntArray

WARP_ROUNDS = 3


def overlay(
    local: list[FloatArray], reference: int, length_um: float, gate_um: float
) -> list[ArcWarp]:
    """A warp onto the reference for each session: the likeliest drift, then rounds of match, fit.

    Sessions already warped join the reference, so that spines it lacks help as well.

    Parameters
    ----------
    local: (M, 3) arc length, sideways and upward offset of the heads of every session, um
    reference: position of the session onto which the others are laid
    length_um: of the dendrite
    gate_um: spines farther apart along the dendrite are never one
    """
    warps = [replace(unwarped(length_um), rms_um=0.0)] * len(local)
    known = local[reference]
    for t in sorted(range(len(local)), key=lambda t: abs(t - reference)):
        if t == reference:
            continue
        warp = start = drift(local[t], known, length_um)
        for _ in range(WARP_ROUNDS):
            p, partner = _best_partner(warp.place(local[t]), known, gate_um)
            good = p > 0.5
            warp = fit_warp(local[t][good], known[partner[good]], start)
        warps[t] = warp
        placed = warp.place(local[t])
        known = np.concatenate([known, placed[_best_partner(placed, known, gate_um)[0] < 0.2]])
    return warps


def _best_partner(
    placed: FloatArray, known: FloatArray, gate_um: float
) -> tuple[FloatArray, IntArray]:
    """(M,) the highest probability that a spine is one of the `known` of its dendrite, in its
    frame, and (M,) of which."""
    if not len(placed) or not len(known):
        return np.zeros(len(placed)), np.zeros(len(placed), np.int64)
    i, j = (n.ravel() for n in np.indices((len(placed), len(known))))
    odds = pair_odds(known[j] - placed[i], PLACE_SD_UM, gate_um)
    p = Candidates(i, j, odds, (len(placed), len(known))).probability
    table = p.reshape(len(placed), len(known))
    return table.max(axis=1), table.argmax(axis=1)
