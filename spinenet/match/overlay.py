"""The sessions of one dendrite laid over each other, from where its spines lie and what a person
said of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from spinenet.match.drift import drift
from spinenet.match.score import PLACE_SD_UM, Candidates, pair_odds
from spinenet.match.warp import ArcWarp, fit_warp, unwarped
from spinenet.types import FloatArray, IntArray

WARP_ROUNDS = 3


def overlay(
    local: list[FloatArray],
    reference: int,
    length_um: float,
    gate_um: float,
    bound: list[IntArray] | None = None,
) -> list[ArcWarp]:
    """A warp onto the reference for each session: the likeliest drift, then rounds of match, fit.

    Each session is laid over the reference and all sessions laid before it, so that spines which
    the reference lacks still help.

    Parameters
    ----------
    local: (M, 3) arc length, sideways and upward offset of the heads of every session, um
    reference: position of the session onto which the others are laid
    length_um: of the dendrite
    gate_um: spines farther apart along the dendrite are never one, unless a person bound them
    bound: (M,) of every session, the group in which a person bound a spine to others, -1 for none
    """
    bound = [np.full(len(frame), -1) for frame in local] if bound is None else bound
    warps = [replace(unwarped(length_um), rms_um=0.0)] * len(local)
    known, group = local[reference], bound[reference].copy()
    for t in sorted(range(len(local)), key=lambda t: abs(t - reference)):
        if t == reference:
            continue
        told = _told(bound[t], group)
        warp = start = drift(local[t], known, length_um, told)
        for _ in range(WARP_ROUNDS):
            p, partner = _best_partner(warp.place(local[t]), known, gate_um, told)
            good = p > 0.5
            warp = fit_warp(local[t][good], known[partner[good]], start)
        warps[t] = warp
        placed = warp.place(local[t])
        p, partner = _best_partner(placed, known, gate_um, told)
        first = (bound[t] >= 0) & (told < 0)  # of its group: later ones are laid onto it
        met = np.flatnonzero(first & (p > 0.5))
        met = met[group[partner[met]] < 0]
        group[partner[met]] = bound[t][met]
        first[met] = False
        other = first | (p < 0.2)
        known, group = np.concatenate([known, placed[other]]), np.r_[group, bound[t][other]]
    return warps


def _told(bound: IntArray, group: IntArray) -> IntArray:
    """(M,) which of the known spines, in groups (N,), those in groups (M,) were bound to, or -1."""
    row = {g: k for k, g in enumerate(group.tolist()) if g >= 0}
    return np.array([row.get(g, -1) for g in bound.tolist()], np.int64)


def _best_partner(
    placed: FloatArray, known: FloatArray, gate_um: float, told: IntArray
) -> tuple[FloatArray, IntArray]:
    """(M,) the highest probability that a spine is one of the `known` of its dendrite, in its
    frame, and (M,) of which; certain where a person told (M,), who leaves it to no other."""
    if not len(placed) or not len(known):
        return np.zeros(len(placed)), np.zeros(len(placed), np.int64)
    i, j = (n.ravel() for n in np.indices((len(placed), len(known))))
    odds = pair_odds(known[j] - placed[i], PLACE_SD_UM, gate_um)
    odds[np.isin(j, told[told >= 0]) | (told[i] >= 0)] = 0.0
    p = Candidates(i, j, odds, (len(placed), len(known))).probability
    table = p.reshape(len(placed), len(known))
    certain = told >= 0
    p, partner = np.where(certain, 1.0, table.max(axis=1)), table.argmax(axis=1)
    return p, np.where(certain, told, partner)
