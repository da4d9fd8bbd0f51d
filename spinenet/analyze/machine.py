"""Rows of `statistics.csv` with the machine's own mistakes in their intervals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from scipy import stats

from spinenet.analyze.animals import (
    CLUSTERS,
    PAIRS,
    UNBOUNDED,
    Around,
    furthest_apart,
    pooled,
    ratios_of_animals,
)
from spinenet.analyze.chance import chances
from spinenet.analyze.cluster_counts import cluster_counts
from spinenet.analyze.errors import Doubt, combine, draw
from spinenet.analyze.ground import Ground
from spinenet.analyze.groups import LEVEL, mean_of_animals
from spinenet.analyze.hazard import HAZARD, log_hazard_ratio
from spinenet.analyze.rows import Row
from spinenet.analyze.survival import NEW, Cohort, follow
from spinenet.config import AnalyzeConfig
from spinenet.types import FloatArray

DRAW_SHUFFLES = 50
"""Of each drawn history; their mean scatters by a seventh of what one shuffle does."""


@dataclass(frozen=True)
class Redrawn:
    """What a group's statistics were in D drawn histories; nothing where nothing is unsure."""

    means: Mapping[str, FloatArray] = field(default_factory=dict)
    """(D,) by statistic; the hazard ratio as its logarithm."""
    variances: Mapping[str, FloatArray] = field(default_factory=dict)
    """(D,) of those means over animals."""
    why_not: str = "no probabilities"
    """Why nothing was drawn, where nothing was."""


def redraw(
    ground: Ground,
    doubt: list[Doubt],
    horizon_days: float,
    known: Around,
    config: AnalyzeConfig,
    seed: list[int],
    rng: np.random.Generator,
) -> Redrawn:
    """Draw a group's histories anew and measure them, `config.n_draws` times.

    Parameters
    ----------
    horizon_days: whole days after the landmark on which survival is told
    seed: of the shuffles: each draw has its own chance, as spines missed raise the clustered share
        and its chance alike
    """
    hs, animals = ground.whole, sorted({h.animal for h in ground.whole})
    unsure = any(np.isfinite(p).any() for h in hs for p in (h.p_present, h.p_link))
    if not unsure:
        return Redrawn()
    if config.n_draws < 2:
        return Redrawn(why_not="no histories drawn (analyze.n_draws)")
    means: dict[str, list[float]] = {}
    variances: dict[str, list[float]] = {}
    shuffled = replace(config, n_shuffles=min(DRAW_SHUFFLES, config.n_shuffles))
    for n in range(config.n_draws):
        drawn = [draw(h, d, config.max_gap, rng) for h, d in zip(hs, doubt, strict=True)]
        cohort = follow(drawn, config)
        values, parts = ratios_of_animals(drawn, cohort, horizon_days, config, known)
        del values["miss_rate_q"], parts["miss_rate_q"]  # counted on what was seen, not redrawn
        del values[PAIRS]
        for name, of_all in zip((CLUSTERS, PAIRS), cluster_counts(parts.pop(PAIRS)), strict=True):
            means.setdefault(name, []).append(of_all.value)
            variances.setdefault(name, []).append(of_all.variance)
        values |= {
            f"clustered_excess_{rule}": c.excess
            for rule, c in chances(ground.among(drawn), animals, shuffled, [*seed, n]).items()
        }
        for name, of_animals in values.items():
            mean = mean_of_animals(of_animals, -np.inf, np.inf)
            means.setdefault(name, []).append(mean.value)
            variances.setdefault(name, []).append(mean.variance)
        for name, of in parts.items():
            means.setdefault(f"{name}_pooled", []).append(pooled(of))
        means.setdefault(HAZARD, []).append(_log_hazard(cohort))
    return Redrawn(
        {k: np.array(v) for k, v in means.items()}, {k: np.array(v) for k, v in variances.items()}
    )


def _log_hazard(cohort: Cohort) -> float:
    periods = cohort.periods[cohort.periods["class"].isin(NEW)]
    exposed = (periods["class"] == "clustered").to_numpy(float)
    return log_hazard_ratio(periods, exposed) if len(periods) else float("nan")


def with_machine(row: Row, redrawn: Redrawn) -> Row:
    """The row with the machine's interval and the total one."""
    name = str(row["name"])
    if name not in redrawn.means:
        if "sampling_low" not in row:
            return row
        why = "sampling alone" if redrawn.means else f"{redrawn.why_not}: sampling alone"
        return row | {"test": f"{row['test']}; {why}"}
    n = int(row.get("n_animals", 0))
    means = redrawn.means[name]
    if name == HAZARD:
        bounds = _bounds(row)
        variance = _variance(np.log(bounds), n) if (bounds > 0).all() else np.nan
        found = combine(means, np.full(len(means), variance), n)
        with np.errstate(over="ignore"):  # so few that the interval has no end
            low, high, machine_low, machine_high = np.exp(
                [found.low, found.high, found.machine_low, found.machine_high]
            )
    else:
        of = redrawn.variances.get(name, np.full(len(means), _variance(_bounds(row), n)))
        found = combine(means, of, n)
        highest = np.inf if name.removesuffix("_pooled") in UNBOUNDED else 1.0
        lowest = -1.0 if "excess" in name else 0.0
        low, high = np.clip([found.low, found.high], lowest, highest)
        machine_low, machine_high = found.machine_low, found.machine_high
    settled = np.isfinite(low) and not np.isnan(row.get("sampling_low", 0.0))
    total = {"ci_low": low, "ci_high": high} if settled else {}
    return row | {"machine_low": machine_low, "machine_high": machine_high} | total


def _bounds(row: Row) -> FloatArray:
    return np.array([row.get("sampling_low", np.nan), row.get("sampling_high", np.nan)], float)


def _variance(bounds: FloatArray, n: int) -> float:
    """Of a mean over n animals, from its t interval."""
    if n < 2:
        return float("nan")
    return float((np.ptp(bounds) / 2 / stats.t.ppf(1 - LEVEL / 2, n - 1)) ** 2)


def difference_with_machine(row: Row, a: Redrawn, b: Redrawn, n_animals: tuple[int, int]) -> Row:
    """The same for one group's mean minus another's, of so many animals each (Welch's degrees of
    freedom)."""
    name = str(row["name"])
    if name not in a.variances or name not in b.variances or min(n_animals) < 2:
        return row
    of = a.variances[name], b.variances[name]
    parts = np.array([np.nanmean(v) if np.isfinite(v).any() else np.nan for v in of])
    freedom = (
        parts.sum() ** 2 / (parts**2 / (np.array(n_animals) - 1)).sum() if parts.any() else 0.0
    )
    found = combine(a.means[name] - b.means[name], of[0] + of[1], freedom + 1)
    furthest = furthest_apart(name)
    low, high = np.clip([found.low, found.high], -furthest, furthest)
    settled = np.isfinite(low) and not np.isnan(row["sampling_low"])
    total = {"ci_low": low, "ci_high": high} if settled else {}
    return row | {"machine_low": found.machine_low, "machine_high": found.machine_high} | total
