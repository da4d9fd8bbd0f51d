"""Rows of `statistics.csv`, from what groups, nulls and the machine's draws say."""

from __future__ import annotations

from typing import Any

import numpy as np

from spinenet.analyze.groups import Difference, Mean

Row = dict[str, Any]


def row(name: str, group: str, estimate: float, **more: Any) -> Row:
    """A statistic of one group; what is not given stays blank."""
    return {"name": name, "group": group, "group_b": "", "estimate": estimate, **more}


def mean_row(name: str, group: str, mean: Mean, **more: Any) -> Row:
    """A mean over animals with its interval."""
    spread = {"sampling_low": mean.low, "sampling_high": mean.high}
    found = row(name, group, mean.value, n_animals=mean.n, test=mean.test, **spread)
    return found | {"ci_low": mean.low, "ci_high": mean.high} | more


def beside_chance(
    name: str, group: str, mean: Mean, judged: float, null: np.ndarray, how: str, **more: Any
) -> Row:
    """A mean over animals beside B shuffles of it; P is of `judged`, what the shuffles are of."""
    return mean_row(
        name,
        group,
        mean,
        null_mean=float(null.mean()),
        p_value=p_value(judged, null),
        test=f"{mean.test}; {how}",
        **more,
    )


def difference_row(name: str, group: str, other: str, difference: Difference, **more: Any) -> Row:
    """One group's animals against another's."""
    spread = {"sampling_low": difference.low, "sampling_high": difference.high}
    found = row(name, group, difference.value, n_animals=difference.n, test=difference.test)
    found |= {"group_b": other, "p_value": difference.p, **spread}
    return found | {"ci_low": difference.low, "ci_high": difference.high} | more


def p_value(observed: float, null: np.ndarray) -> float:
    """One-sided P with the add-one rule: (1 + shuffles at least as large) / (B + 1)."""
    return float((1 + (null >= observed - 1e-12).sum()) / (len(null) + 1))


def p_two_sided(observed: float, null: np.ndarray) -> float:
    """P of so large a distance from the null's mean, on either side, with the add-one rule."""
    middle = float(null.mean())
    return p_value(abs(observed - middle), np.abs(null - middle))
