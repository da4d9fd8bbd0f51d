"""Is it more than chance? Four ways of dealing the new spines out anew, each within its animal.

- `label`: which of a dendrite's places are those of the new spines; places stay, and every spine
  keeps the sessions in which it was there (closed form for one session: `expected_contiguous`).
  Lives go to places that were looked at from and until the same sessions: where nobody looked at
  first, no spine could be called new, and where nobody looked any more, none found.
- `uniform`: new spines anywhere on the dendrite but within the exclusion zone of another spine.
- `segment`: which of all the animal's spines are the new ones, whatever their dendrite.
- `group`: which animals belong to which group (`groups.compare`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np

from spinenet.analyze.clusters import RULES, alive, standing, takes_part
from spinenet.analyze.deals import BATCH, deals
from spinenet.analyze.near import beyond, near_another, within
from spinenet.analyze.states import NEVER, SEEN, Histories
from spinenet.config import AnalyzeConfig
from spinenet.types import BoolArray, FloatArray, IntArray


def candidates(h: Histories, rule: str, config: AnalyzeConfig) -> BoolArray:
    """(S,) spines whose label is shuffled: seen in the window, and looked at by the rule."""
    return _seen(h, config) & takes_part(h, rule, config)


def _seen(h: Histories, config: AnalyzeConfig) -> BoolArray:
    """(S,) in the window, or known to stand in it; where existing spines always count, in any
    session."""
    at = slice(None) if config.existing_rule == "ever" else h.window(config.window)
    seen: BoolArray = ((h.seen == SEEN) | alive(h, config))[:, at].any(axis=1)
    return seen


@dataclass(frozen=True)
class Members:
    """Clustered new spines of one dendrite, by rule and window: the whole one, and each of its
    sessions alone."""

    sessions: IntArray
    """(W - 1,) their numbers."""
    n_new: IntArray
    """(R, W)"""
    observed: IntArray
    """(R, W)"""
    shuffled: FloatArray
    """(R, W, B)"""


def members(
    h: Histories, config: AnalyzeConfig, rng: np.random.Generator, *, each_session: bool = False
) -> Members:
    """Lives dealt out anew to the places, `config.n_shuffles` times, and as they are.

    A life keeps its sessions: new spines are often short-lived, and a label given to a spine that
    stays would meet others more often than it should. The shuffles are the same for all rules and
    windows. Without `each_session`, the whole window alone.
    """
    whole = _lives(h, config)
    windows = [whole]
    sessions = h.sessions[h.window(config.window)] if each_session else np.zeros(0, int)
    windows += [whole.in_session(t) for t in range(len(sessions))]
    shuffled = np.zeros((len(RULES), len(windows), config.n_shuffles))
    observed = np.zeros((len(RULES), len(windows)), int)
    for w, lives in enumerate(windows):
        observed[:, w] = [n[0] for n in _members(lives, lives.own_place[:, None], config)]
    worth = [w for w, lives in enumerate(windows) if lives.n_new > 1]
    for start in range(0, config.n_shuffles, BATCH) if worth else ():
        n = min(BATCH, config.n_shuffles - start)
        place = deals(whole.own_place, whole.stratum, n, rng)
        for w in worth:
            found = _members(windows[w], place[windows[w].order], config)
            shuffled[:, w, start : start + n] = found
    n_new = [lives.part[:, : lives.n_new].sum(axis=1) for lives in windows]
    return Members(sessions, np.array(n_new).T, observed, shuffled)


def shuffled_counts(
    h: Histories, config: AnalyzeConfig, rng: np.random.Generator
) -> dict[str, FloatArray]:
    """(B,) clustered new spines of one dendrite by each rule, over the whole window."""
    return dict(zip(RULES, members(h, config, rng).shuffled[:, 0], strict=True))


def clustered(h: Histories, config: AnalyzeConfig) -> dict[str, int]:
    """New spines of one dendrite that are members of a cluster, by each rule, as they are."""
    lives = _lives(h, config)
    found = _members(lives, lives.own_place[:, None], config)
    return {rule: int(n[0]) for rule, n in zip(RULES, found, strict=True)}


def _lives(h: Histories, config: AnalyzeConfig) -> _Lives:
    pool, window = _seen(h, config), h.window(config.window)
    born = np.where(h.is_new(config.window), np.searchsorted(window, h.birth), NEVER)[pool]
    order = np.argsort(born == NEVER, kind="stable")
    return _Lives(
        int((born != NEVER).sum()),
        standing(h, config)[pool][order],
        alive(h, config)[pool][order][:, window],
        born[order],
        np.array([takes_part(h, rule, config)[pool][order] for rule in RULES]),
        h.arc_um[pool],
        h.in_view[pool],
        order,
        np.arange(len(order)),
        config.existing_rule == "ever",
    )


@dataclass(frozen=True)
class _Lives:
    """The spines of a dendrite in the window, the new ones first."""

    n_new: int
    there: BoolArray
    """(S, E) as from `clusters.standing`."""
    in_sessions: BoolArray
    """(S, T)"""
    born: IntArray
    """(S,) session of the window; NEVER of those that are not new."""
    part: BoolArray
    """(R, S) whether they take part by each rule."""
    arc_um: FloatArray
    """(S,) of the places, in order: of no life in particular."""
    stratum: IntArray
    """(S,) of the places: from and until which session each was looked at."""
    own_place: IntArray
    """(S,) where each life is truly led."""
    order: IntArray
    """(S,) which of the whole window's lives each one is."""
    ever: bool
    """Existing spines count in every session."""

    def in_session(self, t: int) -> _Lives:
        """The same in one session of the window: only those born in it are new."""
        order, n_new = np.argsort(self.born != t, kind="stable"), int((self.born == t).sum())
        there = self.in_sessions[order][:, [t]]
        there[n_new:] |= self.ever
        return _Lives(
            n_new,
            there,
            self.in_sessions[order],
            self.born[order],
            self.part[:, order],
            self.arc_um,
            self.stratum,
            self.own_place[order],
            order,
            self.ever,
        )


