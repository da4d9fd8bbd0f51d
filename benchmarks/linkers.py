"""Ways to link spines that others use, each on one interface, and the odds that ours are made of.

A linker gets two sessions' spines where a registration puts them and gives pairs; chained over the
sessions they are tracks. `gate` is what each is tuned by.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from pycpd import DeformableRegistration
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist

from spinenet.types import FloatArray, IntArray

SQUEEZE = np.array([1 / 2.5, 1.0, 1.0])
"""Depth is seen worst."""
Pairs = tuple[IntArray, IntArray]


@dataclass(frozen=True)
class Spines:
    """(K) spines of a session where a registration puts them: z, y, x; place along the dendrite;
    side of it (-1, 1); which dendrite; width of the head (um)."""

    points_um: FloatArray
    along_um: FloatArray
    side: IntArray
    dendrite: IntArray
    width_um: FloatArray


Setting = float | tuple[float, float]
"""What a linker is tuned by: its gate, and what else it has."""
Linker = Callable[[Spines, Spines, Any], Pairs]


def nearest(a: Spines, b: Spines, gate: float) -> Pairs:
    """Mutual nearest neighbours within `gate` um, depth squeezed."""
    p, q = a.points_um * SQUEEZE, b.points_um * SQUEEZE
    far, there = cKDTree(q).query(p)
    _, back = cKDTree(p).query(q)
    i = np.flatnonzero((back[there] == np.arange(len(p))) & (far < gate))
    return i, there[i]


def _assign(cost: FloatArray, gate: float) -> Pairs:
    """One to one at the least cost; a pair of more than `gate` is worse than none."""
    i, j = linear_sum_assignment(np.minimum(cost, gate))
    good = cost[i, j] < gate
    return i[good], j[good]


def hungarian(a: Spines, b: Spines, gate: float) -> Pairs:
    """One to one at the least distance, depth squeezed."""
    return _assign(cdist(a.points_um * SQUEEZE, b.points_um * SQUEEZE), gate)


def arc_and_side(a: Spines, b: Spines, gate: float) -> Pairs:
    """MapManager's rule: same dendrite, same side, nearest along the dendrite first."""
    cost = np.abs(a.along_um[:, None] - b.along_um)
    other = (a.side[:, None] != b.side) | (a.dendrite[:, None] != b.dendrite)
    cost = np.where(other | (cost >= gate), np.inf, cost)
    pairs: list[tuple[int, int]] = []
    while cost.size and np.isfinite(cost.min()):
        i, j = np.unravel_index(cost.argmin(), cost.shape)
        pairs.append((int(i), int(j)))
        cost[i], cost[:, j] = np.inf, np.inf
    found = np.array(pairs, np.int64).reshape(-1, 2)
    return found[:, 0], found[:, 1]


def in_order(a: Spines, b: Spines, gate: float) -> Pairs:
    """The least distance among links that keep the order along the dendrite (Needleman-Wunsch)."""
    pairs = [(np.zeros(0, np.int64), np.zeros(0, np.int64))]
    for d in np.intersect1d(a.dendrite, b.dendrite):
        p = np.flatnonzero(a.dendrite == d)[np.argsort(a.along_um[a.dendrite == d])]
        q = np.flatnonzero(b.dendrite == d)[np.argsort(b.along_um[b.dendrite == d])]
        gain = gate - cdist(a.points_um[p] * SQUEEZE, b.points_um[q] * SQUEEZE)
        best = np.zeros((len(p) + 1, len(q) + 1))
        for i in range(len(p)):
            for j in range(len(q)):
                best[i + 1, j + 1] = max(best[i, j + 1], best[i + 1, j], best[i, j] + gain[i, j])
        i, j, found = len(p), len(q), []
        while i and j:
            if gain[i - 1, j - 1] > 0 and best[i, j] == best[i - 1, j - 1] + gain[i - 1, j - 1]:
                i, j = i - 1, j - 1
                found.append((p[i], q[j]))
            elif best[i, j] == best[i - 1, j]:
                i -= 1
            else:
                j -= 1
        both = np.array(found, np.int64).reshape(-1, 2)
        pairs.append((both[:, 0], both[:, 1]))
    return np.concatenate([i for i, _ in pairs]), np.concatenate([j for _, j in pairs])


