"""All sessions at once: the set of tracks that explains the links best, exactly.

A track is a path through sessions in order, one spine in each at most. The best set of paths is a
minimum-cost path cover, which is one bipartite assignment: every spine's successor or none.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
from scipy.optimize import linear_sum_assignment

from spinenet.types import FloatArray, IntArray

SKIP_COST = 2.0
"""Price of leaving out a session, where a spine is missed one time in seven (log 7)."""


def path_cover(sizes: list[int], odds: dict[tuple[int, int], FloatArray], min_p: float) -> IntArray:
    """Track number of every spine, sessions one after the other.

    Parameters
    ----------
    sizes: number of spines in each of T sessions
    odds: for sessions (t, u), t < u: (sizes[t], sizes[u]) odds that two spines are one, rivals left
        aside: the cover settles who of them is right
    min_p: links less sure than this are never made
    """
    first = np.r_[0, np.cumsum(sizes)]
    n = int(first[-1])
    gain = np.zeros((n, n))
    for (t, u), o in odds.items():
        worth = np.log(np.maximum(o, 1e-12) * (1 - min_p) / min_p) - SKIP_COST * (u - t - 1)
        gain[first[t] : first[t + 1], first[u] : first[u + 1]] = np.maximum(worth, 0)
    rows, columns = linear_sum_assignment(gain, maximize=True)
    successor = np.full(n, -1)
    linked = gain[rows, columns] > 0
    successor[rows[linked]] = columns[linked]
    track = np.full(n, -1)
    number = 0
    for i in range(n):
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
