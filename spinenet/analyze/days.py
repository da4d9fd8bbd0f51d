"""Limits in days, of animals that are imaged at other hours of the day."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spinenet.types import FloatArray

HOURS_DAYS, SHARE = 0.25, 1 / 8


def slack_days(limit_days: float) -> float:
    """How far a session may miss a limit and still meet it: six hours, less where the limit itself
    is short."""
    return min(HOURS_DAYS, SHARE * abs(limit_days))


def same_days(days: npt.ArrayLike, steps_days: npt.ArrayLike) -> FloatArray:
    """(N,) the days, those within a few hours of each other made one: a whole day if one is among
    them, else their median. "A few hours" is twice the slack (`slack_days`) that the shortest of
    the steps allows."""
    given = np.round(np.asarray(days, float), 6)
    steps = np.asarray(steps_days, float)
    span = 2 * slack_days(float(steps.min())) if len(steps) else 0.0
    out = np.empty_like(given)
    left = np.sort(given)
    while len(left):
        mine = left[left <= left[0] + span]
        middle = float(np.median(mine))
        whole = round(middle)
        out[(given >= mine[0]) & (given <= mine[-1])] = (
            whole if mine[0] <= whole <= mine[-1] else middle
        )
        left = left[len(mine) :]
    return out
