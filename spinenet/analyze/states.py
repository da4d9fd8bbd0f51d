"""Tracks to states: one matrix of sightings per dendrite, gaps filled, births found."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from spinenet.analyze.checks import FILOPODIUM, check_tracks
from spinenet.analyze.days import slack_days
from spinenet.types import BoolArray, FloatArray, InputError, IntArray, Presence, Tracks

SEEN, GONE, UNKNOWN = 1, 0, -1
NEVER = -1
CODES = {Presence.PRESENT: SEEN, Presence.ABSENT: GONE}


@dataclass(frozen=True)
class Histories:
    """The S spines of one dendrite over its T sessions, sorted by arc length."""

    animal: str
    group: str
    region: str
    dendrite_id: int
    sessions: IntArray
    days: FloatArray
    track_ids: IntArray
    arc_um: FloatArray
    filopodium: BoolArray
    told: npt.NDArray[np.int8]
    """(S, T) SEEN, GONE or UNKNOWN (out of view, not scorable), as in tracks.csv."""
    seen: npt.NDArray[np.int8]
    """(S, T) the same, gaps filled."""
    birth: IntArray
    """(S,) position of the session of a new spine's first sighting; NEVER for all others."""
    p_present: FloatArray
    """(S, T) probability that the spine was there; nan where tracks.csv does not say."""
    p_link: FloatArray
    """(S, T) probability of the link to its last sighting; nan where there is none."""
    between: BoolArray
    """(S, T) sightings that were made only because the spine was seen before and after."""
    whole_study: bool
    """It was scored in the first and in the last session of its region, which are not the same."""

    @property
    def told_alone(self) -> npt.NDArray[np.int8]:
        """(S, T) `told` by each session alone: GONE at the sightings that others lent."""
        alone: npt.NDArray[np.int8] = np.where(self.between, GONE, self.told).astype(np.int8)
        return alone

    @property
    def first_told(self) -> IntArray:
        """(S,) position of the first session that tells anything of a spine: one that was there by
        then could not be called new, whenever it formed."""
        first: IntArray = (self.seen != UNKNOWN).argmax(axis=1)
        return first

    @property
    def last_told(self) -> IntArray:
        """(S,) position of the last session that tells anything of a spine."""
        back: IntArray = (self.seen[:, ::-1] != UNKNOWN).argmax(axis=1)
        return self.seen.shape[1] - 1 - back

    @property
    def in_view(self) -> IntArray:
        """(S,) one number for the first and last session in which a place could be scored. Lives
        are dealt out only among places with the same number: where nobody looked any more no
        spine could be found new."""
        out: IntArray = self.first_told * self.seen.shape[1] + self.last_told
        return out

    @property
    def first_life(self) -> BoolArray:
        """(S, T) seen; of a new spine only until it is lost: back again it is neither new nor
        stable."""
        back = returned(self.seen) & (self.birth != NEVER)[:, None]
        alive: BoolArray = (self.seen == SEEN) & ~back
        return alive

    def unseen_alive(self, lasting: BoolArray) -> BoolArray:
        """(S, T) sessions that could not be scored in which a spine is taken to be alive: it was
        seen in the last scorable session before and, unless it is `lasting` (S,), in the first
        one after."""
        before, after = _last_told(self.seen), _last_told(self.seen[:, ::-1])[:, ::-1]
        alive: BoolArray = (self.seen == UNKNOWN) & (before == SEEN)
        alive &= (after == SEEN) | lasting[:, None]
        return alive & ~(returned(self.seen) & (self.birth != NEVER)[:, None])

    def window(self, days: tuple[float, float] | None) -> list[int]:
        """Positions of the sessions in which a spine can be new: all but the first, or in days."""
        after = list(range(1, len(self.days)))
        if days is None:
            return after
        first, last = days[0] - slack_days(days[0]), days[1] + slack_days(days[1])
        return [t for t in after if first <= self.days[t] <= last]

    def is_new(self, days: tuple[float, float] | None) -> BoolArray:
        """(S,) spines born in the window."""
        in_window = np.zeros(len(self.days) + 1, bool)  # one more, which NEVER points at
        in_window[self.window(days)] = True
        new: BoolArray = in_window[self.birth]
        return new

    def until(self, t: int) -> Histories:
        """What was known by session t: nothing that came later."""
        return replace(
            self,
            sessions=self.sessions[: t + 1],
            days=self.days[: t + 1],
            told=self.told[:, : t + 1],
            seen=self.seen[:, : t + 1],
            birth=np.where(self.birth <= t, self.birth, NEVER),
            p_present=self.p_present[:, : t + 1],
            p_link=self.p_link[:, : t + 1],
            between=self.between[:, : t + 1],
        )

    def backward(self) -> Histories:
        """The same with time run backward: what was lost for good is new."""
        seen = self.seen[:, ::-1]
        return replace(
            self,
            sessions=self.sessions[::-1],
            days=self.days[-1] - self.days[::-1],
            told=self.told[:, ::-1],
            seen=seen,
            birth=births(seen),
            p_present=self.p_present[:, ::-1],
            p_link=np.full(seen.shape, np.nan),
            between=self.between[:, ::-1],
        )

    def only(self, keep: BoolArray) -> Histories:
        """Some of the spines (S,), as if there were no others."""
        return replace(
            self,
            track_ids=self.track_ids[keep],
            arc_um=self.arc_um[keep],
            filopodium=self.filopodium[keep],
            told=self.told[keep],
            seen=self.seen[keep],
            birth=self.birth[keep],
            p_present=self.p_present[keep],
            p_link=self.p_link[keep],
            between=self.between[keep],
        )

    def over(self, sessions: IntArray, days: FloatArray) -> Histories:
        """The same spines over other sessions, of which nothing is told."""
        shape = len(self.arc_um), len(sessions)
        unknown = np.full(shape, UNKNOWN, np.int8)
        return replace(
            self,
            sessions=sessions,
            days=days,
            told=unknown,
            seen=unknown,
            p_present=np.full(shape, np.nan),
            p_link=np.full(shape, np.nan),
            between=np.zeros(shape, bool),
        )

    def retold(self, told: npt.NDArray[np.int8], max_gap: int) -> Histories:
        """The same spines with other sightings."""
        seen = fill_gaps(told, max_gap)
        return replace(self, told=told, seen=seen, birth=births(seen))


