"""The primary test of persistence: a discrete-time hazard with the complementary log-log."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from spinenet.analyze.deals import mixed_strata, shuffle_within
from spinenet.analyze.groups import Mean, jackknife, welch
from spinenet.analyze.rows import Row, p_two_sided, row
from spinenet.analyze.survival import NEW, Cohort
from spinenet.config import AnalyzeConfig
from spinenet.types import FloatArray

HAZARD = "hazard_ratio_clustered"


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


def hazard_row(
    group: str, cohort: Cohort, config: AnalyzeConfig, rng: np.random.Generator
) -> tuple[Row, Mean]:
    """`hazard_ratio_clustered`: of loss, clustered new spines over the other new ones; and its
    logarithm."""
    periods = cohort.periods
    periods = periods[(periods["group"] == group) & periods["class"].isin(NEW)]
    exposed = (periods["class"] == "clustered").to_numpy(float)
    beta = log_hazard_ratio(periods, exposed) if len(periods) else np.nan
    n = {"n_animals": periods["animal"].nunique(), "n_spines": periods["spine"].nunique()}
    if not np.isfinite(beta):
        why = "a class is empty, or nobody or everybody of it was lost: the ratio is not settled"
        return row(HAZARD, group, np.nan, test=why, **n), Mean(np.nan, np.nan, np.nan, 0, np.nan)
    keep = [(periods["animal"] != a).to_numpy() for a in periods["animal"].unique()]
    without = np.array([log_hazard_ratio(periods[k], exposed[k]) for k in keep])
    log = jackknife(beta, without)
    found = row(
        HAZARD,
        group,
        float(np.exp(beta)),
        **_bounds(log.low, log.high),
        p_value=_permuted(periods, exposed, config, rng),
        test="complementary log-log hazard, intervals between sessions; interval by leaving "
        "out animals; P by shuffling the class within dendrites",
        **n,
    )
    return found, log


def hazard_difference(a: str, b: str, logs: Mapping[str, Mean]) -> Row:
    """One group's hazard ratio over another's."""
    between = welch(logs[a], logs[b])
    if not np.isfinite(between.low):
        why = "one of the two hazard ratios is not settled, or rests on too few animals"
        return row(
            HAZARD, a, float(np.exp(between.value)), group_b=b, n_animals=between.n, test=why
        )
    return row(
        HAZARD,
        a,
        float(np.exp(between.value)),
        group_b=b,
        **_bounds(between.low, between.high),
        p_value=between.p,
        n_animals=between.n,
        test=f"ratio of the two hazard ratios; {between.test} of their logarithms, variances by "
        "leaving out animals",
    )


def _bounds(low: float, high: float) -> dict[str, float]:
    with np.errstate(over="ignore"):  # so few that the interval has no end
        first, last = float(np.exp(low)), float(np.exp(high))
    return {"ci_low": first, "ci_high": last, "sampling_low": first, "sampling_high": last}


def _permuted(
    periods: pd.DataFrame, exposed: FloatArray, config: AnalyzeConfig, rng: np.random.Generator
) -> float:
    """P of the score (losses of the exposed beyond those expected of their intervals) when the
    class is shuffled among the spines of each dendrite: where more come and go there are more of
    both, whatever clusters mean."""
    spans = periods["from_days"].astype(str) + "-" + periods["to_days"].astype(str)
    lost = periods["lost"].astype(float)
    beyond = lost - lost.groupby(spans).transform("mean")
    spines = periods.assign(beyond=beyond, exposed=exposed).groupby("spine", sort=True)
    first = spines.first()
    score = spines["beyond"].sum().to_numpy(float)
    _, whose = np.unique(first["dendrite"].to_numpy(str), return_inverse=True)
    flags = first["exposed"].to_numpy() > 0
    if not mixed_strata(flags, whose):
        return float("nan")
    null = shuffle_within(flags, whose, config.n_shuffles, rng) @ score
    return p_two_sided(float(score[flags].sum()), null)
