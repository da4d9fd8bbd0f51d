"""A lab's annotated folder: stacks with label TIFFs, or with points and traces.

The folder holds sessions.csv. Beside it, or in a folder `truth/` as `spinenet simulate` writes it:
label TIFFs in `labels/`, named as the stacks, or spines.csv and dendrites.csv.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from spinenet.evaluate.judge import BASE, KEYS, XYZ, pair_marks
from spinenet.geometry import nearest_voxels
from spinenet.io.field_names import first_if_blank, with_names
from spinenet.io.finished import RUN, check_finished
from spinenet.io.layout import LABELS_FOLDER, label_file
from spinenet.io.points import RENAMED, check_twice, read_points
from spinenet.io.sessions import StackFile, find_stacks, is_usable
from spinenet.io.table import read_table
from spinenet.io.traces import Traces, read_traces
from spinenet.tables import CONTESTED, DENDRITES, POINTS, SESSIONS, TRACES
from spinenet.types import FloatArray, InputError, IntArray, Segment, Session, Um3

logger = logging.getLogger(__name__)
TO_HEAD_UM = 0.5
"""A tip is clicked at the outer edge; the head's middle lies so far towards the base, at most half
way."""
ENDINGS = (".tif", ".tiff")


@dataclass(frozen=True)
class Truth:
    """The tables of an annotated folder; animal and region are filled everywhere."""

    spines: pd.DataFrame
    """`tables.POINTS`, every row with `point` tip or head."""
    traces: Traces | None
    sessions: pd.DataFrame
    """Columns animal, region, session, path (blank where not known)."""
    contested: pd.DataFrame
    """`tables.CONTESTED`: links that look wrong in the annotation itself."""
    folder: Path
    partly: bool = False
    """Whether only what was traced was looked at, though label TIFFs show the whole field: results
    of a run with --dendrites."""

    @property
    def nodes(self) -> pd.DataFrame:
        """Nodes of the traced centrelines, `tables.TRACES`."""
        return TRACES.frame() if self.traces is None else self.traces.frame

    def labels_of(self, session: Session) -> Path | None:
        """The label TIFF of a session, if there is one: named as its stack or as results are.

        Raises
        ------
        InputError
            If it is named as the stacks of several sessions.
        """
        own = label_file(self.folder, session.name)
        if own.is_file():
            return own
        rows = self.sessions[of_session(self.sessions, session)]
        every = [Path(p).name for p in self.sessions["path"] if p]
        for name in (Path(p).name for p in rows["path"] if p):
            path = self.folder / LABELS_FOLDER / name
            if path.is_file():
                if every.count(name) > 1:
                    raise InputError(
                        f"labels/{name} may be of {every.count(name)} stacks of that name, in "
                        f"different folders. Call it {own.name} if it is of "
                        f"{session.animal}, {session.region}, session {session.index}."
                    )
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
    partly: bool = False
    """As in `Truth`."""
    contested: frozenset[int] = frozenset()
    """Tracks with a link to or from this session that looks wrong in the annotation itself."""


def read_truth(folder: Path, point: str = "", seen: pd.DataFrame | None = None) -> Truth:
    """The tables of an annotated folder, or of its folder `truth/`; sessions that its sessions.csv
    calls not usable are left out.

    Parameters
    ----------
    point: what the places in spines.csv are, `tip` or `head`, where the table does not say
    seen: columns animal, region, session, from which names are taken where there is no sessions.csv

    Raises
    ------
    InputError
        If there are no annotations, a table is damaged, or nothing says what the points are or
        which stack they are of.
    """
    inside = folder / "truth" if (folder / "truth").is_dir() else folder
    nodes, contested = inside / "dendrites.csv", inside / CONTESTED.file
    if not (inside / POINTS.file).is_file() and not (inside / LABELS_FOLDER).is_dir():
        raise InputError(
            f"{folder} holds no annotations: neither {POINTS.file} nor a folder labels were found "
            "in it or in its folder truth. Check the path."
        )
    check_finished(inside)
    spines = read_points(inside / POINTS.file, point)
    listed = _read_sessions(inside)
    names = spines if seen is None else seen
    if listed is not None:
        names = listed
    spines = with_names(spines, names, POINTS.file)
    check_twice(spines)
    traces = read_traces(nodes) if nodes.is_file() else None
    if traces is not None:
        traces = replace(
            traces, frame=with_names(first_if_blank(traces.frame, names), names, nodes.name)
        )
    doubted = CONTESTED.frame()
    if contested.is_file():
        doubted = _read_contested(contested, names, spines)
    told = [spines] if listed is not None or traces is None else [spines, traces.frame]
    sessions = pd.concat([listed, *(f[KEYS].assign(path="", usable="") for f in told)])
    sessions = sessions.drop_duplicates(KEYS)
    good = np.array([is_usable(word) for word in sessions["usable"]], bool)
    left_out = pd.MultiIndex.from_frame(sessions.loc[~good, KEYS])
    counted = ~pd.MultiIndex.from_frame(spines[KEYS]).isin(left_out)
    return Truth(
        spines[counted].reset_index(drop=True),
        traces,
        sessions.loc[good, [*KEYS, "path"]].reset_index(drop=True),
        doubted,
        inside,
        _looked_at_traces_only(inside),
    )


def read_annotated(folder: Path, point: str = "") -> list[AnnotatedStack]:
    """The annotated stacks of a folder; stacks that nobody annotated are left out.

    Raises
    ------
    InputError
        As `read_truth`, and if nothing is annotated or points have no traces.
    """
    listed, truth = find_stacks(folder), read_truth(folder, point)
    stacks = [s for s in listed if s.usable]
    found = []
    for stack in stacks:
        s = stack.session
        labels, dendrites = truth.labels_of(s), traced_in(truth.traces, s)
        if dendrites or (labels and not truth.partly):
            here = truth.spines[of_session(truth.spines, s)].reset_index(drop=True)
            doubted = _contested_in(truth.contested, s)
            found.append(AnnotatedStack(stack, here, dendrites, labels, truth.partly, doubted))
        elif of_session(truth.spines, s).any():
            logger.warning(
                "%s has marked spines but no trace in dendrites.csv: where there are none is not "
                "known, so nothing is learned from it. Trace its dendrites.",
                stack.path.name,
            )
    warn_of_strays(truth)
    _warn_of_unlisted(truth, [s.session for s in listed])
    if not found:
        raise InputError(
            f"no usable stack of {folder} is annotated: neither label TIFFs of the stacks' names "
            f"nor traces of them in dendrites.csv were found in {truth.folder}. Points alone do "
            "not say where nothing was found; give the traced dendrites along which spines were "
            "marked."
        )
    return found


def _contested_in(contested: pd.DataFrame, s: Session) -> frozenset[int]:
    here = (contested["animal"] == s.animal) & (contested["region"] == s.region)
    here &= (contested["session"] == s.index) | (contested["session_to"] == s.index)
    return frozenset(contested.loc[here, "track_id"].tolist())


def _warn_of_unlisted(truth: Truth, listed: list[Session]) -> None:
    """Where sessions are counted from another number, marks are of the stack before theirs."""
    for name, frame in ((POINTS.file, truth.spines), (DENDRITES.file, truth.nodes)):
        strange = frame[~np.any([of_session(frame, s) for s in listed], axis=0)]
        if len(strange):
            logger.warning(
                "%s: %d rows are of no stack of sessions.csv (the first of %s, %s, session "
                "%d) and are not learned from. If its sessions are counted from another number, "
                "all its other rows are taken to be of the wrong stack.",
                name,
                len(strange),
                *strange.iloc[0][KEYS],
            )


def warn_of_strays(truth: Truth) -> None:
    """Label TIFFs that are named as no listed stack would be left out without a word."""
    names = {Path(p).name for p in truth.sessions["path"] if p}
    names |= {
        f"{Session(animal, region, int(index)).name}.ome.tif"
        for animal, region, index in truth.sessions[KEYS].itertuples(index=False)
    }
    folder = truth.folder / LABELS_FOLDER
    files = sorted(p.name for p in folder.iterdir()) if folder.is_dir() else []
    strays = [name for name in files if name.lower().endswith(ENDINGS) and name not in names]
    if strays:
        logger.warning(
            "labels/%s is named as no usable stack of sessions.csv (%d such files) and was not "
            "used. Give it the very name of its stack.",
            strays[0],
            len(strays),
        )


def told_dendrites(marks: pd.DataFrame) -> FloatArray:
    """(K,) the dendrite of every mark as the person said it, nan where not."""
    told: FloatArray = marks["dendrite_id"].astype("Float64").to_numpy(float, na_value=np.nan)
    return told


def heads_of(marks: pd.DataFrame) -> FloatArray:
    """(K, 3) middles of the heads of marked tips or heads, um."""
    points, bases = marks[list(XYZ)].to_numpy(float), marks[list(BASE)].to_numpy(float)
    inward = np.where(np.isfinite(bases), bases - points, 0.0)
    length = np.linalg.norm(inward, axis=1, keepdims=True)
    step = np.minimum(TO_HEAD_UM, length / 2) / np.maximum(length, 1e-9)
    tip = (marks["point"] == "tip").to_numpy()[:, None]
    out: FloatArray = points + np.where(tip, step * inward, 0.0)
    return out


def labels_of_marks(
    marks: pd.DataFrame,
    labels: npt.NDArray[np.uint16],
    voxel_um: Um3,
    drawn: IntArray,
    middles_um: FloatArray,
) -> pd.Series:
    """The label of each mark: what its row says, else that of the mask it lies in, else of one that
    it would be paired with as a detection is, if no other mark has it; 0 without one.

    Parameters
    ----------
    labels: (Z, Y, X) as `io.labels.read_labels` gives them
    drawn, middles_um: numbers (M,) of the spines in `labels`, and where they lie (M, 3)
    """
    told = marks["label"].fillna(0).astype(np.int64)
    under = labels[tuple(nearest_voxels(heads_of(marks), voxel_um, labels.shape).T)].astype(int)
    under = pd.Series(np.where(np.isin(under, drawn), under, 0), marks.index)
    under = under.mask((told > 0) | under.isin(told), 0)
    number = told + under.mask(under.duplicated(), 0)
    beside, free = marks.index[number == 0], ~np.isin(drawn, number)
    i, j = pair_marks(middles_um[free], marks.loc[beside])
    number.loc[beside[j]] = drawn[free][i]
    return number


def _looked_at_traces_only(folder: Path) -> bool:
    """Is this a results folder of a run that was given --dendrites?"""
    try:
        return bool(json.loads((folder / RUN).read_text(encoding="utf-8"))["traces"])
    except (OSError, ValueError, LookupError, TypeError):
        return False


def _read_sessions(inside: Path) -> pd.DataFrame | None:
    """sessions.csv of the folder, or of the one above a folder `truth/`."""
    for folder in (inside, inside.parent) if inside.name == "truth" else (inside,):
        if (folder / SESSIONS.file).is_file():
            return read_table(folder / SESSIONS.file, SESSIONS)[[*KEYS, "path", "usable"]]
    return None


def _read_contested(path: Path, sessions: pd.DataFrame, spines: pd.DataFrame) -> pd.DataFrame:
    """`tables.CONTESTED`, names filled, the earlier session first; lines of no link are named."""
    frame = with_names(read_table(path, CONTESTED, RENAMED), sessions, path.name)
    frame[["session", "session_to"]] = np.sort(frame[["session", "session_to"]].to_numpy(int))
    tracked = pd.MultiIndex.from_frame(spines.dropna(subset=["track_id"])[[*KEYS, "track_id"]])
    ends = [
        pd.MultiIndex.from_frame(frame[[*KEYS[:2], end, "track_id"]]).isin(tracked)
        for end in ("session", "session_to")
    ]
    strange = ~(ends[0] | ends[1])
    if strange.any():
        logger.warning(
            "%s: line %d (%d such lines) is about a track that spines.csv has in neither of its "
            "sessions, and changes nothing. Check its sessions and its track.",
            path.name,
            int(strange.argmax()) + 2,
            int(strange.sum()),
        )
    return frame


def of_session(frame: pd.DataFrame, s: Session) -> pd.Series:
    """Which rows of a table are of a session."""
    named = (frame["animal"] == s.animal) & (frame["region"] == s.region)
    return named & (frame["session"] == s.index)


def traced_in(traces: Traces | None, s: Session) -> tuple[Segment, ...]:
    """The centrelines traced in a session."""
    if traces is None or not of_session(traces.frame, s).any():
        return ()
    return tuple(segment for _, segment in traces.of(s.animal, s.region, [s.index]))
