"""What tables of tracks and coverage must not say, and what coverage says about absences."""

from __future__ import annotations

import numpy as np
import pandas as pd

from spinenet.tables.spelling import check_spelling
from spinenet.types import InputError, Presence, Tracks, is_date

FILOPODIUM = "filopodium"
KINDS = ("spine", FILOPODIUM)
BESIDE_UM = 1.0
"""A spine may stand so far beyond the last place at which its shaft was scored."""


def check_tracks(frame: pd.DataFrame) -> None:
    """Raises InputError if the table contradicts itself, or leaves out what nobody can guess."""
    known = {str(p) for p in Presence}
    odd = frame[~frame["presence"].isin(known)]
    if len(odd):
        raise InputError(
            f"tracks.csv: presence {odd['presence'].iloc[0]!r} is not one of "
            f"{', '.join(sorted(known))}. A 1/0 table needs present and absent instead."
        )
    for column in ("animal", "region"):
        blank = frame[frame[column].str.strip() == ""]
        if len(blank):
            raise InputError(
                f"tracks.csv, line {int(blank.index[0]) + 2}: {column} is blank; it must be named "
                "in every row, as animals are what statistics count. Merged cells of a spreadsheet "
                "are the usual cause."
            )
    for column in ("animal", "group"):
        check_spelling(column, frame[column].unique(), "tracks.csv")
    for _, regions in frame.groupby("animal")["region"]:
        check_spelling("region", regions.unique(), "tracks.csv")
    odd = frame[~frame["kind"].isin([*KINDS, ""])]
    if len(odd):
        raise InputError(
            f"tracks.csv: kind {odd['kind'].iloc[0]!r} is not one of {', '.join(KINDS)}. Leave it "
            "blank where it is not known; blank means spine."
        )
    for column in ("day", "arc_length_um"):
        odd = frame[~np.isfinite(frame[column])]
        if len(odd):
            raise InputError(
                f"tracks.csv, line {int(odd.index[0]) + 2}: {column} is blank or not a finite "
                "number. Every row needs it, absent ones too: without it nobody can tell when or "
                "where the spine was looked for."
            )
    odd = frame[frame["day"].map(is_date)]
    if len(odd):
        raise InputError(
            f"tracks.csv, line {int(odd.index[0]) + 2}: day {odd['day'].iloc[0]:.0f} looks like a "
            "date. Give days counted from the first session: 0, 2, 4, ..."
        )
    for column in ("p_present", "p_link"):
        odd = frame[(frame[column] < 0) | (frame[column] > 1)]
        if len(odd):
            raise InputError(
                f"tracks.csv, line {int(odd.index[0]) + 2}: {column} is "
                f"{odd[column].iloc[0]:g}; a probability from 0 to 1 was expected. Percent in its "
                "place are the usual cause."
            )
    _one_each(frame, ["animal"], "group", "animal {0!r} is in several groups")
    _one_each(
        frame,
        ["animal", "region", "track_id"],
        "dendrite_id",
        "track {2} of animal {0!r}, region {1!r} lies on several dendrites",
    )
    _one_each(
        frame,
        ["animal", "region", "session"],
        "day",
        "session {2} of animal {0!r}, region {1!r} has several days",
    )
    _one_each(
        frame,
        ["animal", "region", "track_id"],
        "hidden",
        "track {2} of animal {0!r}, region {1!r} is hidden in some rows only",
    )
    _all_told(frame)


def _all_told(frame: pd.DataFrame) -> None:
    """A row that is missing is no absence, and no reason to leave the session out either."""
    where = ["animal", "region", "dendrite_id"]
    sessions = frame.groupby(where)["session"].nunique()
    own = frame.groupby([*where, "track_id"])["session"].nunique()
    short = own[own < sessions.reindex(own.index.droplevel("track_id")).to_numpy()]
    if short.empty:
        return
    animal, region, dendrite, track = short.index[0]
    on = frame[(frame[where] == [animal, region, dendrite]).all(axis=1)]
    told = on.loc[on["track_id"] == track, "session"]
    missing = sorted(set(on["session"]) - set(told))[0]
    raise InputError(
        f"tracks.csv: track {track} of animal {animal!r}, region {region!r} has no row for session "
        f"{missing}, in which others of its dendrite have one ({len(short)} tracks lack rows). "
        "Every spine needs a row in every session: absent where it was looked for and not there, "
        "out_of_view or not_scorable where nobody could tell. Tables of present spines alone are "
        "the usual cause."
    )


def check_same_animals(tracks: Tracks, known: pd.DataFrame | None, name: str) -> None:
    """Raises InputError if a further table tells of no region that the tracks are of."""
    if known is None:
        return
    where = ["animal", "region"]
    theirs, mine = (
        sorted(set(f[where].itertuples(index=False, name=None))) for f in (known, tracks.frame)
    )
    if theirs and mine and not set(theirs) & set(mine):
        raise InputError(
            f"{name} is of animal {theirs[0][0]!r}, region {theirs[0][1]!r} and none of those in "
            f"tracks.csv ({mine[0][0]!r}, {mine[0][1]!r}). Tables of different runs, or names "
            "typed differently, are the usual causes."
        )


