"""A lab's annotated folder: stacks with label TIFFs, or with points and traces.

The folder holds sessions.csv. Beside it, or in a folder `truth/` as `spinenet simulate` writes it:
label TIFFs in `labels/`, named as the stacks, or spines.csv and dendrites.csv.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import tifffile

from spinenet.io.sessions import StackFile, find_stacks
from spinenet.io.table import read_table
from spinenet.io.traces import Traces, read_traces
from spinenet.tables import CONTESTED, POINTS, SESSIONS, TRACES
from spinenet.types import InputError, Segment, Session

IGNORE = 65535
"""Label of voxels of which nobody said what they are."""
RENAMED = {"dendrite": "dendrite_id", "track": "track_id", "spine": "spine_id"}
WHO = ["animal", "region", "session"]


@dataclass(frozen=True)
class Truth:
    """The tables of an annotated folder."""

    spines: pd.DataFrame
    """`tables.POINTS`, every row with `point` tip or head."""
    traces: Traces | None
    contested: pd.DataFrame
    """`tables.CONTESTED`: links that look wrong in the annotation itself."""
    folder: Path

    @property
    def nodes(self) -> pd.DataFrame:
        """Nodes of the traced centrelines, `tables.TRACES`."""
        return TRACES.frame() if self.traces is None else self.traces.frame

    def sessions(self) -> pd.DataFrame:
        """Columns animal, region, session: all of sessions.csv, else those with spines."""
        for folder in (self.folder, self.folder.parent):
            if (folder / SESSIONS.file).is_file():
                return read_table(folder / SESSIONS.file, SESSIONS)[WHO]
        return self.spines[WHO].drop_duplicates()

    def labels_of(self, session: Session, stack: str = "") -> Path | None:
        """The label TIFF of a session, if there is one: named as its stack or as results are."""
        for name in (stack, f"{session.name}.ome.tif"):
            path = self.folder / "labels" / name
            if name and path.is_file():
                return path
        return None


@dataclass(frozen=True)
class AnnotatedStack:
    """One stack and what a person said of it; coordinates in um of the stack."""

    file: StackFile
    spines: pd.DataFrame
    """Its rows of `Truth.spines`."""
    dendrites: tuple[Segment, ...]
    """Traced centrelines; spines are known along them. Empty where a label TIFF tells all."""
    labels: Path | None


def read_truth(folder: Path, point: str = "") -> Truth:
    """The tables of an annotated folder, or of its folder `truth/`.

    Parameters
    ----------
    point: what the places in spines.csv are, `tip` or `head`, where the table does not say

    Raises
    ------
    InputError
        If a table is damaged, or nothing says what the points are.
    """
    inside = folder / "truth" if (folder / "truth").is_dir() else folder
    nodes, contested = inside / "dendrites.csv", inside / CONTESTED.file
    return Truth(
        _read_points(inside / POINTS.file, point),
        read_traces(nodes) if nodes.is_file() else None,
        read_table(contested, CONTESTED, RENAMED) if contested.is_file() else CONTESTED.frame(),
        inside,
    )


def read_annotated(folder: Path, point: str = "") -> list[AnnotatedStack]:
    """The annotated stacks of a folder; stacks that nobody annotated are left out.

    Raises
    ------
    InputError
        As `read_truth`, and if nothing is annotated or points have no traces.
    """
    stacks, truth = find_stacks(folder), read_truth(folder, point)
    found = []
    for stack in stacks:
        s = stack.session
        labels, dendrites = truth.labels_of(s, stack.path.name), _traced(truth.traces, s)
        if labels or dendrites:
            here = truth.spines[_of_session(truth.spines, s)].reset_index(drop=True)
            found.append(AnnotatedStack(stack, here, dendrites, labels))
    if not found:
        raise InputError(
            f"no stack of {folder} is annotated: neither labels/{stacks[0].path.name} nor "
            f"traces of it in dendrites.csv were found in {truth.folder}. Points alone do not "
            "say where nothing was found; give the traced dendrites along which spines were marked."
        )
    return found


def read_labels(path: Path, shape: tuple[int, ...] | None, stack: str) -> npt.NDArray[np.uint16]:
    """(Z, Y, X) 0 background, 1 shaft, 2.. one label per spine, 65535 unknown.

    Raises
    ------
    InputError
        If the TIFF is damaged or does not lie on the grid `shape` (None: any) of its `stack`.
    """
    try:
        labels = np.squeeze(tifffile.imread(path))
    except (tifffile.TiffFileError, ValueError, OSError) as error:
        raise InputError(f"{path.name} cannot be read ({error}). Export it again.") from error
    shape = labels.shape if shape is None else shape
    if labels.shape != shape or labels.dtype.kind not in "ui":
        raise InputError(
            f"{path.name} holds {labels.dtype} of shape {labels.shape}; {stack} has {shape}. "
            "Labels are whole numbers on the stack's grid: export them without scaling or cropping."
        )
    return labels.astype(np.uint16)


def _read_points(path: Path, point: str) -> pd.DataFrame:
    if not path.is_file():
        return POINTS.frame()
    frame = read_table(path, POINTS, RENAMED)
    blank = frame["point"] == ""
    if blank.any() and not point:
        raise InputError(
            f"{path.name} does not say what its places are. Add a column point with the word tip "
            "(outer edge of the spine) or head (its middle), or give --point."
        )
    frame["point"] = frame["point"].where(~blank, point)
    odd = frame.loc[~frame["point"].isin(["tip", "head"]), "point"]
    if len(odd):
        raise InputError(
            f"{path.name}: column point, line {int(odd.index[0]) + 2}: {odd.iloc[0]!r}; tip or "
            "head was expected."
        )
    return frame


def _of_session(frame: pd.DataFrame, s: Session) -> pd.Series:
    named = frame["animal"].isin(["", s.animal]) & frame["region"].isin(["", s.region])
    return named & (frame["session"] == s.index)


def _traced(traces: Traces | None, s: Session) -> tuple[Segment, ...]:
    if traces is None or not _of_session(traces.frame, s).any():
        return ()
    return tuple(segment for _, segment in traces.of(s.animal, s.region, [s.index]))