def overlap(a: Spines, b: Spines, gate: float) -> Pairs:
    """RESPAN's rule: heads, balls `gate` times as wide, that overlap are one; of a group that grew
    together the first of each session."""
    n = len(a.points_um)
    points = np.concatenate([a.points_um, b.points_um]) * SQUEEZE
    radius = np.r_[a.width_um, b.width_um] * gate / 2
    touch = cdist(points, points) < radius[:, None] + radius
    touch[:n, :n] = touch[n:, n:] = False
    _, group = connected_components(coo_matrix(touch), directed=False)
    first_a, i = np.unique(group[:n], return_index=True)
    first_b, j = np.unique(group[n:], return_index=True)
    _, at, there = np.intersect1d(first_a, first_b, return_indices=True)
    return i[at], j[there]


def boxes(a: Spines, b: Spines, gate: float) -> Pairs:
    """SynapFlow's rule: generalised overlap of boxes in the plane, and depth."""
    low_a, high_a = _box(a)
    low_b, high_b = _box(b)
    inner = np.clip(
        np.minimum(high_a[:, None], high_b) - np.maximum(low_a[:, None], low_b), 0, None
    )
    outer = np.maximum(high_a[:, None], high_b) - np.minimum(low_a[:, None], low_b)
    common, hull = inner.prod(-1), outer.prod(-1)
    union = (high_a - low_a).prod(-1)[:, None] + (high_b - low_b).prod(-1) - common
    depth = np.abs(a.points_um[:, None, 0] - b.points_um[:, 0])
    return _assign(1 - (common / union - (hull - union) / hull) + 0.2 * depth, gate)


def _box(s: Spines) -> tuple[FloatArray, FloatArray]:
    half = (s.width_um / 2 + 0.3)[:, None]
    return s.points_um[:, 1:] - half, s.points_um[:, 1:] + half


def drifting_points(a: Spines, b: Spines, setting: tuple[float, float]) -> Pairs:
    """Deformable coherent point drift (Myronenko 2010, pycpd), then as `hungarian`; by how stiff
    the drift is (alpha there) and the gate."""
    stiffness, gate = setting
    if min(len(a.points_um), len(b.points_um)) < 4:
        return hungarian(a, b, gate)
    p, q = a.points_um * SQUEEZE, b.points_um * SQUEEZE
    middle, size = q.mean(axis=0), max(float(q.std()), 1e-6)
    moved, _ = DeformableRegistration(
        X=(q - middle) / size,
        Y=(p - middle) / size,
        alpha=stiffness,
        beta=1.0,
        w=0.1,
        max_iterations=60,
    ).register()
    return _assign(cdist(moved * size + middle, q), gate)


LINKERS: dict[str, tuple[Linker, tuple[Setting, ...]]] = {
    "nearest neighbour": (nearest, (0.6, 0.9, 1.2, 1.8, 2.5)),
    "Hungarian": (hungarian, (0.6, 0.9, 1.2, 1.8, 2.5)),
    "arc length and side (MapManager)": (arc_and_side, (0.5, 0.8, 1.2, 1.8, 2.5)),
    "order-preserving": (in_order, (0.6, 0.9, 1.2, 1.8, 2.5)),
    "overlap in time (RESPAN)": (overlap, (0.6, 1.0, 1.5, 2.0, 3.0)),
    "boxes and depth (SynapFlow)": (boxes, (0.8, 1.1, 1.4, 1.7, 2.0)),
    "deformable point drift": (
        drifting_points,
        tuple(product((2.0, 30.0, 300.0, 1000.0), (0.6, 0.9, 1.2, 1.8))),
    ),
}


def chain(sessions: list[Spines], link: Linker, gate: Setting) -> list[IntArray]:
    """Tracks from the links between each session and the next."""
    tracks = [np.arange(len(sessions[0].points_um))]
    number = len(tracks[0])
    for a, b in zip(sessions, sessions[1:], strict=False):
        here = np.full(len(b.points_um), -1)
        if len(a.points_um) and len(b.points_um):
            i, j = link(a, b, gate)
            here[j] = tracks[-1][i]
        new = here < 0
        here[new] = number + np.arange(new.sum())
        number += int(new.sum())
        tracks.append(here)
    return tracks
