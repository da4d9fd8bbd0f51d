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

from spinenet.match.score import Candidates
from spinenet.types import InputError, IntArray

SKIP_COST = 2.0
"""Price of leaving out a session, where a spine is missed one time in seven (log 7)."""


Pair = tuple[int, int]
"""Numbers of two spines, counted through all sessions, the earlier session's first."""


def path_cover(
    sizes: list[int],
    candidates: dict[tuple[int, int], Candidates],
    min_p: float,
    same: Collection[Pair] = (),
    different: Collection[Pair] = (),
) -> IntArray:
    """Track number of every spine, sessions one after the other.

    Parameters
    ----------
    sizes: number of spines in each of T sessions
    candidates: for sessions (t, u), t < u. The cover settles which of rivals is right
    min_p: links less sure than this are never made
    same, different: pairs that shall be in one track, and that shall not

    Raises
    ------
    InputError
        If what shall be the same and what shall not contradict each other.
    """
    first = np.r_[0, np.cumsum(sizes)]
    edges: dict[Pair, float] = {}
    for (t, u), c in sorted(candidates.items(), key=lambda item: item[0]):
        worth = np.log(np.maximum(c.odds, 1e-12) * (1 - min_p) / min_p) - SKIP_COST * (u - t - 1)
        good = worth > 0
        pairs = zip((c.i[good] + first[t]).tolist(), (c.j[good] + first[u]).tolist(), strict=True)
        edges |= dict(zip(pairs, worth[good].tolist(), strict=True))
    for pair in different:
        edges.pop(pair, None)
    session_of = np.repeat(np.arange(len(sizes)), sizes)
    bound = _bound(same, edges, session_of)
    ends = set(bound.values())
    edges = {(i, j): g for (i, j), g in edges.items() if i not in bound and j not in ends}
    while True:
        successor = _solve(edges, len(session_of))
        for i, j in bound.items():
            successor[i] = j
        track = _numbered(successor)
        joined = [(i, j) for i, j in different if track[i] == track[j]]
        if not joined:
            return track
        i, j = joined[0]
        path = [i]
        while path[-1] != j:
            path.append(int(successor[path[-1]]))
        free = [pair for pair in pairwise(path) if pair in edges]
        if not free:
            raise InputError(
                "corrections.csv says that two spines are different, and by way of others that "
                f"they are the same ({len(path)} spines in sessions "
                f"{', '.join(str(session_of[k]) for k in path)}, counted from 0). Remove one of "
                "these lines."
            )
        del edges[min(free, key=lambda pair: edges[pair])]


def _bound(
    same: Collection[Pair], edges: dict[Pair, float], session_of: IntArray
) -> dict[int, int]:
    """The successor of every spine that a person bound to a later one. Where sessions lie between,
    the spine that suits both best comes between them."""
    n = len(session_of)
    ends = np.array([*same], np.int64).reshape(-1, 2)
    _, group = connected_components(
        coo_matrix((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), (n, n)), directed=False
    )
    bound: dict[int, int] = {}
    members = {g: np.flatnonzero(group == g).tolist() for g in np.unique(group[ends[:, 0]])}
    claimed = {k for them in members.values() for k in them}
    for them in members.values():
        for i, j in pairwise(them):
            if session_of[i] == session_of[j]:
                raise InputError(
                    "corrections.csv says of two spines of one session (number "
                    f"{session_of[i]}, counted from 0) that they are the same as a third one. "
                    "Remove one of these lines."
                )
            between = {
                k: edges[i, k] + edges[k, j]
                for k in range(i + 1, j)
                if k not in claimed and (i, k) in edges and (k, j) in edges
            }
            if between:
                k = max(between, key=lambda k: between[k])
                claimed.add(k)
                bound |= {i: k, k: j}
            else:
                bound[i] = j
    return bound


def _solve(edges: dict[Pair, float], n: int) -> IntArray:
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
