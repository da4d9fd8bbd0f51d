"""A results folder whose run was cut off while it wrote holds tables of two runs; its run.json says
so until the last file is there."""

from __future__ import annotations

import json
from pathlib import Path

from spinenet.io.write import write_json
from spinenet.types import InputError

RUN = "run.json"
UNFINISHED = "unfinished"


def begin_writing(results: Path) -> None:
    """From here on until run.json is written anew the folder is unfinished."""
    write_json(results / RUN, {UNFINISHED: True})


def check_finished(results: Path) -> None:
    """Before tables of a folder are read; folders that no run wrote are as they are.

    Raises
    ------
    InputError
        If a run was cut off while it wrote into the folder.
    """
    try:
        said = json.loads((results / RUN).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return
    if isinstance(said, dict) and said.get(UNFINISHED):
        raise InputError(
            f"{results} was left half written by a run that was cut off: its tables and label "
            "stacks may be of different runs. Give the same infer or link command again; stacks "
            "are not segmented anew."
        )
