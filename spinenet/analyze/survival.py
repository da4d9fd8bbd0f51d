"""Do new spines persist? Landmark cohorts and Kaplan-Meier curves.

Only spines alive at the landmark are followed, with the class they have by then and on what was
known then: a spine that must live until its partner appears, or until what stood between them is
gone, would otherwise count as a long-lived clustered one (immortal time).
"""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from lifelines import KaplanMeierFitter

from spinenet.analyze.clusters import find_clusters, takes_part
from spinenet.analyze.days import same_days, slack_days
from spinenet.analyze.groups import mean_of_animals
from spinenet.analyze.states import GONE, NEVER, SEEN, UNKNOWN, Histories
from spinenet.config import AnalyzeConfig
from spinenet.tables import SURVIVAL
from spinenet.types import FloatArray

HAIR = 1e-6
NOBODY_FOLLOWED = (
    "no such spine was there at the landmark, the last session up to day {:g} of the table "
    "(analyze.landmark_day)"
)
NOTHING_LATER = (
    "no session follows the landmark, the last session up to day {:g} of the table: an earlier one "
    "is needed (analyze.landmark_day)"
)
ALL_LATER = (
    "the first session is on day {:g}, after the landmark, day {:g} (analyze.landmark_day): count "
    "days from the first session, or give a later landmark"
)
NO_DAY = "animals share no day after the landmark on which all of them were looked at"
NEW = ("clustered", "non_clustered")
LIFE = ("animal", "group", "class", "days", "last_seen_days", "looks_days", "lost", "told")
PERIOD = ("animal", "group", "class", "dendrite", "spine", "from_days", "to_days", "lost")


@dataclass(frozen=True)
class Cohort:
    """Everything that was alive at the landmark, followed."""

    lives: pd.DataFrame
    """A row per spine: animal, group, class, days (from the landmark to the first absence, or to
    the last look), last_seen_days, looks_days (of all its looks until then), lost, told (by day on
    which it could be scored, whether it was seen)."""
    periods: pd.DataFrame
    """A row per spine and interval at risk: animal, group, class, dendrite, spine, from_days,
    to_days, lost."""
    looks: Mapping[str, FloatArray]
    """By group, the days from the landmark to all its sessions, the landmark (0) first."""
    uneven: frozenset[str]
    """Groups whose dendrites were not all looked at on the same days after the landmark."""

    looked: Mapping[str, FloatArray]
    """By animal, the days from the landmark on which it was looked at."""
    late: Mapping[str, float] = field(default_factory=dict)
    """By group that has no session up to the landmark, the day of its first."""

    def last_common_day(self, animals: Collection[str]) -> float:
        """The last day after the landmark on which all of them that were followed were looked at:
        between two looks nobody knows who is still there. nan without one."""
        days = [set(d[d > 0]) for a, d in self.looked.items() if a in animals]
        return float(max(set.intersection(*days), default=np.nan)) if days else float("nan")

    def horizon(self, animals: Collection[str]) -> float:
        """Days after the landmark on which survival is told: of all animals, or, if they share
        none, of these."""
        whole = self.last_common_day(self.looked)
        return whole if np.isfinite(whole) else self.last_common_day(animals)