def histories(tracks: Tracks, max_gap: int) -> list[Histories]:
    """One `Histories` per dendrite, in the order of animals, regions and dendrites.

    A spine is new at its first sighting if some earlier session showed that it was absent. Of up
    to `max_gap` absences between two sightings the spine is taken to have been missed. A session
    in which nothing of a dendrite could be scored is no session of that dendrite. Hidden spines are
    left out: as they are seen in some sessions only, they would come and go.

    Raises
    ------
    InputError
        If the table contradicts itself.
    """
    frame = tracks.frame
    check_tracks(frame)
    frame = frame[~frame["hidden"]]
    out = []
    for (animal, region), part in frame.groupby(["animal", "region"], sort=True):
        days = part.drop_duplicates("session").set_index("session")["day"].sort_index()
        if (np.diff(days.to_numpy()) <= 0).any():
            raise InputError(
                f"tracks.csv: the days of animal {animal!r}, region {region!r} do not increase "
                "with the session. Correct the columns session and day."
            )
        tells = part["presence"].isin([str(p) for p in CODES])
        ends = set(part.loc[tells, "session"].agg(["min", "max"]))
        for dendrite, mine in part.groupby("dendrite_id", sort=True):
            if tells[mine.index].any():
                where = str(animal), str(region), int(dendrite)
                out.append(_history(where, mine, days, ends, max_gap))
    return out


