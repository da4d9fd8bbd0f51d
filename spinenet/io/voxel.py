"""How large a file's voxels are, by its own metadata: OME, ImageJ or ScanImage. Never a guess."""

from __future__ import annotations

import re
from typing import Any

import tifffile

from spinenet.io.scanimage import settings_of, voxel_of_settings
from spinenet.types import InputError, Um3

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
HOW_TO_GIVE = (
    "Give voxel_z_um, voxel_y_um and voxel_x_um in sessions.csv, or infer --voxel_um '[Z,Y,X]'."
)


def voxel_of(tif: tifffile.TiffFile, series: Any, name: str) -> Um3:
    """Voxel size from the file's own metadata: OME, then ImageJ, then ScanImage."""
    size = None
    if tif.ome_metadata:
        size = _ome_voxel(tif.ome_metadata)
    elif tif.imagej_metadata:
        size = _imagej_voxel(tif)
    else:
        size = voxel_of_settings(settings_of(tif), series.shape)
    if size is None:
        info = tif.imagej_metadata or {}
        one = (
            " ImageJ leaves out a distance of slices that is exactly 1, as it does one that was "
            "never set; if yours is 1, say so there."
        )
        only_z = "unit" in info and "spacing" not in info
        raise InputError(
            f"{name} does not say how large its voxels are. {HOW_TO_GIVE}{one * only_z}"
        )
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
