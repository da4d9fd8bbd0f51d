"""Animal and region of a lab's rows, where its tables leave them blank."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from spinenet.evaluate.judge import KEYS
from spinenet.types import InputError


def _may_be_of(sessions: pd.DataFrame, names: Sequence[str]) -> pd.Series:
    """Which sessions are of an animal and a region, of which either may be blank."""
    fits = pd.Series(True, sessions.index)
    for column, value in zip(KEYS[:2], names, strict=True):
        fits &= (sessions[column] == value) | (value == "")
    return fits


def first_if_blank(nodes: pd.DataFrame, sessions: pd.DataFrame) -> pd.DataFrame:
    """Nodes without a session are of the first of their field."""
    out = nodes.copy()
    blank = out["session"].isna()
    for key in out.loc[blank, KEYS[:2]].drop_duplicates().itertuples(index=False):
        first = sessions.loc[_may_be_of(sessions, key), "session"].min()
        mine = blank & (out[KEYS[:2]] == list(key)).all(axis=1)
        out.loc[mine, "session"] = sessions["session"].min() if pd.isna(first) else first
    return out


def with_names(frame: pd.DataFrame, sessions: pd.DataFrame, name: str) -> pd.DataFrame:
    """Blank animals and regions filled from the sessions that they can only be of.

    Raises
    ------
    InputError
        If they are of none, or may be of several.
    """
    out = frame.copy()
    blanks = (out["animal"] == "") | (out["region"] == "")
    for key in out.loc[blanks, KEYS].drop_duplicates().itertuples(index=False):
        fits = _may_be_of(sessions, key[:2]) & (sessions["session"] == key[2])
        known = sessions.loc[fits, KEYS[:2]].drop_duplicates()
        if known.empty and sessions.empty:
            raise InputError(
                f"{name} does not say of which animal and region its rows are, and neither "
                "sessions.csv nor results with spines do. Add sessions.csv."
            )
        if known.empty:
            here = sessions[KEYS].drop_duplicates().astype(str).agg(", ".join, axis=1)
            raise InputError(
                f"{name}: rows of animal {key[0]!r}, region {key[1]!r}, session {key[2]} are of no "
                f"known stack; known are {'; '.join(here[:5])}{'; ...' * (len(here) > 5)}. "
                "Sessions that were counted from another number, a mistyped name, or a row that "
                "sessions.csv lacks are the usual causes."
            )
        if len(known) > 1:
            raise InputError(
                f"{name}: rows of animal {key[0]!r}, region {key[1]!r}, session {key[2]} fit "
                f"{len(known)} fields of view. Give animal and region in {name}, as sessions.csv "
                "has them."
            )
        rows = (out[KEYS] == list(key)).all(axis=1)
        out.loc[rows, KEYS[:2]] = known.iloc[0].to_numpy()
    return out
