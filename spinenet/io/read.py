"""Stacks in. Axes and channel are found or demanded, never guessed."""

from __future__ import annotations

import html
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from spinenet.io.damage import TORN_TIFF
from spinenet.io.scanimage import check_one_field, pages_of, plainly, settings_of
from spinenet.io.sessions import StackFile
from spinenet.io.voxel import check_voxel, voxel_of
from spinenet.io.whole import check_whole
from spinenet.types import InputError, Um3, Volume

logger = logging.getLogger(__name__)
FEWEST_PLANES = 3
DTYPES = ("uint8", "uint16", "int16", "float32")


@dataclass(frozen=True)
class _Header:
    """What a file says of itself before any voxel is decoded."""

    series: Any
    layout: tuple[int, int, int] | None
    shape: tuple[int, ...]
    axes: str
    voxel_um: Um3
    channels: list[str]


def read_volume(stack: StackFile) -> Volume:
    """Read one stack; memory-mapped where the file allows.

    Raises
    ------
    InputError
        If it is no TIFF, cut short, has no or an absurd voxel size, an axis too many, an unknown
        channel, several stacks or only a part of one, a type that is not uint8, uint16, int16 or
        float32, NaN, or no contrast at all; or does not fit into memory.
    """
    name = stack.path.name
    with _opened(stack.path) as tif:
        header = _header(tif, stack)
        _warn_of_other_size(tif, header.series, stack)
        try:
            data = _pixels(tif, header, stack.path)
        except MemoryError as error:
            raise InputError(
                f"{name} holds {header.series.nbytes / 2**30:.1f} GiB of voxels when unpacked, "
                "more than this machine has free. Close other programs, crop the stack, or save it "
                "without compression: then it is read piece by piece."
            ) from error
    data = _to_zyx(data, header.axes, stack.channel, header.channels, name)
    _check_values(data, name)
    return Volume(data, header.voxel_um, stack.session, str(stack.path))


def check_header(stack: StackFile) -> None:
    """What can be known without decoding a voxel, so that a long run is refused at its start.

    Raises
    ------
    InputError
        As `read_volume`, but for what the voxels themselves would show.
    """
    with _opened(stack.path) as tif:
        header = _header(tif, stack)
    nothing = np.broadcast_to(np.zeros((), np.uint8), header.shape)
    _to_zyx(nothing, header.axes, stack.channel, header.channels, stack.path.name)


@contextmanager
def _opened(path: Path) -> Iterator[tifffile.TiffFile]:
    """The file; what its reading raises becomes a word to its owner."""
    try:
        with tifffile.TiffFile(path) as tif:
            yield tif
    except InputError:
        raise
    except PermissionError as error:
        raise InputError(
            f"{path.name} may not be read. Another owner or a file open in another program are the "
            "usual causes; ask for the right to read it, or copy it."
        ) from error
    except TORN_TIFF as error:
        raise InputError(
            f"{path.name} cannot be read as a TIFF stack ({error}). It is another kind of file, or "
            "a copy that was cut short; open it in Fiji and save it again as TIFF."
        ) from error


def _header(tif: tifffile.TiffFile, stack: StackFile) -> _Header:
    name = stack.path.name
    found = tif.series
    if not found:
        raise InputError(f"{name} holds no image. The file is empty or damaged.")
    series = _own_image(tif, found, name)
    said = settings_of(tif)
    check_one_field(tif, said, name)
    layout = pages_of(stack.path, said) if said else None
    check_whole(tif, series, name)
    voxel_um = stack.voxel_um or voxel_of(tif, series, name)
    check_voxel(voxel_um, name)
    if str(series.dtype) not in DTYPES:
        raise InputError(
            f"{name} holds {series.dtype} values; {', '.join(DTYPES)} are read. Convert it in Fiji "
            "with Image > Type > 16-bit."
        )
    shape, axes = tuple(series.shape), series.axes
    if 0 in shape:
        raise InputError(f"{name} holds an image of {shape} voxels. The file is empty or damaged.")
    if layout is not None:
        shape, axes = (*layout, *shape[-2:]), "ZTCYX"
    elif _planes_apart(tif, series):
        shape, axes = (len(tif.pages), *shape), "ZYX"
    return _Header(series, layout, shape, axes, voxel_um, _channel_names(tif))


