"""A dendrite over its sessions, as the matching head learns from it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from spinenet.geometry import to_line_frame
from spinenet.io.atomic import published
from spinenet.match.tokens import about_spines
from spinenet.measure.portrait import PORTRAIT, portraits
from spinenet.types import Dendrites, FloatArray, IntArray, Segment, Volume

NOBODY, UNNAMED = -1, -2
"""In the place of a track: of a false alarm, and of a spine of which nobody said which it is."""
MARGIN = (2, 4, 4)
"""By so much the pictures are wider on each side than the head sees, to be cut aside of it."""
WIDE = (
    PORTRAIT[0] + 2 * MARGIN[0],
    PORTRAIT[1] + 2 * MARGIN[1],
    PORTRAIT[2] + 2 * MARGIN[2],
)
PARTS = ("frame", "about", "portraits", "track")


@dataclass(frozen=True)
class Sighting:
    """The K spines of one session on one dendrite: arc length, sideways and upward offset (K, 3),
    what was measured (K, 4), what they look like, (K, *PORTRAIT) or with their surroundings
    (K, *WIDE), and their true tracks (K,)."""

    frame_um: FloatArray
    about: npt.NDArray[np.float32]
    portraits: npt.NDArray[np.float16]
    track: IntArray


Family = list[Sighting]
"""One dendrite over its sessions, arc length in one frame."""


def sight(
    volume: Volume, line: Segment, spines: pd.DataFrame, track: IntArray, background: float
) -> Sighting:
    """Measured spines (rows as `spine_rows` gives them, `probability` filled) of one dendrite, in a
    stack of such a background."""
    heads = spines[["z_um", "y_um", "x_um"]].to_numpy(float)
    arcs = spines["arc_length_um"].to_numpy(float)
    frame = to_line_frame(heads, arcs, line.points_um, line.arc_length_um)
    home = np.full(len(heads), line.id)
    looks = portraits(volume, heads, Dendrites((line,)), home, background, WIDE)
    return Sighting(frame, about_spines(spines, frame), looks, track)


def save_families(path: Path, families: list[Family]) -> None:
    """One file for a region, written aside and renamed."""
    arrays: dict[str, Any] = {}
    for d, family in enumerate(families):
        for t, s in enumerate(family):
            parts = (s.frame_um.astype(np.float32), s.about, s.portraits, s.track)
            arrays |= {f"{d}_{t}_{name}": a for name, a in zip(PARTS, parts, strict=True)}
    with published(path) as aside, aside.open("wb") as file:
        np.savez_compressed(file, **arrays)


def load_families(path: Path) -> list[Family]:
    """What `save_families` wrote."""
    families: dict[int, Family] = {}
    with np.load(path, allow_pickle=False) as file:
        keys = {(int(d), int(t)) for d, t, _ in (k.split("_") for k in file.files)}
        for d, t in sorted(keys):
            frame, about, looks, track = (file[f"{d}_{t}_{name}"] for name in PARTS)
            families.setdefault(d, []).append(Sighting(frame.astype(float), about, looks, track))
    return list(families.values())
