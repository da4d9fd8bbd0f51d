"""All sessions at once: the set of tracks that explains the links best, exactly.

A track is a path through sessions in order, one spine in each at most. The best set of paths is a
minimum-cost path cover, which is one bipartite assignment: every spine's successor or none.
"""

from __future__ import annotations

from collections.abc import Collection
from itertools import combinations, pairwise

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from spinenet.match.pins import Contradiction
from spinenet.match.score import Candidates
from spinenet.types import BoolArray, IntArray

SKIP_COST = 2.0
"""Price of leaving out a session in which the spine could have been seen, where one is missed one
time in seven (log 7)."""


Pair = tuple[int, int]
"""Numbers of two spines, counted through all sessions, the earlier session's first."""
BySessions = dict[tuple[int, int], Candidates]
"""Of every two sessions, by their positions, the earlier first."""


def path_cover(
    sizes: list[int],
    candidates: BySessions,
    min_p: float,
    same: Collection[Pair] = (),
    different: Collection[Pair] = (),
    looked: BoolArray | None = None,
) -> IntArray:
    """Track number of every spine, sessions one after the other.

    Parameters
    ----------
    sizes: number of spines in each of T sessions
    candidates: for sessions (t, u), t < u. The cover settles which of rivals is right
    min_p: links less sure than this are never made
    same, different: pairs that shall be in one track, and that shall not
    looked: (N, T) sessions in which one could be seen at each spine's place (`scope.looked_at`);
        only these have a price when they are left out. Without it all have

    Raises
    ------
    Contradiction
        If what shall be the same and what shall not contradict each other.
    """
    first = np.r_[0, np.cumsum(sizes)]
    edges: dict[Pair, float] = {}
    for (t, u), c in sorted(candidates.items(), key=lambda item: item[0]):
        price = SKIP_COST * left_out(looked, c.i + first[t], t, u)
        worth = np.log(np.maximum(c.odds, 1e-12) * (1 - min_p) / min_p) - price
        good = worth > 0
        pairs = zip((c.i[good] + first[t]).tolist(), (c.j[good] + first[u]).tolist(), strict=True)
        edges |= dict(zip(pairs, worth[good].tolist(), strict=True))
    for pair in different:
        edges.pop(pair, None)
    session_of = np.repeat(np.arange(len(sizes)), sizes)
    groups = _groups(same, session_of)
    parted = np.array([*different], np.int64).reshape(-1, 2)
    banned: set[int] = set()
    while True:
        bound, between = _bound(groups, edges, session_of, different, banned)
        ends = set(bound.values())
        free = {(i, j): g for (i, j), g in edges.items() if i not in bound and j not in ends}
        while True:
            successor = solve(free, len(session_of))
            for i, j in bound.items():
                successor[i] = j
            track = _numbered(successor)
            joined = np.flatnonzero(track[parted[:, 0]] == track[parted[:, 1]])
            if not len(joined):
                return track
            start, end = parted[joined[0]].tolist()
            path = [start]
            while path[-1] != end:
                path.append(int(successor[path[-1]]))
            loose = [k for k in path if k in between]
            hops = [pair for pair in pairwise(path) if pair in free]
            if loose:  # the machine's guess of what lies between gives way first
                banned.add(loose[0])
                break
            if not hops:
                raise Contradiction(
                    "two spines are not one (different, or one absent where the other is), and by "
                    "way of others they are. Remove one of the lines",
                    path,
                )
            del free[min(hops, key=lambda pair: free[pair])]


def left_out(
    looked: BoolArray | None, spines: IntArray, early: IntArray | int, late: IntArray | int
) -> IntArray:
    """(K,) sessions between an early and a late one in which the spines (K,) could be seen."""
    if looked is None:
        return np.broadcast_to(np.maximum(late - np.asarray(early), 1) - 1, spines.shape)
    until = np.pad(np.cumsum(looked, axis=1), ((0, 0), (1, 0)))
    after = np.add(early, 1)
    out: IntArray = until[spines, np.maximum(late, after)] - until[spines, after]
    return out


def bound_together(same: Collection[Pair], n: int) -> IntArray:
    """(N,) number of the group in which a person bound a spine to others, directly or by way of
    further ones; -1 for spines that were bound to none."""
    ends = np.array([*same], np.int64).reshape(-1, 2)
    _, group = connected_components(
        coo_matrix((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), (n, n)), directed=False
    )
    bound = np.isin(np.arange(n), ends)
    out: IntArray = np.where(bound, group, -1)
    return out