def _warn_of_other_size(tif: tifffile.TiffFile, series: Any, stack: StackFile) -> None:
    """Where a person gave the size of voxels and the file has another."""
    told = stack.voxel_um
    if told is None:
        return
    try:
        own = voxel_of(tif, series, stack.path.name)
    except InputError:
        return
    if not np.allclose(own, told, rtol=0.01):
        logger.warning(
            "%s: voxels of %s um (z, y, x) were given, the file itself says %s um. The given size "
            "is used; if it was meant for other stacks, give it in their rows of sessions.csv.",
            stack.path.name,
            *(" x ".join(f"{v:.4g}" for v in size) for size in (told, own)),
        )


def _planes_apart(tif: tifffile.TiffFile, series: Any) -> bool:
    """Whether each plane was written alone."""
    alike = len({page.shape for page in tif.pages}) == 1
    return len(series.shape) == 2 and len(tif.pages) > 1 and alike


def _pixels(tif: tifffile.TiffFile, header: _Header, path: Path) -> Any:
    """The image: pages put in order where ScanImage says what they are, memory-mapped where it lies
    in one piece, pages stacked where each plane was written alone."""
    series = header.series
    if header.layout is not None:
        with plainly(path) as plain:
            return plain.asarray(key=slice(None)).reshape(header.shape)
    if header.shape != tuple(series.shape):  # each plane was written alone
        return tif.asarray(key=slice(None))
    if series.dataoffset is not None and series.nbytes > 0:
        return tifffile.memmap(path, mode="r").reshape(series.shape)
    return series.asarray()


def _own_image(tif: tifffile.TiffFile, found: Any, name: str) -> Any:
    """The file's only image. Several (the first would be taken for all), or a part of one, are
    refused; other files of a set are not opened."""

    def here(page: Any) -> bool:
        return page is not None and page.parent.filename == tif.filename

    mine = [series for series in found if any(here(page) for page in series.pages)]
    if mine and any(page is None for page in mine[0].pages):
        there = sum(page is not None for page in mine[0].pages)
        raise InputError(
            f"{name} promises {len(mine[0].pages)} planes and holds {there}: the acquisition or a "
            "copy was interrupted. Copy it again, or keep the planes that are there and save them "
            "in Fiji as TIFF."
        )
    if not mine or not all(here(page) for page in mine[0].pages):
        raise InputError(
            f"{name} is one of several files that hold a stack together (a set of OME-TIFFs). One "
            "file was expected: open the set in Fiji (File > Import > Bio-Formats) and save it as "
            "TIFF."
        )
    first = mine[0]
    planes = len(first.shape) == 2 and not tif.ome_metadata  # each plane written alone
    alike = sum(series.shape == first.shape or _is_stack(series) for series in mine)
    if alike > 1 and not planes:
        raise InputError(
            f"{name} holds {alike} images, the first of {first.shape} (axes {first.axes}): several "
            "positions, or planes saved apart. One stack per session was expected: save each as a "
            "TIFF of its own."
        )
    return first


def _is_stack(series: Any) -> bool:
    """Whether it could be taken for one; overviews and labels of a plane could not."""
    sizes = zip(series.axes, series.shape, strict=True)
    return int(np.prod([n for axis, n in sizes if axis not in "YXS"])) >= FEWEST_PLANES


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
                "the dendrites, by a number from 0 or a name: a column channel in sessions.csv, "
                "or infer --channel."
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
    if len(data) < FEWEST_PLANES:
        raise InputError(f"{name} has {len(data)} planes; at least {FEWEST_PLANES} are needed.")
    return data


def _channel_names(tif: tifffile.TiffFile) -> list[str]:
    if tif.ome_metadata:
        # those of the first image; without a name blank, so that they keep their numbers
        first = re.split(r"</(?:\w+:)?Pixels>", tif.ome_metadata)[0]
        labels = [
            re.search(r'\bName="([^"]*)"', tag)
            for tag in re.findall(r"<(?:\w+:)?Channel\b[^>]*>", first)
        ]
        return [html.unescape(label.group(1)) if label else "" for label in labels]
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
