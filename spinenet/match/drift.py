"""How far a dendrite's spines have drifted along it since another session, at every place of it.

A dendrite stretches unevenly, so that no single shift lays its spines over themselves. All smooth
drifts are weighed at once, by forward and backward recursion over the dendrite (a hidden Markov
chain, Rabiner 1989): a search that starts from a guess can settle a spine spacing aside.
"""

from __future__ import annotations

import numpy as np

from spinenet.match.score import PLACE_SD_UM, pair_odds
from spinenet.match.warp import ArcWarp, unwarped
from spinenet.types import FloatArray, IntArray

SHIFTS_UM = np.arange(-30, 31) / 10
FIELD_SD_UM = 1.0
"""What the alignment of the whole field leaves."""
STRAY_UM = 0.1
"""Standard deviation of the drift's change over one um; it adds up as a random walk does."""
TOLD_LEAST = -6.0
"""Log of how much a person's word about one spine weighs against a drift at most: its neighbours
together outvote it, as the word may be a slip of the hand, and single spines do move."""
SPACING_UM = 0.7
"""Farther than this from the likeliest drift, spines would meet their neighbours."""


def drift(
    moving: FloatArray, known: FloatArray, length_um: float, told: IntArray | None = None
) -> ArcWarp:
    """The expected drift of a dendrite's spines, and whether another one would be as good.

    Parameters
    ----------
    moving, known: (M, 3), (N, 3) arc length, sideways and upward offset of heads, um
    told: (M,) which of the known ones a person said a spine is, -1 where nothing was said
    """
    still = unwarped(length_um)
    if not len(moving) or not len(known):
        return still
    knots = still.knots_um
    at = np.abs(moving[:, :1] - knots).argmin(axis=1)
    says = np.zeros((len(knots), len(SHIFTS_UM)))
    np.add.at(says, at, agreement(moving, known, told))
    share = _chain(says, float(knots[1] - knots[0]))
    shift = share @ SHIFTS_UM
    return ArcWarp(knots, shift, slip_share=float(_other(share)[at].mean()))


def _other(share: FloatArray) -> FloatArray:
    """(K,) at each knot the height of the best other peak over that of the highest one; only local
    maxima farther than `SPACING_UM` from it count."""
    highest = share.argmax(axis=1)
    far = np.abs(SHIFTS_UM - SHIFTS_UM[highest][:, None]) > SPACING_UM
    beside = np.pad(share, ((0, 0), (1, 1)))
    peak = (share > beside[:, :-2]) & (share >= beside[:, 2:])
    out: FloatArray = (share * (far & peak)).max(axis=1) / share.max(axis=1)
    return out


def agreement(moving: FloatArray, known: FloatArray, told: IntArray | None = None) -> FloatArray:
    """(M, D) log likelihood ratio of each spine's place under each of `SHIFTS_UM`: that it is one
    of the known spines, shifted so, over that it is none. A spine that a person named (`told` as
    in `drift`) is compared with that one only, and no other spine may be that one."""
    reach = SHIFTS_UM[-1] + 4 * PLACE_SD_UM[0]
    near = np.abs(known[:, 0] - moving[:, :1]) < reach
    told = np.full(len(moving), -1) if told is None else told
    certain = told >= 0
    near[certain] = False
    near[:, told[certain]] = False
    i, j = np.nonzero(near)
    apart = np.repeat((known[j] - moving[i])[:, None], len(SHIFTS_UM), axis=1)
    apart[:, :, 0] -= SHIFTS_UM
    odds = np.zeros((len(moving), len(SHIFTS_UM)))
    np.add.at(odds, i, pair_odds(apart, PLACE_SD_UM, np.inf))
    out = np.log1p(odds)
    off = known[told[certain], :1] - moving[certain, :1] - SHIFTS_UM
    out[certain] = np.maximum(-0.5 * (off / PLACE_SD_UM[0]) ** 2, TOLD_LEAST)
    return out


def _chain(says: FloatArray, step_um: float) -> FloatArray:
    """(K, D) probability of each drift at each knot, from what the spines there say (K, D)."""
    far = SHIFTS_UM[:, None] - SHIFTS_UM
    on = np.exp(-0.5 * far**2 / (STRAY_UM**2 * step_um))
    on /= on.sum(axis=1, keepdims=True)
    likely = np.exp(says - says.max(axis=1, keepdims=True))
    ahead, behind = likely.copy(), np.ones_like(likely)
    ahead[0] *= np.exp(-0.5 * (SHIFTS_UM / FIELD_SD_UM) ** 2)
    for k in range(1, len(says)):
        ahead[k] *= ahead[k - 1] / ahead[k - 1].sum() @ on
    for k in range(len(says) - 2, -1, -1):
        behind[k] = on @ (likely[k + 1] * behind[k + 1])
        behind[k] /= behind[k].sum()
    both = ahead * behind
    return both / both.sum(axis=1, keepdims=True)