def _history(
    where: tuple[str, str, int],
    rows: pd.DataFrame,
    days: pd.Series,
    ends: set[int],
    max_gap: int,
) -> Histories:
    """Of one dendrite, named by animal, region and number; `ends` are the first and the last
    session in which anything of its region could be scored."""
    animal, region, dendrite = where
    track_ids, row = np.unique(rows["track_id"].to_numpy(np.int64), return_inverse=True)
    column = np.searchsorted(days.index, rows["session"])
    n = len(track_ids)

    def table(values: npt.ArrayLike, blank: float) -> FloatArray:
        wide = np.full((n, len(days)), blank)
        wide[row, column] = values
        return wide

    codes = table([CODES.get(Presence(p), UNKNOWN) for p in rows["presence"]], UNKNOWN)
    arc = np.bincount(row, rows["arc_length_um"], n) / np.bincount(row, minlength=n)
    order = np.lexsort((track_ids, arc))
    # as it was seen; blank is a spine, and where it was not seen nobody could tell
    present = (rows["presence"] == Presence.PRESENT).to_numpy(bool)
    filopodium = np.bincount(row[present & (rows["kind"] == FILOPODIUM)], minlength=n)
    spine = np.bincount(row[present], minlength=n) - filopodium
    told = codes.astype(np.int8)[order]
    scored = (told != UNKNOWN).any(axis=0)
    told = told[:, scored]
    seen = fill_gaps(told, max_gap)
    sessions = days.index.to_numpy(np.int64)[scored]
    return Histories(
        animal,
        str(rows["group"].iloc[0]),
        region,
        dendrite,
        sessions,
        days.to_numpy(float)[scored],
        track_ids[order],
        arc[order],
        (filopodium > spine)[order],
        told,
        seen,
        births(seen),
        table(rows["p_present"], np.nan)[order][:, scored],
        table(rows["p_link"], np.nan)[order][:, scored],
        table(rows["between"], 0.0)[order][:, scored] > 0,
        len(sessions) > 1 and ends == {sessions[0], sessions[-1]},
    )


def fill_gaps(seen: npt.NDArray[np.int8], max_gap: int) -> npt.NDArray[np.int8]:
    """Absences between two sightings become sightings if they are at most `max_gap` long.

    What is unknown stays unknown: filled between survivors alone, it would hide losses.
    """
    out = seen.copy()
    if not max_gap:
        return out
    here = seen == SEEN
    # only rows with an absence between two sightings
    later = np.cumsum(here[:, ::-1], axis=1)[:, ::-1] > 0
    earlier = np.cumsum(here, axis=1) > 0
    for i in np.flatnonzero(((seen == GONE) & later & earlier).any(axis=1)):
        row = out[i]
        at = np.flatnonzero(here[i])
        for a, b in zip(at[:-1], at[1:], strict=True):
            between = row[a + 1 : b]
            if (between == GONE).sum() <= max_gap:
                between[between == GONE] = SEEN
    return out


def births(seen: npt.NDArray[np.int8]) -> IntArray:
    """(S,) first sighting of the spines that were absent before; NEVER for the others."""
    here = seen == SEEN
    first = here.argmax(axis=1)
    before = np.cumsum(seen == GONE, axis=1)[np.arange(len(seen)), first] > 0
    born: IntArray = np.where(here.any(axis=1) & before, first, NEVER)
    return born


def returned(seen: npt.NDArray[np.int8]) -> BoolArray:
    """(S, T) which spines were seen, then gone, then back by then: recurrent."""
    was = np.cumsum(seen == SEEN, axis=1) > 0
    lost = np.cumsum((seen == GONE) & was, axis=1) > 0
    back: BoolArray = np.cumsum((seen == SEEN) & lost, axis=1) > 0
    return back


def _last_told(seen: npt.NDArray[np.int8]) -> npt.NDArray[np.int8]:
    """(S, T) what the last session up to each that tells says; UNKNOWN before the first."""
    at = np.where(seen != UNKNOWN, np.arange(seen.shape[1]), 0)
    return np.take_along_axis(seen, np.maximum.accumulate(at, axis=1), axis=1)


def told_between(h: Histories) -> npt.NDArray[np.int8]:
    """(S, T) what was told of a spine that was seen the session before and after; else UNKNOWN."""
    told = h.told_alone
    flank = np.zeros(told.shape, bool)
    flank[:, 1:-1] = (told[:, :-2] == SEEN) & (told[:, 2:] == SEEN)
    return np.where(flank, told, UNKNOWN).astype(np.int8)


def miss_counts(h: Histories) -> tuple[int, int]:
    """Sightings missed between two others, n(101), and those made there, n(111)."""
    told = told_between(h)
    return int((told == GONE).sum()), int((told == SEEN).sum())
