"""Which dendrite branches off which, and the trees that they make together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from spinenet.analyze.network import Tree
from spinenet.types import BoolArray, FloatArray, IntArray

REACH_UM = np.array([5.0, 3.2, 3.2])
"""A dendrite that ends so near (scaled, z y x) to another one branches off it: centrelines of
daughters begin at the mother's side, and depth is seen worst."""
END_UM = 2.0
"""So near to the end of the other one it goes on as that one; so near to its own end a stretch
still reaches the branch point."""


@dataclass(frozen=True)
class Junction:
    """Where the end of one dendrite meets another: arc lengths on both, and the gap between."""

    daughter: int
    end_um: float
    mother: int
    arc_um: float
    gap_um: float
    inside: bool
    """It meets the other one beside its ends."""


Branching = Mapping[tuple[str, str], tuple[Junction, ...]]
"""Junctions by animal and region."""
NO_BRANCHES: Branching = MappingProxyType({})


def branching(nodes: pd.DataFrame | None) -> Branching:
    """The junctions of every region.

    Parameters
    ----------
    nodes: `dendrites.csv`; of each region the session with most nodes is read. None: no branches
    """
    if nodes is None:
        return NO_BRANCHES
    return {key: _junctions(mine) for key, mine in _fullest(nodes).items()}


def _fullest(nodes: pd.DataFrame) -> dict[tuple[str, str], pd.DataFrame]:
    """By animal and region the nodes of the session with most of them."""
    out = {}
    for (animal, region), mine in nodes.groupby(["animal", "region"]):
        fullest = mine["session"].value_counts().idxmax()
        out[str(animal), str(region)] = mine[mine["session"] == fullest]
    return out


def _junctions(nodes: pd.DataFrame) -> tuple[Junction, ...]:
    lines = {}
    for d, mine in nodes.sort_values("arc_length_um").groupby("dendrite_id"):
        points = mine[["z_um", "y_um", "x_um"]].to_numpy(float)
        lines[int(d)] = points, mine["arc_length_um"].to_numpy(float), cKDTree(points / REACH_UM)
    found = []
    for d, (points, arc, _) in lines.items():
        for end in (0, -1):
            for mother, (places, along, tree) in lines.items():
                far, k = tree.query(points[end] / REACH_UM)
                if mother == d or far > 1:
                    continue
                inside = min(along[k] - along[0], along[-1] - along[k]) > END_UM
                gap = float(np.linalg.norm(points[end] - places[k]))
                found.append(Junction(d, float(arc[end]), mother, float(along[k]), gap, inside))
    return _without_loops(sorted(found, key=lambda j: (not j.inside, j.gap_um, j.daughter)))


def _without_loops(found: list[Junction]) -> tuple[Junction, ...]:
    """The nearest ones first, none that joins what is joined already."""
    part = {d: d for j in found for d in (j.daughter, j.mother)}
    kept = []
    for j in found:
        a, b = part[j.daughter], part[j.mother]
        if a != b:
            kept.append(j)
            part = _merged(part, a, b)
    return tuple(kept)


def _merged(part: dict[int, int], a: int, b: int) -> dict[int, int]:
    """Parts by dendrite, part `a` made one with `b`."""
    return {d: b if p == a else p for d, p in part.items()}


def branch_orders(
    branches: Branching, nodes: pd.DataFrame | None
) -> dict[tuple[str, str, int], int]:
    """By animal, region and dendrite how many others it stands on: 0 for one that branches off
    none; pieces that go on as one another count as one. Nothing is known without `dendrites.csv`.
    """
    out = {}
    for key, mine in _fullest(nodes).items() if nodes is not None else ():
        dendrites = [int(d) for d in mine["dendrite_id"].unique()]
        piece = {d: d for d in dendrites}
        for j in branches.get(key, ()):
            if not j.inside:
                piece = _merged(piece, piece[j.daughter], piece[j.mother])
        mother = {piece[j.daughter]: piece[j.mother] for j in branches.get(key, ()) if j.inside}
        for d in dendrites:
            order, at = 0, piece[d]
            while at in mother and order < len(mother):
                order, at = order + 1, mother[at]
            out[*key, d] = order
    return out


