"""A results folder whose run was cut off while it wrote holds tables of two runs; its run.json says
so until the last file is there."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from spinenet.io.digest import sha256_of
from spinenet.io.layout import FIGURES_FOLDER, PAGE
from spinenet.io.write import write_json
from spinenet.types import InputError

RUN = "run.json"
UNFINISHED, LABELS, EDITABLE, FIGURES = "unfinished", "labels", "editable", "figures"


def begin_writing(results: Path, sessions: Iterable[str] = ()) -> None:
    """From here on until run.json is written anew the folder is unfinished; it names the sessions
    of earlier runs and of this one, so that none is left behind."""
    names = dict.fromkeys(sessions, "") | written_before(results)
    write_json(results / RUN, {UNFINISHED: True, LABELS: names})


def begin_analysis(results: Path, figures: Iterable[str]) -> None:
    """The same of an analysis of tracks alone, which will write such figures; the page and the
    figures of an earlier one, cut off or not touched since, go first, so that none stands beside
    tables of another."""
    earlier: dict[str, str] = _said(results).get(FIGURES, {})
    for name, sha256 in earlier.items():
        file = results / FIGURES_FOLDER / name
        if file.is_file() and sha256 in ("", sha256_of(file)):
            file.unlink()
    (results / PAGE).unlink(missing_ok=True)
    write_json(results / RUN, {UNFINISHED: "analysis", FIGURES: dict.fromkeys(figures, "")})


def written_before(results: Path, *, whole: bool = False) -> dict[str, str]:
    """The sha256 of the label stacks that earlier runs wrote, by the name of their session.

    Parameters
    ----------
    whole: nothing of a run that was cut off, which may have written others over them
    """
    said = _said(results)
    return {} if whole and said.get(UNFINISHED) else said.get(LABELS, {})


def editable_before(results: Path) -> dict[str, str]:
    """The sha256 of the tables, outlines and traces that the last run wrote and a person may have
    edited since; nothing of a run that was cut off."""
    said = _said(results)
    editable: dict[str, str] = {} if said.get(UNFINISHED) else said.get(EDITABLE, {})
    return editable


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
