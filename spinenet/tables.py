"""The tables of a results folder: every column, its type and its meaning, once.

Readers, writers, the report's glossary and the tests all take the columns from here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from spinenet.types import InputError

Kind = Literal["int", "int?", "float", "str", "bool"]
_DTYPES = {"int": "int64", "int?": "Int64", "float": "float64", "str": "object", "bool": "bool"}
_BLANK = {"int": 0, "int?": pd.NA, "float": float("nan"), "str": "", "bool": False}


@dataclass(frozen=True)
class Column:
    """One column: its type (`int?` may be blank) and what it means, unit included."""

    name: str
    kind: Kind
    meaning: str
    required: bool = True


@dataclass(frozen=True)
class Table:
    """One file of the results folder and its columns in order."""

    file: str
    row: str
    columns: tuple[Column, ...]

    @property
    def names(self) -> list[str]:
        return [c.name for c in self.columns]

    def frame(self, rows: Sequence[dict[str, object]] = ()) -> pd.DataFrame:
        """A frame of this table's columns and types, from rows that leave out what is blank."""
        blank = {c.name: _BLANK[c.kind] for c in self.columns}
        filled = [blank | row for row in rows]
        return self.conform(pd.DataFrame(filled, columns=None if filled else self.names))

    def conform(self, frame: pd.DataFrame, source: str = "") -> pd.DataFrame:
        """This table's columns in order and of their types; further columns follow unchanged.

        Raises
        ------
        InputError
            If a required column is missing or holds something that is not of its type.
        """
        where = source or self.file
        missing = [c.name for c in self.columns if c.required and c.name not in frame]
        if missing:
            raise InputError(
                f"{where} lacks the column{'s' * (len(missing) > 1)} {', '.join(missing)}; it has "
                f"{', '.join(map(str, frame.columns)) or 'none'}. Column names are matched "
                "exactly: rename the column, or save the table as comma-separated text."
            )
        out = {c.name: _cast(frame, c, where) for c in self.columns}
        rest = frame[[n for n in frame.columns if n not in out]].reset_index(drop=True)
        return pd.DataFrame({**out, **rest})


def _cast(frame: pd.DataFrame, column: Column, where: str) -> pd.Series:
    if column.name not in frame:
        return pd.Series([_BLANK[column.kind]] * len(frame), dtype=_DTYPES[column.kind])
    values = frame[column.name].reset_index(drop=True)
    if column.kind == "str":
        return values.astype(object).where(values.notna(), "").map(_text).astype(object)
    if column.kind == "bool":
        words = values.map(lambda v: str(v).strip().lower())
        known = {"1": True, "1.0": True, "true": True, "yes": True}
        known |= {"0": False, "0.0": False, "false": False, "no": False}
        _refuse(words[~words.isin(list(known))], column, where, "yes or no (1 or 0)")
        return words.map(known).astype(bool)
    numbers = pd.to_numeric(values, errors="coerce")
    blank_ok = column.kind != "int"
    filled = values.notna() & values.map(lambda v: bool(str(v).strip())).astype(bool)
    bad = numbers.isna() & (filled | (not blank_ok))
    _refuse(values[bad], column, where, "a number")
    if column.kind.startswith("int"):
        whole = numbers.isna() | (numbers % 1 == 0)
        _refuse(values[~whole], column, where, "a whole number")
    return numbers.astype(_DTYPES[column.kind])


