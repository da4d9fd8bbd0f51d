"""The primary test of persistence: a discrete-time hazard with the complementary log-log."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats

from spinenet.analyze.groups import LEVEL
from spinenet.analyze.nulls import mixed_strata, shuffle_within
from spinenet.analyze.rows import Row, p_two_sided, row
from spinenet.analyze.survival import NEW, Cohort
from spinenet.config import AnalyzeConfig
from spinenet.types import FloatArray


def cloglog(design: FloatArray, lost: FloatArray) -> FloatArray:
    """(P,) coefficients of log(-log(1 - hazard)) = design @ beta; nan where nobody or everybody was
    lost.

    Parameters
    ----------
    design: (N, P), a row per spine and interval at risk
    lost: (N,) 1 where the spine was lost in it
    """
    import statsmodels.api as sm  # half a second, which other commands need not wait

    if not len(lost) or lost.min() == lost.max():
        return np.full(design.shape[1], np.nan)
    family = sm.families.Binomial(link=sm.families.links.CLogLog())
    with np.errstate(over="ignore"):  # a hazard whose exponent is endless is 1
        beta: FloatArray = np.asarray(sm.GLM(lost, design, family=family).fit().params, float)
    return beta


def design_of(periods: pd.DataFrame, exposed: FloatArray) -> tuple[FloatArray, FloatArray]:
    """One column per interval between sessions and one for the class; intervals in which nobody or
    everybody was lost, or that hold one class only, say nothing of the ratio and are left out."""
    spans = periods["from_days"].astype(str) + "-" + periods["to_days"].astype(str)
    share = periods["lost"].astype(float).groupby(spans).transform("mean")
    mixed = pd.Series(exposed, periods.index).groupby(spans).transform("nunique") > 1
    told = ((share > 0) & (share < 1) & mixed).to_numpy()
    dummies = pd.get_dummies(spans[told]).to_numpy(float)
    return np.c_[dummies, exposed[told]], periods["lost"].to_numpy(float)[told]


def log_hazard_ratio(periods: pd.DataFrame, exposed: FloatArray) -> float:
    """Of the exposed over the others, adjusted for the interval; nan where it is not settled."""
    design, lost = design_of(periods, exposed)
    with_class, without = design[:, -1] > 0, design[:, -1] <= 0
    for mine in (with_class, without):
        if not mine.any() or lost[mine].min() == lost[mine].max():
            return float("nan")
    if np.linalg.matrix_rank(design) < design.shape[1]:
        return float("nan")
    return float(cloglog(design, lost)[-1])


def hazard_rows(
    group: str, cohort: Cohort, config: AnalyzeConfig, rng: np.random.Generator
) -> list[Row]:
    """`hazard_ratio_clustered`: of loss, clustered new spines over the other new ones."""
    name = "hazard_ratio_clustered"
    periods = cohort.periods
    periods = periods[(periods["group"] == group) & periods["class"].isin(NEW)]
    exposed = (periods["class"] == "clustered").to_numpy(float)
    beta = log_hazard_ratio(periods, exposed) if len(periods) else np.nan
    n = {"n_animals": periods["animal"].nunique(), "n_spines": periods["spine"].nunique()}
    if not np.isfinite(beta):
        why = "a class is empty, or nobody or everybody of it was lost: the ratio is not settled"
        return [row(name, group, np.nan, test=why, **n)]
    low, high = _jackknife(periods, exposed)
    p = _permuted(periods, exposed, config, rng)
    return [
        row(
            name,
            group,
            float(np.exp(beta)),
            ci_low=low,
            ci_high=high,
            sampling_low=low,
            sampling_high=high,
            p_value=p,
            test="complementary log-log hazard, intervals between sessions; interval by leaving "
            "out animals; P by shuffling the class within animals",
            **n,
        )
    ]


def _jackknife(periods: pd.DataFrame, exposed: FloatArray) -> tuple[float, float]:
    """95 % interval of the ratio from the pseudo-values of leaving out one animal after another."""
    animals = periods["animal"].unique()
    n = len(animals)
    if n < 2:
        return np.nan, np.nan
    whole = log_hazard_ratio(periods, exposed)
    keep = [(periods["animal"] != a).to_numpy() for a in animals]
    left = np.array([log_hazard_ratio(periods[k], exposed[k]) for k in keep])
    pseudo = n * whole - (n - 1) * left
    if not np.isfinite(pseudo).all():
        return np.nan, np.nan
    half = stats.t.ppf(1 - LEVEL / 2, n - 1) * pseudo.std(ddof=1) / np.sqrt(n)
    with np.errstate(over="ignore"):  # so few that the interval has no end
        return float(np.exp(whole - half)), float(np.exp(whole + half))


def _permuted(
    periods: pd.DataFrame, exposed: FloatArray, config: AnalyzeConfig, rng: np.random.Generator
) -> float:
    """P of the score (losses of the exposed beyond those expected of their intervals) when the
    class is shuffled among the spines of each animal."""
    spans = periods["from_days"].astype(str) + "-" + periods["to_days"].astype(str)
    lost = periods["lost"].astype(float)
    beyond = lost - lost.groupby(spans).transform("mean")
    spines = periods.assign(beyond=beyond, exposed=exposed).groupby("spine", sort=True)
    first = spines.first()
    score = spines["beyond"].sum().to_numpy(float)
    _, whose = np.unique(first["animal"].to_numpy(str), return_inverse=True)
    flags = first["exposed"].to_numpy() > 0
    if not mixed_strata(flags, whose):
        return float("nan")
    null = shuffle_within(flags, whose, config.n_shuffles, rng) @ score
    return p_two_sided(float(score[flags].sum()), null)
