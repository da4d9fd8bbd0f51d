"""Tables in: a CSV of the contract, checked."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pandas as pd

from spinenet.tables import Table
from spinenet.types import InputError


def read_table(
    path: Path, table: Table, renamed: Mapping[str, str] = MappingProxyType({})
) -> pd.DataFrame:
    """A CSV of the contract, checked; further columns are kept.

    Parameters
    ----------
    renamed: other names of columns, and what the contract calls them

    Raises
    ------
    InputError
        If it is missing, unreadable, or a column is missing or of the wrong kind.
    """
    if not path.is_file():
        raise InputError(f"{path} was not found. Check the name and the folder.")
    # as it stands: an animal may be called NA, a group None
    text = {c.name: str.strip for c in table.columns if c.kind == "str"}
    try:
        with path.open(encoding="utf-8-sig") as file:
            _check_names(file.readline(), path.name)
        frame = pd.read_csv(
            path,
            converters=text,
            encoding="utf-8-sig",
            skipinitialspace=True,
            skip_blank_lines=False,  # lines are counted as an editor counts them
        )
    except pd.errors.ParserError as error:
        raise _too_many_cells(path.name, "a line", str(error)) from error
    except (pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        with path.open("rb") as file:
            zipped = file.read(2) == b"PK"
        cause = (
            "a spreadsheet file (.xlsx) renamed to .csv is the usual cause"
            if zipped or isinstance(error, pd.errors.EmptyDataError)
            else "Excel's plain CSV, which writes ä and µ otherwise, is the usual cause: choose "
            "'CSV UTF-8' there"
        )
        raise InputError(
            f"{path} cannot be read as a table ({error}). Save it as comma-separated text (CSV, "
            f"UTF-8); {cause}."
        ) from error
    if not isinstance(frame.index, pd.RangeIndex):
        raise _too_many_cells(path.name, "line 2", ", ".join(map(str, frame.columns)))
    frame = _without_blank_end(frame, path.name)
    _check_spelling(frame, table.names, renamed, path.name)
    frame = frame.rename(columns={k: v for k, v in renamed.items() if v not in frame})
    return table.conform(frame, path.name)


def _too_many_cells(name: str, line: str, found: str) -> InputError:
    return InputError(
        f"{name}: {line} has more cells than the first line has names ({found}). A comma at the "
        "end of a line, or one inside a cell, are the usual causes: remove it, or put the cell "
        "into quotes."
    )


def _check_names(header: str, name: str) -> None:
    """The first line holds names, with commas between them."""
    if header and not header.strip(", \t\r\n"):
        raise InputError(
            f"{name}: the first line is blank where the names of the columns were expected. Remove "
            "it."
        )
    names = next(csv.reader([header], skipinitialspace=True), [])
    twice = sorted({n for n in names if n and names.count(n) > 1})
    if twice:
        raise InputError(f"{name} has two columns {twice[0]!r}. Remove one of them, or rename it.")
    for mark, what in ((";", "semicolons"), ("\t", "tabs")):
        if mark in header and "," not in header:
            raise InputError(
                f"{name} holds {what} where commas were expected, as spreadsheets of some "
                "countries write them. Save it with commas, and with decimal points."
            )


def _check_spelling(
    frame: pd.DataFrame, names: Sequence[str], renamed: Mapping[str, str], source: str
) -> None:
    """A column that may be left out, misspelt, would be taken for one of the lab's own."""
    here = {renamed.get(column, column) for column in frame}
    meant = {_plain(name): name for name in (*names, *renamed)}
    for column in frame.columns:
        name = meant.get(_plain(column))
        if name and column not in (*names, *renamed) and renamed.get(name, name) not in here:
            raise InputError(
                f"{source}: the column {str(column)!r} would not be read; {name!r} is what it is "
                "called here. Rename it, or give it another name if it means something else."
            )


def _plain(name: str) -> str:
    """A name as a person would take it for another one; units are no matter of spelling."""
    return str(name).strip().casefold().replace(" ", "_")


def _without_blank_end(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    """Spreadsheets leave rows of commas after the last one."""
    full = (frame.notna() & frame.ne("")).any(axis=1).to_numpy()
    filled = np.flatnonzero(full)
    n = int(filled[-1]) + 1 if len(filled) else 0
    if not full[:n].all():
        raise InputError(
            f"{name}, line {int(np.flatnonzero(~full[:n])[0]) + 2} is blank, and rows follow. "
            "Remove it."
        )
    return frame.iloc[:n]
