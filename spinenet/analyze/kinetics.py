"""How fast new spines are lost: an exponential decay down to those that stay.

S(t) = a exp(-t / tau) + 1 - a: a share `a` leaves with the time constant tau, the others stay
(Holtmaat et al. 2005).
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.optimize import least_squares

from spinenet.analyze.groups import jackknife
from spinenet.analyze.rows import Row, mean_row, row
from spinenet.analyze.survival import NEW, Cohort, kaplan_meier
from spinenet.types import FloatArray

FEWEST_LOOKS, FEWEST_SPINES = 3, 10
LONGEST_TAU = 10.0
"""Times the days of follow-up: slower losses cannot be told from none."""


def decay(days: FloatArray, survival: FloatArray, weight: FloatArray) -> tuple[float, float]:
    """The leaving share a and tau in days that fit (D,) survival best, nan where nobody left; tau
    is nan besides where losses are too fast or too slow for these days to tell.

    Parameters
    ----------
    weight: (D,) spines at risk
    """
    good = np.isfinite(survival) & (days > 0) & (weight > 0)
    days, survival, root = days[good], survival[good], np.sqrt(weight[good])
    if len(days) < FEWEST_LOOKS or survival.min() > 1 - 1e-9:
        return float("nan"), float("nan")

    def misfit(parameters: FloatArray) -> FloatArray:
        share, tau = parameters
        out: FloatArray = root * (share * np.exp(-days / tau) + 1 - share - survival)
        return out

    shortest, longest = float(days[0]) / 10, LONGEST_TAU * float(days[-1])
    start = [max(1 - float(survival[-1]), 0.05), float(np.median(days))]
    fit = least_squares(misfit, start, bounds=([0.0, shortest], [1.0, longest]), x_scale=start)
    share, tau = map(float, fit.x)
    told = 1.01 * shortest < tau < 0.99 * longest  # else faster or slower than the looks can tell
    return share, tau if told else float("nan")


def kinetics_rows(group: str, cohort: Cohort) -> list[Row]:
    """`leaving_share_new` and `decay_days_new` of all new spines alive at the landmark."""
    lives = cohort.lives
    mine = lives[(lives["group"] == group) & lives["class"].isin(NEW)]
    names = "leaving_share_new", "decay_days_new"
    days = cohort.looks.get(group, np.zeros(0))
    if len(mine) < FEWEST_SPINES or len(days) <= FEWEST_LOOKS or group in cohort.uneven:
        why = (
            f"needs {FEWEST_SPINES} new spines at the landmark and {FEWEST_LOOKS} later sessions, "
            "the same for all dendrites"
        )
        return [row(name, group, np.nan, test=why, n_spines=len(mine)) for name in names]
    whole = _fit(mine, days)
    without = np.array([_fit(mine[mine["animal"] != a], days) for a in mine["animal"].unique()])
    test = "S(t) = a exp(-t / tau) + 1 - a by least squares; interval by leaving out animals"
    rows = []
    for k, (name, highest) in enumerate(zip(names, (1.0, np.inf), strict=True)):
        mean = jackknife(whole[k], without[:, k]).within(0.0, highest)
        rows.append(mean_row(name, group, mean, test=test, n_spines=len(mine)))
    return rows


def _fit(lives: pd.DataFrame, days: FloatArray) -> tuple[float, float]:
    if lives.empty:
        return float("nan"), float("nan")
    at_risk = (lives["days"].to_numpy(float)[:, None] >= days).sum(axis=0).astype(float)
    return decay(days, kaplan_meier(lives, days), at_risk)
