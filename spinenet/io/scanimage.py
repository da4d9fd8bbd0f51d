"""What ScanImage wrote beside a stack: how large its voxels are, and what its pages hold.

Versions 4 and later keep settings at the head of the file, or in the tag Software; 3.8 keeps them
in the description of every page.
"""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import tifffile

from spinenet.types import InputError, Um3

SETTING = re.compile(r"^(?:scanimage\.)?((?:SI|state)\.[\w.]+)\s*=\s*(.*?)\s*$")
MISCOUNTED = 1
"""Pages that tifffile may not see at the end of a file whose pages are not evenly spaced."""
Settings = dict[str, Any]


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


def voxel_of_settings(said: Settings, shape: tuple[int, ...]) -> Um3 | None:
    """From the step of the stack and the corners of the field; None where they are not told."""
    step = said.get("SI.hStackManager.actualStackZStepSize") or said.get(
        "SI.hStackManager.stackZStepSize"
    )
    corners = said.get("SI.hRoiManager.imagingFovUm")
    if isinstance(corners, str):
        corners = json.loads(corners.replace(" ", ",").replace(";", "],["))
    if not step or not corners:
        return None
    span = np.ptp(np.asarray(corners, float).reshape(-1, 2), axis=0)
    y, x = shape[-2:]
    return abs(float(step)), float(span[1] / y), float(span[0] / x)


def pages_of(tif: tifffile.TiffFile, name: str) -> tuple[int, int, int] | None:
    """Slices, frames of each and channels of each frame, in whose order the pages stand; None where
    ScanImage's settings do not say.

    Raises
    ------
    InputError
        If there are several volumes or flyback frames, or fewer pages than were promised.
    """
    said = settings_of(tif)
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
    pages = len(tif.pages)
    if pages > whole:
        raise InputError(
            f"{name} holds {pages} planes where ScanImage's settings have {whole} for one stack "
            f"({slices} slices, {channels} channel{'s' * (channels > 1)}): several volumes, or "
            "flyback frames between them. One stack per session was expected: keep one volume "
            "without its flyback frames (Fiji: Image > Stacks > Tools > Make Substack), or "
            "average the volumes, and save it as TIFF."
        )
    unseen = MISCOUNTED if channels == kept == averaged == 1 else 0
    if pages < whole - unseen:
        raise InputError(
            f"{name} is cut short: ScanImage's settings have {whole} planes ({slices} slices, "
            f"{channels} channel{'s' * (channels > 1)}), the file {pages}. The acquisition or a "
            "copy was interrupted; copy it again. If you took slices out on purpose, save it in "
            "Fiji as TIFF."
        )
    return (slices, kept, channels) if pages == whole else None


def _first(said: Settings, *names: str) -> int | None:
    """The first of these settings that holds a number of 1 or more."""
    return next((n for n in (_number(said.get(name)) for name in names) if n), None)


def _number(value: Any) -> int | None:
    """A whole number of 1 or more; None for anything else (Inf: until it is stopped)."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return int(number) if np.isfinite(number) and number >= 1 else None
