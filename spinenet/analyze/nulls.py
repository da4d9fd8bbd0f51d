"""Is it more than chance? Which of the spines are the new ones is shuffled within each dendrite.

Positions, the number of new spines and in which sessions each place was occupied stay as they are
(the null `label`). Closed form for one session: `expected_contiguous`.
"""

from __future__ import annotations

from math import comb

import numpy as np
import numpy.typing as npt

from spinenet.analyze.states import SEEN, Histories
from spinenet.config import AnalyzeConfig
from spinenet.types import FloatArray

BATCH = 2000


def clustered(
    h: Histories, new: npt.NDArray[np.bool_], rule: str, config: AnalyzeConfig
) -> npt.NDArray[np.bool_]:
    """(B, S) which spines are members of a cluster, for B labellings `new` (B, S)."""
    out = np.zeros_like(new)
    for t in h.window(config.window):
        here = np.flatnonzero(h.seen[:, t] == SEEN)
        if rule == "contiguous":
            here = here[~h.filopodium[here]]
            if len(here) < 2:
                continue
            labels = new[:, here]
            apart = np.diff(h.arc_um[here]) >= config.resolution_um
            pair = labels[:, :-1] & labels[:, 1:] & apart
            member = np.zeros_like(labels)
            member[:, :-1] |= pair
            member[:, 1:] |= pair
        else:
            labels = new[:, here]
            gap = np.abs(h.arc_um[here][:, None] - h.arc_um[here][None])
            near = (gap <= config.d_um) & (gap >= config.resolution_um)
            member = labels & ((labels.astype(np.float32) @ near.astype(np.float32)) > 0)
        out[:, here] |= member
    return out


def candidates(h: Histories, rule: str, config: AnalyzeConfig) -> npt.NDArray[np.bool_]:
    """(S,) spines whose label is shuffled: seen in the window; filopodia only by `within_d`."""
    seen = (h.seen[:, h.window(config.window)] == SEEN).any(axis=1)
    return seen & (~h.filopodium if rule == "contiguous" else True)


def shuffled_counts(
    h: Histories, rule: str, config: AnalyzeConfig, rng: np.random.Generator
) -> FloatArray:
    """(B,) clustered new spines of one dendrite when the labels are shuffled."""
    pool = np.flatnonzero(candidates(h, rule, config))
    k = int(h.is_new(config.window)[pool].sum())
    counts = np.zeros(config.n_shuffles)
    if k < 2:
        return counts
    for start in range(0, config.n_shuffles, BATCH):
        n = min(BATCH, config.n_shuffles - start)
        first = np.argpartition(rng.random((n, len(pool))), k - 1, axis=1)[:, :k]
        labels = np.zeros((n, len(h.arc_um)), bool)
        labels[np.arange(n)[:, None], pool[first]] = True
        counts[start : start + n] = clustered(h, labels, rule, config).sum(axis=1)
    return counts


def p_value(observed: float, null: FloatArray) -> float:
    """One-sided P with the add-one rule: (1 + shuffles at least as large) / (B + 1)."""
    return float((1 + (null >= observed - 1e-12).sum()) / (len(null) + 1))


def expected_contiguous(n: int, k: int) -> float:
    """Expected clustered share of k new among n spines of one segment, labels exchangeable.

    An inner spine has two neighbours, an end spine one: 1 minus the chance that none is new.
    """
    if k < 1 or n < 2:
        return float("nan")
    inner = 1 - comb(n - 3, k - 1) / comb(n - 1, k - 1) if n >= 3 else 0.0
    end = 1 - comb(n - 2, k - 1) / comb(n - 1, k - 1)
    return (n - 2) / n * inner + 2 / n * end
