"""Which detection is which true spine: one to one, in um, and only what a person could score.

The judgement is made once; every figure of the room is a count over its two tables.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.optimize import linear_sum_assignment
from scipy.spatial import cKDTree

from spinenet.geometry import resample
from spinenet.types import FloatArray, IntArray

HEAD_UM = np.array([2.0, 0.6, 0.6])
"""A detection this far (scaled, z y x) from a true head centre is another spine."""
TIP_UM = np.array([2.5, 0.7, 0.7])
"""The same where tips were marked: any point of the outer half, tip to mid-way to the base."""
NEAR_UM, NEAR_SQUEEZE = 3.0, np.array([2.5, 1.0, 1.0])
"""Where traces say which dendrites were annotated, detections farther away count neither way."""
MARK_REACH_UM = 6.0
"""A mark farther than this from the surface of every dendrite is on none of them; the longest
filopodia are not longer."""
FAR = 1e3
BY_MACHINE = ("detected", "lookback")
"""`source` of the spines that no person named."""
KEYS = ["animal", "region", "session"]
XYZ = ["z_um", "y_um", "x_um"]
BASE = ["base_z_um", "base_y_um", "base_x_um"]


@dataclass(frozen=True)
class Judged:
    """True spines and detections of the annotated sessions, each with its partner.

    `truth` has the columns `counts` (scorable, on a counted dendrite) and `found` (row of
    `detections`, -1 missed); `detections` has `true` (row of `truth`, -1 none) and `alarm`
    (a false one that counts).
    """

    truth: pd.DataFrame
    detections: pd.DataFrame


def pair_centres(found_um: FloatArray, true_um: FloatArray) -> tuple[IntArray, IntArray]:
    """Positions (P,) of found (N, 3) and true (M, 3) head centres that are the same spine."""
    return _assign(_from_centres(found_um, true_um))


def _from_centres(found_um: FloatArray, true_um: FloatArray) -> FloatArray:
    """(N, M) of found points (N, 3) from true centres (M, 3), 1 as far as they may lie apart."""
    out: FloatArray = np.linalg.norm((found_um[:, None] - true_um[None]) / HEAD_UM, axis=-1)
    return out


def _from_tips(found_um: FloatArray, tip_um: FloatArray, base_um: FloatArray) -> FloatArray:
    """(N, M) the same from the outer halves of spines, tips (M, 3); a base may be nan."""
    end = np.where(np.isfinite(base_um), (tip_um + base_um) / 2, tip_um) / TIP_UM
    start, points = tip_um / TIP_UM, found_um[:, None] / TIP_UM
    along = end - start
    h = ((points - start) * along).sum(-1) / np.maximum((along**2).sum(-1), 1e-9)
    nearest = start + np.clip(h, 0, 1)[..., None] * along
    out: FloatArray = np.linalg.norm(points - nearest, axis=-1)
    return out


def _assign(distance: npt.NDArray[np.floating]) -> tuple[IntArray, IntArray]:
    """One to one, least scaled distance in all, pairs at 1 or more refused."""
    if not distance.size:
        return np.zeros(0, int), np.zeros(0, int)
    i, j = linear_sum_assignment(np.where(distance < 1, distance, FAR))
    good = distance[i, j] < 1
    return i[good], j[good]


def judge(
    truth: pd.DataFrame,
    detections: pd.DataFrame,
    nodes: pd.DataFrame,
    annotated: pd.DataFrame,
    dendrites: Collection[int] = (),
) -> Judged:
    """Pair the spines of every annotated session.

    Parameters
    ----------
    truth: `tables.POINTS`, `point` filled
    detections: `tables.SPINES`
    nodes: traced centrelines (`tables.TRACES`): detections near them alone may be false alarms
    annotated: columns animal, region, session: every session that was looked at; and `whole`, true
        where the whole field was annotated, traced or not
    dendrites: count only these; () counts all. Marks that do not say theirs are of the nearest
    """
    truth, nodes = truth.reset_index(drop=True), nodes.reset_index(drop=True)
    sessions = annotated[[*KEYS, "whole"]].drop_duplicates(KEYS)
    detections = detections.merge(sessions[KEYS], on=KEYS)
    truth = truth.assign(counts=sure(truth), found=-1)
    detections = detections.assign(true=-1, alarm=False)
    for *key, whole in sessions.itertuples(index=False):
        mine, theirs = (np.flatnonzero(_of(f, key)) for f in (detections, truth))
        traced = nodes[_of(nodes, key)]
        if dendrites:
            truth.loc[theirs, "counts"] &= _on(truth.loc[theirs], traced, dendrites)
        points = detections.loc[mine, XYZ].to_numpy(float)
        i, j = pair_marks(points, truth.loc[theirs])
        truth.loc[theirs[j], "found"] = mine[i]
        detections.loc[mine[i], "true"] = theirs[j]
        free = np.setdiff1d(np.arange(len(mine)), i)
        everywhere = whole and not dendrites
        near = True if everywhere else _near(points[free], traced, dendrites)
        detections.loc[mine[free], "alarm"] = near
    return Judged(truth, detections)


def _of(frame: pd.DataFrame, key: list[object]) -> npt.NDArray[np.bool_]:
    return (frame[KEYS] == key).all(axis=1).to_numpy(bool)


def sure(truth: pd.DataFrame) -> pd.Series:
    """Which of the marked spines (`tables.POINTS`) could be scored and were not called bad."""
    words = {c: truth[c].astype(str).str.strip().str.lower() for c in ("scorable", "bad")}
    yes, no = ["1", "1.0", "true", "yes"], ["0", "0.0", "false", "no"]
    return ~words["scorable"].isin(no) & ~words["bad"].isin(yes)


def by_machine(marks: pd.DataFrame) -> pd.Series:
    """Which marks are a machine's, in a table that says where they come from."""
    out: pd.Series = marks.get("source", pd.Series("", marks.index)).isin(BY_MACHINE)
    return out


