"""How many animals, and how many dendrites of each, does a study of clusters need?

Animals are simulated with and without planted clusters, as the detector would report them; studies
are drawn from them and tested as `groups.compare` does. The measure is each animal's clustered
share of new spines over its own chance (`clustered_excess_contiguous`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from spinenet.analyze.chance import chances
from spinenet.analyze.ground import ground_of
from spinenet.analyze.groups import LEVEL, relabellings
from spinenet.analyze.states import histories
from spinenet.config import FEWEST_ANIMALS, AnalyzeConfig, CohortConfig, PowerConfig
from spinenet.synthetic.cohort import simulate_cohort
from spinenet.types import FloatArray, InputError

SHUFFLES = 200
LABELLINGS = 1000
FEWEST_IN_POOL = 100
RESAMPLED = 30
"""Times the pools are drawn anew to see how well the power is known."""


@dataclass(frozen=True)
class Power:
    """Studies of one number of dendrites per animal."""

    dendrites: int
    by_animals: dict[int, float]
    """Share of studies with P below 0.05, by animals per group."""
    animals: int | None
    """The fewest per group that reach the power asked for; None if none of those tried do."""
    error: float
    """Standard error of the power at that number (at the largest tried if None)."""


def plan(config: PowerConfig, seed: int) -> Iterator[Power]:
    """The power of every number of dendrites and animals asked about, one after the other.

    Raises
    ------
    InputError
        If no simulated animal has the measure that is compared.
    """
    for dendrites in config.dendrites:
        rng = np.random.default_rng([seed, dendrites])
        animals = max(config.pool // dendrites, FEWEST_IN_POOL)
        pools = [
            excess_of_animals(
                replace(
                    config.cohort,
                    animals=animals,
                    dendrites=dendrites,
                    clustered_share=share,
                ),
                rng,
            )
            for share in (config.effect, 0.0)
        ]
        if not all(np.isfinite(pool).any() for pool in pools):
            raise InputError(
                "no simulated animal has a clustered share to compare: its dendrites hold too few "
                "new spines, or are shorter than analyze.min_seg_um. Give longer dendrites "
                "(cohort.length_um), more of them, or more formation (cohort.formation)."
            )
        powers = {
            n: power_of(pools, n, config.studies, rng)
            for n in range(FEWEST_ANIMALS, config.most_animals + 1)
        }
        enough = [n for n, p in powers.items() if p >= config.power]
        fewest = min(enough) if enough else None
        error = power_error(pools, fewest or config.most_animals, config.studies, rng)
        yield Power(dendrites, powers, fewest, error)


def excess_of_animals(cohort: CohortConfig, rng: np.random.Generator) -> FloatArray:
    """(A,) clustered share over chance of simulated animals; nan of those that tell none, which a
    study of them would have too."""
    tracks = simulate_cohort(cohort, "", rng).observed
    config = AnalyzeConfig(n_shuffles=SHUFFLES)
    hs = histories(tracks, config.max_gap)
    seed = [int(rng.integers(2**31))]
    ground, animals = ground_of(hs, None, config), sorted({h.animal for h in hs})
    return chances(ground.histories, animals, config, seed)["contiguous"].excess


def power_error(
    pools: list[FloatArray], animals: int, studies: int, rng: np.random.Generator
) -> float:
    """Standard error of the power, from the finite number of animals in the pools."""
    again = [[rng.choice(p, len(p)) for p in pools] for _ in range(RESAMPLED)]
    return float(np.std([power_of(p, animals, studies, rng) for p in again], ddof=1))


def power_of(
    pools: list[FloatArray], animals: int, studies: int, rng: np.random.Generator
) -> float:
    """Share of studies of so many animals a group, drawn from the pools, that reach 5 %. Animals
    without a measure (nan) count in none of a study's groups."""
    # those without a measure go last
    a, b = (np.sort(rng.choice(p, (studies, animals)), axis=1) for p in pools)
    told = [np.isfinite(group).sum(axis=1) for group in (a, b)]
    found = 0
    for n_a, n_b in np.unique(np.stack(told, axis=1), axis=0).tolist():
        if min(n_a, n_b) >= 2:
            mine = (told[0] == n_a) & (told[1] == n_b)
            found += int((_p_values(a[mine, :n_a], b[mine, :n_b], rng) <= LEVEL).sum())
    return found / studies


def _p_values(a: FloatArray, b: FloatArray, rng: np.random.Generator) -> FloatArray:
    """(S,) P of S studies with the same numbers of animals, as from `groups.compare`."""
    (n_a, n_b), drawn = (a.shape[1], b.shape[1]), np.concatenate([a, b], axis=1)
    picks = relabellings(n_a, n_b, rng)
    exact = len(picks) <= LABELLINGS
    if not exact:
        picks = picks[rng.choice(len(picks), LABELLINGS, replace=False)]
    first = np.zeros((n_a + n_b, len(picks)))
    np.put_along_axis(first, picks.T, 1.0, axis=0)
    total = drawn.sum(axis=1, keepdims=True)
    sums = drawn @ first
    difference = np.abs(sums / n_a - (total - sums) / n_b)
    observed = np.abs(a.mean(axis=1) - b.mean(axis=1))
    hits = (difference >= observed[:, None] - 1e-12).sum(axis=1)
    p: FloatArray = hits / len(picks) if exact else (hits + 1) / (len(picks) + 1)
    return p
