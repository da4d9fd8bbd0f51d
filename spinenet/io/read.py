"""Stacks and tables in. Axes, channel and voxel size are found or demanded, never guessed."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tifffile

from spinenet.tables import SESSIONS, Table
from spinenet.types import InputError, Session, Um3, Volume

UNIT_UM = {
    **dict.fromkeys(["um", "µm", "μm", "micron", "microns", "micrometer", "\\u00b5m"], 1.0),
    **dict.fromkeys(["nm", "nanometer"], 1e-3),
    **dict.fromkeys(["mm", "millimeter"], 1e3),
    **dict.fromkeys(["cm", "centimeter"], 1e4),
    **dict.fromkeys(["inch", "in"], 25_400.0),
    **dict.fromkeys(["m", "meter"], 1e6),
}
PLAUSIBLE_Z_UM = (0.05, 10.0)
PLAUSIBLE_XY_UM = (0.01, 2.0)
DTYPES = ("uint8", "uint16", "int16", "float32")
HOW_TO_GIVE = "Give voxel_z_um, voxel_y_um and voxel_x_um in sessions.csv, or --voxel_um '[Z,Y,X]'."


@dataclass(frozen=True)
class StackFile:
    """A stack that is still on the disk."""

    session: Session
    path: Path
    voxel_um: Um3 | None = None
    channel: str = ""
    usable: bool = True


def read_table(path: Path, table: Table) -> pd.DataFrame:
    """A CSV of the contract, checked; further columns are kept.

    Raises
    ------
    InputError
        If it is missing, unreadable, or a column is missing or of the wrong kind.
    """
    if not path.is_file():
        raise InputError(f"{path} was not found. Check the name and the folder.")
    text = {c.name: str for c in table.columns if c.kind == "str"}
    try:
        frame = pd.read_csv(path, dtype=text, keep_default_na=True, encoding="utf-8-sig")
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path} cannot be read as a table ({error}). Save it as comma-separated text (CSV, "
            "UTF-8); a spreadsheet file (.xlsx) renamed to .csv is the usual cause."
        ) from error
    return table.conform(frame, path.name)


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
        stacks = [
            StackFile(s.session, s.path, s.voxel_um or voxel_um, s.channel, s.usable)
            for s in stacks
        ]
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
        session = Session(row["animal"], row["region"], row["session"], row["day"], row["group"])
        stacks.append(
            StackFile(
                session,
                file,
                tuple(map(float, size)) if given else None,  # type: ignore[arg-type]
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


def read_volume(stack: StackFile) -> Volume:
    """Read one stack; memory-mapped where the file allows.

    Raises
    ------
    InputError
        If it is no TIFF, cut short, has no or an absurd voxel size, an axis too many, an unknown
        channel, a type that is not uint8, uint16, int16 or float32, NaN, or no contrast at all.
    """
    name = stack.path.name
    try:
        with tifffile.TiffFile(stack.path) as tif:
            found = tif.series() if callable(tif.series) else tif.series
            if not found:
                raise InputError(f"{name} holds no image. The file is empty or damaged.")
            series = found[0]
            _check_promised(tif, series, name)
            voxel = stack.voxel_um or _voxel_of(tif, series, name)
            names = _channel_names(tif)
            if str(series.dtype) not in DTYPES:
                raise InputError(
                    f"{name} holds {series.dtype} values; {', '.join(DTYPES)} are read. Convert it "
                    "in Fiji with Image > Type > 16-bit."
                )
            data, axes = _pixels(tif, series, stack.path)
    except (tifffile.TiffFileError, ValueError, OSError, IndexError, KeyError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{name} cannot be read as a TIFF stack ({error}). It is another kind of file, or a "
            "copy that was cut short; open it in Fiji and save it again as TIFF."
        ) from error
    data = _to_zyx(data, axes, stack.channel, names, name)
    _check_voxel(voxel, name)
    _check_values(data, name)
    return Volume(data, voxel, stack.session, str(stack.path))


def _pixels(tif: tifffile.TiffFile, series: Any, path: Path) -> tuple[Any, str]:
    """The image and its axes: memory-mapped where it lies in one piece, pages stacked where each
    plane was written alone."""
    shapes = {page.shape for page in tif.pages}
    if len(series.shape) == 2 and len(tif.pages) > 1 and len(shapes) == 1:
        return tif.asarray(key=slice(None)), "ZYX"
    if series.dataoffset is not None and series.nbytes > 0:
        return tifffile.memmap(path, mode="r").reshape(series.shape), series.axes
    return series.asarray(), series.axes


def _check_promised(tif: tifffile.TiffFile, series: Any, name: str) -> None:
    """A file cut between two planes opens without complaint; hold it to what it promised."""
    promised = int((tif.imagej_metadata or {}).get("images", 0))
    planes = int(np.prod(series.shape[:-2])) if len(series.shape) > 2 else 1
    size = tif.filehandle.size
    uncompressed = all(p is None or p.compression == 1 for p in series.pages[:1])
    if promised > planes or (uncompressed and series.nbytes > size):
        raise InputError(
            f"{name} promises {max(promised, planes)} planes but is cut short ({size} bytes). The "
            "acquisition or a copy was interrupted; copy the file again."
        )


def _to_zyx(data: Any, axes: str, channel: str, names: list[str], name: str) -> Any:
    """Select the channel and drop singletons, by the file's own axes."""
    if "S" in axes and data.shape[axes.index("S")] > 1:
        raise InputError(
            f"{name} is a colour (RGB) image. spinenet needs the microscope's own values: export "
            "the raw channel, or split it in Fiji with Image > Color > Split Channels."
        )
    if "T" in axes and data.shape[axes.index("T")] > 1:
        raise InputError(
            f"{name} is a time series of {data.shape[axes.index('T')]} (axes {axes}). One stack "
            "per session was expected: average the repeats or save the time points apart."
        )
    if "C" in axes and data.shape[axes.index("C")] > 1:
        n = data.shape[axes.index("C")]
        if channel == "":
            raise InputError(
                f"{name} has {n} channels ({', '.join(names) or 'unnamed'}). Say which one shows "
                "the dendrites: a column channel in sessions.csv (a number from 0, or a name)."
            )
        index = (
            names.index(channel) if channel in names else int(channel) if channel.isdigit() else -1
        )
        if not 0 <= index < n:
            raise InputError(
                f"{name} has no channel {channel!r}; it has {n} ({', '.join(names) or 'unnamed'}, "
                f"numbers 0 to {n - 1})."
            )
        data = np.take(data, index, axis=axes.index("C"))
        axes = axes.replace("C", "")
    keep = [i for i, a in enumerate(axes) if a in "YX" or data.shape[i] > 1]
    data = data.reshape([data.shape[i] for i in keep])
    axes = "".join(axes[i] for i in keep)
    if len(axes) == 2:
        raise InputError(
            f"{name} is a single plane of {data.shape} pixels. A stack of at least 3 planes is "
            "needed: spines are told apart in depth. A projection cannot be analysed."
        )
    if len(axes) != 3 or not axes.endswith("YX"):
        raise InputError(
            f"{name} has axes {axes} of {data.shape}; z, y, x (and a channel) were expected. Save "
            "it in Fiji as a hyperstack whose only long axis besides y and x is z."
        )
    if len(data) < 3:
        raise InputError(f"{name} has {len(data)} planes; at least 3 are needed.")
    return data


