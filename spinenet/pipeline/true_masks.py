"""Label images of a results folder against true ones, and what the true ones say of places."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from spinenet.evaluate.judge import XYZ, by_machine, pair_marks, sure
from spinenet.evaluate.masks import IGNORE, MaskCounts, count_masks
from spinenet.geometry import nearest_voxels
from spinenet.io.annotated import Truth, labels_of_marks, of_session, traced_in
from spinenet.io.labels import (
    check_shaft,
    check_singles,
    drawn_in,
    known_labels,
    label_voxel_um,
    read_labels,
)
from spinenet.io.layout import label_file
from spinenet.tables import POINTS
from spinenet.types import BoolArray, FloatArray, InputError, IntArray, Session, Um3

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrueMask:
    """A session's true label image: what it says of places, and the results' beside it."""

    session: Session
    counts: MaskCounts | None
    """None where the results hold no label image of the session."""
    heads: pd.DataFrame
    """`tables.POINTS`: the middles of true labels that spines.csv does not name."""
    painted_over: pd.Index
    """Rows of spines.csv whose label is not in the image."""
    ignored: BoolArray
    voxel_um: Um3

    def unknown(self, spines: pd.DataFrame) -> BoolArray:
        """Which detections lie where nobody looked."""
        mine = of_session(spines, self.session).to_numpy(bool)
        at = nearest_voxels(spines[XYZ].to_numpy(float), self.voxel_um, self.ignored.shape)
        out: BoolArray = mine & self.ignored[tuple(at.T)]
        return out


def true_masks(
    truth: Truth, results: Path, found: pd.DataFrame, sessions: list[Session]
) -> list[TrueMask]:
    """Of every session with a true label image.

    Parameters
    ----------
    found: the spines of the results, `tables.SPINES`

    Raises
    ------
    InputError
        If an image is damaged, of another grid, or numbers its spines otherwise.
    """
    masks = (_true_mask(truth, results, found, session) for session in sessions)
    return [mask for mask in masks if mask is not None]


def _true_mask(
    truth: Truth, results: Path, found: pd.DataFrame, session: Session
) -> TrueMask | None:
    path = truth.labels_of(session)
    if path is None:
        return None
    beside = label_file(results, session.name)
    seen = read_labels(beside, None, session.name) if beside.is_file() else None
    labels = read_labels(path, None if seen is None else seen.shape, session.name)
    voxel = label_voxel_um(beside) if seen is not None else _own_voxel_um(path)
    if voxel is None:
        return None
    check_singles(labels, voxel, path.name)
    check_shaft(labels, voxel, path.name)
    if truth.partly:
        labels = known_labels(labels, voxel, traced_in(truth.traces, session))
    marks = truth.spines[of_session(truth.spines, session)]
    drawn, middles_um = drawn_in(labels, voxel)
    number = labels_of_marks(marks, labels, voxel, drawn, middles_um)
    unnamed = ~np.isin(drawn, number)
    cut_off = np.isin(drawn, _at_border(labels))
    hidden = np.r_[number[~sure(marks)].to_numpy(np.int64), drawn[unnamed & cut_off]]
    counts = None
    if seen is not None:
        spines = found[of_session(found, session)]
        undrawn = _undrawn(spines, marks, number.isin(drawn).to_numpy(bool))
        counts = count_masks(labels, seen, hidden[hidden > 1], undrawn)
    heads = _heads(drawn[unnamed], middles_um[unnamed], cut_off[unnamed], session)
    gone = marks.index[(number > 1) & ~number.isin(drawn)]
    return TrueMask(session, counts, heads, gone, labels == IGNORE, voxel)


def _own_voxel_um(path: Path) -> Um3 | None:
    """Voxel size of a true label image where the results have none beside it."""
    try:
        return label_voxel_um(path)
    except InputError:
        logger.warning(
            "the results hold no label image of the stack of labels/%s, which does not say how "
            "large its voxels are: nothing of it is counted but what spines.csv marks. Save it "
            "with its voxel size (Fiji: Image > Properties).",
            path.name,
        )
        return None


def _undrawn(spines: pd.DataFrame, marks: pd.DataFrame, drawn: BoolArray) -> IntArray:
    """Labels of the detections that are marked spines of which nobody drew the voxels; not of those
    that the machine had found and a person erased."""
    i, j = pair_marks(spines[XYZ].to_numpy(float), marks)
    kept = ~drawn[j] & ~by_machine(marks).to_numpy(bool)[j]
    out: IntArray = spines["label"].to_numpy(np.int64)[i[kept]]
    return out[out > 1]


def _at_border(labels: npt.NDArray[np.uint16]) -> npt.NDArray[np.uint16]:
    """Labels that the border of the stack cuts off."""
    faces = [np.take(labels, side, axis=axis).ravel() for axis in range(3) for side in (0, -1)]
    return np.unique(np.concatenate(faces))


def _heads(
    numbers: IntArray,
    middles_um: FloatArray,
    cut_off: BoolArray,
    session: Session,
) -> pd.DataFrame:
    """True heads that only the label image knows; cut off by the border, they count neither way."""
    who = {"animal": session.animal, "region": session.region, "session": session.index}
    rows: list[dict[str, object]] = [
        {
            **who,
            "label": n,
            "point": "head",
            "scorable": "0" if cut else "1",
            **dict(zip(XYZ, middle, strict=True)),
        }
        for n, middle, cut in zip(numbers.tolist(), middles_um, cut_off, strict=True)
    ]
    return POINTS.frame(rows)
