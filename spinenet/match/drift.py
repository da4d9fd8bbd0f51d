"""How far a dendrite's spines have drifted along it since another session, at every place of it.

A dendrite stretches unevenly, so that no single shift lays its spines over themselves. All smooth
drifts are weighed at once, by forward and backward recursion over the dendrite (a hidden Markov
chain, Rabiner 1989): a search that starts from a guess can settle a spine spacing aside.
"""

from __future__ import annotations

import numpy as np

from spinenet.match.score import PLACE_SD_UM, pair_odds
from spinenet.match.warp import ArcWarp, unwarped
from spinenet.types import FloatArray

SHIFTS_UM = np.arange(-30, 31) / 10
FIELD_SD_UM = 1.0
"""What the alignment of the whole field leaves."""
STRAY_UM = 0.1
"""Standard deviation of the drift's change over one um; it adds up as a random walk does."""
SPACING_UM = 0.7
"""Farther than this from the likeliest drift, spines would meet their neighbours."""


def drift(moving: FloatArray, known: FloatArray, length_um: float) -> ArcWarp:
    """The expected drift of a dendrite's spines, and whether another one would be as good.

    Parameters
    ----------
    moving, known: (M, 3), (N, 3) arc length, sideways and upward offset of heads, um
    """
    still = unwarped(length_um)
    if not len(moving) or not len(known):
        return still
    knots = still.knots_um
    at = np.abs(moving[:, :1] - knots).argmin(axis=1)
    told = np.zeros((len(knots), len(SHIFTS_UM)))
    np.add.at(told, at, agreement(moving, known))
    share = _chain(told, float(knots[1] - knots[0]))
    shift = share @ SHIFTS_UM
    return ArcWarp(knots, shift, slip_share=float(_other(share)[at].mean()))


def _other(share: FloatArray) -> FloatArray:
    """(K,) at each knot how likely the best other peak is that lies `SPACING_UM` or more from the
    highest one, beside that; the slopes of the highest one are none."""
    highest = share.argmax(axis=1)
    far = np.abs(SHIFTS_UM - SHIFTS_UM[highest][:, None]) > SPACING_UM
    beside = np.pad(share, ((0, 0), (1, 1)))
    peak = (share > beside[:, :-2]) & (share >= beside[:, 2:])
    out: FloatArray = (share * (far & peak)).max(axis=1) / share.max(axis=1)
    return out


def agreement(moving: FloatArray, known: FloatArray) -> FloatArray:
    """(M, D) log of how much likelier each spine's place is if the known ones have drifted by each
    of `SHIFTS_UM` than if it were none of them."""
    reach = SHIFTS_UM[-1] + 4 * PLACE_SD_UM[0]
    i, j = np.nonzero(np.abs(known[:, 0] - moving[:, :1]) < reach)
    apart = np.repeat((known[j] - moving[i])[:, None], len(SHIFTS_UM), axis=1)
    apart[:, :, 0] -= SHIFTS_UM
    odds = np.zeros((len(moving), len(SHIFTS_UM)))
    np.add.at(odds, i, pair_odds(apart, PLACE_SD_UM, np.inf))
    return np.log1p(odds)


def _chain(told: FloatArray, step_um: float) -> FloatArray:
    """(K, D) probability of each drift at each knot, from what the spines there tell (K, D)."""
    far = SHIFTS_UM[:, None] - SHIFTS_UM
    on = np.exp(-0.5 * far**2 / (STRAY_UM**2 * step_um))
    on /= on.sum(axis=1, keepdims=True)
    likely = np.exp(told - told.max(axis=1, keepdims=True))
    ahead, behind = likely.copy(), np.ones_like(likely)
    ahead[0] *= np.exp(-0.5 * (SHIFTS_UM / FIELD_SD_UM) ** 2)
    for k in range(1, len(told)):
        ahead[k] *= ahead[k - 1] / ahead[k - 1].sum() @ on
    for k in range(len(told) - 2, -1, -1):
        behind[k] = on @ (likely[k + 1] * behind[k + 1])
        behind[k] /= behind[k].sum()
    both = ahead * behind
    return both / both.sum(axis=1, keepdims=True)
