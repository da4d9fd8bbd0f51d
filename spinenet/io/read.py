"""Stacks in. Axes and channel are found or demanded, never guessed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from spinenet.io.scanimage import pages_of, plainly, settings_of
from spinenet.io.sessions import StackFile
from spinenet.io.voxel import check_voxel, voxel_of
from spinenet.types import InputError, Volume

DTYPES = ("uint8", "uint16", "int16", "float32")


def read_volume(stack: StackFile) -> Volume:
    """Read one stack; memory-mapped where the file allows.

    Raises
    ------
    InputError
        If it is no TIFF, cut short, has no or an absurd voxel size, an axis too many, an unknown
        channel, several stacks or only a part of one, a type that is not uint8, uint16, int16 or
        float32, NaN, or no contrast at all.
    """
    name = stack.path.name
    try:
        with tifffile.TiffFile(stack.path) as tif:
            found = tif.series() if callable(tif.series) else tif.series
            if not found:
                raise InputError(f"{name} holds no image. The file is empty or damaged.")
            series = _own_image(tif, found, name)
            said = settings_of(tif)
            layout = pages_of(stack.path, said) if said else None
            _check_promised(tif, series, name)
            voxel = stack.voxel_um or voxel_of(tif, series, name)
            names = _channel_names(tif)
            if str(series.dtype) not in DTYPES:
                raise InputError(
                    f"{name} holds {series.dtype} values; {', '.join(DTYPES)} are read. Convert it "
                    "in Fiji with Image > Type > 16-bit."
                )
            data, axes = _pixels(tif, series, layout, stack.path)
    except (tifffile.TiffFileError, ValueError, OSError, RuntimeError, LookupError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{name} cannot be read as a TIFF stack ({error}). It is another kind of file, or a "
            "copy that was cut short; open it in Fiji and save it again as TIFF."
        ) from error
    data = _to_zyx(data, axes, stack.channel, names, name)
    check_voxel(voxel, name)
    _check_values(data, name)
    return Volume(data, voxel, stack.session, str(stack.path))


def _pixels(
    tif: tifffile.TiffFile, series: Any, layout: tuple[int, int, int] | None, path: Path
) -> tuple[Any, str]:
    """The image and its axes: pages put in order where ScanImage says what they are, memory-mapped
    where it lies in one piece, pages stacked where each plane was written alone."""
    if layout is not None:
        with plainly(path) as plain:
            pages = plain.asarray(key=slice(None))
        return pages.reshape(*layout, *pages.shape[-2:]), "ZTCYX"
    shapes = {page.shape for page in tif.pages}
    if len(series.shape) == 2 and len(tif.pages) > 1 and len(shapes) == 1:
        return tif.asarray(key=slice(None)), "ZYX"
    if series.dataoffset is not None and series.nbytes > 0:
        return tifffile.memmap(path, mode="r").reshape(series.shape), series.axes
    return series.asarray(), series.axes


def _own_image(tif: tifffile.TiffFile, found: Any, name: str) -> Any:
    """The one image of the file. The first of several would be taken for all, and a file that holds
    a part of one for the whole; what other files of its set hold is not asked."""

    def here(page: Any) -> bool:
        return page is not None and page.parent.filename == tif.filename

    mine = [series for series in found if any(here(page) for page in series.pages)]
    if not mine or not all(here(page) for page in mine[0].pages):
        raise InputError(
            f"{name} is one of several files that hold a stack together (a set of OME-TIFFs). One "
            "file was expected: open the set in Fiji (File > Import > Bio-Formats) and save it as "
            "TIFF."
        )
    first = mine[0]
    planes = len(first.shape) == 2 and not tif.ome_metadata  # each plane written alone
    alike = sum(series.shape == first.shape for series in mine)
    if alike > 1 and not planes:
        raise InputError(
            f"{name} holds {alike} images of {first.shape} (axes {first.axes}), several positions "
            "or planes saved apart. One stack per session was expected: save each as a TIFF of its "
            "own."
        )
    return first


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
            "per session was expected: average the repeats or save the time points apart. If these "
            "are slices that were saved as time points, exchange slices and frames in Fiji with "
            "Image > Properties."
        )
    if "C" in axes and data.shape[axes.index("C")] > 1:
        n = data.shape[axes.index("C")]
        names = names[:n]  # ImageJ has a label for every plane
        shown = ", ".join(label or "unnamed" for label in names) or "unnamed"
        if channel == "":
            raise InputError(
                f"{name} has {n} channels ({shown}). Say which one shows "
                "the dendrites: a column channel in sessions.csv (a number from 0, or a name)."
            )
        meant = {k for k, label in enumerate(names) if label == channel}
        meant |= {int(channel)} & set(range(n)) if channel.isdigit() else set()
        if len(meant) > 1:
            numbers = " or ".join(map(str, sorted(meant)))
            raise InputError(
                f"{name}: channel {channel!r} may be number {numbers}; its channels are named "
                f"{shown}. Give a name or a number from 0 that is one channel's alone."
            )
        index = meant.pop() if meant else -1
        if not 0 <= index < n:
            raise InputError(
                f"{name} has no channel {channel!r}; it has {n} ({shown}, numbers 0 to {n - 1})."
            )
        data = np.take(data, index, axis=axes.index("C"))
        axes = axes.replace("C", "")
    elif channel not in ("", "0", *names[:1]):
        raise InputError(
            f"{name} has one channel only, and sessions.csv asks for channel {channel!r}; its axes "
            f"are {axes} {data.shape}. Clear the column channel, or, if the file should have "
            "several, save it again as a hyperstack: their order was lost."
        )
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
        # those of the first image; without a name blank, so that they keep their numbers
        first = re.split(r"</(?:\w+:)?Pixels>", tif.ome_metadata)[0]
        labels = [
            re.search(r'\bName="([^"]*)"', tag)
            for tag in re.findall(r"<(?:\w+:)?Channel\b[^>]*>", first)
        ]
        return [label.group(1) if label else "" for label in labels]
    labels = (tif.imagej_metadata or {}).get("Labels", [])
    return [str(label) for label in labels]


def _check_values(data: Any, name: str) -> None:
    if data.dtype.kind == "f" and not all(np.isfinite(plane).all() for plane in data):
        raise InputError(
            f"{name} holds NaN or infinite values. Registration or deconvolution leaves them at "
            "the border; crop the stack or replace them by the background."
        )
    low, high = np.min(data), np.max(data)
    if low == high:
        raise InputError(
            f"{name} has the same value ({low:g}) in every voxel: there is no image in it. The "
            "wrong channel or a failed export are the usual causes."
        )
