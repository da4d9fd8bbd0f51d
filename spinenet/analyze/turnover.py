"""Formation, elimination and turnover between consecutive sessions."""

from __future__ import annotations

import numpy as np
import pandas as pd

from spinenet.analyze.states import GONE, SEEN, Histories
from spinenet.tables import INTERVALS

COUNTS = ["n_before", "n_after", "n_new", "n_lost", "n_stable"]


def intervals(all_histories: list[Histories], coverage: pd.DataFrame | None) -> pd.DataFrame:
    """`intervals.csv`: consecutive sessions per dendrite, and summed per animal and group.

    A spine is at risk if it is seen at one end and scorable at the other. A spine that returns
    after it was lost is neither new nor stable. Density needs `coverage`; it is nan without.
    """
    rows = [row for h in all_histories for row in _of_dendrite(h, coverage)]
    frame = pd.DataFrame(rows)
    if frame.empty:
        return INTERVALS.frame()
    parts = [frame]
    for level, keys in (("animal", ["animal", "group", "region"]), ("group", ["group"])):
        spans = ["session_from", "session_to"]
        sums = frame.groupby([*keys, *spans], as_index=False).agg(
            {
                **dict.fromkeys([*COUNTS, "n_seen"], "sum"),
                **dict.fromkeys(["day_from", "day_to"], "mean"),
                **dict.fromkeys(["scorable_um", "length_um"], _sum_or_nan),
            }
        )
        parts.append(sums.assign(level=level))
    out = pd.concat(parts, ignore_index=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        out["formation"] = _ratio(out["n_new"], out["n_before"])
        out["elimination"] = _ratio(out["n_lost"], out["n_before"])
        out["turnover_ratio"] = _ratio(
            out["n_new"] + out["n_lost"], out["n_before"] + out["n_after"]
        )
        out["density_per_um"] = _ratio(out["n_seen"], out["length_um"])
    for name in ("animal", "group", "region"):
        out[name] = out[name].fillna("")
    return INTERVALS.conform(out.drop(columns=["n_seen", "length_um"]))


def _sum_or_nan(values: pd.Series) -> float:
    return float(values.sum(min_count=1))


def _ratio(a: pd.Series, b: pd.Series) -> pd.Series:
    return (a.astype(float) / b.astype(float)).where(b > 0)


def _of_dendrite(h: Histories, coverage: pd.DataFrame | None) -> list[dict[str, object]]:
    rows = []
    for t in range(1, len(h.sessions)):
        before, after = h.seen[:, t - 1], h.seen[:, t]
        fair = (before >= GONE) & (after >= GONE)
        recurrent = np.array([returned_by(r, t) for r in h.seen], bool)
        scorable, length = _lengths(h, t, coverage)
        rows.append(
            {
                "level": "dendrite",
                "animal": h.animal,
                "group": h.group,
                "region": h.region,
                "dendrite_id": h.dendrite_id,
                "session_from": int(h.sessions[t - 1]),
                "session_to": int(h.sessions[t]),
                "day_from": h.days[t - 1],
                "day_to": h.days[t],
                "n_before": int((fair & (before == SEEN)).sum()),
                "n_after": int((fair & (after == SEEN)).sum()),
                "n_new": int((fair & (before == GONE) & (after == SEEN) & ~recurrent).sum()),
                "n_lost": int((fair & (before == SEEN) & (after == GONE)).sum()),
                "n_stable": int((fair & (before == SEEN) & (after == SEEN) & ~recurrent).sum()),
                "n_seen": int((after == SEEN).sum()),
                "scorable_um": scorable,
                "length_um": length,
            }
        )
    return rows


def returned_by(row: np.ndarray, t: int) -> bool:
    """Seen, then gone, then back, all by session t: recurrent."""
    known = row[: t + 1][row[: t + 1] >= GONE]
    steps = np.diff(known)
    return bool((steps == -1).any() and (steps[int(np.argmax(steps == -1)) :] == 1).any())


def _lengths(h: Histories, t: int, coverage: pd.DataFrame | None) -> tuple[float, float]:
    """Length scorable in both sessions of an interval, and in the second one, um."""
    if coverage is None:
        return float("nan"), float("nan")
    mine = coverage[
        (coverage["animal"] == h.animal)
        & (coverage["region"] == h.region)
        & (coverage["dendrite_id"] == h.dendrite_id)
        & coverage["usable"]
    ]
    spans = [
        mine.loc[mine["session"] == s, ["start_um", "end_um"]].to_numpy(float)
        for s in h.sessions[[t - 1, t]]
    ]
    both = sum(max(0.0, min(a[1], b[1]) - max(a[0], b[0])) for a in spans[0] for b in spans[1])
    return float(both), float(np.diff(spans[1], axis=1).sum()) if len(spans[1]) else 0.0
