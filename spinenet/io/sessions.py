"""Which stacks there are, and whose and when each is: sessions.csv, a folder, or one stack."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path

import numpy as np
import pandas as pd

from spinenet.io.table import read_table
from spinenet.tables import SESSIONS
from spinenet.tables.spelling import check_spelling
from spinenet.types import InputError, Session, Um3, is_date

logger = logging.getLogger(__name__)
YES, NO = ("", "1", "1.0", "yes", "true"), ("0", "0.0", "no", "false")
LONGEST_NAME = 200
"""Bytes; what is written adds an ending, and disks take 255."""


@dataclass(frozen=True)
class StackFile:
    """A stack that is still on the disk."""

    session: Session
    path: Path
    voxel_um: Um3 | None = None
    channel: str = ""
    usable: bool = True


def find_stacks(
    source: Path, *, pattern: str = "", voxel_um: Um3 | None = None, channel: str = ""
) -> list[StackFile]:
    """The stacks of a sessions.csv, a single TIFF, or a folder with a filename pattern.

    Parameters
    ----------
    voxel_um, channel: of stacks of which sessions.csv does not say them

    Raises
    ------
    InputError
        If nothing is found, a listed file is missing, or sessions contradict one another.
    """
    if source.is_dir():
        table = source / "sessions.csv"
        stacks = (
            _from_folder(source, pattern) if pattern or not table.exists() else _from_table(table)
        )
    elif source.suffix.lower() == ".csv":
        stacks = _from_table(source)
    elif source.is_file():
        stem = re.sub(r"(\.ome)?\.tiff?$", "", source.name, flags=re.IGNORECASE)
        stacks = [StackFile(Session(stem, stem, 0), source)]
    else:
        raise InputError(
            f"{source} was not found. Give a stack (.tif), a sessions.csv or a folder of stacks."
        )
    if voxel_um:
        stacks = [replace(s, voxel_um=s.voxel_um or voxel_um) for s in stacks]
    if channel:
        stacks = [replace(s, channel=s.channel or channel) for s in stacks]
    for stack in stacks:
        _check_writable(stack.path)
    _check_sessions([s.session for s in stacks], source)
    _check_files(stacks, source)
    return stacks


def _check_writable(path: Path) -> None:
    """Names from an old archive may hold bytes that no table can."""
    try:
        path.name.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"the name of the stack {path.name!a} is not in UTF-8, and no result could be named "
            "after it. An archive or a disk of another system is the usual cause: rename the file."
        ) from error


def _from_table(path: Path) -> list[StackFile]:
    frame = read_table(path, SESSIONS)
    _check_columns(frame, path)
    if frame.empty:
        raise InputError(f"{path} has a header but no stacks. Add one row per stack.")
    stacks = []
    for line, row in enumerate(frame.to_dict("records"), start=2):
        file = path.parent / str(row["path"])
        usable = is_usable(row["usable"], f"{path.name}, line {line}")
        if usable and not file.is_file():
            raise InputError(
                f"{path.name}, line {line}: the stack {row['path']!r} is not there (looked in "
                f"{path.parent}). Paths are relative to the folder of {path.name}."
            )
        if not np.isfinite(row["day"]):
            raise InputError(
                f"{path.name}, line {line}: day is blank or infinite. Give the day of each session "
                "as a number; turnover and survival are meaningless without it."
            )
        size = [row[f"voxel_{a}_um"] for a in "zyx"]
        given = int(np.isfinite(size).sum())
        if given not in (0, 3):
            raise InputError(
                f"{path.name}, line {line}: {given} of the three voxel sizes are given. Give "
                "voxel_z_um, voxel_y_um and voxel_x_um, or none of them."
            )
        z, y, x = map(float, size)
        session = Session(row["animal"], row["region"], row["session"], row["day"], row["group"])
        stacks.append(
            StackFile(
                session,
                file,
                (z, y, x) if given else None,
                row["channel"],
                usable,
            )
        )
    return stacks


def _check_columns(frame: pd.DataFrame, path: Path) -> None:
    """A column of our own that is misspelt would be read as not given."""
    optional = [c.name for c in SESSIONS.columns if not c.required]
    for name in frame.columns[len(SESSIONS.columns) :]:
        meant = get_close_matches(str(name).lower(), optional, n=1, cutoff=0.8)
        if meant:
            raise InputError(
                f"{path.name} has a column {name!r}, which is not known; is it {meant[0]}? Rename "
                "it, or give it another name if it is your own."
            )


def is_usable(word: str, where: str = SESSIONS.file) -> bool:
    """What the column usable of sessions.csv says; blank is yes.

    Raises
    ------
    InputError
        If it is no word for yes or no.
    """
    said = word.strip().lower()
    if said not in (*YES, *NO):
        raise InputError(
            f"{where}: usable is {word!r}; 1 (or blank) for a stack to analyse and 0 for one to "
            "leave out were expected."
        )
    return said in YES


def _from_folder(folder: Path, pattern: str) -> list[StackFile]:
    files = sorted(p for p in folder.iterdir() if p.suffix.lower() in (".tif", ".tiff"))
    if not files:
        raise InputError(
            f"{folder} holds no sessions.csv and no .tif stacks. Give the folder with the stacks."
        )
    if not pattern:
        raise InputError(
            f"{folder} holds {len(files)} stacks but no sessions.csv that says which belong "
            "together. Write one, or give infer --pattern '{animal}_{region}_day{day}.tif'."
        )
    if "{day}" not in pattern:
        raise InputError(
            f"--pattern {pattern!r} has no {{day}}: without it sessions have no order."
        )
    parts = re.split(r"\{(\w+)\}", pattern)
    unknown = set(parts[1::2]) - {"animal", "group", "region", "session", "day"}
    if unknown:
        raise InputError(
            f"--pattern {pattern!r} names {{{', '.join(sorted(unknown))}}}; it may name animal, "
            "group, region, session and day."
        )
    repeated = sorted({p for p in parts[1::2] if parts[1::2].count(p) > 1})
    if repeated:
        raise InputError(
            f"--pattern {pattern!r} names {{{repeated[0]}}} twice. Name each part once."
        )
    numbers = {"day": r"[-+]?\d+(?:\.\d+)?", "session": r"\d+"}
    expression = "".join(
        f"(?P<{p}>{numbers.get(p, '[^/]+?')})" if i % 2 else re.escape(p)
        for i, p in enumerate(parts)
    )
    found = [(p, m.groupdict()) for p in files if (m := re.fullmatch(expression, p.name))]
    greedy = expression.replace("+?)", "+)")
    for path, told in found:
        other = re.fullmatch(greedy, path.name)
        if other is not None and other.groupdict() != told:
            raise InputError(
                f"--pattern {pattern!r} can be read in two ways: {path.name!r} is {told} or "
                f"{other.groupdict()}. Write a sessions.csv instead, or put fixed text between the "
                "parts that no name holds."
            )
    strange = [p.name for p in files if p not in {path for path, _ in found}]
    if found and strange:
        logger.warning(
            "%d of %d stacks in %s do not fit --pattern and are left out: %s",
            len(strange),
            len(files),
            folder,
            ", ".join(strange[:5]),
        )
    if not found:
        raise InputError(
            f"none of the {len(files)} stacks in {folder} fits --pattern {pattern!r}; the first is "
            f"{files[0].name!r}. Everything outside the braces must agree exactly."
        )
    order: dict[tuple[str, str], list[float]] = {}
    for _, told in found:
        key = told.get("animal", ""), told.get("region", "")
        order.setdefault(key, []).append(float(told["day"]))
    stacks = []
    for path, told in found:
        key = told.get("animal", ""), told.get("region", "")
        day = float(told["day"])
        index = int(told["session"]) if "session" in told else sorted(order[key]).index(day)
        animal = key[0] or folder.name
        session = Session(animal, key[1] or animal, index, day, told.get("group", ""))
        stacks.append(StackFile(session, path))
    return stacks


def _check_spellings(sessions: list[Session], source: Path) -> None:
    check_spelling("animal", (s.animal for s in sessions), source.name)
    check_spelling("group", (s.group for s in sessions), source.name)
    for animal in {s.animal for s in sessions}:
        mine = (s.region for s in sessions if s.animal == animal)
        check_spelling("region", mine, source.name)


def _check_sessions(sessions: list[Session], source: Path) -> None:
    _check_spellings(sessions, source)
    groups: dict[str, str] = {}
    seen: dict[tuple[str, str], list[Session]] = {}
    for s in sessions:
        if not s.animal.strip() or not s.region.strip():
            raise InputError(
                f"{source.name}: session {s.index} on day {s.day:g} has animal {s.animal!r} and "
                f"region {s.region!r}; both must be named in every row. Merged cells of a "
                "spreadsheet are the usual cause."
            )
        if is_date(s.day):
            raise InputError(
                f"{source.name}: day {s.day:.0f} of animal {s.animal!r} looks like a date. Give "
                "days counted from the first session: 0, 2, 4, ..."
            )
        if groups.setdefault(s.animal, s.group) != s.group:
            raise InputError(
                f"{source.name}: animal {s.animal!r} is in the groups {groups[s.animal]!r} and "
                f"{s.group!r}. An animal belongs to one group; correct the column group."
            )
        seen.setdefault((s.animal, s.region), []).append(s)
    for (animal, region), mine in seen.items():
        mine.sort(key=lambda s: s.index)
        for a, b in zip(mine, mine[1:], strict=False):
            if a.index == b.index:
                raise InputError(
                    f"{source.name}: session {a.index} of animal {animal!r}, region {region!r} is "
                    "listed twice. Number the sessions of a region 0, 1, 2, ..."
                )
            if a.day >= b.day:
                raise InputError(
                    f"{source.name}: animal {animal!r}, region {region!r}: session {b.index} is on "
                    f"day {b.day:g}, session {a.index} on day {a.day:g}. Days must increase with "
                    "the session number."
                )
    names: dict[str, Session] = {}
    for s in sessions:
        first = names.setdefault(s.name.casefold(), s)  # disks of Mac and Windows ignore the case
        if first is not s:
            raise InputError(
                f"{source.name}: {s.animal!r}/{s.region!r} and {first.animal!r}/{first.region!r} "
                f"would write the same file {s.name!r}. Use names that differ in letters or "
                "digits; if both are one field, write its name in one way."
            )
        if (size := len(s.name.encode())) > LONGEST_NAME:
            raise InputError(
                f"{source.name}: the name {s.name!r}, of animal, region and session, takes {size} "
                f"bytes, of {LONGEST_NAME} at most; files cannot be named after it. Give a "
                "sessions.csv with a shorter animal or region."
            )


def _check_files(stacks: list[StackFile], source: Path) -> None:
    """One channel of one file is one session."""
    seen: dict[tuple[Path, str], Session] = {}
    for stack in stacks:
        s = stack.session
        first = seen.setdefault((stack.path.resolve(), stack.channel), s)
        if first is not s:
            raise InputError(
                f"{source.name}: {stack.path.name} is listed as session {first.index} of "
                f"{first.animal!r}, {first.region!r} and as session {s.index} of {s.animal!r}, "
                f"{s.region!r}. A row copied and not changed is the usual cause; correct its path."
            )