def follow(all_histories: list[Histories], config: AnalyzeConfig) -> Cohort:
    """The landmark cohort: new spines by class, and those there from the start (stable).

    Days of looks that lie within hours of each other are one day for all.
    """
    lives: list[tuple[object, ...]] = []
    periods: list[tuple[object, ...]] = []
    looks: dict[str, set[tuple[float, ...]]] = {}
    looked: dict[str, FloatArray] = {}
    for h, landmark, days in _followed(all_histories, config):
        looks.setdefault(h.group, set()).add(tuple(days.tolist()))
        looked[h.animal] = np.union1d(looked.get(h.animal, days), days)
        for k, kind in _classes(h, landmark, config).items():
            seen = h.seen[k, landmark:]
            known = np.flatnonzero(seen != UNKNOWN)
            if len(known) < 2:
                continue
            gone = np.flatnonzero(seen == GONE)
            end = int(gone[0]) if len(gone) else int(known[-1])
            at = known[known <= end]
            who = (h.animal, h.group, kind)
            told = h.told_alone[k, landmark:]  # miss_rate_q counts what others lent as missed
            lives.append(
                (
                    *who,
                    float(days[end]),
                    float(days[at[-2] if len(gone) else end]),
                    tuple(days[at].tolist()),
                    bool(len(gone)),
                    {
                        d: p == SEEN
                        for d, p in zip(days.tolist(), told, strict=True)
                        if p != UNKNOWN
                    },
                )
            )
            spine, dendrite = len(lives), f"{h.animal}|{h.region}|{h.dendrite_id}"
            for a, b in zip(at[:-1], at[1:], strict=True):
                span = float(days[a]), float(days[b])
                periods.append((*who, dendrite, spine, *span, seen[b] == GONE))
    return Cohort(
        pd.DataFrame(lives, columns=list(LIFE)),
        pd.DataFrame(periods, columns=list(PERIOD)),
        {g: np.unique(np.concatenate([*of])) for g, of in looks.items()},
        frozenset(g for g, of in looks.items() if len(of) > 1),
        looked,
        {g: day for g, day in _first_days(all_histories).items() if day > _until(config)},
    )


def _first_days(all_histories: list[Histories]) -> dict[str, float]:
    """By group."""
    days: dict[str, float] = {}
    for h in all_histories:
        days[h.group] = min(days.get(h.group, np.inf), float(h.days.min()))
    return days


def _until(config: AnalyzeConfig) -> float:
    """The day up to which a session may be the landmark."""
    return config.landmark_day + slack_days(config.landmark_day)


def _followed(
    all_histories: list[Histories], config: AnalyzeConfig
) -> Iterator[tuple[Histories, int, FloatArray]]:
    """The dendrites that were looked at after the landmark, at which session of theirs it lies, and
    the days from it to that and all later ones."""
    landmarks = _landmarks(all_histories, config)
    at = [(h, h.sessions == landmarks.get((h.animal, h.region), NEVER)) for h in all_histories]
    mine = [(h, int(here.argmax())) for h, here in at if here[:-1].any()]
    days = [h.days[landmark:] - h.days[landmark] for h, landmark in mine]
    if not mine:
        return
    common = same_days(np.concatenate(days), np.concatenate([np.diff(d) for d in days]))
    ends = np.cumsum([len(d) for d in days])[:-1]
    for (h, landmark), own in zip(mine, np.split(common, ends), strict=True):
        yield h, landmark, own


def _landmarks(all_histories: list[Histories], config: AnalyzeConfig) -> dict[tuple[str, str], int]:
    """By animal and region, the last session up to the landmark's day. A dendrite that could not
    be scored in it is not followed: from an earlier one it would be followed on other days."""
    out: dict[tuple[str, str], int] = {}
    for h in all_histories:
        early = h.sessions[h.days <= _until(config)]
        if len(early):
            where = h.animal, h.region
            out[where] = max(out.get(where, NEVER), int(early[-1]))
    return out


def _classes(h: Histories, landmark: int, config: AnalyzeConfig) -> dict[int, str]:
    """What the spines alive at the landmark are by then; those that the rule of contiguous clusters
    does not look at, filopodia by default, are of no class."""
    then = h.until(landmark)
    born = then.is_new(config.window)
    kept = takes_part(then, "contiguous", config)
    members = {i for c in find_clusters(then, "contiguous", config) for i in c.members}
    out = {}
    for k in np.flatnonzero(kept & (then.seen[:, landmark] == SEEN)):
        if born[k]:
            out[int(k)] = "clustered" if k in members else "non_clustered"
        elif then.seen[k, 0] == SEEN:
            out[int(k)] = "stable"
    return out


