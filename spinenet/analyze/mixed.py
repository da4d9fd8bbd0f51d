"""Groups compared by a mixed model: dendrites nested in animals.

Beside the permutation of animals' labels, which counts every animal alike, it weighs animals by how
many dendrites they bring, and says how much of the spread lies between them.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from itertools import combinations

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
    frame = pd.concat([_dendrites(of_a, 1.0), _dendrites(of_b, 0.0)], ignore_index=True)
    n = {"n_animals": frame["animal"].nunique(), "group_b": b}
    counts = frame.groupby(["first", "animal"]).size().groupby("first").agg(["size", "max"])
    if len(counts) < 2 or (counts["size"] < FEWEST_ANIMALS).any() or (counts["max"] < 2).any():
        why = f"a mixed model needs {FEWEST_ANIMALS} animals a group, some with two dendrites"
        return row(f"{name}_mixed", a, np.nan, test=why, **n)
    import statsmodels.formula.api as smf

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a variance of animals at zero is a finding, not a fault
        try:
            fit = smf.mixedlm("ratio ~ first", frame, groups=frame["animal"]).fit()
            value, error = float(fit.params["first"]), float(fit.bse["first"])
        except np.linalg.LinAlgError:
            value = error = np.nan
    if not error > 0:
        why = "dendrites or animals that hardly differ settle no model"
        return row(f"{name}_mixed", a, value, test=why, **n)
    freedom = n["n_animals"] - 2
    half = float(stats.t.ppf(1 - LEVEL / 2, freedom)) * error
    spread = {"sampling_low": value - half, "sampling_high": value + half}
    return row(
        f"{name}_mixed",
        a,
        value,
        p_value=2 * float(stats.t.sf(abs(value) / error, freedom)),
        test=f"mixed model: ratio of each dendrite ~ group, animal random; t, {freedom} degrees of "
        "freedom",
        ci_low=value - half,
        ci_high=value + half,
        **spread,
        **n,
    )


def _dendrites(parts: list[list[FloatArray]], first: float) -> pd.DataFrame:
    rows = [
        (f"{first:g} {animal}", first, above / below)
        for animal, of in enumerate(parts)
        for above, below in of
        if below > 0
    ]
    return pd.DataFrame(rows, columns=["animal", "first", "ratio"])
