"""Links: how often one track is one true spine, between every two sessions.

Right: both ends found, one track. Wrong: one track for two different spines, or for a spine and a
false alarm. Unlinked: both ends found, not one track (a false new and a false lost one).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import pandas as pd

from spinenet.evaluate.judge import Judged
from spinenet.evaluate.spines import ratios


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

    def __add__(self, other: LinkCounts) -> LinkCounts:
        return LinkCounts(
            self.right + other.right,
            self.wrong + other.wrong,
            self.unlinked + other.unlinked,
            self.missed + other.missed,
            self.contested + other.contested,
        )

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


def count_links(
    judged: Judged, contested: pd.DataFrame | None = None
) -> tuple[LinkCounts, LinkCounts]:
    """Links between adjacent annotated sessions, and between all pairs.

    Parameters
    ----------
    contested: columns session, session_to, track_id: links of the truth that count neither way
    """
    skip: set[tuple[int, int, int]] = set()
    if contested is not None:
        columns = contested[["session", "session_to", "track_id"]].astype(int)
        skip = set(columns.itertuples(index=False, name=None))
    adjacent, every = LinkCounts(), LinkCounts()
    for (animal, region), field in judged.truth.groupby(["animal", "region"]):
        seen = judged.detections
        seen = seen[(seen["animal"] == animal) & (seen["region"] == region)]
        sides = {int(s): _side(rows, seen) for s, rows in field.groupby("session")}
        for a, b in combinations(sorted(sides), 2):
            left_out = {t for x, y, t in skip if (x, y) == (a, b)}
            between = _between(sides[a], sides[b], left_out)
            every += between
            if sorted(sides).index(b) - sorted(sides).index(a) == 1:
                adjacent += between
    return adjacent, every


@dataclass(frozen=True)
class _Side:
    """One session: true spine -> track of its detection (None missed, -1 in no track)."""

    track_of: dict[int, int | None]
    alarms: set[int]
    """Tracks of false alarms."""


def _side(truth: pd.DataFrame, detections: pd.DataFrame) -> _Side:
    fair = truth[truth["counts"] & truth["track_id"].notna()]
    tracks = detections["track_id"].fillna(-1).astype(int)
    here = detections["session"] == truth["session"].iloc[0]
    return _Side(
        {
            int(t): int(tracks[found]) if found >= 0 else None
            for t, found in zip(fair["track_id"], fair["found"], strict=True)
        },
        set(tracks[here & detections["alarm"]]) - {-1},
    )


def _between(early: _Side, late: _Side, left_out: set[int]) -> LinkCounts:
    whose = {track: true for true, track in late.track_of.items() if track not in (None, -1)}
    right = wrong = unlinked = missed = contested = 0
    for true, track in early.track_of.items():
        if true in left_out:
            contested += 1
            continue
        if true in late.track_of:
            other = late.track_of[true]
            if track is None or other is None:
                missed += 1
            elif track == other != -1:
                right += 1
            else:
                unlinked += 1
        if track not in (None, -1):
            stray = track in late.alarms and track not in whose
            wrong += stray or whose.get(track, true) != true
    return LinkCounts(right, wrong, unlinked, missed, contested)
