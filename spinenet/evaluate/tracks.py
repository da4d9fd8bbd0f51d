"""Links: how often one track is one true spine, between every two sessions.

Right: both ends found, one track. Wrong: one track for two different spines, or for a spine and a
false alarm of the later session (as the acceptance scorer counts; a false alarm that goes on as a
spine is a spine found wrongly, not a link; nor is one that goes on as a spine that nobody could
score). Unlinked: both ends found, not one track (a false new
and a false lost one).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from spinenet.evaluate.judge import KEYS, Judged
from spinenet.evaluate.spines import ratios
from spinenet.tables import CONTESTED as CONTESTED_LINKS
from spinenet.types import BoolArray, IntArray

RIGHT, UNLINKED, MISSED, CONTESTED, ENDS = "right", "unlinked", "missed", "contested", "ends"
"""Of a true spine in the earlier session: what became of its link; `ends` if it has none."""
GAPS_DAYS = (0.0, 2.0, 7.0, 14.0, np.inf)
SIZE_CHANGES = (0.0, 0.25, 0.5, 1.0, np.inf)
"""Bounds of the strata: days between the sessions, and change of the log of the head's volume."""
SCATTERINGS = 400
RUNS = ("error_run_mean", "error_run_longest", "error_run_by_chance")


@dataclass(frozen=True)
class LinkCounts:
    """Links between pairs of sessions, counted at the earlier end."""

    right: int = 0
    wrong: int = 0
    unlinked: int = 0
    missed: int = 0
    """True links of which an end was not detected."""
    contested: int = 0
    """Links that look wrong in the truth itself, left out."""

    @property
    def true(self) -> int:
        """True links that count."""
        return self.right + self.unlinked + self.missed

    def given_both(self) -> dict[str, float]:
        """Precision, recall and F1 of links whose two ends were detected."""
        return ratios(self.right, self.wrong, self.unlinked)

    def end_to_end(self) -> dict[str, float]:
        """The same of all links; a missed spine is a missed link."""
        return ratios(self.right, self.wrong, self.unlinked + self.missed)


def link_table(judged: Judged, contested: pd.DataFrame | None = None) -> pd.DataFrame:
    """One row per true spine of the earlier of two sessions, every pair of sessions.

    Columns: animal, region, session, session_to, adjacent; `link` (`RIGHT` to `ENDS`), `wrong` (its
    number sits on something else in the later session); of what was found of it: dendrite_id,
    arc_length_um; gap_days; and, where both ends were found, `size_change`, of the log of the
    head's volume.

    Parameters
    ----------
    contested: `tables.CONTESTED`: links of the truth that count neither way
    """
    doubted = CONTESTED_LINKS.frame() if contested is None else contested
    parts = []
    for (animal, region), field in judged.truth.groupby(["animal", "region"]):
        seen = judged.detections
        seen = seen[(seen["animal"] == animal) & (seen["region"] == region)]
        sides = {int(s): _side(rows, seen) for s, rows in field.groupby("session")}
        days = seen.groupby("session")["day"].first()
        here = doubted[doubted["animal"].isin(["", animal]) & doubted["region"].isin(["", region])]
        for a, b in combinations(sorted(sides), 2):
            pair = here[(here["session"] == a) & (here["session_to"] == b)]
            left_out = set(pair["track_id"].tolist())
            adjacent = sorted(sides).index(b) - sorted(sides).index(a) == 1
            between = _between(sides[a], sides[b], left_out)
            who = {"animal": animal, "region": region, "session": a, "session_to": b}
            gap = days.get(b, np.nan) - days.get(a, np.nan)
            parts.append(between.assign(**who, adjacent=adjacent, gap_days=gap))
    return pd.concat(parts, ignore_index=True) if parts else _no_links()


def where_named(judged: Judged) -> Judged:
    """Without the sessions in which spines were marked and none was given an identity: of links and
    tracks they say nothing."""
    named = judged.truth.groupby(KEYS)["track_id"].count()
    nameless = named[named == 0].index
    kept = [
        frame[~pd.MultiIndex.from_frame(frame[KEYS]).isin(nameless)]
        for frame in (judged.truth, judged.detections)
    ]
    rows = [pd.Series(np.arange(len(frame)), frame.index) for frame in kept]
    truth = kept[0].assign(found=kept[0]["found"].map(rows[1]).fillna(-1).astype(int))
    found = kept[1].assign(true=kept[1]["true"].map(rows[0]).fillna(-1).astype(int))
    return Judged(truth.reset_index(drop=True), found.reset_index(drop=True))


def count(table: pd.DataFrame) -> LinkCounts:
    """The rows of `link_table`, counted."""
    link = table["link"].value_counts()
    return LinkCounts(
        int(link.get(RIGHT, 0)),
        int(table["wrong"].sum()),
        int(link.get(UNLINKED, 0)),
        int(link.get(MISSED, 0)),
        int(link.get(CONTESTED, 0)),
    )


