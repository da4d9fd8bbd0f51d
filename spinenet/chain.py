"""Was a spine there? All its sightings together, by a chain of not yet, there, gone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spinenet.types import FloatArray

SURE = 1e9
STATES = NOT_YET, OLD, NEW, GONE, NOTHING = range(5)
"""Of a place; a spine is old if it was there before the first session; nothing: never a spine."""


@dataclass(frozen=True)
class Rates:
    """How spines come and go.

    Parameters
    ----------
    formation: share of the spines per interval between sessions
    elimination: share of the old spines lost per interval
    new_loss: share of those lost per interval that formed after the first session: of these three
        in ten were gone at their second (Shao et al. 2021, figure S2)
    """

    formation: float = 0.06
    elimination: float = 0.06
    new_loss: float = 0.3


def presence(ratio: FloatArray, rates: Rates, real: float) -> FloatArray:
    """(S, T) probability that each spine was there in each session (Rabiner 1989, III.A).

    A spine forms once and goes once. What one session shows is weighed by what the others show:
    one that was surely seen before and after was there, however faint it is now.

    Parameters
    ----------
    ratio: (S, T) how much likelier what was seen is if the spine was there than if it was not;
        nan where nobody looked
    real: share of the tracks that are spines at all, before anything was seen
    """
    n, n_sessions = ratio.shape
    there = np.clip(np.nan_to_num(ratio, nan=1.0), 1 / SURE, SURE)
    likely = np.ones((n, n_sessions, len(STATES)))
    likely[..., [OLD, NEW]] = there[..., None]
    likely /= likely.sum(axis=-1, keepdims=True)
    births = rates.formation * (n_sessions - 1)
    forward, backward = np.empty_like(likely), np.ones_like(likely)
    start = np.zeros(len(STATES))
    start[[NOT_YET, OLD]] = real * np.array([births, 1.0]) / (1 + births)
    start[NOTHING] = 1 - real
    forward[:, 0] = start * likely[:, 0]
    stays = np.eye(len(STATES))
    stays[OLD, [OLD, GONE]] = 1 - rates.elimination, rates.elimination
    stays[NEW, [NEW, GONE]] = 1 - rates.new_loss, rates.new_loss
    steps = []
    for born in 1 / np.arange(n_sessions - 1, 0, -1):
        stays[NOT_YET, [NOT_YET, NEW]] = 1 - born, born
        steps.append(stays.copy())
    for t in range(1, n_sessions):
        forward[:, t] = (forward[:, t - 1] @ steps[t - 1]) * likely[:, t]
    for t in range(n_sessions - 2, -1, -1):
        backward[:, t] = (backward[:, t + 1] * likely[:, t + 1]) @ steps[t].T
    both = forward * backward
    out: FloatArray = both[..., [OLD, NEW]].sum(axis=-1) / both.sum(axis=-1)
    return out
