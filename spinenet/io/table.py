"""Tables in: a CSV of the contract, checked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

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
        frame = pd.read_csv(path, converters=text, encoding="utf-8-sig")
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path} cannot be read as a table ({error}). Save it as comma-separated text (CSV, "
            "UTF-8); a spreadsheet file (.xlsx) renamed to .csv is the usual cause."
        ) from error
    if len(frame.columns) == 1 and ";" in frame.columns[0]:
        raise InputError(
            f"{path} holds semicolons where commas were expected, as spreadsheets of some "
            "countries write them. Save it with commas, and with decimal points."
        )
    frame = frame.rename(columns={k: v for k, v in renamed.items() if v not in frame})
    return table.conform(frame, path.name)