def pair_marks(points: FloatArray, truth: pd.DataFrame) -> tuple[IntArray, IntArray]:
    """Positions (P,) of found (N, 3) points and of marks (`tables.POINTS`) that are one spine."""
    places, tips = truth[XYZ].to_numpy(float), (truth["point"] == "tip").to_numpy(bool)
    from_tips = _from_tips(points, places, truth[BASE].to_numpy(float))
    return _assign(np.where(tips, from_tips, _from_centres(points, places)))


def _on(
    marks: pd.DataFrame, nodes: pd.DataFrame, dendrites: Collection[int]
) -> npt.NDArray[np.bool_]:
    """(M,) which marks are of a counted dendrite, as they say or by where they lie."""
    told = marks["dendrite_id"]
    lies = _near(marks[XYZ].to_numpy(float), nodes, dendrites, MARK_REACH_UM)
    out: npt.NDArray[np.bool_] = np.where(told.isna(), lies, told.isin(list(dendrites)))
    return out


def _near(
    points: FloatArray,
    nodes: pd.DataFrame,
    dendrites: Collection[int],
    reach_um: float = NEAR_UM,
) -> npt.NDArray[np.bool_]:
    """(N,) which points lie near a counted dendrite; nowhere where nothing was traced."""
    if nodes.empty or not len(points):
        return np.zeros(len(points), bool)
    lines = {
        d: resample(rows[XYZ].to_numpy(float), 0.1) for d, rows in nodes.groupby("dendrite_id")
    }
    whose = np.concatenate([np.full(len(line), d) for d, line in lines.items()])
    tree = cKDTree(np.concatenate(list(lines.values())) / NEAR_SQUEEZE)
    distance, node = tree.query(points / NEAR_SQUEEZE)
    near: npt.NDArray[np.bool_] = distance < reach_um
    if dendrites:
        near &= np.isin(whose[node], list(dendrites))
    return near