def _text(value: object) -> str:
    """`3.0` read from a column of numbers with blanks is the identifier `3`."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _refuse(bad: pd.Series, column: Column, where: str, expected: str) -> None:
    if len(bad):
        raise InputError(
            f"{where}: column {column.name}, line {int(bad.index[0]) + 2}: {bad.iloc[0]!r} is not "
            f"{expected} ({column.meaning}). Correct the cell; a decimal comma or a unit typed "
            "into the cell are the usual causes."
        )


def _c(name: str, kind: Kind, meaning: str, *, required: bool = True) -> Column:
    return Column(name, kind, meaning, required)


_WHO = (
    _c("animal", "str", "animal"),
    _c("group", "str", "experimental group, may be blank", required=False),
    _c("region", "str", "field of view"),
)
_WHEN = (
    _c("session", "int", "imaging session within the region"),
    _c("day", "float", "day of the session"),
)


def _point(prefix: str, what: str, *, required: bool = True) -> tuple[Column, ...]:
    return tuple(
        _c(f"{prefix}{a}_um", "float", f"{a} of the {what}, um", required=required) for a in "zyx"
    )


SESSIONS = Table(
    "sessions.csv",
    "stack",
    (
        *_WHO,
        *_WHEN,
        _c("path", "str", "the stack, relative to this file"),
        _c("voxel_z_um", "float", "voxel size, um; wins over the file's", required=False),
        _c("voxel_y_um", "float", "voxel size, um; wins over the file's", required=False),
        _c("voxel_x_um", "float", "voxel size, um; wins over the file's", required=False),
        _c("channel", "str", "number (from 0) or name of the channel", required=False),
        _c("usable", "str", "0 leaves the stack out of the analysis", required=False),
    ),
)
SPINES = Table(
    "spines.csv",
    "spine seen in a session",
    (
        *_WHO,
        *_WHEN,
        _c("spine_id", "int", "spine within the session"),
        _c("track_id", "int?", "the same number in all sessions for the same spine"),
        _c("dendrite_id", "int", "dendrite, the same in all sessions"),
        *_point("", "head centre"),
        *_point("base_", "place where the spine leaves the shaft's axis"),
        _c("arc_length_um", "float", "place along the dendrite, in the frame of all sessions, um"),
        _c("azimuth_deg", "float", "direction around the shaft; 0 right, 90 towards the objective"),
        _c("length_um", "float", "shaft surface to the tip, um"),
        _c("neck_length_um", "float", "shaft surface to the head, um"),
        _c("head_width_um", "float", "diameter of a ball of the head's volume, um"),
        _c("head_volume_um3", "float", "volume of the head from its brightness, um3"),
        _c("strength", "float", "integrated brightness of the spine over 1 um of adjacent shaft"),
        _c("kind", "str", "spine or filopodium"),
        _c("probability", "float", "that this is a spine"),
        _c("touches_edge", "bool", "within 1 um of the border of the stack"),
        _c("source", "str", "detected, lookback or person"),
        _c("label", "int", "value in the label TIFF; 0 if it has no mask"),
    ),
)
DENDRITES = Table(
    "dendrites.csv",
    "centreline node in a session",
    (
        *_WHO,
        *_WHEN,
        _c("dendrite_id", "int", "dendrite, the same in all sessions"),
        _c("node", "int", "node along the dendrite"),
        _c("parent_node", "int", "node before it, -1 at the start"),
        *_point("", "node"),
        _c("radius_um", "float", "radius of the shaft, um"),
        _c("arc_length_um", "float", "place along the dendrite, in the frame of all sessions, um"),
    ),
)
TRACES = Table(
    "traces",
    "centreline node that a person traced",
    (
        _c("animal", "str", "animal; blank for any", required=False),
        _c("region", "str", "field of view; blank for any", required=False),
        _c("session", "int?", "session whose stack was traced; blank: the first", required=False),
        _c("dendrite_id", "int", "dendrite, a whole number"),
        _c("node", "int?", "node along the dendrite; blank: as in the file", required=False),
        *_point("", "node"),
        _c("radius_um", "float", "radius of the shaft, um", required=False),
    ),
)
POINTS = Table(
    "spines.csv",
    "spine that a person marked",
    (
        _c("animal", "str", "animal; blank for any", required=False),
        _c("region", "str", "field of view; blank for any", required=False),
        _c("session", "int", "imaging session within the region"),
        _c("spine_id", "int?", "spine within the session", required=False),
        _c("track_id", "int?", "the same number in all sessions for one spine", required=False),
        _c("dendrite_id", "int?", "dendrite; blank where a label TIFF tells all", required=False),
        _c("point", "str", "what the place is: tip or head", required=False),
        *_point("", "marked point"),
        *_point("base_", "place where the spine leaves the shaft", required=False),
        _c("label", "int?", "value in the label TIFF", required=False),
        _c("scorable", "str", "0: nobody could tell", required=False),
        _c("bad", "str", "1: the person was not sure", required=False),
    ),
)
CONTESTED = Table(
    "contested.csv",
    "link that looks wrong in an annotation",
    (
        _c("session", "int", "earlier session"),
        _c("session_to", "int", "later session"),
        _c("track_id", "int", "the annotation's track"),
    ),
)
COVERAGE = Table(
    "coverage.csv",
    "scorable stretch of a dendrite in a session",
    (
        *_WHO,
        *_WHEN,
        _c("dendrite_id", "int", "dendrite"),
        _c("start_um", "float", "arc length at which the stretch starts, um"),
        _c("end_um", "float", "arc length at which it ends, um"),
        _c("snr", "float", "brightness of the shaft above background over its noise"),
        _c("usable", "bool", "good enough to call a spine absent"),
        _c("slip_ambiguous", "bool", "the sessions fit as well shifted by one spine spacing"),
        _c("warp_rms_um", "float", "scatter left between sessions along the dendrite, um"),
    ),
)
LINKS = Table(
    "links.csv",
    "candidate link between two sessions",
    (
        *_WHO,
        _c("session_from", "int", "earlier session"),
        _c("session_to", "int", "later session"),
        _c("spine_from", "int", "spine_id in the earlier session"),
        _c("spine_to", "int", "spine_id in the later session"),
        _c("p", "float", "probability that both are the same spine"),
        _c("chosen", "bool", "the link was made"),
        _c("slip_group", "int?", "links that would be wrong together if the alignment slipped"),
    ),
)
TRACKS = Table(
    "tracks.csv",
    "(track, session), absent ones too",
    (
        *_WHO,
        _c("dendrite_id", "int", "dendrite"),
        _c("track_id", "int", "spine over all sessions"),
        *_WHEN,
        _c("arc_length_um", "float", "place along the dendrite, um"),
        _c("kind", "str", "spine or filopodium", required=False),
        _c("presence", "str", "present, absent, out_of_view or not_scorable"),
        _c("spine_id", "int?", "spine_id in that session, blank if not present", required=False),
        _c("p_present", "float", "probability that it was there", required=False),
        _c("p_link", "float", "probability of the link to its last presence", required=False),
    ),
)
INTERVALS = Table(
    "intervals.csv",
    "interval, per dendrite, animal and group",
    (
        _c("level", "str", "dendrite, animal or group"),
        *_WHO,
        _c("dendrite_id", "int?", "dendrite, at that level"),
        _c("session_from", "int", "first session of the interval"),
        _c("session_to", "int", "second session"),
        _c("day_from", "float", "its day"),
        _c("day_to", "float", "its day"),
        _c("n_before", "int", "spines at risk seen in the first session"),
        _c("n_after", "int", "spines at risk seen in the second session"),
        _c("n_new", "int", "absent in the first, present in the second, not returned"),
        _c("n_lost", "int", "present in the first, absent in the second"),
        _c("n_stable", "int", "present in both"),
        _c("formation", "float", "n_new / n_before"),
        _c("elimination", "float", "n_lost / n_before"),
        _c("turnover_ratio", "float", "(n_new + n_lost) / (n_before + n_after)"),
        _c("density_per_um", "float", "spines seen per um in the second session"),
        _c("scorable_um", "float", "length scorable in both sessions, um"),
    ),
)
CLUSTERS = Table(
    "clusters.csv",
    "cluster",
    (
        *_WHO,
        _c("rule", "str", "contiguous: no existing spine between; within_d: within d_um"),
        _c("dendrite_id", "int", "dendrite"),
        _c("cluster_id", "int", "cluster within the region"),
        _c("track_ids", "str", "members, ; between"),
        _c("size", "int", "members, unresolved neighbours counted once"),
        _c("span_um", "float", "first to last member, um"),
        _c("n_existing_between", "int", "existing spines between first and last member"),
        _c("birth_sessions", "str", "session of each member's first appearance, ; between"),
        _c("resolution_limited", "bool", "holds members too close to tell apart"),
    ),
)
SURVIVAL = Table(
    "survival.csv",
    "curve x time",
    (
        _c("group", "str", "experimental group", required=False),
        _c("class", "str", "clustered, non_clustered, all_new or stable"),
        _c("day", "float", "days since the start of observation of the class"),
        _c("at_risk", "int", "spines still followed just before this day"),
        _c("lost", "int", "spines lost by this day since the time before"),
        _c("survival", "float", "estimated share still present"),
        _c("ci_low", "float", "95 % interval"),
        _c("ci_high", "float", "95 % interval"),
    ),
)
STATISTICS = Table(
    "statistics.csv",
    "statistic",
    (
        _c("name", "str", "what was measured"),
        _c("group", "str", "experimental group"),
        _c("group_b", "str", "group compared with, if any"),
        _c("estimate", "float", "the value"),
        _c("ci_low", "float", "95 % interval, sampling and machine together"),
        _c("ci_high", "float", "95 % interval, sampling and machine together"),
        _c("sampling_low", "float", "95 % interval from sampling animals or dendrites"),
        _c("sampling_high", "float", "95 % interval from sampling animals or dendrites"),
        _c("machine_low", "float", "95 % interval from the machine's own mistakes"),
        _c("machine_high", "float", "95 % interval from the machine's own mistakes"),
        _c("null_mean", "float", "mean when the new spines are shuffled"),
        _c("p_value", "float", "share of shuffles at least as large, with the add-one rule"),
        _c("test", "str", "how interval and P were computed"),
        _c("n_animals", "int", "animals"),
        _c("n_spines", "int", "spines the value rests on"),
    ),
)
RESULTS = (
    SPINES,
    DENDRITES,
    COVERAGE,
    LINKS,
    TRACKS,
    INTERVALS,
    CLUSTERS,
    SURVIVAL,
    STATISTICS,
)
