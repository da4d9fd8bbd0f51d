"""Formation, elimination and turnover between consecutive sessions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from types import MappingProxyType

import numpy as np
import pandas as pd

from spinenet.analyze.days import same_days
from spinenet.analyze.states import GONE, SEEN, Histories, returned
from spinenet.analyze.stretches import Stretches, common, length_um, standing_on
from spinenet.tables import INTERVALS
from spinenet.types import BoolArray, FloatArray, IntArray

NOT_KNOWN: Mapping[tuple[str, str, int], int] = MappingProxyType({})
COUNTS = ["n_before", "n_after", "n_new", "n_lost", "n_stable"]


@dataclass(frozen=True)
class Flow:
    """Counts (T - 1,) of one dendrite between its consecutive sessions."""

    n_before: IntArray
    n_after: IntArray
    n_new: IntArray
    n_lost: IntArray
    n_stable: IntArray


def flow(h: Histories, counted: BoolArray | None = None) -> Flow:
    """A spine is at risk if it is seen at one end and scorable at the other.

    A spine that returns after it was lost is neither new nor stable.

    Parameters
    ----------
    counted: (S, T - 1) which spines, all if it is not given
    """
    before, after = h.seen[:, :-1], h.seen[:, 1:]
    fair = (before >= GONE) & (after >= GONE)
    if counted is not None:
        fair &= counted
    back = returned(h.seen)[:, 1:]
    there, then = fair & (before == SEEN), fair & (after == SEEN)
    return Flow(
        n_before=there.sum(axis=0),
        n_after=then.sum(axis=0),
        n_new=(then & (before == GONE) & ~back).sum(axis=0),
        n_lost=(there & (after == GONE)).sum(axis=0),
        n_stable=(there & then & ~back).sum(axis=0),
    )


def intervals(
    all_histories: list[Histories],
    known: Stretches | None,
    orders: Mapping[tuple[str, str, int], int] = NOT_KNOWN,
) -> pd.DataFrame:
    """`intervals.csv`: consecutive sessions per dendrite, and summed per animal and group.

    Regions of an animal, and animals of a group, share an interval if its sessions have the same
    numbers and, within hours, the same times; the mean times are told. Where an animal's regions do
    not, its rows name theirs.

    Density needs `known`; it is nan without. `orders` are the dendrites' branch orders by
    animal, region and dendrite, blank where they are not known.
    """
    frame = pd.DataFrame([row for h in all_histories for row in _of_dendrite(h, known)])
    if frame.empty:
        return INTERVALS.frame()
    parts = [frame]
    for level, keys in (("animal", ["animal", "group"]), ("group", ["group"])):
        steps = frame["day_to"] - frame["day_from"]
        days = [
            pd.Series(same_days(frame[name], steps), frame.index, name=f"common_{name}")
            for name in ("day_from", "day_to")
        ]
        spans = frame.groupby([*keys, "session_from", "session_to", *days])
        sums = spans.agg(
            {
                **dict.fromkeys(["day_from", "day_to"], "mean"),
                **dict.fromkeys([*COUNTS, "n_seen"], "sum"),
                **dict.fromkeys(["scorable_um", "length_um"], _sum_or_nan),
            }
        )
        summed = sums.reset_index().drop(columns=[d.name for d in days]).assign(level=level)
        if level == "animal":
            whose = frame.groupby(keys)["region"].agg(set)
            summed["region"] = [
                "" if here == whose[animal, group] else ", ".join(sorted(here))
                for animal, group, here in zip(
                    summed["animal"], summed["group"], spans["region"].agg(set), strict=True
                )
            ]
        parts.append(summed)
    out = pd.concat(parts, ignore_index=True)
    out["formation"] = _ratio(out["n_new"], out["n_before"])
    out["elimination"] = _ratio(out["n_lost"], out["n_before"])
    out["turnover_ratio"] = _ratio(out["n_new"] + out["n_lost"], out["n_before"] + out["n_after"])
    out["density_per_um"] = _ratio(out["n_seen"], out["length_um"])
    for name in ("animal", "group", "region"):
        out[name] = out[name].fillna("")
    at = zip(out["animal"], out["region"], out["dendrite_id"].astype("Int64"), strict=True)
    out["branch_order"] = [pd.NA if pd.isna(key[2]) else orders.get(key, pd.NA) for key in at]
    return INTERVALS.conform(out.drop(columns=["n_seen", "length_um"]))


def _sum_or_nan(values: pd.Series) -> float:
    return float(values.sum(min_count=1))


def _ratio(a: pd.Series, b: pd.Series) -> pd.Series:
    with np.errstate(divide="ignore", invalid="ignore"):
        return (a.astype(float) / b.astype(float)).where(b > 0)


def _of_dendrite(h: Histories, known: Stretches | None) -> list[dict[str, object]]:
    counts = flow(h)
    both = scorable_in_both(h, known)
    n_seen, second = density(h, known)
    return [
        {
            "level": "dendrite",
            "animal": h.animal,
            "group": h.group,
            "region": h.region,
            "dendrite_id": h.dendrite_id,
            "session_from": int(h.sessions[t]),
            "session_to": int(h.sessions[t + 1]),
            "day_from": h.days[t],
            "day_to": h.days[t + 1],
            **{name: int(getattr(counts, name)[t]) for name in COUNTS},
            "n_seen": int(n_seen[t + 1]),
            "scorable_um": both[t],
            "length_um": second[t + 1],
        }
        for t in range(len(h.sessions) - 1)
    ]


def steps_days(hs: list[Histories]) -> FloatArray:
    """Days from one session to the next, of the intervals of all dendrites; nan without any."""
    steps = [np.diff(h.days) for h in hs if len(h.days) > 1]
    return np.concatenate(steps) if steps else np.array([np.nan])


def scorable_in_both(h: Histories, known: Stretches | None) -> FloatArray:
    """(T - 1,) length scorable in both sessions of an interval, um."""
    if known is None:
        return np.full(max(len(h.sessions) - 1, 0), np.nan)
    return np.array([length_um(spans) for spans in _in_both(h, known)])


def flow_per_um(h: Histories, known: Stretches) -> tuple[Flow, float]:
    """The flow of the spines that stand on what was scorable in both sessions of an interval, and
    the length of that, all intervals together, um."""
    both = _in_both(h, known)
    return flow(h, standing_on(h.arc_um, both)), float(sum(map(length_um, both)))


def _in_both(h: Histories, known: Stretches) -> list[FloatArray]:
    """Stretches (N, 2) scorable in both sessions, of each interval."""
    return [common(a, b) for a, b in pairwise(known.of(h))]


def density(h: Histories, known: Stretches | None) -> tuple[IntArray, FloatArray]:
    """(T,) spines seen on what could be scored in each session, and its length, um."""
    n = len(h.sessions)
    if known is None:
        return np.zeros(n, np.int64), np.full(n, np.nan)
    spans = known.of(h)
    seen = (h.seen == SEEN) & standing_on(h.arc_um, spans)
    return seen.sum(axis=0), np.array([length_um(span) for span in spans])


def bare(all_histories: list[Histories], known: Stretches | None) -> list[Histories]:
    """Empty histories of dendrites that coverage.csv lists but on which no spine was ever seen:
    their length counts in densities. Only in regions with other histories, which tell animal and
    days."""
    if known is None:
        return []
    listed = known.by_session
    out = []
    for animal, region, dendrite in sorted(
        set(listed) - {(h.animal, h.region, h.dendrite_id) for h in all_histories}
    ):
        beside = [h for h in all_histories if (h.animal, h.region) == (animal, region)]
        day = {s: d for h in beside for s, d in zip(h.sessions, h.days, strict=True)}
        sessions = sorted(set(listed[animal, region, dendrite]) & set(day))
        if not sessions:
            continue
        empty = beside[0].only(np.zeros(len(beside[0].arc_um), bool))
        own = replace(empty, dendrite_id=dendrite, whole_study=False)
        days = np.array([day[s] for s in sessions])
        out.append(own.over(np.array(sessions), days))
    return out
