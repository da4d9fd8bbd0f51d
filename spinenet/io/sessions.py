"""Which stacks there are, and whose and when each is: sessions.csv, a folder, or one stack."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from spinenet.io.table import read_table
from spinenet.tables import SESSIONS
from spinenet.types import InputError, Session, Um3


@dataclass(frozen=True)
class StackFile:
    """A stack that is still on the disk."""

    session: Session
    path: Path
    voxel_um: Um3 | None = None
    channel: str = ""
    usable: bool = True


def find_stacks(source: Path, *, pattern: str = "", voxel_um: Um3 | None = None) -> list[StackFile]:
    """The stacks of a sessions.csv, a single TIFF, or a folder with a filename pattern.

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
        stem = source.name.split(".")[0]
        stacks = [StackFile(Session(stem, stem, 0), source)]
    else:
        raise InputError(
            f"{source} was not found. Give a stack (.tif), a sessions.csv or a folder of stacks."
        )
    if voxel_um:
        stacks = [replace(s, voxel_um=s.voxel_um or voxel_um) for s in stacks]
    _check_sessions([s.session for s in stacks], source)
    return stacks


def _from_table(path: Path) -> list[StackFile]:
    frame = read_table(path, SESSIONS)
    if frame.empty:
        raise InputError(f"{path} has a header but no stacks. Add one row per stack.")
    stacks = []
    for line, row in enumerate(frame.to_dict("records"), start=2):
        file = path.parent / str(row["path"])
        if not file.is_file():
            raise InputError(
                f"{path.name}, line {line}: the stack {row['path']!r} is not there (looked in "
                f"{path.parent}). Paths are relative to the folder of {path.name}."
            )
        if not np.isfinite(row["day"]):
            raise InputError(
                f"{path.name}, line {line}: day is blank. Give the day of each session as a "
                "number; turnover and survival are meaningless without it."
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
                row["usable"].lower() not in ("0", "no", "false"),
            )
        )
    return stacks


def _from_folder(folder: Path, pattern: str) -> list[StackFile]:
    files = sorted(p for p in folder.iterdir() if p.suffix.lower() in (".tif", ".tiff"))
    if not files:
        raise InputError(
            f"{folder} holds no sessions.csv and no .tif stacks. Give the folder with the stacks."
        )
    if not pattern:
        raise InputError(
            f"{folder} holds {len(files)} stacks but no sessions.csv that says which belong "
            "together. Write one, or give --pattern '{animal}_{region}_day{day}.tif'."
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
    numbers = {"day": r"[-+]?\d+(?:\.\d+)?", "session": r"\d+"}
    expression = "".join(
        f"(?P<{p}>{numbers.get(p, '[^/]+?')})" if i % 2 else re.escape(p)
        for i, p in enumerate(parts)
    )
    found = [(p, m.groupdict()) for p in files if (m := re.fullmatch(expression, p.name))]
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


def _check_sessions(sessions: list[Session], source: Path) -> None:
    groups: dict[str, str] = {}
    seen: dict[tuple[str, str], list[Session]] = {}
    for s in sessions:
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
        if names.setdefault(s.name, s) is not s:
            raise InputError(
                f"{source.name}: {s.animal!r}/{s.region!r} and {names[s.name].animal!r}/"
                f"{names[s.name].region!r} would write the same file {s.name!r}. Use names that "
                "differ in letters or digits."
            )
