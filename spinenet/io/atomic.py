"""A file appears whole or not at all: written aside, flushed, renamed."""

from __future__ import annotations

import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOCK = ".lock"
_ASIDE = re.compile(r"\.[0-9a-f]{32}\.tmp")


@contextmanager
def published(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` to write to; renamed to `path` if the block succeeds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{uuid.uuid4().hex}.tmp{''.join(path.suffixes[-2:])}")
    try:
        yield aside
        with aside.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def sweep(folder: Path) -> None:
    """Remove what killed runs left aside. Only for the one run that holds the folder's lock; what
    lies in a folder within that has a lock of its own is another run's."""
    for left in folder.rglob(".*.tmp*"):
        between = left.relative_to(folder).parents
        others = any((folder / up / LOCK).exists() for up in between if up != Path())
        if others or not _ASIDE.match(left.name):  # a person's own
            continue
        if left.is_dir():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)