def _members(lives: _Lives, place: IntArray, config: AnalyzeConfig) -> tuple[IntArray, IntArray]:
    """(B,) members of contiguous clusters, and of clusters within d, in B deals (S, B).

    A member has another one at least `resolution_um` away in its run or chain; those too close to
    it to be told apart come with it.
    """
    new = place[: lives.n_new]
    arc, before = lives.arc_um[new], _others_before(lives, place)
    in_runs, in_chains = lives.part
    crowded = bool((~beyond(np.diff(lives.arc_um), config.resolution_um)).any())
    runs, chains = np.zeros(new.shape, bool), np.zeros(new.shape, bool)
    for t, there in enumerate(lives.there[: lives.n_new].T):
        in_run: _Links = []
        in_chain: _Links = []
        for i, j in combinations(np.flatnonzero(there).tolist(), 2):
            gap = np.abs(arc[i] - arc[j])
            apart = beyond(gap, config.resolution_um)
            if in_chains[i] and in_chains[j]:
                in_chain.append((i, j, within(gap, config.d_um), apart))
            if in_runs[i] and in_runs[j]:
                in_run.append((i, j, before[t, i] == before[t, j], apart))
        runs |= _joined(in_run, new.shape, crowded)
        chains |= _joined(in_chain, new.shape, crowded)
    return runs.sum(axis=0), chains.sum(axis=0)


_Links = list[tuple[int, int, BoolArray, BoolArray]]
"""Pairs of new spines in one session: which two, (B,) in one run or chain, (B,) told apart."""


