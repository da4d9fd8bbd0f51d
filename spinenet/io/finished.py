"""A results folder whose run was cut off while it wrote holds tables of two runs; its run.json says
so until the last file is there."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from spinenet.io.layout import PAGE
from spinenet.io.write import write_json
from spinenet.types import InputError

RUN = "run.json"
UNFINISHED, LABELS, TABLES, FIGURES = "unfinished", "labels", "tables", "figures"


def begin_writing(results: Path, sessions: Iterable[str] = ()) -> None:
    """From here on until run.json is written anew the folder is unfinished; it names the sessions
    of earlier runs and of this one, so that none is left behind."""
    names = dict.fromkeys(sessions, "") | written_before(results)
    write_json(results / RUN, {UNFINISHED: True, LABELS: names})


def begin_analysis(results: Path) -> None:
    """The same of an analysis of tracks alone, whose figures stay its own; the page of an earlier
    one goes first, so that none stands beside tables of another."""
    figures = figures_before(results)
    (results / PAGE).unlink(missing_ok=True)
    write_json(results / RUN, {UNFINISHED: "analysis", FIGURES: figures})


def written_before(results: Path, *, whole: bool = False) -> dict[str, str]:
    """The sha256 of the label stacks that earlier runs wrote, by the name of their session.

    Parameters
    ----------
    whole: nothing of a run that was cut off, which may have written others over them
    """
    said = _said(results)
    return {} if whole and said.get(UNFINISHED) else said.get(LABELS, {})


def tables_before(results: Path) -> dict[str, str]:
    """The sha256 of the tables that the last run wrote and a person may have edited since; nothing
    of a run that was cut off."""
    said = _said(results)
    tables: dict[str, str] = {} if said.get(UNFINISHED) else said.get(TABLES, {})
    return tables


def figures_before(results: Path) -> dict[str, str]:
    """The sha256 of the figures that an earlier analysis of tracks alone wrote, by their names."""
    figures: dict[str, str] = _said(results).get(FIGURES, {})
    return figures


def is_of_stacks(results: Path) -> bool:
    """Whether a run on stacks, whole or cut off, wrote into the folder."""
    said = _said(results)
    return LABELS in said or "weights" in said


def check_finished(results: Path) -> None:
    """Before tables of a folder are read; folders that no run wrote are as they are.

    Raises
    ------
    InputError
        If a run was cut off while it wrote into the folder.
    """
    if _said(results).get(UNFINISHED) is True:
        raise InputError(
            f"{results} was left half written by a run that was cut off: its tables and label "
            "stacks may be of different runs. Give the same infer or link command again; stacks "
            "are not segmented anew."
        )


def _said(results: Path) -> dict[str, Any]:
    try:
        said = json.loads((results / RUN).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except ValueError:  # torn: nobody knows what it said
        return {UNFINISHED: True}
    return said if isinstance(said, dict) else {}
