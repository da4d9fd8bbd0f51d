"""Do new spines persist? Landmark cohorts, Kaplan-Meier curves and a discrete-time hazard.

Only spines alive at the landmark are followed, with the class they have by then: a spine that must
live until its partner appears would otherwise count as a long-lived clustered one (immortal time).
A loss is known to lie between the last sighting and the first absence, so time is in intervals
between sessions; the hazard of an interval is modelled by the complementary log-log, whose
coefficient is the log of the hazard ratio of the times between (Prentice & Gloeckler 1978).
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd
from lifelines import KaplanMeierFitter

from spinenet.analyze.clusters import find_clusters
from spinenet.analyze.states import GONE, SEEN, UNKNOWN, Histories
from spinenet.config import AnalyzeConfig
from spinenet.tables import SURVIVAL
from spinenet.types import FloatArray

HAIR = 1e-6
NEW = ("clustered", "non_clustered")
LIFE = ("animal", "group", "class", "days", "last_seen_days", "lost", "seen_at_end")
PERIOD = ("animal", "group", "class", "spine", "from_days", "to_days", "lost")


@dataclass(frozen=True)
class Cohort:
    """Everything that was alive at the landmark, followed."""

    lives: pd.DataFrame
    """A row per spine: animal, group, class, days (from the landmark to the first absence, or to
    the last look), last_seen_days, lost, seen_at_end (at its dendrite's last session; nan if it
    could not be scored there)."""
    periods: pd.DataFrame
    """A row per spine and interval at risk: animal, group, class, spine, from_days, to_days,
    lost."""


def follow(all_histories: list[Histories], config: AnalyzeConfig) -> Cohort:
    """The landmark cohort: new spines by class, and those there from the start (stable)."""
    lives: list[tuple[object, ...]] = []
    periods: list[tuple[object, ...]] = []
    for h in all_histories:
        early = np.flatnonzero(h.days - h.days[0] <= config.landmark_day)
        landmark = int(early[-1])
        if landmark == len(h.days) - 1:
            continue
        days = h.days[landmark:] - h.days[landmark]
        for k, kind in _classes(h, landmark, config).items():
            seen = h.seen[k, landmark:]
            known = np.flatnonzero(seen != UNKNOWN)
            if len(known) < 2:
                continue
            gone = np.flatnonzero(seen == GONE)
            end = int(gone[0]) if len(gone) else int(known[-1])
            at = known[known <= end]
            who = (h.animal, h.group, kind)
            last = h.told[k, -1]
            lives.append(
                (
                    *who,
                    float(days[end]),
                    float(days[at[-2] if len(gone) else end]),
                    bool(len(gone)),
                    np.nan if last == UNKNOWN else float(last == SEEN),
                )
            )
            spine = len(lives)
            for a, b in zip(at[:-1], at[1:], strict=True):
                periods.append((*who, spine, float(days[a]), float(days[b]), seen[b] == GONE))
    return Cohort(
        pd.DataFrame(lives, columns=list(LIFE)), pd.DataFrame(periods, columns=list(PERIOD))
    )


def _classes(h: Histories, landmark: int, config: AnalyzeConfig) -> dict[int, str]:
    """What the spines alive at the landmark are by then."""
    new = h.is_new(config.window)
    members = {
        i
        for c in find_clusters(h, "contiguous", config)
        for i in c.members
        if (h.birth[list(c.members)] <= landmark).sum() >= 2
    }
    out = {}
    for k in np.flatnonzero(h.seen[:, landmark] == SEEN):
        if new[k] and h.birth[k] <= landmark:
            out[int(k)] = "clustered" if k in members else "non_clustered"
        elif not new[k] and h.seen[k, 0] == SEEN:
            out[int(k)] = "stable"
    return out


def survival(cohort: Cohort) -> pd.DataFrame:
    """`survival.csv`: curves per group and class, days counted from the landmark session.

    Kaplan-Meier at the sessions; where the animals of a group were looked at on different days,
    Turnbull's estimate, without intervals.
    """
    lives = cohort.lives
    both = lives[lives["class"].isin(NEW)].assign(**{"class": "all_new"})
    rows: list[dict[str, object]] = []
    for (group, kind), part in pd.concat([lives, both]).groupby(["group", "class"], sort=True):
        fit = KaplanMeierFitter().fit(part["days"], part["lost"])
        bounds, left_at = fit.confidence_interval_, fit.survival_function_.iloc[:, 0]
        uneven = _looked_unevenly(cohort.periods, str(group))
        if uneven:
            days = left_at.index.to_numpy(float)
            left_at = pd.Series(turnbull(part, days), left_at.index)
        for day, row in fit.event_table.iterrows():
            left = float(left_at.loc[day])
            # with nobody left the variance is 0 / 0, which is no certainty
            told = left > 0 and not uneven
            low, high = bounds.loc[day] if told else (float("nan"), float("nan"))
            rows.append(
                {
                    "group": group,
                    "class": kind,
                    "day": float(day),
                    "at_risk": int(row["at_risk"]),
                    "lost": int(row["observed"]),
                    "survival": left,
                    "ci_low": float(low),
                    "ci_high": float(high),
                }
            )
    return SURVIVAL.frame(rows)


def _looked_unevenly(periods: pd.DataFrame, group: str) -> bool:
    mine = periods[periods["group"] == group]
    return len({frozenset(p["to_days"]) for _, p in mine.groupby("animal")}) > 1


def turnbull(lives: pd.DataFrame, days: FloatArray) -> FloatArray:
    """(D,) share still there after each day when animals were not looked at on the same days: the
    estimate for interval-censored times (Turnbull 1976)."""
    lost = lives["lost"].to_numpy(bool)
    first_absent = np.where(lost, lives["days"], np.inf)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says that it gives no confidence bands
        # lost after the last sighting, not at it: its intervals are closed
        fit = KaplanMeierFitter().fit_interval_censoring(
            lives["last_seen_days"] + HAIR, first_absent
        )
    curve = fit.survival_function_["NPMLE_estimate_lower"]
    times = curve.index.to_numpy(float)
    last = np.searchsorted(times, days + HAIR, side="right") - 1
    out: FloatArray = np.where(last >= 0, curve.to_numpy(float)[np.maximum(last, 0)], 1.0)
    return out


def corrected_share(lives: pd.DataFrame, miss_rate: float) -> float:
    """Share of a cohort still there at the last session, if one sighting in so many is missed.

    Of S survivors 1 - q are seen there: S = seen / (1 - q), at most 1. The plain curve instead
    takes every first absence for a loss.
    """
    seen = lives["seen_at_end"].dropna()
    if not len(seen) or not miss_rate < 1:
        return float("nan")
    return float(min(seen.mean() / (1 - miss_rate), 1.0))