def by_gap(table: pd.DataFrame) -> dict[str, LinkCounts]:
    """Counts by days between the sessions, where they are known."""
    return _strata(table, table["gap_days"], GAPS_DAYS, "days")


def by_size_change(table: pd.DataFrame) -> dict[str, LinkCounts]:
    """Counts by how much the spine grew or shrank: who is known by size alone is lost by it.

    Known only where both ends were found: precision and end-to-end figures mean nothing here.
    """
    return _strata(table, table["size_change"].abs(), SIZE_CHANGES, "log volume")


def _strata(
    table: pd.DataFrame, value: pd.Series, bounds: tuple[float, ...], unit: str
) -> dict[str, LinkCounts]:
    out = {}
    for low, high in zip(bounds[:-1], bounds[1:], strict=True):
        mine = table[(value > low) & (value <= high) if low else (value >= 0) & (value <= high)]
        name = f"{low:g} to {high:g} {unit}" if np.isfinite(high) else f"over {low:g} {unit}"
        if len(mine):
            out[name] = count(mine)
    return out


def error_runs(table: pd.DataFrame) -> dict[str, float]:
    """Do wrong links lie side by side? A slip along a dendrite makes runs of them, and a run of
    false new spines looks like a cluster.

    Of the links between adjacent sessions whose two ends were found, in order along each dendrite:
    the mean and the greatest length of a run of wrong ones, and the mean if as many were scattered
    over them at random (the mean of `SCATTERINGS`); nan without any.
    """
    kept = table[table["adjacent"] & table["link"].isin([RIGHT, UNLINKED])]
    line = ["animal", "region", "session", "session_to", "dendrite_id"]
    kept = kept.sort_values([*line, "arc_length_um"], kind="stable")
    wrong = (kept["link"] == UNLINKED).to_numpy(bool)
    if not wrong.any():
        return dict.fromkeys(RUNS, float("nan"))
    first = ~kept.duplicated(line).to_numpy(bool)
    rng = np.random.default_rng(0)
    scattered = [_runs(rng.permutation(wrong), first).mean() for _ in range(SCATTERINGS)]
    runs = _runs(wrong, first)
    values = float(runs.mean()), float(runs.max()), float(np.mean(scattered))
    return dict(zip(RUNS, values, strict=True))


def _runs(wrong: BoolArray, first: BoolArray) -> IntArray:
    """Lengths of the runs of wrong links; `first` are those with which a line begins."""
    starts = wrong & (first | ~np.r_[False, wrong[:-1]])
    lengths: IntArray = np.bincount(np.cumsum(starts)[wrong])[1:]
    return lengths


@dataclass(frozen=True)
class _Side:
    """One session: true spine -> row of what was found of it, nothing if missed."""

    found: dict[int, pd.Series | None]
    alarms: set[int]
    """Tracks of false alarms."""

    def track(self, true: int) -> int | None:
        """Number of what was found of a spine; -1 if in no track, None if missed."""
        row = self.found[true]
        return None if row is None else _number(row["track_id"])


def _number(track: object) -> int:
    return -1 if pd.isna(track) else int(str(track))


def _side(truth: pd.DataFrame, detections: pd.DataFrame) -> _Side:
    fair = truth[truth["counts"] & truth["track_id"].notna()]
    here = detections["session"] == truth["session"].iloc[0]
    return _Side(
        {
            int(t): detections.loc[found] if found >= 0 else None
            for t, found in zip(fair["track_id"], fair["found"], strict=True)
        },
        {_number(t) for t in detections.loc[here & detections["alarm"], "track_id"]} - {-1},
    )


def _between(early: _Side, late: _Side, left_out: set[int]) -> pd.DataFrame:
    numbers = {true: late.track(true) for true in late.found}
    whose = {track: true for true, track in numbers.items() if track not in (None, -1)}
    rows = []
    for true, seen in early.found.items():
        track, link, change = early.track(true), ENDS, np.nan
        if true in left_out:
            link = CONTESTED
        elif true in numbers:
            other = late.found[true]
            if seen is None or other is None:
                link = MISSED
            else:
                link = RIGHT if track == numbers[true] != -1 else UNLINKED
                with np.errstate(divide="ignore", invalid="ignore"):
                    change = float(np.log(other["head_volume_um3"] / seen["head_volume_um3"]))
        wrong = False
        if link != CONTESTED and track is not None and track != -1:
            stray = track in late.alarms and track not in whose
            wrong = stray or whose.get(track, true) != true
        at = (-1, np.nan) if seen is None else (seen["dendrite_id"], seen["arc_length_um"])
        rows.append((link, wrong, *at, change))
    return pd.DataFrame(rows, columns=_COLUMNS)


_COLUMNS = ["link", "wrong", "dendrite_id", "arc_length_um", "size_change"]


def _no_links() -> pd.DataFrame:
    where = ["animal", "region", "session", "session_to", "adjacent", "gap_days"]
    return pd.DataFrame(columns=[*_COLUMNS, *where]).astype({"wrong": bool, "adjacent": bool})
