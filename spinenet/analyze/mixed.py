"""Groups compared by a mixed model: dendrites nested in animals.

Beside the permutation of animals' labels, which counts every animal alike, it weighs animals by how
many dendrites they bring, and says how much of the spread lies between them.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from spinenet.analyze.groups import LEVEL
from spinenet.analyze.rows import Row, row
from spinenet.types import FloatArray

COMPARED = ("formation", "elimination", "turnover_ratio")
FEWEST_ANIMALS = 3
"""Of each group, of which some have two dendrites or more."""

Parts = Mapping[str, list[list[FloatArray]]]
"""By statistic, per animal and dendrite its numerator and denominator."""


def mixed_rows(groups: Mapping[str, Parts], unlike: Mapping[tuple[str, str], str]) -> list[Row]:
    """`*_mixed`: one group minus another, of the dendrites' own ratios, an intercept per animal.

    Parameters
    ----------
    unlike: pairs of groups whose ratios per interval cannot be compared, and why

    Wald's t with as many degrees of freedom as there are animals, less two: as a normal variable,
    which statsmodels takes it for, it finds too much in few animals.
    """
    return [
        row(f"{name}_mixed", a, np.nan, group_b=b, test=unlike[a, b])
        if (a, b) in unlike
        else _difference(name, a, b, groups[a][name], groups[b][name])
        for a, b in combinations(sorted(groups), 2)
        for name in COMPARED
    ]


def _difference(
    name: str, a: str, b: str, of_a: list[list[FloatArray]], of_b: list[list[FloatArray]]
) -> Row:
    rows = _dendrites(of_a, 1.0) + _dendrites(of_b, 0.0)
    frame = pd.DataFrame(rows, columns=["animal", "first", "ratio"])
    n = {"n_animals": frame["animal"].nunique(), "group_b": b}
    counts = frame.groupby(["first", "animal"]).size().groupby("first").agg(["size", "max"])
    if len(counts) < 2 or (counts["size"] < FEWEST_ANIMALS).any() or (counts["max"] < 2).any():
        why = f"a mixed model needs {FEWEST_ANIMALS} animals a group, some with two dendrites"
        return row(f"{name}_mixed", a, np.nan, test=why, **n)
    model = fit_mixed("ratio ~ first", frame)
    if not model.error > 0:
        why = "dendrites or animals that hardly differ settle no model"
        return row(f"{name}_mixed", a, model.value, test=why, **n)
    how = "mixed model: ratio of each dendrite ~ group, animal random"
    return t_row(f"{name}_mixed", a, model, n["n_animals"] - 2, how, **n)


@dataclass(frozen=True)
class Mixed:
    """The effect of `first` in a mixed model, nan where none is settled."""

    value: float
    error: float
    n_fixed: int
    converged: bool


def fit_mixed(formula: str, frame: pd.DataFrame) -> Mixed:
    """A linear model with an intercept per `animal`, by restricted maximum likelihood."""
    import statsmodels.formula.api as smf

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a variance of animals at zero is a finding, not a fault
        try:
            fit = smf.mixedlm(formula, frame, groups=frame["animal"]).fit()
        except np.linalg.LinAlgError:
            return Mixed(np.nan, np.nan, 0, converged=False)
    value, error = float(fit.params["first"]), float(fit.bse["first"])
    return Mixed(value, error, len(fit.fe_params), converged=bool(fit.converged))


def t_row(name: str, group: str, model: Mixed, freedom: int, how: str, **more: Any) -> Row:
    """The effect with Wald's t interval and test; a fit that stopped before its optimum says so."""
    half = float(stats.t.ppf(1 - LEVEL / 2, freedom)) * model.error
    low, high = model.value - half, model.value + half
    stopped = "" if model.converged else "; the fit stopped before its optimum"
    return row(
        name,
        group,
        model.value,
        ci_low=low,
        ci_high=high,
        sampling_low=low,
        sampling_high=high,
        p_value=2 * float(stats.t.sf(abs(model.value) / model.error, freedom)),
        test=f"{how}; t, {freedom} degrees of freedom{stopped}",
        **more,
    )


def _dendrites(parts: list[list[FloatArray]], first: float) -> list[tuple[str, float, float]]:
    return [
        (f"{first:g} {animal}", first, above / below)
        for animal, of in enumerate(parts)
        for above, below in of
        if below > 0
    ]