def _channel_names(tif: tifffile.TiffFile) -> list[str]:
    if tif.ome_metadata:
        return re.findall(r"<(?:\w+:)?Channel\b[^>]*?\bName=\"([^\"]*)\"", tif.ome_metadata)
    labels = (tif.imagej_metadata or {}).get("Labels", [])
    return [str(label) for label in labels]


def _voxel_of(tif: tifffile.TiffFile, series: Any, name: str) -> Um3:
    """Voxel size from the file's own metadata: OME, then ImageJ, then ScanImage."""
    size = None
    if tif.ome_metadata:
        size = _ome_voxel(tif.ome_metadata)
    elif tif.imagej_metadata:
        size = _imagej_voxel(tif)
    elif tif.is_scanimage:
        size = _scanimage_voxel(tif, series)
    if size is None:
        raise InputError(f"{name} does not say how large its voxels are. {HOW_TO_GIVE}")
    return size


def _ome_voxel(xml: str) -> Um3 | None:
    head = re.search(r"<(?:\w+:)?Pixels\b[^>]*>", xml)
    values = []
    for axis in "ZYX":
        size = re.search(rf'PhysicalSize{axis}="([^"]+)"', head.group() if head else "")
        unit = re.search(rf'PhysicalSize{axis}Unit="([^"]+)"', head.group() if head else "")
        factor = UNIT_UM.get(unit.group(1).lower() if unit else "um")
        if not size or factor is None:
            return None
        values.append(float(size.group(1)) * factor)
    return values[0], values[1], values[2]


