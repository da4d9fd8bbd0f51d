"""What ScanImage wrote beside a stack: how large its voxels are, and what its pages hold.

Versions 4 and later keep settings at the head of the file, or in the tag Software; 3.8 keeps them
in the description of every page.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from spinenet.types import InputError, Um3

SETTING = re.compile(r"^(?:scanimage\.)?((?:SI|state)\.[\w.]+)\s*=\s*(.*?)\s*$")
Settings = dict[str, Any]
UNEVEN_SHARE = 0.02
"""Of the largest step, by which steps may differ."""


def settings_of(tif: tifffile.TiffFile) -> Settings:
    """ScanImage's settings by name; none where another program wrote the file last."""
    if tif.ome_metadata or tif.imagej_metadata:
        return {}
    head = (tif.scanimage_metadata or {}).get("FrameData") or {}
    if head:
        return dict(head)
    tags = tif.pages[0].tags
    text = "\n".join(str(tags[t].value) for t in ("Software", "ImageDescription") if t in tags)
    found = (SETTING.match(line.strip("\0")) for line in re.split(r"[\r\n]+", text))
    return {m.group(1): m.group(2) for m in found if m}


def voxel_of_settings(said: Settings, shape: tuple[int, ...], name: str) -> Um3 | None:
    """From the planes' depths, or the step of the stack, and the corners of the field; None where
    they are not told.

    Raises
    ------
    InputError
        If the planes do not lie evenly.
    """
    step = _step_um(said, name)
    corners = np.array(_numbers(said.get("SI.hRoiManager.imagingFovUm")))
    if step is None or corners.size != 8:
        return None
    # in order around the field, which the scan may have turned
    first, along_x, _, along_y = corners.reshape(4, 2)
    y, x = shape[-2:]
    high, wide = (float(np.linalg.norm(end - first)) for end in (along_y, along_x))
    return step, high / y, wide / x


def _step_um(said: Settings, name: str) -> float | None:
    depths = np.array(_numbers(said.get("SI.hStackManager.zs")))
    steps = np.diff(depths)
    steps = np.abs(steps[steps != 0])
    if steps.size and np.ptp(steps) > UNEVEN_SHARE * steps.max():
        raise InputError(
            f"{name}: ScanImage's planes lie {steps.min():g} to {steps.max():g} um apart "
            "(SI.hStackManager.zs). Even steps were expected: keep the part that is even, or "
            "resample it to even steps, and save it as TIFF."
        )
    if steps.size:
        return float(np.median(steps))
    said_steps = (
        _numbers(said.get(f"SI.hStackManager.{which}"))
        for which in ("actualStackZStepSize", "stackZStepSize")
    )
    return next((abs(of[0]) for of in said_steps if of and of[0]), None)


def check_one_field(tif: tifffile.TiffFile, said: Settings, name: str) -> None:
    """Several regions of interest are strips of one frame, below each other.

    Raises
    ------
    InputError
        If several were imaged at once.
    """
    if str(said.get("SI.hRoiManager.mroiEnable")).lower() not in ("true", "1"):
        return
    groups = (tif.scanimage_metadata or {}).get("RoiGroups") or {}
    rois = (groups.get("imagingRoiGroup") or {}).get("rois")
    if not isinstance(rois, dict):  # a single one stands without a list
        n = len(rois) if rois else "several"
        if n != 1:
            raise InputError(
                f"{name} holds {n} regions of interest in each frame (ScanImage's mROI mode). One "
                "field was expected: cut each out (Fiji: Image > Crop) and save it as a TIFF of "
                "its own, with its voxel size."
            )


def pages_of(path: Path, said: Settings) -> tuple[int, int, int] | None:
    """Slices, frames of each and channels of each frame, in whose order the pages stand; None where
    ScanImage's settings do not say.

    Raises
    ------
    InputError
        If there are several volumes or flyback frames, fewer pages than were promised, or one plane
        over time.
    """
    name = path.name
    saved = said.get("SI.hChannels.channelSave")
    channels = _number(said.get("state.acq.numberOfChannelsSave")) or 1
    if saved is not None:
        channels = len(re.findall(r"\d+", str(saved)))
    slices = _first(
        said,
        "SI.hStackManager.actualNumSlices",
        "SI.hStackManager.numSlices",
        "state.acq.numberOfZSlices",
    )
    if not slices:
        return None
    frames = _first(said, "SI.hStackManager.framesPerSlice", "state.acq.numberOfFrames") or 1
    averaged = _first(said, "SI.hScan2D.logAverageFactor") or 1
    if _number(said.get("state.acq.averaging")) == 1:
        averaged = frames
    kept = max(frames // averaged, 1)
    whole = channels * slices * kept
    with plainly(path) as tif:
        pages = len(tif.pages)
    flat = str(said.get("SI.hStackManager.enable", "")).lower() in ("false", "0")
    fast = str(said.get("SI.hFastZ.enable", "")).lower() in ("true", "1")
    if flat and not fast and pages > channels:
        raise InputError(
            f"{name} was not recorded as a stack (SI.hStackManager.enable is false): its {pages} "
            "planes are one plane over time. A stack was expected; choose the file of the stack."
        )
    if pages > whole:
        raise InputError(
            f"{name} holds {pages} planes where ScanImage's settings have {whole} for one stack "
            f"({slices} slices, {channels} channel{'s' * (channels > 1)}): several volumes, or "
            "flyback frames between them. One stack per session was expected: keep one volume "
            "without its flyback frames (Fiji: Image > Stacks > Tools > Make Substack), or "
            "average the volumes, and save it as TIFF."
        )
    if pages < whole:
        raise InputError(
            f"{name} is cut short: ScanImage's settings have {whole} planes ({slices} slices, "
            f"{channels} channel{'s' * (channels > 1)}), the file {pages}. The acquisition or a "
            "copy was interrupted; copy it again. If you took slices out on purpose, save it in "
            "Fiji as TIFF."
        )
    return slices, kept, channels


def _first(said: Settings, *names: str) -> int | None:
    """The first of these settings that holds a number of 1 or more."""
    return next((n for n in (_number(said.get(name)) for name in names) if n), None)


def _number(value: Any) -> int | None:
    """A whole number of 1 or more; None for anything else (Inf: until it is stopped)."""
    found = _numbers(value)
    return int(found[0]) if found and found[0] >= 1 else None


def _numbers(value: Any) -> list[float]:
    """All finite numbers of a setting, whether tifffile has read it or not."""
    words = re.findall(r"[-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?", str(value))
    return [float(word) for word in words]


def plainly(path: Path) -> tifffile.TiffFile:
    """The file with all of its pages: of evenly spaced ones tifffile leaves out the last, where it
    knows ScanImage."""
    return tifffile.TiffFile(path, is_scanimage=False)
