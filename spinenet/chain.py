"""Was a spine there? All its sightings together, by a chain of not yet, there, gone."""

from __future__ import annotations

import numpy as np

from spinenet.types import FloatArray

SURE = 1e9
NOTHING = 3
"""State of a place at which there never was a spine; before it not yet, there, gone."""


def presence(ratio: FloatArray, formation: float, elimination: float, real: float) -> FloatArray:
    """(S, T) probability that each spine was there in each session (Rabiner 1989, III.A).

    A spine forms once and goes once. What one session shows is weighed by what the others show:
    one that was surely seen before and after was there, however faint it is now.

    Parameters
    ----------
    ratio: (S, T) how much likelier what was seen is if the spine was there than if it was not;
        nan where nobody looked
    formation, elimination: shares of the spines per interval between sessions
    real: share of the tracks that are spines at all, before anything was seen
    """
    n, n_sessions = ratio.shape
    there = np.clip(np.nan_to_num(ratio, nan=1.0), 1 / SURE, SURE)
    likely = np.ones((n, n_sessions, 4))
    likely[..., 1] = there
    likely /= likely.sum(axis=-1, keepdims=True)
    births = formation * (n_sessions - 1)
    forward, backward = np.empty_like(likely), np.ones_like(likely)
    start = real * np.array([births, 1.0, 0.0, 0.0]) / (1 + births)
    start[NOTHING] = 1 - real
    forward[:, 0] = start * likely[:, 0]
    stays = np.eye(4)
    stays[1, 1:3] = 1 - elimination, elimination
    steps = []
    for born in 1 / np.arange(n_sessions - 1, 0, -1):
        stays[0, :2] = 1 - born, born
        steps.append(stays.copy())
    for t in range(1, n_sessions):
        forward[:, t] = (forward[:, t - 1] @ steps[t - 1]) * likely[:, t]
    for t in range(n_sessions - 2, -1, -1):
        backward[:, t] = (backward[:, t + 1] * likely[:, t + 1]) @ steps[t].T
    both = forward * backward
    out: FloatArray = both[..., 1] / both.sum(axis=-1)
    return out