@dataclass(frozen=True)
class Stretch:
    """Part of a dendrite, from arc length `low_um` to `high_um`, between two nodes."""

    dendrite: int
    low_um: float
    high_um: float
    nodes: tuple[int, int]


@dataclass(frozen=True)
class Grown:
    """A tree, and of which stretch each of its edges is."""

    tree: Tree
    stretches: tuple[Stretch, ...]

    def holds(self, dendrite: IntArray, arc_um: FloatArray) -> BoolArray:
        """(N,) which places lie on the tree."""
        on = np.zeros(len(arc_um), bool)
        for s in self.stretches:
            on |= (dendrite == s.dendrite) & (arc_um >= s.low_um) & (arc_um <= s.high_um)
        return on

    def place(self, dendrite: IntArray, arc_um: FloatArray) -> tuple[IntArray, FloatArray]:
        """Edge (P,) and offset (P,) of those of the places (N,) that lie on the tree."""
        edges, offsets = [], []
        for d, arc in zip(dendrite.tolist(), arc_um.tolist(), strict=True):
            for k, s in enumerate(self.stretches):
                if s.dendrite == d and s.low_um <= arc <= s.high_um:
                    edges.append(k)
                    offsets.append(arc - s.low_um)
                    break
        return np.array(edges, np.int64), np.array(offsets)


def grow(spans_um: Mapping[int, FloatArray], junctions: Sequence[Junction]) -> list[Grown]:
    """The trees of a region.

    Parameters
    ----------
    spans_um: by dendrite the stretches (N, 2) on which spines could be scored
    """
    stretches: list[Stretch] = []
    node_at: dict[tuple[int, float], int] = {}
    joined: list[tuple[int, int]] = []
    for d, spans in spans_um.items():
        breaks = sorted({j.arc_um for j in junctions if j.mother == d})
        gaps = {j.end_um: j.gap_um for j in junctions if j.daughter == d}
        for low, high in spans.tolist():
            if not high > low:
                continue
            cuts = [low, *(b for b in breaks if low < b < high), high]
            for a, b in zip(cuts[:-1], cuts[1:], strict=True):
                ends = tuple(node_at.setdefault((d, at), len(node_at)) for at in (a, b))
                # a daughter's gap to its mother is part of the way, at the span's own ends
                low_gap, high_gap = (
                    max((g for e, g in gaps.items() if abs(e - at) <= END_UM), default=0.0)
                    if at in (low, high)
                    else 0.0
                    for at in (a, b)
                )
                stretches.append(Stretch(d, a - low_gap, b + high_gap, (ends[0], ends[1])))
    for j in junctions:
        start = _nearest(node_at, j.daughter, j.end_um)
        goal = _nearest(node_at, j.mother, j.arc_um)
        if start is not None and goal is not None:
            joined.append((start, goal))
    return _parts(stretches, joined, len(node_at))


def _nearest(node_at: Mapping[tuple[int, float], int], dendrite: int, arc_um: float) -> int | None:
    """The node on a dendrite within `END_UM` of a place."""
    near = [(abs(at - arc_um), n) for (d, at), n in node_at.items() if d == dendrite]
    far, node = min(near, default=(np.inf, -1))
    return node if far <= END_UM else None


def _parts(stretches: list[Stretch], joined: list[tuple[int, int]], n: int) -> list[Grown]:
    """Stretches put together to trees, nodes that are one made one."""
    if not stretches:
        return []

    def labels(pairs: list[tuple[int, int]]) -> IntArray:
        a, b = np.array(pairs, np.int64).reshape(-1, 2).T
        graph = coo_array((np.ones(len(a)), (a, b)), shape=(n, n))
        found: IntArray = connected_components(graph, directed=False)[1]
        return found

    node, part = labels(joined), labels([*joined, *(s.nodes for s in stretches)])
    out = []
    for k in np.unique([part[s.nodes[0]] for s in stretches]):
        mine = tuple(s for s in stretches if part[s.nodes[0]] == k)
        ends = np.unique(node[[s.nodes for s in mine]], return_inverse=True)[1]
        length = np.array([s.high_um - s.low_um for s in mine])
        out.append(Grown(Tree(ends.reshape(-1, 2), length), mine))
    return out
