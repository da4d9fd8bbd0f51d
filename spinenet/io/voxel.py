"""How large a file's voxels are, by its own metadata: OME, ImageJ or ScanImage. Never a guess."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import tifffile

from spinenet.io.scanimage import settings_of, voxel_of_settings
from spinenet.types import InputError, Um3

UNIT_UM = {
    **dict.fromkeys(["um", "µm", "μm", "micron", "microns", "\\u00b5m"], 1.0),
    **dict.fromkeys(["inch", "in"], 25_400.0),
    **{"nm": 1e-3, "mm": 1e3, "cm": 1e4, "m": 1e6},
    **{
        f"{prefix}{metre}{s}": um
        for prefix, um in (
            ("nano", 1e-3),
            ("micro", 1.0),
            ("milli", 1e3),
            ("centi", 1e4),
            ("", 1e6),
        )
        for metre in ("meter", "metre")
        for s in ("", "s")
    },
}
PLAUSIBLE_Z_UM = (0.05, 10.0)
PLAUSIBLE_XY_UM = (0.01, 2.0)
LONGEST_PIXEL, LONGEST_BEYOND_SLICES = 8.0, 3.0
"""Times its width, also where it is longer than slices lie apart, as z, y, x in another order is;
scans with fewer lines than points have pixels of two or four."""
HOW_TO_GIVE = (
    "Give voxel_z_um, voxel_y_um and voxel_x_um in sessions.csv, or infer --voxel_um '[Z,Y,X]'."
)


def voxel_of(tif: tifffile.TiffFile, series: Any, name: str) -> Um3:
    """Voxel size from the file's own metadata: OME, then ImageJ, then ScanImage."""
    size = None
    if tif.ome_metadata:
        size = _ome_voxel(tif.ome_metadata, name)
    elif tif.imagej_metadata:
        size = _imagej_voxel(tif)
    else:
        size = voxel_of_settings(settings_of(tif), series.shape, name)
    if size is None:
        info = tif.imagej_metadata or {}
        one = (
            " ImageJ leaves out a distance of slices that is exactly 1, and writes pixels of "
            "exactly 1, where none was ever set; if yours is 1, say so there."
        )
        raise InputError(
            f"{name} does not say how large its voxels are. {HOW_TO_GIVE}{one * ('unit' in info)}"
        )
    return size


def _ome_voxel(xml: str, name: str) -> Um3 | None:
    head = re.search(r"<(?:\w+:)?Pixels\b[^>]*>", xml)
    told = {
        key: unescape(value)
        for key, _, value in re.findall(r"(\w+)=([\"'])(.*?)\2", head.group() if head else "")
    }
    values = []
    for axis in "ZYX":
        size = told.get(f"PhysicalSize{axis}", "")
        factor = UNIT_UM.get(told.get(f"PhysicalSize{axis}Unit", "um").lower())
        if not size or factor is None:
            return None
        try:
            values.append(float(size) * factor)
        except ValueError:
            raise InputError(
                f"{name}: its OME metadata give PhysicalSize{axis} as {size!r}; a number with a "
                f"point was expected. {HOW_TO_GIVE}"
            ) from None
    return values[0], values[1], values[2]


def _imagej_voxel(tif: tifffile.TiffFile) -> Um3 | None:
    """ImageJ keeps z in `spacing`, y and x in the resolution tags, and the unit once, or that of y
    and z besides."""
    info = tif.imagej_metadata or {}
    unit = UNIT_UM.get(str(info.get("unit", "")).lower().strip('"'))
    others = [UNIT_UM.get(str(info[k]).lower()) for k in ("yunit", "zunit") if k in info]
    if any(other != unit for other in others):
        return None
    tags = tif.pages[0].tags
    if unit is None or "spacing" not in info or "XResolution" not in tags:
        return None
    xy = []
    for tag in ("YResolution", "XResolution"):
        pixels, units = tags[tag].value
        if not pixels:
            return None
        xy.append(units / pixels * unit)
    if xy == [unit, unit]:
        return None
    return float(info["spacing"]) * unit, xy[0], xy[1]


def check_voxel(voxel: Um3, name: str) -> None:
    z, *xy = voxel
    ok = PLAUSIBLE_Z_UM[0] <= z <= PLAUSIBLE_Z_UM[1]
    if not ok or not all(PLAUSIBLE_XY_UM[0] <= v <= PLAUSIBLE_XY_UM[1] for v in xy):
        raise InputError(
            f"{name}: a voxel of {z:g} x {xy[0]:g} x {xy[1]:g} um (z, y, x) cannot show spines: z "
            f"from {PLAUSIBLE_Z_UM[0]} to {PLAUSIBLE_Z_UM[1]} um and y, x from "
            f"{PLAUSIBLE_XY_UM[0]} to {PLAUSIBLE_XY_UM[1]} um were expected. A wrong unit or axis "
            f"order is the usual cause. {HOW_TO_GIVE}"
        )
    longer = max(xy) / min(xy)
    most = LONGEST_PIXEL if z >= max(xy) else LONGEST_BEYOND_SLICES
    if longer > most:
        raise InputError(
            f"{name}: its pixels are {xy[0]:g} x {xy[1]:g} um (y, x), {longer:.1f} times as long "
            f"as wide; {most:g} at most were expected. Sizes given in the order x, y, z "
            f"in the place of z, y, x are the usual cause. {HOW_TO_GIVE}"
        )
