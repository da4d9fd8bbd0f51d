"""corrections.csv: what a person said of single spines, read and checked, never written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from spinenet.io.digest import sha256_of
from spinenet.io.table import read_table
from spinenet.tables import CORRECTIONS
from spinenet.types import InputError

PLACE = ["z_um", "y_um", "x_um"]
PLACE_TO = ["to_z_um", "to_y_um", "to_x_um"]
NEEDS = {
    "same": ["session_to", *PLACE_TO],
    "different": ["session_to", *PLACE_TO],
    "present": ["session_to"],
    "absent": ["session_to"],
    "add": [],
    "delete": [],
    "dendrite": ["dendrite_id"],
}
"""By action, the columns that must be filled besides session and place."""


@dataclass(frozen=True)
class Corrections:
    """Rows of `tables.CORRECTIONS` with their `line` in the file; the file's name and hash."""

    frame: pd.DataFrame
    source: str
    sha256: str


def read_corrections(path: Path) -> Corrections:
    """The table, checked row by row. Rows without an action say nothing: so `review.csv`, with
    actions filled in where the machine is wrong, is a table of corrections.

    Raises
    ------
    InputError
        If the table is damaged, an action is unknown, or a row lacks what its action needs.
    """
    frame = read_table(path, CORRECTIONS)
    frame["line"] = np.arange(len(frame)) + 2
    frame["action"] = frame["action"].str.strip().str.lower()
    frame = frame[frame["action"] != ""].reset_index(drop=True)
    for row in frame.to_dict("records"):
        where = f"{path.name}, line {row['line']}"
        action = row["action"]
        if action not in NEEDS:
            raise InputError(
                f"{where}: action {action!r}; {', '.join(NEEDS)} were expected. Check the spelling."
            )
        blank = [c for c in [*PLACE, *NEEDS[action]] if pd.isna(row[c])]
        if blank:
            raise InputError(
                f"{where}: {action!r} needs {', '.join(blank)}, which "
                f"{'is' if len(blank) == 1 else 'are'} blank. Copy the places from spines.csv."
            )
        if "session_to" in NEEDS[action] and row["session_to"] == row["session"]:
            raise InputError(
                f"{where}: session and session_to are both {row['session']}; {action!r} is about "
                "two sessions. Correct one of them."
            )
    return Corrections(frame, path.name, sha256_of(path))


def check_review(path: Path, corrections: Corrections | None) -> None:
    """A run writes `review.csv` anew: what a person filled in there must stand elsewhere too.

    Raises
    ------
    InputError
        If an action in it is not among the corrections.
    """
    if lost := _unsaid(path, corrections):
        raise InputError(
            f"{path} has an action in line {lost[0]}, and the run would write the file anew. "
            f"Copy it to {path.with_name(CORRECTIONS.file)} (or add its lines there) and run again."
        )


def check_own(path: Path, corrections: Corrections) -> None:
    """A results folder's own `corrections.csv` is left aside where another file is given: nothing
    that it says may get lost without a word.

    Raises
    ------
    InputError
        If it says anything that the other does not.
    """
    if lost := _unsaid(path, corrections):
        raise InputError(
            f"{path} has {len(lost)} line{'s' * (len(lost) > 1)} that {corrections.source} lacks "
            f"(line {lost[0]} is the first), and they would no longer be obeyed. Add the new lines "
            "to it and run without --corrections, or remove it."
        )


def _unsaid(path: Path, corrections: Corrections | None) -> list[int]:
    """Lines of a file that the corrections do not say."""
    if not path.is_file():
        return []
    filled = read_corrections(path).frame
    said = [] if corrections is None else _rows(corrections.frame)
    return [
        int(line)
        for line, row in zip(filled["line"], _rows(filled), strict=True)
        if not any(_says_the_same(row, other) for other in said)
    ]


_Row = tuple[tuple[str, str], tuple[str, ...]]


def _rows(frame: pd.DataFrame) -> list[_Row]:
    """Animal and region of each row, and what it says, without the notes."""
    # of other actions the dendrite is a help to the reader
    dendrite = frame["dendrite_id"].astype(str).where(frame["action"] == "dendrite", "")
    columns = ["action", "session", *PLACE, "session_to", *PLACE_TO, "dendrite_id"]
    what = frame.assign(dendrite_id=dendrite)[columns].astype(str)
    names = frame[["animal", "region"]].astype(str)
    return [
        ((animal, region), tuple(said))
        for (animal, region), said in zip(
            names.itertuples(index=False), what.itertuples(index=False), strict=True
        )
    ]


def _says_the_same(row: _Row, other: _Row) -> bool:
    """Animal and region may be blank where there is one only."""
    (mine, what), (theirs, that) = row, other
    return what == that and all(a == b or not a or not b for a, b in zip(mine, theirs, strict=True))
