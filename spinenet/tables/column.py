"""What a table and its columns are, and how a frame is made to agree with them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from spinenet.types import InputError

DATE = re.compile(r"\d{1,4}[-./]\d{1,2}[-./]\d{1,4}.*")
"""As spreadsheets show days: 2024-03-01, 1.3.2024, 03/01/24 10:30."""
Kind = Literal["int", "int?", "float", "str", "bool"]
_DTYPES = {"int": "int64", "int?": "Int64", "float": "float64", "str": "object", "bool": "bool"}
_BLANK = {"int": 0, "int?": pd.NA, "float": float("nan"), "str": "", "bool": False}


def _quoted(name: object) -> str:
    """A name as it stands, blanks at its ends shown."""
    return str(name) if str(name) == str(name).strip() else repr(str(name))


@dataclass(frozen=True)
class Column:
    """One column: its type (`int?` may be blank) and what it means, unit included."""

    name: str
    kind: Kind
    meaning: str
    required: bool = True


@dataclass(frozen=True)
class Table:
    """One file and its columns in order."""

    file: str
    row: str
    columns: tuple[Column, ...]

    @property
    def names(self) -> list[str]:
        return [c.name for c in self.columns]

    def frame(self, rows: Sequence[dict[str, object]] = ()) -> pd.DataFrame:
        """A frame of this table's columns and types, from rows that leave out what is blank."""
        blank = {c.name: _BLANK[c.kind] for c in self.columns}
        filled = [blank | row for row in rows]
        return self.conform(pd.DataFrame(filled, columns=None if filled else self.names))

    def conform(self, frame: pd.DataFrame, source: str = "") -> pd.DataFrame:
        """This table's columns in order and of their types; further columns follow unchanged.

        Raises
        ------
        InputError
            If a required column is missing or holds something that is not of its type.
        """
        where = source or self.file
        missing = [c.name for c in self.columns if c.required and c.name not in frame]
        if missing:
            raise InputError(
                f"{where} lacks the column{'s' * (len(missing) > 1)} {', '.join(missing)}; it has "
                f"{', '.join(_quoted(c) for c in frame.columns) or 'none'}. Names are matched "
                "exactly: rename the column, or save the table as comma-separated text."
            )
        out = {c.name: _cast(frame, c, where) for c in self.columns}
        rest = frame[[n for n in frame.columns if n not in out]].reset_index(drop=True)
        return pd.DataFrame({**out, **rest})


def _cast(frame: pd.DataFrame, column: Column, where: str) -> pd.Series:
    if column.name not in frame:
        return pd.Series([_BLANK[column.kind]] * len(frame), dtype=_DTYPES[column.kind])
    values = frame[column.name].reset_index(drop=True)
    if column.kind in ("int", "float", "bool") and values.dtype == _DTYPES[column.kind]:
        return values
    if column.kind == "str":
        if values.dtype == object and values.map(type).eq(str).all():
            return values
        return values.astype(object).where(values.notna(), "").map(_text).astype(object)
    if column.kind == "bool":
        words = values.map(lambda v: str(v).strip().lower())
        known = {"1": True, "1.0": True, "true": True, "yes": True}
        known |= {"0": False, "0.0": False, "false": False, "no": False}
        _refuse(values[~words.isin(list(known))], column, where, "yes or no (1 or 0)")
        return words.map(known).astype(bool)
    numbers = pd.to_numeric(values, errors="coerce")
    blank_ok = column.kind != "int"
    filled = values.notna()
    if not pd.api.types.is_numeric_dtype(values):
        filled &= values.map(lambda v: bool(str(v).strip())).astype(bool)
    bad = numbers.isna() & (filled | (not blank_ok))
    _refuse(values[bad], column, where, "a number")
    if column.kind.startswith("int"):
        whole = numbers.isna() | (numbers % 1 == 0)
        _refuse(values[~whole], column, where, "a whole number")
    return numbers.astype(_DTYPES[column.kind])


def _text(value: object) -> str:
    """`3.0` read from a column of numbers with blanks is the identifier `3`."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _refuse(bad: pd.Series, column: Column, where: str, expected: str) -> None:
    if len(bad):
        cell = f"{where}: column {column.name}, line {int(bad.index[0]) + 2}"
        if pd.isna(bad.iloc[0]):
            raise InputError(f"{cell}, is blank; {expected} was expected ({column.meaning}).")
        value = bad.to_list()[0]
        cause = (
            "it is a date: give days counted from the first session, 0, 2, 4, ..."
            if DATE.fullmatch(str(value).strip())
            else "a decimal comma or a unit typed into the cell are the usual causes."
        )
        raise InputError(
            f"{cell}: {value!r} is not {expected} ({column.meaning}). Correct the cell; {cause}"
        )


def col(name: str, kind: Kind, meaning: str, *, required: bool = True) -> Column:
    """A column in one line."""
    return Column(name, kind, meaning, required)


WHO = (
    col("animal", "str", "animal"),
    col("group", "str", "experimental group, may be blank", required=False),
    col("region", "str", "field of view"),
)
WHEN = (
    col("session", "int", "imaging session within the region"),
    col("day", "float", "day of the session"),
)


def point(prefix: str, what: str, *, required: bool = True) -> tuple[Column, ...]:
    """The three columns of a place."""
    return tuple(
        col(f"{prefix}{a}_um", "float", f"{a} of the {what}, um", required=required) for a in "zyx"
    )
