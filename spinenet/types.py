"""The nouns that walk through the house: frozen, checked once when built, trusted afterwards.

Arrays are z, y, x. Lengths are micrometres. A point in micrometres is measured from the centre of
voxel (0, 0, 0) of its own stack.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

FloatArray = npt.NDArray[np.floating]
IntArray = npt.NDArray[np.integer]
BoolArray = npt.NDArray[np.bool_]
Um3 = tuple[float, float, float]


class InputError(ValueError):
    """Something the user gave cannot be used. The message is shown as it is, without a traceback.

    It names the value, what was expected, the likely cause and the cure.
    """


class Presence(StrEnum):
    """Was a spine there? Only ABSENT may make it new or lost; the last two are censored."""

    PRESENT = "present"
    ABSENT = "absent"  # looked for and not there
    OUT_OF_VIEW = "out_of_view"  # its place was not imaged
    NOT_SCORABLE = "not_scorable"  # imaged, but too dim, shadowed or hidden to tell


def is_date(day: float) -> bool:
    """Is that no day of a study but a date (20240129, 240129) written as one number?"""
    if not 10101 <= day <= 21001231 or day != int(day):
        return False
    year, month, of_month = int(day) // 10_000, int(day) // 100 % 100, int(day) % 100
    return 1 <= month <= 12 and 1 <= of_month <= 31 and (year < 100 or 1900 <= year <= 2100)


@dataclass(frozen=True, order=True)
class Session:
    """One imaging time point of one region. `day` is in days, from any zero the lab likes."""

    animal: str
    region: str
    index: int
    day: float = 0.0
    group: str = ""

    def __post_init__(self) -> None:
        if not np.isfinite(self.day):
            raise InputError(
                f"session {self.index} of region {self.region!r} has day {self.day!r}: a finite "
                "number of days was expected. Fill the column `day` of sessions.csv."
            )

    @property
    def columns(self) -> dict[str, object]:
        """The first columns of every table with one row per something of a session."""
        return {
            "animal": self.animal,
            "group": self.group,
            "region": self.region,
            "session": self.index,
            "day": self.day,
        }

    @property
    def name(self) -> str:
        """A name that is unique within one results folder and safe as a file name."""
        parts = (self.animal, self.region, f"session{self.index}")
        return "_".join("".join(c if c.isalnum() or c in "-." else "-" for c in p) for p in parts)


@dataclass(frozen=True)
class Volume:
    """One stack: `data` (Z, Y, X) in its own intensity units and the size of a voxel in um."""

    data: npt.NDArray[Any]
    voxel_size_um: Um3
    session: Session
    source: str = ""

    def __post_init__(self) -> None:
        if self.data.ndim != 3 or min(self.data.shape) < 1:
            raise InputError(
                f"{self.source or self.session.name}: the stack has shape {self.data.shape}, but "
                "three axes (z, y, x) of at least one voxel were expected. A time series or a "
                "second channel left in the file is the usual cause; give --channel or split it."
            )
        if not all(np.isfinite(v) and v > 0 for v in self.voxel_size_um):
            raise InputError(
                f"{self.source or self.session.name}: voxel size {self.voxel_size_um} um is not "
                "three positive numbers. Correct the file's metadata or give voxel_z_um, "
                "voxel_y_um and voxel_x_um in sessions.csv."
            )

    @property
    def extent_um(self) -> FloatArray:
        """(3,) distance from the centre of the first voxel to the centre of the last one, um."""
        return (np.asarray(self.data.shape) - 1) * np.asarray(self.voxel_size_um)


@dataclass(frozen=True)
class Segmentation:
    """What the net saw in one volume, on the grid of that volume.

    Probabilities are uint8 (0..255 for 0..1): a float map of a large stack would not fit.
    """

    shaft: npt.NDArray[np.bool_]
    """(Z, Y, X) shaft mask."""
    spines: npt.NDArray[np.uint16]
    """(Z, Y, X) 0 background, 1..K one label per spine."""
    centres_um: FloatArray
    """(K, 3) head centre of spine k + 1."""
    probability: FloatArray
    """(K,) how sure the net is that spine k + 1 is one."""
    shaft_probability: npt.NDArray[np.uint8]
    spine_probability: npt.NDArray[np.uint8]
    centre_probability: npt.NDArray[np.uint8]
    voxel_size_um: Um3

    def __post_init__(self) -> None:
        maps = (
            self.spines,
            self.shaft_probability,
            self.spine_probability,
            self.centre_probability,
        )
        if any(m.shape != self.shaft.shape for m in maps):
            raise ValueError(
                f"maps of shapes {[m.shape for m in maps]} on a grid {self.shaft.shape}"
            )
        if self.centres_um.shape != (len(self.probability), 3):
            raise ValueError(
                f"{self.centres_um.shape} centres for {len(self.probability)} probabilities"
            )


@dataclass(frozen=True)
class Segment:
    """One unbranched stretch of dendrite.

    `arc_length_um` (N,) increases along `points_um` (N, 3). In a session's own dendrites it starts
    at 0; in dendrites carried over from the region's map it is the frame all sessions share.
    """

    id: int
    points_um: FloatArray
    radius_um: FloatArray
    arc_length_um: FloatArray

    def __post_init__(self) -> None:
        n = len(self.points_um)
        if n < 2 or self.points_um.shape != (n, 3):
            raise InputError(
                f"dendrite {self.id} has points of shape {self.points_um.shape}: at least two "
                "points of z, y, x were expected. Remove stray single nodes from the trace."
            )
        if self.radius_um.shape != (n,) or self.arc_length_um.shape != (n,):
            raise ValueError(f"dendrite {self.id}: one radius and arc length per point expected")
        if np.any(np.diff(self.arc_length_um) <= 0):
            raise InputError(
                f"dendrite {self.id}: arc length must increase along the trace. Two nodes at one "
                "place are the usual cause; remove the repeated node."
            )

    @property
    def length_um(self) -> float:
        return float(self.arc_length_um[-1] - self.arc_length_um[0])


@dataclass(frozen=True)
class Dendrites:
    """All dendrites of one session (or of a region's map), ids unique."""

    segments: tuple[Segment, ...] = ()

    def __post_init__(self) -> None:
        ids = [s.id for s in self.segments]
        if len(set(ids)) != len(ids):
            raise InputError(f"dendrite ids {ids} repeat: each dendrite needs an id of its own.")

    def __len__(self) -> int:
        return len(self.segments)

    def by_id(self) -> dict[int, Segment]:
        return {s.id: s for s in self.segments}


@dataclass(frozen=True)
class SpineTable:
    """The spines of one session, one row each; columns as in `tables.SPINES`.

    `spine_id` is unique within the session. The frame may be empty and must not be changed.
    """

    frame: pd.DataFrame

    def __post_init__(self) -> None:
        ids = self.frame["spine_id"]
        if ids.duplicated().any():
            raise ValueError(f"spine ids repeat: {sorted(ids[ids.duplicated()].unique())}")

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def ids(self) -> IntArray:
        return self.frame["spine_id"].to_numpy(np.int64)

    @property
    def centres_um(self) -> FloatArray:
        return self.frame[["z_um", "y_um", "x_um"]].to_numpy(float)


@dataclass(frozen=True)
class Matches:
    """Candidate links between all sessions of a region and which of them were chosen.

    Columns of `links` as in `tables.LINKS`. Chosen links are one-to-one between any two
    sessions.
    """

    links: pd.DataFrame

    def __post_init__(self) -> None:
        chosen = self.links[self.links["chosen"]]
        for end in ("from", "to"):
            keys = ["session_from", "session_to", f"spine_{end}"]
            if chosen.duplicated(keys).any():
                raise ValueError(f"a spine has two chosen links at its {end} end: not one-to-one")


@dataclass(frozen=True)
class Tracks:
    """The life of every spine: one row per (track, session), absent ones too (`tables.TRACKS`)."""

    frame: pd.DataFrame

    def __post_init__(self) -> None:
        keys = ["animal", "region", "track_id", "session"]
        if self.frame.duplicated(keys).any():
            raise InputError(
                "tracks.csv lists a track twice in one session; one row per (track, session) was "
                "expected. Two spines given the same track id are the usual cause."
            )
        seen = self.frame[self.frame["presence"] == Presence.PRESENT]
        seen = seen[seen["spine_id"].notna()]
        if seen.duplicated(["animal", "region", "session", "spine_id"]).any():
            raise InputError(
                "tracks.csv gives one spine to two tracks of the same session; a spine is in one "
                "track at most. Remove the repeated row."
            )


@dataclass(frozen=True)
class Analysis:
    """What the analyzer found, as the tables of the results folder plus what the figures need."""

    intervals: pd.DataFrame
    clusters: pd.DataFrame
    survival: pd.DataFrame
    statistics: pd.DataFrame
    nulls: Mapping[str, FloatArray] = field(default_factory=dict)
    """(B,) shuffled values of a statistic, by `statistic|group`."""
    spacing: pd.DataFrame = field(default_factory=pd.DataFrame)
    """New spines between stable ones (`analyze.spacing.Flanked`), with u' as `relative`."""
    strength: pd.DataFrame = field(default_factory=pd.DataFrame)
    """Changes of strength (`analyze.strength.changes`)."""
    states: pd.DataFrame = field(default_factory=pd.DataFrame)
    """What became of every spine."""
    verdict: str = ""
    """Whether the data allow a finding of clusters, in words."""
