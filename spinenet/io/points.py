"""A person's spines.csv, checked: one row per spine and session, tip or head."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from spinenet.evaluate.judge import KEYS, XYZ
from spinenet.io.sessions import NO, YES
from spinenet.io.table import read_table
from spinenet.tables import POINTS
from spinenet.types import InputError

RENAMED = {"dendrite": "dendrite_id", "track": "track_id", "spine": "spine_id"}


def is_results_table(spines: pd.DataFrame) -> bool:
    """Are these marks a (corrected) copy of a results folder's spines?"""
    return {"source", "arc_length_um"} <= set(spines)


def read_points(path: Path, point: str) -> pd.DataFrame:
    if not path.is_file():
        return POINTS.frame()
    frame = read_table(path, POINTS, RENAMED)
    if is_results_table(frame):  # its places are heads
        point = point or "head"
    blank = frame["point"] == ""
    if blank.any() and not point:
        raise InputError(
            f"{path.name} does not say what its places are. Add a column point with the word tip "
            "(outer edge of the spine) or head (its middle), or give "
            "--point (training: --annotated.point)."
        )
    frame["point"] = frame["point"].where(~blank, point)
    odd = frame.loc[~frame["point"].isin(["tip", "head"]), "point"]
    if len(odd):
        raise InputError(
            f"{path.name}: column point, line {int(odd.index[0]) + 2}: {odd.iloc[0]!r}; tip or "
            "head was expected."
        )
    for column in ("scorable", "bad"):
        words = frame[column].astype(str).str.strip().str.lower()
        odd = frame.loc[~words.isin([*YES, *NO]), column]
        if len(odd):
            raise InputError(
                f"{path.name}: column {column}, line {int(odd.index[0]) + 2}: {odd.iloc[0]!r}; "
                "1 for yes and 0 for no were expected, or a blank where nothing is to be said."
            )
    negative = frame["track_id"] < 0
    if negative.any():
        line = int(negative.index[negative.fillna(False)][0])
        raise InputError(
            f"{path.name}: column track_id, line {line + 2}: {frame['track_id'][line]}; a number "
            "from 0 on was expected. Leave it blank for a spine that is in no track."
        )
    lost = ~np.isfinite(frame[XYZ].to_numpy(float)).all(axis=1)
    if lost.any():
        raise InputError(
            f"{path.name}, line {int(np.flatnonzero(lost)[0]) + 2}: the spine has no place (a "
            "blank z_um, y_um or x_um). Fill it in, or remove the row."
        )
    return frame


def check_twice(spines: pd.DataFrame) -> None:
    """One row for each spine of a session; names are filled, rows stand as in the file."""
    for what, columns in (("place", XYZ), ("track", ["track_id"])):
        told = spines[spines[columns].notna().all(axis=1)]
        again = told[told.duplicated([*KEYS, *columns], keep=False)]
        if len(again):
            _, rows = next(iter(again.groupby([*KEYS, *columns])))
            first, second = rows.index[:2] + 2
            raise InputError(
                f"{POINTS.file}: lines {first} and {second} give one {what} in one session twice. "
                "Rows that were pasted twice are the usual cause, or a spine at a branch point "
                "listed for each dendrite; leave one row for each spine."
            )
