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
from spinenet.types import FloatArray

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
    """The power of every number of dendrites and animals asked about, one after the other."""
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
        powers = {
            n: power_of(pools, n, config.studies, rng)
            for n in range(FEWEST_ANIMALS, config.most_animals + 1)
        }
        enough = [n for n, p in powers.items() if p >= config.power]
        fewest = min(enough) if enough else None
        error = power_error(pools, fewest or config.most_animals, config.studies, rng)
        yield Power(dendrites, powers, fewest, error)


def excess_of_animals(cohort: CohortConfig, rng: np.random.Generator) -> FloatArray:
    """(A,) clustered share over chance of simulated animals; those without new spines have none."""
    tracks = simulate_cohort(cohort, "", rng).observed
    config = AnalyzeConfig(n_shuffles=SHUFFLES)
    hs = histories(tracks, config.max_gap)
    seed = [int(rng.integers(2**31))]
    ground, animals = ground_of(hs, None, config), sorted({h.animal for h in hs})
    found = chances(ground.histories, animals, config, seed)["contiguous"].excess
    return found[np.isfinite(found)]


def power_error(
    pools: list[FloatArray], animals: int, studies: int, rng: np.random.Generator
) -> float:
    """Standard error of the power, from the finite number of animals in the pools."""
    again = [[rng.choice(p, len(p)) for p in pools] for _ in range(RESAMPLED)]
    return float(np.std([power_of(p, animals, studies, rng) for p in again], ddof=1))


def power_of(
    pools: list[FloatArray], animals: int, studies: int, rng: np.random.Generator
) -> float:
    """Share of studies of so many animals a group, drawn from the pools, that reach 5 %."""
    drawn = np.concatenate([rng.choice(p, (studies, animals)) for p in pools], axis=1)
    picks = relabellings(animals, animals, rng)
    exact = len(picks) <= LABELLINGS
    if not exact:
        picks = picks[rng.choice(len(picks), LABELLINGS, replace=False)]
    first = np.zeros((2 * animals, len(picks)))
    np.put_along_axis(first, picks.T, 1.0, axis=0)
    total = drawn.sum(axis=1, keepdims=True)
    difference = np.abs(2 * drawn @ first - total)
    observed = np.abs(2 * drawn[:, :animals].sum(axis=1) - total[:, 0])
    hits = (difference >= observed[:, None] - 1e-12).sum(axis=1)
    p = hits / len(picks) if exact else (hits + 1) / (len(picks) + 1)
    return float((p <= LEVEL).mean())