def _imagej_voxel(tif: tifffile.TiffFile) -> Um3 | None:
    """ImageJ keeps z in `spacing`, y and x in the resolution tags, and the unit once."""
    info = tif.imagej_metadata or {}
    unit = UNIT_UM.get(str(info.get("unit", "")).lower().strip('"'))
    tags = tif.pages[0].tags  # type: ignore[union-attr]
    if unit is None or "spacing" not in info or "XResolution" not in tags:
        return None
    xy = []
    for tag in ("YResolution", "XResolution"):
        pixels, units = tags[tag].value
        if not pixels:
            return None
        xy.append(units / pixels * unit)
    return float(info["spacing"]) * unit, xy[0], xy[1]


def _scanimage_voxel(tif: tifffile.TiffFile, series: Any) -> Um3 | None:
    frame = (tif.scanimage_metadata or {}).get("FrameData", {})
    step = frame.get("SI.hStackManager.actualStackZStepSize") or frame.get(
        "SI.hStackManager.stackZStepSize"
    )
    corners = frame.get("SI.hRoiManager.imagingFovUm")
    if isinstance(corners, str):
        corners = json.loads(corners.replace(" ", ",").replace(";", "],["))
    if not step or not corners:
        return None
    span = np.ptp(np.asarray(corners, float).reshape(-1, 2), axis=0)
    y, x = series.shape[-2:]
    return abs(float(step)), float(span[1] / y), float(span[0] / x)


def _check_voxel(voxel: Um3, name: str) -> None:
    z, *xy = voxel
    ok = PLAUSIBLE_Z_UM[0] <= z <= PLAUSIBLE_Z_UM[1]
    if not ok or not all(PLAUSIBLE_XY_UM[0] <= v <= PLAUSIBLE_XY_UM[1] for v in xy):
        raise InputError(
            f"{name}: a voxel of {z:g} x {xy[0]:g} x {xy[1]:g} um (z, y, x) cannot show spines: z "
            f"from {PLAUSIBLE_Z_UM[0]} to {PLAUSIBLE_Z_UM[1]} um and y, x from "
            f"{PLAUSIBLE_XY_UM[0]} to {PLAUSIBLE_XY_UM[1]} um were expected. A wrong unit or axis "
            f"order is the usual cause. {HOW_TO_GIVE}"
        )


def _check_values(data: Any, name: str) -> None:
    if data.dtype.kind == "f" and not all(np.isfinite(plane).all() for plane in data):
        raise InputError(
            f"{name} holds NaN or infinite values. Registration or deconvolution leaves them at "
            "the border; crop the stack or replace them by the background."
        )
    low, high = int(np.min(data)), int(np.max(data))
    if low == high:
        raise InputError(
            f"{name} has the same value ({low}) in every voxel: there is no image in it. The "
            "wrong channel or a failed export are the usual causes."
        )