def scored(tracks: Tracks, coverage: pd.DataFrame) -> Tracks:
    """The tracks with sightings and absences called not scorable where `coverage` says that nobody
    could tell: in sessions that are not usable, and beyond what was scored.

    Sightings too: if only absences were dropped, the spines seen there would count as survivors and
    those that were missed would be left out.

    Raises
    ------
    InputError
        If the coverage is of other animals, a stretch ends before it starts, or a spine is present
        where its dendrite could not be scored.
    """
    _check_coverage(tracks, coverage)
    frame = tracks.frame.copy()
    said = frame[frame["presence"].isin([Presence.PRESENT, Presence.ABSENT])]
    told = _within(said, coverage[coverage["usable"]])
    nobody = said.index.difference(told.index[told])
    frame = _links_across(frame, nobody[frame.loc[nobody, "presence"] == Presence.PRESENT])
    frame.loc[nobody, "presence"] = str(Presence.NOT_SCORABLE)
    return Tracks(frame)


def _links_across(frame: pd.DataFrame, dropped: pd.Index) -> pd.DataFrame:
    """The table with the `p_link` of each dropped sighting multiplied into that of its track's next
    sighting: the join of before and after rests on both links."""
    if dropped.empty:
        return frame
    who = ["animal", "region", "track_id"]
    rows = frame[frame["presence"] == Presence.PRESENT].sort_values([*who, "session"])
    lost = rows.index.isin(dropped)
    # runs of dropped sightings and the one kept after them
    run = pd.Series(~lost, rows.index).groupby([rows[c] for c in who]).cumsum() - ~lost
    keys = [*(rows[c] for c in who), run]
    p = rows["p_link"].groupby(keys).transform(lambda of: of.prod(skipna=True, min_count=1))
    before = rows[who].agg(tuple, axis=1).isin(rows.loc[lost, who].agg(tuple, axis=1))
    p = p.mask(before & (run == 0))  # nothing is left that the first one could be linked to
    out = frame.copy()
    out.loc[rows.index[~lost], "p_link"] = p[~lost]
    return out


def _within(rows: pd.DataFrame, stretches: pd.DataFrame) -> pd.Series:
    """By line of those rows of tracks whose dendrite has a stretch in their session: do they stand
    on one, or beside its end?"""
    keys = ["animal", "region", "session", "dendrite_id"]
    lines = rows[[*keys, "arc_length_um"]].reset_index(names="line")
    both = lines.merge(stretches[[*keys, "start_um", "end_um"]], on=keys)
    arc = both["arc_length_um"]
    on = (arc >= both["start_um"] - BESIDE_UM) & (arc <= both["end_um"] + BESIDE_UM)
    return on.groupby(both["line"]).any()


def _check_coverage(tracks: Tracks, coverage: pd.DataFrame) -> None:
    known = set(zip(coverage["animal"], coverage["region"], strict=True))
    strangers = sorted(
        set(zip(tracks.frame["animal"], tracks.frame["region"], strict=True)) - known
    )
    if strangers:
        animal, region = strangers[0]
        raise InputError(
            f"coverage.csv has no row of animal {animal!r}, region {region!r}, which tracks.csv "
            "has. Tables of different runs, or names typed differently, are the usual causes."
        )
    blank = ~np.isfinite(coverage[["start_um", "end_um"]]).all(axis=1)
    if blank.any():
        raise InputError(
            f"coverage.csv, line {int(blank.index[blank][0]) + 2}: start_um or end_um is blank or "
            "not a finite number. Say where the stretch starts and ends, or leave the line out."
        )
    odd = coverage[coverage["start_um"] > coverage["end_um"]]
    if len(odd):
        raise InputError(
            f"coverage.csv, line {int(odd.index[0]) + 2}: the stretch starts at "
            f"{odd['start_um'].iloc[0]:g} um and ends at {odd['end_um'].iloc[0]:g}, before it. "
            "Exchange the two."
        )
    seen = tracks.frame[tracks.frame["presence"] == Presence.PRESENT]
    outside = ~_within(seen, coverage).reindex(seen.index, fill_value=False)
    if outside.any():
        line = int(outside.index[outside][0])
        row = seen.loc[line]
        raise InputError(
            f"tracks.csv, line {line + 2}: the spine at {row['arc_length_um']:.1f} um is present "
            f"outside what could be scored of dendrite {row['dendrite_id']} in session "
            f"{row['session']} (coverage.csv). Tables of different runs are the usual cause."
        )


def _one_each(frame: pd.DataFrame, keys: list[str], column: str, message: str) -> None:
    several = frame.groupby(keys)[column].nunique()
    several = several[several > 1]
    if len(several):
        which = several.index[0]
        which = which if isinstance(which, tuple) else (which,)
        raise InputError(
            f"tracks.csv: {message.format(*which)}; one was expected. A mistyped identifier is "
            "the usual cause."
        )
