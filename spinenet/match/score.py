"""How likely two detections are the same spine, by place alone: size never decides."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from spinenet.types import FloatArray, IntArray

PLACE_SD_UM = np.array([0.4, 0.45, 0.9])
"""Expected scatter of one spine between two aligned sessions: along, sideways, upward."""
PRIOR_PAIRS = 20
"""How many pairs of a region weigh as much as that expectation."""
PRIOR_ODDS = 9.0
"""A spine is nine times as likely to be seen again as not."""
NEIGHBOURS_PER_UM3 = 0.03
"""Other spines around a dendrite: about 0.35 per um of it, in some 12 um2 beside it."""
TAIL_SHARE, TAIL_WIDTH = 0.3, 2.5
"""Some spines move more than the rest: share, and their scatter over the others'."""
REACH_UM = np.array([3.0, 3.0, 5.0])
"""Spines farther apart than this (an ellipsoid: along, sideways, upward) are never compared."""
CANDIDATE_P = 0.01


@dataclass(frozen=True)
class Places:
    """Heads (K) of one session in the reference's frame: um, and the axes of their dendrites."""

    points_um: FloatArray
    """(K, 3) z, y, x."""
    axes: FloatArray
    """(K, 3, 3) unit vectors along the dendrite, sideways and upward."""


@dataclass(frozen=True)
class Candidates:
    """Pairs (C) of spine `i` of one session and spine `j` of another that may be one, with the odds
    (C,) that they are, rivals left aside; `sizes` are the numbers of spines of both sessions."""

    i: IntArray
    j: IntArray
    odds: FloatArray
    sizes: tuple[int, int]

    @property
    def probability(self) -> FloatArray:
        """(C,) that a pair is one spine: it competes with all other pairs of either spine, and with
        having no partner."""
        of_i = np.bincount(self.i, self.odds, self.sizes[0])[self.i]
        of_j = np.bincount(self.j, self.odds, self.sizes[1])[self.j]
        out: FloatArray = self.odds / (1 + of_i + of_j - self.odds)
        return out


def near_pairs(a: Places, b: Places) -> tuple[IntArray, IntArray]:
    """Spines (C,) of `a` and (C,) of `b` within `REACH_UM` of each other."""
    none = np.zeros(0, np.int64)
    if not len(a.points_um) or not len(b.points_um):
        return none, none
    lists = cKDTree(b.points_um).query_ball_point(a.points_um, float(REACH_UM.max()))
    i = np.repeat(np.arange(len(lists)), [len(x) for x in lists])
    j = np.concatenate([np.array(sorted(x), np.int64) for x in lists])
    close = ((apart(a, b, i, j) / REACH_UM) ** 2).sum(1) <= 1
    return i[close], j[close]


def apart(a: Places, b: Places, i: IntArray, j: IntArray) -> FloatArray:
    """(C, 3) from spines `i` (C,) of `a` to spines `j` (C,) of `b`: along, sideways, upward at the
    first, um."""
    out: FloatArray = np.einsum("ec,ekc->ek", b.points_um[j] - a.points_um[i], a.axes[i])
    return out


def pair_odds(apart_um: FloatArray, scatter_um: FloatArray, gate_um: float) -> FloatArray:
    """(...) odds that two spines `apart_um` (..., 3) are one, rivals left aside.

    The density of one spine seen twice (two Gaussians, the wider for those that moved) over that
    of any other spine, times the prior odds. 0 where they lie more than `gate_um` apart along.
    """
    far2 = ((apart_um / scatter_um) ** 2).sum(-1)
    unit = float((2 * np.pi) ** 1.5 * np.prod(scatter_um))
    near = (1 - TAIL_SHARE) * np.exp(-0.5 * far2)
    moved = TAIL_SHARE / TAIL_WIDTH**3 * np.exp(-0.5 * far2 / TAIL_WIDTH**2)
    odds = PRIOR_ODDS * (near + moved) / (unit * NEIGHBOURS_PER_UM3)
    return odds * (np.abs(apart_um[..., 0]) <= gate_um)


def fit_scatter(apart_um: FloatArray) -> FloatArray:
    """(3,) scatter of (P, 3) pairs taken to be one spine: the distance from their median that two
    thirds keep within, drawn towards `PLACE_SD_UM` where pairs are few."""
    n = len(apart_um)
    if n == 0:
        return PLACE_SD_UM
    spread = np.percentile(np.abs(apart_um - np.median(apart_um, axis=0)), 68, axis=0)
    weight = n / (n + PRIOR_PAIRS)
    out: FloatArray = np.sqrt(weight * spread**2 + (1 - weight) * PLACE_SD_UM**2)
    return out