def _groups(same: Collection[Pair], session_of: IntArray) -> list[list[int]]:
    """Spines that a person bound together, in the order of their sessions."""
    group = bound_together(same, len(session_of))
    groups = [np.flatnonzero(group == g).tolist() for g in np.unique(group[group >= 0])]
    for them in groups:
        for i, j in pairwise(them):
            if session_of[i] == session_of[j]:
                raise Contradiction(
                    "two spines of one session are the same as a third one. Remove one of the "
                    "lines",
                    (i, j),
                )
    return groups


def _bound(
    groups: list[list[int]],
    edges: dict[Pair, float],
    session_of: IntArray,
    different: Collection[Pair],
    banned: set[int],
) -> tuple[dict[int, int], set[int]]:
    """The successor of every spine that a person bound to a later one, and the spines that were put
    between two of them: those of the chain of links that gains most."""
    bound: dict[int, int] = {}
    between: set[int] = set()
    taken = {k for them in groups for k in them} | banned
    after: dict[int, list[int]] = {}
    before: dict[int, list[int]] = {}
    for a, b in edges:
        after.setdefault(a, []).append(b)
        before.setdefault(b, []).append(a)
    for them in groups:
        others = {b for a, b in different if a in them} | {a for a, b in different if b in them}
        for i, j in pairwise(them):
            near = _reached(i, after) | _reached(j, before)
            may = [
                k
                for k in sorted(near - taken - others)
                if session_of[i] < session_of[k] < session_of[j]
            ]
            chain = _chain(i, j, may, edges)
            bound |= dict(pairwise(chain))
            between |= set(chain[1:-1])
            taken |= set(chain[1:-1])
    return bound, between


def _reached(start: int, steps: dict[int, list[int]]) -> set[int]:
    """The spines that steps lead to."""
    found, waiting = set[int](), [start]
    while waiting:
        for k in steps.get(waiting.pop(), ()):
            if k not in found:
                found.add(k)
                waiting.append(k)
    return found


def _chain(i: int, j: int, may: list[int], edges: dict[Pair, float]) -> list[int]:
    """From `i` to `j` by way of spines of `may` that links join to `i`, or to `j`, or to both."""
    found: list[tuple[float, list[int]]] = [(0.0, [i, j])]
    for starts, stops in ((True, False), (False, True)):
        best: dict[int, tuple[float, list[int]]] = {i: (0.0, [i])}
        for k in may:
            ways = [
                (gain + edges.get((p, k), 0.0), [*path, k])
                for p, (gain, path) in best.items()
                if (p, k) in edges or (p == i and not starts)
            ]
            if ways:
                best[k] = max(ways, key=lambda way: way[0])
        found += [
            (gain + edges.get((k, j), 0.0), [*path, j])
            for k, (gain, path) in best.items()
            if k != i and ((k, j) in edges or not stops)
        ]
    return max(found, key=lambda way: way[0])[1]


def solve(edges: dict[Pair, float], n: int) -> IntArray:
    """(N,) the successor of every spine, -1 for none, that gains most in all.

    Spines that no chain of edges joins do not bear on each other, so each group of the others is
    solved by itself.
    """
    successor = np.full(n, -1)
    if not edges:
        return successor
    i, j = np.array(list(edges), np.int64).T
    gain = np.array(list(edges.values()))
    _, group = connected_components(coo_matrix((gain, (i, j)), (n, n)), directed=False)
    alone = np.bincount(group[i])[group[i]] == 1
    successor[i[alone]] = j[alone]
    i, j, gain = i[~alone], j[~alone], gain[~alone]
    order = np.argsort(group[i], kind="stable")
    for pairs in np.split(order, np.flatnonzero(np.diff(group[i][order])) + 1):
        rows, row = np.unique(i[pairs], return_inverse=True)
        columns, column = np.unique(j[pairs], return_inverse=True)
        table = np.zeros((len(rows), len(columns)))
        table[row, column] = gain[pairs]
        r, c = linear_sum_assignment(table, maximize=True)
        linked = table[r, c] > 0
        successor[rows[r[linked]]] = columns[c[linked]]
    return successor


def _numbered(successor: IntArray) -> IntArray:
    """(N,) number of the path of every spine, from each one's successor (N,), -1 for none."""
    track = np.full(len(successor), -1)
    number = 0
    for i in range(len(successor)):
        if track[i] < 0:
            j = i
            while j >= 0:
                track[j] = number
                j = int(successor[j])
            number += 1
    return track


def session_pairs(n: int) -> list[tuple[int, int]]:
    """All (earlier, later) pairs of n sessions."""
    return list(combinations(range(n), 2))
