"""Inference with the animal as the unit: means and their intervals, and comparisons of groups.

Spines of one animal share its surgery, its depth and its scorer; taken as independent they give
false positives in up to half of the comparisons (Saravanan, Berman & Sober 2020).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations
from math import comb

import numpy as np
from scipy import stats

from spinenet.types import FloatArray

MOST_EXACT = 20_000
"""Relabellings up to which all are counted; beyond, so many are drawn."""
LEVEL = 0.05
ROUNDED = 1e-9
FEWEST_FOR_ROBUST = 10
"""Animals below which robust (sandwich) standard errors are far too small."""


@dataclass(frozen=True)
class Mean:
    """The mean over animals and its 95 % interval; nan where one animal, or animals that do not
    differ, cannot tell."""

    value: float
    low: float
    high: float
    n: int
    variance: float
    """Of the mean."""

    def within(self, lowest: float, highest: float) -> Mean:
        """The interval cut at the lowest and highest possible value."""
        low, high = np.clip([self.low, self.high], lowest, highest)  # nan stays nan
        return replace(self, low=float(low), high=float(high))

    @property
    def test(self) -> str:
        if not self.n:
            return "no animal tells of it"
        if self.n < 2:
            return "fewer than two animals: no interval"
        if np.isnan(self.low):
            return "animals do not differ: no interval"
        return "mean of animals, t interval"


@dataclass(frozen=True)
class Difference:
    """Mean of one group's animals minus that of another's."""

    value: float
    low: float
    high: float
    p: float
    test: str
    n: int

    def within(self, furthest: float) -> Difference:
        """The interval cut at the furthest that two groups can lie apart."""
        low, high = np.clip([self.low, self.high], -furthest, furthest)
        return replace(self, low=float(low), high=float(high))


def mean_of_animals(values: FloatArray, lowest: float, highest: float) -> Mean:
    """Mean over animals, t interval cut at the lowest and highest possible value.

    Animals with nan are left out. A bootstrap over few animals is too narrow (five cover 84 %).
    """
    values = values[np.isfinite(values)]
    n = len(values)
    if not n:
        return Mean(np.nan, np.nan, np.nan, 0, np.nan)
    mean = float(values.mean())
    if n < 2:
        return Mean(mean, np.nan, np.nan, n, np.nan)
    variance = _variance(values)
    half = _half(variance, n)
    return Mean(mean, mean - half, mean + half, n, variance).within(lowest, highest)


def _variance(values: FloatArray) -> float:
    """Of the mean of values; 0 where they differ by no more than numbers are rounded."""
    if np.ptp(values) <= ROUNDED * max(1.0, float(np.abs(values).max())):
        return 0.0
    return float(values.var(ddof=1) / len(values))


def _half(variance: float, n: int) -> float:
    """Half of the t interval of a mean; nan where animals do not differ: that all of a few spines
    of every animal survived is no certainty."""
    return float(stats.t.ppf(1 - LEVEL / 2, n - 1)) * variance**0.5 if variance > 0 else np.nan


def jackknife(whole: float, without: FloatArray) -> Mean:
    """What all animals together give, and its t interval from the pseudo-values of leaving out one
    animal after another: (A,) what the others give. nan where that is not settled."""
    n = len(without)
    pseudo = n * whole - (n - 1) * without
    if n < 2 or not np.isfinite(pseudo).all():
        return Mean(whole, np.nan, np.nan, n, np.nan)
    variance = _variance(pseudo)
    half = _half(variance, n)
    return Mean(whole, whole - half, whole + half, n, variance)


def welch(a: Mean, b: Mean) -> Difference:
    """The difference of two groups' figures by Welch's t test, from their variances; nothing where
    the animals of one do not differ: so few cannot tell how much they would."""
    total = a.variance + b.variance
    value, n = a.value - b.value, a.n + b.n
    if not (a.variance > 0 and b.variance > 0):
        why = "too few animals, or animals that do not differ, to tell how much the groups do"
        return Difference(value, np.nan, np.nan, np.nan, why, n)
    freedom = total**2 / (a.variance**2 / (a.n - 1) + b.variance**2 / (b.n - 1))
    half = float(stats.t.ppf(1 - LEVEL / 2, freedom)) * total**0.5
    p = 2 * float(stats.t.sf(abs(value) / total**0.5, freedom))
    return Difference(value, value - half, value + half, p, "Welch's t test", n)


def compare(a: FloatArray, b: FloatArray, rng: np.random.Generator) -> Difference:
    """Two-sided permutation of the animals' labels, exact where feasible; nan left out.

    The interval holds the shifts of `b` that the same test does not refuse at 5 %. With so few
    animals that no labelling can reach 5 % there is none; then it is Welch's t interval.
    """
    a, b = a[np.isfinite(a)], b[np.isfinite(b)]
    n = len(a) + len(b)
    if len(a) < 2 or len(b) < 2:
        value = float(a.mean() - b.mean()) if len(a) and len(b) else np.nan
        return Difference(value, np.nan, np.nan, np.nan, "fewer than two animals in a group", n)
    picks = relabellings(len(a), len(b), rng)
    exact = len(picks) == comb(n, len(a))
    value = float(a.mean() - b.mean())
    p = _p_of_shift(a, b, 0.0, picks, exact)
    how = "exact" if exact else f"{len(picks)} drawn"
    if not (np.ptp(a) or np.ptp(b)):
        low = high = float("nan")
        test = f"animal labels permuted ({how}); no interval: animals do not differ"
    elif (1 + (len(a) == len(b))) / len(picks) > LEVEL:  # the mirrored labelling of equal groups
        between = welch(*(mean_of_animals(of, -np.inf, np.inf) for of in (a, b)))
        low, high = between.low, between.high
        by = "Welch's t interval" if np.isfinite(low) else f"no interval: {between.test}"
        test = f"animal labels permuted ({how}); too few animals to invert: {by}"
    else:
        low, high = (_edge(a, b, picks, exact, side) for side in (-1, 1))
        test = f"animal labels permuted ({how}), interval by inversion"
    return Difference(value, low, high, p, test, n)


def relabellings(n_a: int, n_b: int, rng: np.random.Generator) -> np.ndarray:
    """(B, n_a) which of the n_a + n_b animals are called the first group."""
    n = n_a + n_b
    if comb(n, n_a) <= MOST_EXACT:
        return np.array(list(combinations(range(n), n_a)))
    return np.argsort(rng.random((MOST_EXACT, n)), axis=1)[:, :n_a]


def _p_of_shift(
    a: FloatArray, b: FloatArray, shift: float, picks: np.ndarray, exact: bool
) -> float:
    """P of the observed difference if the first group stood `shift` above the second."""
    pooled = np.concatenate([a - shift, b])
    first = pooled[picks].sum(axis=1)
    difference = first / len(a) - (pooled.sum() - first) / len(b)
    observed = abs(a.mean() - shift - b.mean())
    hits = int((np.abs(difference) >= observed - 1e-12 * max(1.0, observed)).sum())
    return hits / len(picks) if exact else (hits + 1) / (len(picks) + 1)


def _edge(a: FloatArray, b: FloatArray, picks: np.ndarray, exact: bool, side: int) -> float:
    """The farthest shift on one side that the test does not refuse, by bisection."""
    middle = float(a.mean() - b.mean())
    reach = float(np.ptp(np.concatenate([a - middle, b]))) or 1e-9
    inside, outside = 0.0, reach
    while _p_of_shift(a, b, middle + side * outside, picks, exact) > LEVEL:
        inside, outside = outside, 2 * outside
        if outside > 1e6 * reach:
            return side * float("inf")
    for _ in range(40):
        half = (inside + outside) / 2
        if _p_of_shift(a, b, middle + side * half, picks, exact) > LEVEL:
            inside = half
        else:
            outside = half
    return middle + side * outside


def hierarchical_bootstrap(
    parts: list[list[FloatArray]], n_draws: int, rng: np.random.Generator
) -> FloatArray:
    """(B,) pooled ratio when animals, their dendrites, and nothing below, are drawn anew.

    Parameters
    ----------
    parts: per animal, per dendrite (2,): numerator and denominator
    """
    chosen = rng.integers(len(parts), size=(n_draws, len(parts)))
    totals = np.zeros((n_draws, 2))
    for k, of in enumerate(parts):
        dendrites, draws = np.array(of).reshape(-1, 2), np.nonzero(chosen == k)[0]
        if len(dendrites):
            again = rng.integers(len(dendrites), size=(len(draws), len(dendrites)))
            np.add.at(totals, draws, dendrites[again].sum(axis=1))
    above, below = totals.T
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(below > 0, above / below, np.nan)
