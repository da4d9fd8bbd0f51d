"""Tracks to states: one matrix of sightings per dendrite, gaps filled, births found."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from spinenet.types import FloatArray, InputError, IntArray, Presence, Tracks

SEEN, GONE, UNKNOWN = 1, 0, -1
NEVER = -1


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
    filopodium: npt.NDArray[np.bool_]
    seen: npt.NDArray[np.int8]
    """(S, T) SEEN, GONE or UNKNOWN (out of view, not scorable); gaps filled."""
    birth: IntArray
    """(S,) position of the session of a new spine's first sighting; NEVER for all others."""

    def window(self, days: tuple[float, float] | None) -> list[int]:
        """Positions of the sessions in which a spine can be new: all but the first, or in days."""
        after = range(1, len(self.days))
        return [t for t in after if days is None or days[0] <= self.days[t] <= days[1]]

    def is_new(self, days: tuple[float, float] | None) -> npt.NDArray[np.bool_]:
        """(S,) spines born in the window."""
        return np.isin(self.birth, self.window(days))


def histories(tracks: Tracks, max_gap: int) -> list[Histories]:
    """One `Histories` per dendrite, in the order of animals, regions and dendrites.

    A spine is new at its first sighting if some earlier session showed that it was absent. Of up
    to `max_gap` absences between two sightings the spine is taken to have been missed.
    """
    frame = tracks.frame
    known = {str(p) for p in Presence}
    odd = frame[~frame["presence"].isin(known)]
    if len(odd):
        raise InputError(
            f"tracks.csv: presence {odd['presence'].iloc[0]!r} is not one of "
            f"{', '.join(sorted(known))}. A 1/0 table needs present and absent instead."
        )
    groups = frame.groupby("animal")["group"].nunique()
    if (groups > 1).any():
        raise InputError(
            f"tracks.csv: animal {groups.idxmax()!r} is in several groups; one was expected."
        )
    out = []
    for (animal, region), part in frame.groupby(["animal", "region"], sort=True):
        days = part.drop_duplicates("session").set_index("session")["day"].sort_index()
        if (np.diff(days.to_numpy()) <= 0).any():
            raise InputError(
                f"tracks.csv: the days of animal {animal!r}, region {region!r} do not increase "
                "with the session. Correct the columns session and day."
            )
        for dendrite, mine in part.groupby("dendrite_id", sort=True):
            out.append(_history(str(animal), str(region), int(dendrite), mine, days, max_gap))
    return out


def _history(
    animal: str, region: str, dendrite: int, rows: pd.DataFrame, days: pd.Series, max_gap: int
) -> Histories:
    code = {Presence.PRESENT: SEEN, Presence.ABSENT: GONE}
    values = rows.assign(code=[code.get(Presence(p), UNKNOWN) for p in rows["presence"]])
    matrix = values.pivot(index="track_id", columns="session", values="code")
    matrix = matrix.reindex(columns=days.index).fillna(UNKNOWN)
    arc = rows.groupby("track_id")["arc_length_um"].mean().reindex(matrix.index)
    order = np.lexsort((matrix.index.to_numpy(), arc.to_numpy()))
    kinds = rows.groupby("track_id")["kind"].agg(lambda k: k.iloc[0]).reindex(matrix.index)
    seen = fill_gaps(matrix.to_numpy(np.int8)[order], max_gap)
    return Histories(
        animal,
        str(rows["group"].iloc[0]),
        region,
        dendrite,
        days.index.to_numpy(np.int64),
        days.to_numpy(float),
        matrix.index.to_numpy(np.int64)[order],
        arc.to_numpy(float)[order],
        (kinds == "filopodium").to_numpy()[order],
        seen,
        births(seen),
    )


def fill_gaps(seen: npt.NDArray[np.int8], max_gap: int) -> npt.NDArray[np.int8]:
    """Absences between two sightings become sightings if they are at most `max_gap` long.

    What is unknown stays unknown: filled between survivors alone, it would hide losses.
    """
    out = seen.copy()
    for row in out:
        at = np.flatnonzero(row == SEEN)
        for a, b in zip(at[:-1], at[1:], strict=True):
            between = row[a + 1 : b]
            if (between == GONE).sum() <= max_gap:
                between[between == GONE] = SEEN
    return out


def births(seen: npt.NDArray[np.int8]) -> IntArray:
    """(S,) first sighting of the spines that were absent before; NEVER for the others."""
    out = np.full(len(seen), NEVER)
    for i, row in enumerate(seen):
        at = np.flatnonzero(row == SEEN)
        if len(at) and (row[: at[0]] == GONE).any():
            out[i] = at[0]
    return out


def miss_rate(tracks: Tracks) -> tuple[float, int]:
    """Share of sightings missed between two others, n(101) / (n(101) + n(111)), and its n."""
    gaps = full = 0
    for h in histories(tracks, 0):
        for t in range(1, h.seen.shape[1] - 1):
            flank = (h.seen[:, t - 1] == SEEN) & (h.seen[:, t + 1] == SEEN)
            gaps += int((flank & (h.seen[:, t] == GONE)).sum())
            full += int((flank & (h.seen[:, t] == SEEN)).sum())
    n = gaps + full
    return (gaps / n if n else float("nan")), n