def _others_before(lives: _Lives, place: IntArray) -> IntArray:
    """(T, K, B) existing spines that stand before each new one: two new ones are neighbours if as
    many stand before the one as before the other."""
    new = place[: lives.n_new]
    others = np.flatnonzero(lives.part[0, lives.n_new :]) + lives.n_new
    always = lives.there[others].all(axis=1)
    before = np.zeros((lives.there.shape[1], *new.shape), np.int16)
    for e in others[always]:
        before[:1] += place[e] < new
    before[1:] = before[:1]
    for e in others[~always]:
        ahead = place[e] < new
        for t in np.flatnonzero(lives.there[e]):
            before[t] += ahead
    return before


def _joined(links: _Links, shape: tuple[int, ...], crowded: bool) -> BoolArray:
    """(K, B) members of the runs or chains of one session."""
    sure = np.zeros(shape, bool)
    for i, j, link, apart in links:
        both = link & apart
        sure[i] |= both
        sure[j] |= both
    if not crowded:
        return sure
    whole = sure.copy()
    for i, j, link, _ in links:
        both = link & (sure[i] | sure[j])
        whole[i] |= both
        whole[j] |= both
    return whole


def uniform_counts(
    h: Histories,
    room: Callable[[int, int], FloatArray],
    config: AnalyzeConfig,
    rng: np.random.Generator,
) -> FloatArray:
    """(B,) new spines within `d_um` of another that coexists with it, places dealt out anew.

    Parameters
    ----------
    room: by positions of the sessions in which a spine is born and last told of, (N, 2) stretches
        on which it could be; where the other spines leave none it stays where it is
    """
    new = np.flatnonzero(h.is_new(config.window) & candidates(h, "within_d", config))
    counts = np.zeros(config.n_shuffles)
    others = np.setdiff1d(np.flatnonzero((h.seen == SEEN).any(axis=1)), new)
    times = np.c_[h.birth, h.last_told][new]
    rooms = {
        (born, last): free_stretches(h.arc_um[others], room(born, last), config.exclusion_um)
        for born, last in np.unique(times, axis=0).tolist()
    }
    if len(new) < 2:
        return counts
    there = alive(h, config)[new][:, h.window(config.window)]
    together = (there[:, None] & there[None]).any(axis=2) | (not config.require_coexistence)
    for first in range(0, config.n_shuffles, BATCH):
        n = min(BATCH, config.n_shuffles - first)
        place = rng.random((n, len(new)))
        for time, (starts, widths) in rooms.items():
            mine, ends = (times == time).all(axis=1), np.cumsum(widths)
            if not widths.sum() > 0:
                place[:, mine] = h.arc_um[new[mine]]
                continue
            along = place[:, mine] * ends[-1]
            part = np.minimum(np.searchsorted(ends, along, side="right"), len(ends) - 1)
            place[:, mine] = starts[part] + along - (ends - widths)[part]
        gap = np.abs(place[:, :, None] - place[:, None])
        near = together & near_another(gap, config.d_um, config)
        counts[first : first + n] = near.any(axis=2).sum(axis=1)
    return counts


def free_stretches(
    arc_um: FloatArray, spans_um: FloatArray, exclusion_um: float
) -> tuple[FloatArray, FloatArray]:
    """Starts and lengths (M,) of what is left of the spans farther than that from every spine."""
    edges = np.sort(arc_um)
    parts = []
    for low, high in spans_um:
        starts = np.maximum(np.r_[low, edges + exclusion_um], low)
        ends = np.minimum(np.r_[edges - exclusion_um, high], high)
        parts.append(np.c_[starts, np.maximum(ends - starts, 0.0)])
    starts, widths = np.concatenate([np.zeros((0, 2)), *parts]).T
    return starts, widths


def segment_dispersion(
    n_new: IntArray, n_spines: IntArray, n: int, rng: np.random.Generator
) -> tuple[float, FloatArray]:
    """Variance over mean of one animal's new spines per dendrite, about their shares of all spines;
    and (B,) the same with the word "new" dealt out anew among all of them."""
    share = n_spines / n_spines.sum()
    expected = n_new.sum() * share
    k = int(n_new.sum())
    drawn = rng.multivariate_hypergeometric(n_spines, k, size=n, method="marginals")

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
