"""All sessions at once: the set of tracks that explains the links best, exactly.

A track is a path through sessions in order, one spine in each at most. The best set of paths is a
minimum-cost path cover, which is one bipartite assignment: every spine's successor or none.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
from scipy.optimize import linear_sum_assignment

from spinenet.types import FloatArray, IntArray

SKIP_COST = 1.5
"""Price of leaving out a session: of two explanations, the one without a gap is taken."""


def path_cover(
    sizes: list[int], probability: dict[tuple[int, int], FloatArray], min_p: float
) -> IntArray:
    """Track number of every spine, sessions one after the other.

    Parameters
    ----------
    sizes: number of spines in each of T sessions
    probability: for sessions (t, u), t < u: (sizes[t], sizes[u]) link probabilities
    min_p: links below are never made
    """
    first = np.r_[0, np.cumsum(sizes)]
    n = int(first[-1])
    gain = np.zeros((n, n))
    for (t, u), p in probability.items():
        sure = np.clip(p, 1e-6, 1 - 1e-6)
        worth = np.log(sure / (1 - sure)) - np.log(min_p / (1 - min_p)) - SKIP_COST * (u - t - 1)
        worth = np.where(p >= min_p, np.maximum(worth, 0), 0)
        gain[first[t] : first[t + 1], first[u] : first[u + 1]] = worth
    rows, columns = linear_sum_assignment(-gain)
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
