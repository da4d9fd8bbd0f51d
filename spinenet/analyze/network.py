"""How many spines lie within r of a spine, along the dendrite: Ripley's K on a network.

Counted plainly, K depends on the network: near a branch point there are more places at a distance.
Each pair is therefore weighed by one over the number of places that lie exactly as far from its
first spine (Ang, Baddeley & Nair 2012); then K(r) = r for places that know nothing of each other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import shortest_path

from spinenet.analyze.near import within
from spinenet.types import FloatArray, IntArray


@dataclass(frozen=True)
class Tree:
    """A branched dendrite: E stretches between nodes, without loops."""

    ends: IntArray
    """(E, 2) nodes."""
    length_um: FloatArray
    """(E,)"""

    @property
    def total_um(self) -> float:
        return float(self.length_um.sum())

    def node_distance(self) -> FloatArray:
        """(N, N) along the tree, um."""
        n = int(self.ends.max()) + 1
        a, b = self.ends.T.astype(np.int32)  # older scipy takes no others
        table: FloatArray = shortest_path(
            csr_array((self.length_um, (a, b)), shape=(n, n)), directed=False
        )
        return table


def network_k(
    tree: Tree, edge: IntArray, offset_um: FloatArray, radii_um: FloatArray
) -> FloatArray:
    """(R, 2) sum over ordered pairs of points within each radius of their weights, and the number
    of ordered pairs over the tree's length; K is their ratio.

    Sums and denominators of several trees add up before they are divided.

    Parameters
    ----------
    edge, offset_um: (K,) where each point lies: its stretch, and how far from the stretch's first
        node
    """
    n = len(edge)
    out = np.zeros((len(radii_um), 2))
    out[:, 1] = n * (n - 1) / tree.total_um if tree.total_um > 0 else 0.0
    if n > 1:
        far, weight = pair_weights(tree, edge, offset_um)
        out[:, 0] = [float(weight[within(far, r)].sum()) for r in radii_um]
    return out


def pair_weights(
    tree: Tree, edge: IntArray, offset_um: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """(K, K) distances along the tree, and weights of the ordered pairs; 0 of a point with itself.

    Points as in `network_k`.
    """
    n = len(edge)
    to_node = _to_nodes(tree, edge, offset_um)
    far, weight = np.zeros((2, n, n))
    for i in range(n):
        others = np.arange(n) != i
        far[i] = _distances(tree, to_node, edge, offset_um, i)
        places = _places_at(tree, to_node[i], int(edge[i]), float(offset_um[i]), far[i, others])
        weight[i, others] = 1 / places
    return far, weight


def _to_nodes(tree: Tree, edge: IntArray, offset_um: FloatArray) -> FloatArray:
    """(K, N) from each point to each node."""
    table = tree.node_distance()
    a, b = tree.ends[edge].T
    first = offset_um[:, None] + table[a]
    second = (tree.length_um[edge] - offset_um)[:, None] + table[b]
    out: FloatArray = np.minimum(first, second)
    return out


def _distances(
    tree: Tree, to_node: FloatArray, edge: IntArray, offset_um: FloatArray, i: int
) -> FloatArray:
    """(K,) from point i to every point."""
    a, b = tree.ends[edge].T
    over_a = to_node[i, a] + offset_um
    over_b = to_node[i, b] + tree.length_um[edge] - offset_um
    same = edge == edge[i]
    out: FloatArray = np.where(same, np.abs(offset_um - offset_um[i]), np.minimum(over_a, over_b))
    return out


def _places_at(
    tree: Tree, to_node: FloatArray, edge: int, offset_um: float, distance_um: FloatArray
) -> FloatArray:
    """(D,) how many places of the tree lie exactly so far from a point."""
    near = to_node[tree.ends].min(axis=1)
    others = np.arange(len(near)) != edge
    start, end = near[others], (near + tree.length_um)[others]
    through = ~within(distance_um[:, None], start) & within(distance_um[:, None], end)
    own = within(distance_um, offset_um).astype(int)
    own += within(distance_um, tree.length_um[edge] - offset_um)
    out: FloatArray = np.maximum(through.sum(axis=1) + own, 1).astype(float)
    return out
