"""Do new spines persist? Landmark cohorts and Kaplan-Meier curves.

Only spines alive at the landmark are followed, with the class they have by then: a spine that must
live until its partner appears would otherwise count as a long-lived clustered one (immortal time).
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from lifelines import KaplanMeierFitter

from spinenet.analyze.clusters import find_clusters
from spinenet.analyze.states import GONE, SEEN, UNKNOWN, Histories
from spinenet.config import AnalyzeConfig
from spinenet.tables import SURVIVAL


def survival(all_histories: list[Histories], config: AnalyzeConfig) -> pd.DataFrame:
    """`survival.csv`: curves per group and class, days counted from the landmark session."""
    lives = pd.DataFrame(
        [row for h in all_histories for row in _follow(h, config)],
        columns=["group", "class", "days", "lost"],
    )
    both = lives[lives["class"].isin(["clustered", "non_clustered"])].assign(**{"class": "all_new"})
    rows: list[dict[str, object]] = []
    for (group, kind), part in pd.concat([lives, both]).groupby(["group", "class"], sort=True):
        fit = KaplanMeierFitter().fit(part["days"], part["lost"])
        bounds = fit.confidence_interval_
        for day, row in fit.event_table.iterrows():
            left = float(fit.survival_function_.loc[day].iloc[0])
            # with nobody left the variance is 0 / 0, which is no certainty
            low, high = bounds.loc[day] if left > 0 else (float("nan"), float("nan"))
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


def _follow(h: Histories, config: AnalyzeConfig) -> list[tuple[str, str, float, bool]]:
    """(group, class, days followed, lost) of the spines alive at the landmark session."""
    late = np.flatnonzero(h.days - h.days[0] >= config.landmark_day)
    if not len(late) or late[0] == len(h.days) - 1:
        return []
    landmark = int(late[0])
    new = h.is_new(config.window)
    members = {
        i
        for c in find_clusters(h, "contiguous", config)
        for i in c.members
        if (h.birth[list(c.members)] <= landmark).sum() >= 2
    }
    rows = []
    for i in np.flatnonzero(h.seen[:, landmark] == SEEN):
        later = h.seen[i, landmark + 1 :]
        days = h.days[landmark + 1 :] - h.days[landmark]
        known = later != UNKNOWN
        if not known.any() or (new[i] and h.birth[i] > landmark):
            continue
        if not new[i] and h.seen[i, 0] != SEEN:
            continue  # neither new nor there from the start
        gone = np.flatnonzero(later == GONE)
        kind = "stable" if not new[i] else "clustered" if i in members else "non_clustered"
        end = days[gone[0]] if len(gone) else days[known][-1]
        rows.append((h.group, kind, float(end), bool(len(gone))))
    return rows
