"""Is it more than chance? Four ways of dealing the new spines out anew, each within its animal.

- `label`: which of a dendrite's places are those of the new spines; places stay, and every spine
  keeps the sessions in which it was there (closed form for one session: `expected_contiguous`).
- `uniform`: new spines anywhere on the dendrite but within the exclusion zone of another spine.
- `segment`: new spines on any of the animal's dendrites, by their numbers of spines.
- `group`: which animals belong to which group (`groups.compare`).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import comb

import numpy as np

from spinenet.analyze.clusters import RULES
from spinenet.analyze.states import SEEN, Histories
from spinenet.config import AnalyzeConfig
from spinenet.types import BoolArray, FloatArray, IntArray

BATCH = 10_000


def clustered(h: Histories, new: BoolArray, rule: str, config: AnalyzeConfig) -> BoolArray:
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


def candidates(h: Histories, rule: str, config: AnalyzeConfig) -> BoolArray:
    """(S,) spines whose label is shuffled: seen in the window; filopodia only by `within_d`."""
    seen = (h.seen[:, h.window(config.window)] == SEEN).any(axis=1)
    return seen & (~h.filopodium if rule == "contiguous" else True)


def shuffled_counts(
    h: Histories, config: AnalyzeConfig, rng: np.random.Generator
) -> dict[str, FloatArray]:
    """(B,) clustered new spines of one dendrite by each rule, lives dealt out anew to the places.

    A life keeps its sessions: new spines are often short-lived, and a label given to a spine that
    stays would meet others more often than it should. The shuffles are the same for all rules.
    """
    pool = candidates(h, "within_d", config)
    new = (h.is_new(config.window) & pool)[pool]
    counts: dict[str, FloatArray] = {rule: np.zeros(config.n_shuffles) for rule in RULES}
    if new.sum() < 2:
        return counts
    # new lives first
    order = np.argsort(~new, kind="stable")
    there = h.seen[pool][order][:, h.window(config.window)] == SEEN
    lives = _Lives(int(new.sum()), there, h.filopodium[pool][order], h.arc_um[pool])
    for start in range(0, config.n_shuffles, BATCH):
        n = min(BATCH, config.n_shuffles - start)
        place = permutations(len(new), n, rng)
        for rule, found in zip(RULES, _dealt_out(lives, place, config), strict=True):
            counts[rule][start : start + n] = found
    return counts


@dataclass(frozen=True)
class _Lives:
    """The spines of a dendrite in the window, the new ones first."""

    n_new: int
    there: BoolArray
    """(S, T)"""
    filopodium: BoolArray
    arc_um: FloatArray
    """(S,) of the places, in order: of no life in particular."""


def permutations(size: int, n: int, rng: np.random.Generator) -> IntArray:
    """(size, n) a random order of 0..size-1 in each column: random numbers sorted with the index in
    their lowest bits, six times as fast as `Generator.permuted`."""
    bits = np.uint64(max(size - 1, 1).bit_length())
    keys = rng.integers(0, 2**63, (n, size), dtype=np.uint64) >> bits << bits
    keys |= np.arange(size, dtype=np.uint64)
    keys.sort(axis=1)
    return np.ascontiguousarray((keys & ((np.uint64(1) << bits) - np.uint64(1))).T.astype(np.int16))


def _dealt_out(lives: _Lives, place: IntArray, config: AnalyzeConfig) -> tuple[IntArray, IntArray]:
    """(B,) members of contiguous clusters, and of clusters within d, in B deals (S, B)."""
    k, new = lives.n_new, place[: lives.n_new]
    arc = lives.arc_um[new]
    others = np.flatnonzero(~lives.filopodium[k:]) + k
    always = lives.there[others].all(axis=1)
    # existing spines that stand before each new one: those that stay once, the rest per session
    before = np.zeros((lives.there.shape[1], *new.shape), np.int16)
    for e in others[always]:
        before[0] += place[e] < new
    before[1:] = before[0]
    for e in others[~always]:
        ahead = place[e] < new
        for t in np.flatnonzero(lives.there[e]):
            before[t] += ahead
    member = np.zeros((2, *new.shape), bool)
    for i in range(k):
        for j in range(i + 1, k):
            together = np.flatnonzero(lives.there[i] & lives.there[j])
            if not len(together):
                continue
            gap = np.abs(arc[i] - arc[j])
            apart = gap >= config.resolution_um
            near = apart & (gap <= config.d_um)
            member[1, i] |= near
            member[1, j] |= near
            if lives.filopodium[i] or lives.filopodium[j]:
                continue
            beside = before[together[0], i] == before[together[0], j]
            for t in together[1:]:
                beside |= before[t, i] == before[t, j]
            beside &= apart
            member[0, i] |= beside
            member[0, j] |= beside
    return member[0].sum(axis=0), member[1].sum(axis=0)


def shuffle_within(
    flags: BoolArray, whose: IntArray, n: int, rng: np.random.Generator
) -> BoolArray:
    """(B, N) the flags (N,) dealt out anew among those of the same owner (N,)."""
    out = np.zeros((n, len(flags)), bool)
    for owner in np.unique(whose):
        mine = np.flatnonzero(whose == owner)
        k = int(flags[mine].sum())
        if k == len(mine):
            out[:, mine] = True
        elif k:
            first = np.argpartition(rng.random((n, len(mine))), k - 1, axis=1)[:, :k]
            out[np.arange(n)[:, None], mine[first]] = True
    return out


def uniform_counts(
    h: Histories, span_um: tuple[float, float], config: AnalyzeConfig, rng: np.random.Generator
) -> FloatArray:
    """(B,) new spines within `d_um` of another that coexists with it, places dealt out anew.

    Parameters
    ----------
    span_um: first and last arc length on which spines could be scored
    """
    new = np.flatnonzero(h.is_new(config.window) & candidates(h, "within_d", config))
    counts = np.zeros(config.n_shuffles)
    others = np.setdiff1d(np.flatnonzero((h.seen == SEEN).any(axis=1)), new)
    starts, widths = free_stretches(h.arc_um[others], span_um, config.exclusion_um)
    if len(new) < 2 or not widths.sum() > 0:
        return counts
    there = h.seen[new][:, h.window(config.window)] == SEEN
    together = (there[:, None] & there[None]).any(axis=2)
    ends = np.cumsum(widths)
    for first in range(0, config.n_shuffles, BATCH):
        n = min(BATCH, config.n_shuffles - first)
        along = rng.random((n, len(new))) * ends[-1]
        part = np.minimum(np.searchsorted(ends, along, side="right"), len(ends) - 1)
        place = starts[part] + along - (ends - widths)[part]
        gap = np.abs(place[:, :, None] - place[:, None])
        near = together & (gap <= config.d_um) & (gap >= config.resolution_um)
        counts[first : first + n] = near.any(axis=2).sum(axis=1)
    return counts


def free_stretches(
    arc_um: FloatArray, span_um: tuple[float, float], exclusion_um: float
) -> tuple[FloatArray, FloatArray]:
    """Starts and lengths (N,) of what is left of a span farther than that from every spine."""
    edges = np.sort(arc_um)
    starts = np.maximum(np.r_[span_um[0], edges + exclusion_um], span_um[0])
    ends = np.minimum(np.r_[edges - exclusion_um, span_um[1]], span_um[1])
    return starts, np.maximum(ends - starts, 0.0)


def segment_dispersion(
    n_new: IntArray, n_spines: IntArray, n: int, rng: np.random.Generator
) -> tuple[float, FloatArray]:
    """Variance over mean of one animal's new spines per dendrite, about their shares of all spines;
    and (B,) the same with the new spines dealt out by those shares."""
    share = n_spines / n_spines.sum()
    expected = n_new.sum() * share
    drawn = rng.multinomial(int(n_new.sum()), share, size=n)

    def spread(counts: IntArray) -> FloatArray:
        return ((counts - expected) ** 2 / expected).sum(axis=-1) / (len(share) - 1)

    return float(spread(n_new)), spread(drawn)


def expected_contiguous(n: int, k: int) -> float:
    """Expected clustered share of k new among n spines of one segment, labels exchangeable.

    An inner spine has two neighbours, an end spine one: 1 minus the chance that none is new.
    """
    if k < 1 or n < 2:
        return float("nan")
    inner = 1 - comb(n - 3, k - 1) / comb(n - 1, k - 1) if n >= 3 else 0.0
    end = 1 - comb(n - 2, k - 1) / comb(n - 1, k - 1)
    return (n - 2) / n * inner + 2 / n * end
