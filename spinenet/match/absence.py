"""Was a spine not there, where looking found nothing? Its other sessions have a say in it."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pandas as pd

from spinenet.chain import Rates, presence
from spinenet.types import BoolArray, Presence

EVEN = 0.5
MISSED, FOUND = 0.1, 1.9
"""Of two looks between its sightings, before any was seen: a spine is missed in one of twenty."""


def with_presence(tracks: pd.DataFrame) -> pd.DataFrame:
    """`p_present` of single sessions turned into that of all sessions of a track together.

    Each single one took there and not there for equally likely beforehand.
    """
    looked = tracks["p_present"].notna() & (tracks["presence"] != Presence.OUT_OF_VIEW)
    if not looked.any():
        return tracks
    # sessions in which nobody could look say nothing, not even that time went by
    wide = tracks[looked].pivot(index="track_id", columns="session", values="p_present")
    alone = np.clip(wide.to_numpy(float), 1e-3, 1 - 1e-3)
    together = presence(alone / (1 - alone), Rates(), EVEN)
    table = pd.DataFrame(together, wide.index, wide.columns).stack()
    keys = pd.MultiIndex.from_frame(tracks.loc[looked, ["track_id", "session"]])
    out = tracks.copy()
    out.loc[looked, "p_present"] = table.reindex(keys).to_numpy(float)
    return out


def without_doubtful_absences(
    tracks: pd.DataFrame, told: Collection[tuple[int, int]] = ()
) -> pd.DataFrame:
    """Without the absences of which nobody can tell; `p_present` stays, for a person to look at it.

    Where the sessions together say that a spine was likelier there than not, one look that found
    none is no absence. Nor are those before the first sighting or after the last of a spine that
    was missed between two, unless it was missed so often on end that it is likelier to have come or
    gone, or a person said that it was not there nearer by.

    Parameters
    ----------
    told: tracks and sessions (by position) of which a person said whether it was there
    """
    doubtful = (tracks["presence"] == Presence.ABSENT) & (tracks["p_present"] >= EVEN)
    for k, track in tracks.groupby("track_id"):
        lent = track["between"].to_numpy(bool)  # missed, but for what other sessions show
        seen = (track["presence"] == Presence.PRESENT).to_numpy(bool) & ~lent
        gone = (track["presence"] == Presence.ABSENT).to_numpy(bool)
        said = np.array([(k, t) in told for t in range(len(track))])
        ends = _missed_at_the_ends(seen, gone & ~said | lent, gone & said)
        doubtful[track.index[ends]] = True
    return tracks.assign(presence=tracks["presence"].mask(doubtful, str(Presence.NOT_SCORABLE)))


def _missed_at_the_ends(seen: BoolArray, missed: BoolArray, gone: BoolArray) -> BoolArray:
    """(T,) misses before the first sighting of a track and after the last that may be no more than
    misses, as it was missed between two sightings; not before or after a person saw it `gone`.

    Its misses are drawn towards what is usual, by a beta distribution.
    """
    at = np.flatnonzero(seen)
    out = np.zeros(len(seen), bool)
    if len(at) < 2 or not missed[at[0] : at[-1]].any():
        return out
    between = slice(at[0] + 1, at[-1])
    n_missed, n_found = missed[between].sum(), seen[between].sum()
    rate = (MISSED + n_missed) / (MISSED + FOUND + n_missed + n_found)
    rates = Rates()
    told = np.flatnonzero(gone)
    first = max(told[told < at[0]], default=-1) + 1
    last = min(told[told > at[-1]], default=len(seen))
    for end, chance in (
        (slice(first, at[0]), rates.formation),
        (slice(at[-1] + 1, last), rates.elimination),
    ):
        out[end] = missed[end] & (rate ** missed[end].sum() >= chance)
    return out