def survival(cohort: Cohort) -> pd.DataFrame:
    """`survival.csv`: curves per group and class, days counted from the landmark session.

    Kaplan-Meier at the sessions, all animals' spines together; the bands are as wide as the t
    intervals over the animals' own curves. Where dendrites were looked at on different days,
    Turnbull's estimate, without bands.
    """
    lives = cohort.lives
    both = lives[lives["class"].isin(NEW)].assign(**{"class": "all_new"})
    rows: list[dict[str, object]] = []
    for (group, kind), part in pd.concat([lives, both]).groupby(["group", "class"], sort=True):
        days = cohort.looks[str(group)]
        uneven = group in cohort.uneven
        curve = turnbull(part, days) if uneven else kaplan_meier(part, days)
        own = np.array([kaplan_meier(p, days) for _, p in part.groupby("animal")])
        for d, day in enumerate(days):
            band = mean_of_animals(own[:, d], 0.0, 1.0)
            low, high = np.clip(curve[d] + np.array([band.low, band.high]) - band.value, 0, 1)
            if uneven:
                low = high = np.nan
            rows.append(
                {
                    "group": group,
                    "class": kind,
                    "day": float(day),
                    "at_risk": int((part["days"] >= day).sum()),
                    "lost": int((part["lost"] & (part["days"] == day)).sum()),
                    "survival": float(curve[d]),
                    "ci_low": low,
                    "ci_high": high,
                }
            )
    return SURVIVAL.frame(rows)


def kaplan_meier(lives: pd.DataFrame, days: FloatArray) -> FloatArray:
    """(D,) share still there after each day, the product of 1 - lost / at risk (Kaplan & Meier
    1958); nan beyond the last look. Written out: a library's fit takes longer than the rest of the
    analysis of a drawn history."""
    ended, lost = lives["days"].to_numpy(float), lives["lost"].to_numpy(bool)
    left, out = 1.0, np.ones(len(days))
    for day in np.unique(ended[lost]):
        left *= 1 - (lost & (ended == day)).sum() / (ended >= day).sum()
        out[days >= day] = left
    return np.where((days <= ended.max()) | (out == 0), out, np.nan)


def turnbull(lives: pd.DataFrame, days: FloatArray) -> FloatArray:
    """(D,) share still there after each day when animals were not looked at on the same days: the
    estimate for interval-censored times (Turnbull 1976)."""
    lost = lives["lost"].to_numpy(bool)
    first = np.where(lost, lives["days"], np.inf)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says that it gives no confidence bands
        # lost after the last sighting, not at it: its intervals are closed
        fit = KaplanMeierFitter().fit_interval_censoring(lives["last_seen_days"] + HAIR, first)
    curve = fit.survival_function_["NPMLE_estimate_lower"]
    times = curve.index.to_numpy(float)
    last = np.searchsorted(times, days + HAIR, side="right") - 1
    out: FloatArray = np.where(last >= 0, curve.to_numpy(float)[np.maximum(last, 0)], 1.0)
    return out


def untold(
    group: str, n_spines: int, last_day: float, cohort: Cohort, config: AnalyzeConfig
) -> str:
    """Why a share that survived until a day cannot be told; blank if it can."""
    if group in cohort.late:
        return ALL_LATER.format(cohort.late[group], config.landmark_day)
    if not cohort.looked:
        return NOTHING_LATER.format(config.landmark_day)
    if not n_spines:
        return NOBODY_FOLLOWED.format(config.landmark_day)
    return "" if np.isfinite(last_day) else NO_DAY


def corrected_share(lives: pd.DataFrame, miss_rate: float, day: float) -> float:
    """Share of a cohort still there on a day after the landmark, if one sighting in so many is
    missed.

    Of S survivors 1 - q are seen there: S = seen / (1 - q), which may by chance exceed 1. The plain
    curve instead takes every first absence for a loss. nan where the miss rate is not known.
    """
    seen = [told[day] for told in lives["told"] if day in told]
    if not seen or not miss_rate < 1:
        return float("nan")
    return float(np.mean(seen) / (1 - miss_rate))
