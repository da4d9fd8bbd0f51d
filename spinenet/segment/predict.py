"""A stack through the net: few large tiles with a halo, no blending, uint8 probabilities out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch
from torch.nn.utils import convert_conv3d_weight_memory_format

from spinenet.config.infer import VOTER_PROBABILITY
from spinenet.models.inputs import (
    Brightness,
    canonical_shape,
    canonical_shift_um,
    canonical_voxel_um,
    measure_brightness,
    normalise,
    normalised,
    resample_xy,
)
from spinenet.models.unet3d import (
    CENTRE,
    HALO_PX,
    MULTIPLE,
    OFFSET,
    SHAFT,
    SPINE,
    SpineUNet,
    autocast_dtype,
)
from spinenet.types import FloatArray, InputError, IntArray, Um3, Volume

logger = logging.getLogger(__name__)
SMALLEST_TILE_PX = 48
MIRRORS: tuple[tuple[int, ...], ...] = ((), (1,), (2,), (1, 2))
"""Axes (of z, y, x) over which the first view, the second, ... is mirrored; never over z, as a
stack is not as sharp below as above."""


@dataclass(frozen=True)
class Prediction:
    """Maps (Z, Y, X) uint8 of 0..255 on the volume's grid, and the votes of likely spine voxels."""

    shaft: npt.NDArray[np.uint8]
    spine: npt.NDArray[np.uint8]
    centre: npt.NDArray[np.uint8]
    voters: IntArray
    """(V, 3) voxels of the volume that may belong to a spine."""
    votes_um: FloatArray
    """(V, 3) where each of them says that its head centre lies, um."""
    voxel_size_um: Um3


@dataclass(frozen=True)
class Box:
    """Pixels y0..y1, x0..x1 of the net's grid."""

    y0: int
    y1: int
    x0: int
    x1: int

    def halves(self) -> tuple[Box, Box]:
        """Cut across the longer side, on a multiple of the net's pooling."""
        if self.y1 - self.y0 >= self.x1 - self.x0:
            cut = self.y0 + _round_up((self.y1 - self.y0) // 2, MULTIPLE[1])
            return Box(self.y0, cut, self.x0, self.x1), Box(cut, self.y1, self.x0, self.x1)
        cut = self.x0 + _round_up((self.x1 - self.x0) // 2, MULTIPLE[2])
        return Box(self.y0, self.y1, self.x0, cut), Box(self.y0, self.y1, cut, self.x1)

    @property
    def splittable(self) -> bool:
        return max(self.y1 - self.y0, self.x1 - self.x0) > 2 * MULTIPLE[1]


def pick_device(name: str) -> torch.device:
    """`auto` takes CUDA where there is a card.

    Raises
    ------
    InputError
        If CUDA is asked for and there is none.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError(
            "device cuda was asked for, but PyTorch sees no CUDA card here. Install a PyTorch with "
            "CUDA and a driver for it, or give --device cpu."
        )
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def plan_tiles(shape: tuple[int, int, int], tile_mvox: float) -> list[Box]:
    """Boxes in rows and columns that cover y and x: with their halo, and all of z, each holds at
    most `tile_mvox`. Of such grids the one with the fewest voxels, halos counted; the finest, if
    the stack is so deep that none is small enough.

    Within a grid all tiles are of nearly one size, so that the memory of one serves the next.
    """
    depth = _round_up(shape[0], MULTIPLE[0])
    rows, columns = _ways_to_cut(shape[1]), _ways_to_cut(shape[2])
    grids = [(y, x) for y in rows for x in columns]
    sizes = {cuts: _with_halo(cuts) for cuts in (*rows, *columns)}
    fit = [
        (y, x) for y, x in grids if depth * max(sizes[y]) * max(sizes[x]) <= tile_mvox * 1e6
    ] or [(rows[-1], columns[-1])]
    y, x = min(fit, key=lambda grid: sum(sizes[grid[0]]) * sum(sizes[grid[1]]))
    return [Box(y0, y1, x0, x1) for y0, y1 in pairwise(y) for x0, x1 in pairwise(x)]


def _ways_to_cut(length: int) -> list[tuple[int, ...]]:
    """Edges of 1, 2, 3, ... pieces that are equally long with their halos."""
    ways: list[tuple[int, ...]] = [(0, length)]
    for pieces in range(2, length // SMALLEST_TILE_PX + 1):
        size = -(-(length + 2 * HALO_PX * (pieces - 1)) // pieces)
        step = _round_up(size, MULTIPLE[1]) - 2 * HALO_PX
        edges = (0, *(HALO_PX + step * i for i in range(1, pieces)), length)
        if edges[-2] < length:
            ways.append(edges)
    return ways


def _with_halo(cuts: tuple[int, ...]) -> list[int]:
    """Lengths of the pieces between the cuts with the halos that the stack's ends leave them, and
    as the net pads them."""
    ends = [(max(a - HALO_PX, 0), min(b + HALO_PX, cuts[-1])) for a, b in pairwise(cuts)]
    return [_round_up(b - a, MULTIPLE[1]) for a, b in ends]


def predict(
    volume: Volume,
    net: SpineUNet,
    *,
    tile_mvox: float,
    device: torch.device,
    views: int = 1,
    brightness: Brightness | None = None,
    on_tile: Callable[[int, int], None] = lambda done, left: None,
) -> Prediction:
    """Probabilities of shaft, spine and head centre for every voxel.

    Parameters
    ----------
    net: folded (inference) net; it is moved to `device`, and its weights laid out channels last
    brightness: of the stack, where it is known already
    views: so many of the `MIRRORS` are looked at, and their answers averaged
    on_tile: told tiles done and left after each tile
    """
    brightness = brightness or measure_brightness(volume.data, volume.voxel_size_um)
    voxel = canonical_voxel_um(volume.voxel_size_um)
    shape = canonical_shape(volume.data.shape, volume.voxel_size_um)
    native = shape == volume.data.shape
    source = volume.data
    if not native:
        source = np.empty(shape, np.float16)
        for z, plane in enumerate(volume.data):
            bright = normalise(plane[None], brightness)
            source[z] = resample_xy(bright, (1, *shape[1:]))[0]
    maps = {c: np.zeros(shape, np.uint8) for c in (SHAFT, SPINE, CENTRE)}
    voters, votes = [], []
    net = net.to(device)
    # on a card twice as fast as channels first (benchmarks/speed.py), on a processor a tenth
    convert_conv3d_weight_memory_format(net, torch.channels_last_3d)
    boxes = plan_tiles(shape, tile_mvox)
    done = 0
    while boxes:
        box = boxes.pop(0)
        try:
            outer, crop = _crop(source, box)
            tile = torch.from_numpy(crop.astype(np.float32)).to(device)
            if native:
                tile = normalised(tile, brightness)
            inner = (
                slice(None),
                slice(None),
                slice(box.y0 - outer.y0, box.y1 - outer.y0),
                slice(box.x0 - outer.x0, box.x1 - outer.x0),
            )
            chances, votes_um = _answers(net, tile, inner, views)
        except torch.OutOfMemoryError:
            if not box.splittable:
                raise
            torch.cuda.empty_cache()
            logger.warning("the card's memory is full; going on with tiles of half the size")
            boxes = [p for b in (box, *boxes) for p in (b.halves() if b.splittable else (b,))]
            continue
        whole = (chances * 255).round().to(torch.uint8).cpu().numpy()
        for channel, target in maps.items():
            target[:, box.y0 : box.y1, box.x0 : box.x1] = whole[channel]
        where = torch.nonzero(chances[SPINE] >= VOTER_PROBABILITY).cpu().numpy()
        offset = votes_um[:, *where.T].T.cpu().numpy()
        where = where + np.array([0, box.y0, box.x0])
        voters.append(where.astype(np.int32))
        votes.append((where * np.array(voxel) + offset).astype(np.float32))
        done += 1
        on_tile(done, len(boxes))
    at, says = np.concatenate(voters), np.concatenate(votes)
    if not native:
        says = says + canonical_shift_um(volume.voxel_size_um)
        maps = {
            SHAFT: _back(maps[SHAFT], volume.data.shape),
            SPINE: _back(maps[SPINE], volume.data.shape),
            CENTRE: _peaks_back(maps[CENTRE], volume.data.shape),
        }
        at, says = _spread(at, says, shape, volume.data.shape)
    return Prediction(
        maps[SHAFT], maps[SPINE], maps[CENTRE], at, says.astype(np.float32), volume.voxel_size_um
    )


def _crop(source: npt.NDArray[np.generic], box: Box) -> tuple[Box, npt.NDArray[np.generic]]:
    outer = Box(
        max(box.y0 - HALO_PX, 0) // MULTIPLE[1] * MULTIPLE[1],
        min(box.y1 + HALO_PX, source.shape[1]),
        max(box.x0 - HALO_PX, 0) // MULTIPLE[2] * MULTIPLE[2],
        min(box.x1 + HALO_PX, source.shape[2]),
    )
    return outer, source[:, outer.y0 : outer.y1, outer.x0 : outer.x1]


def _answers(
    net: SpineUNet, tile: torch.Tensor, inner: tuple[slice, ...], views: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Probabilities of shaft, spine and centre, and offsets to the centre in um, each (3, Z, Y, X)
    of the inner part of a normalised tile: the means over its views."""
    seen = []
    for axes in MIRRORS[:views]:
        out = _mirrored(_run(net, _mirrored(tile, axes)), [axis + 1 for axis in axes])[inner]
        offsets = out[OFFSET]
        for axis in axes:
            offsets[axis] *= -1  # a mirrored vote points the other way
        seen.append((torch.sigmoid(out[: CENTRE + 1]), offsets))
    chances, votes = (torch.stack(of).mean(dim=0) for of in zip(*seen, strict=True))
    return chances, votes


def _mirrored(values: torch.Tensor, axes: Sequence[int]) -> torch.Tensor:
    return values.flip(*axes) if axes else values


def _run(net: SpineUNet, tile: torch.Tensor) -> torch.Tensor:
    """(6, Z, Y, X) logits of a normalised tile, padded to the net's multiples and cut back."""
    pad = [
        n for size, m in zip(tile.shape[::-1], MULTIPLE[::-1], strict=True) for n in (0, -size % m)
    ]
    x = torch.nn.functional.pad(tile[None, None], pad)
    kind, dtype = tile.device.type, autocast_dtype(tile.device)
    with torch.inference_mode(), torch.autocast(kind, dtype, enabled=dtype != torch.float32):
        out = net(x)[0].float()
    return out[:, : tile.shape[0], : tile.shape[1], : tile.shape[2]]


def _back(values: npt.NDArray[np.uint8], shape: tuple[int, int, int]) -> npt.NDArray[np.uint8]:
    out = np.empty(shape, np.uint8)
    for z, plane in enumerate(values):
        out[z] = np.rint(resample_xy(plane[None].astype(np.float32), (1, *shape[1:]))[0])
    return out


def _peaks_back(
    values: npt.NDArray[np.uint8], shape: tuple[int, int, int]
) -> npt.NDArray[np.uint8]:
    """The highest of the net's voxels that each voxel of the stack covers: a peak's height is its
    probability, which a mean with its surroundings would lower. No others: they would shift it."""
    nearest = _nearest(values.shape, shape)
    for axis in (1, 2):
        n, m = values.shape[axis], shape[axis]
        if n <= m:
            values = values.take(nearest[axis], axis)
            continue
        first = np.arange(m) * n // m
        last = -(-(np.arange(m) + 1) * n // m) - 1
        top = values.take(first, axis)
        for step in range(1, int((last - first).max()) + 1):
            np.maximum(top, values.take(np.minimum(first + step, last), axis), out=top)
        values = top
    return values


def _nearest(canonical: tuple[int, ...], shape: tuple[int, ...]) -> list[IntArray]:
    """By axis, the net's voxel in which the middle of each voxel of the stack lies."""
    return [
        np.minimum(((np.arange(n) + 0.5) * c / n).astype(np.int64), c - 1)
        for n, c in zip(shape, canonical, strict=True)
    ]


def _spread(
    at: IntArray, says: FloatArray, canonical: tuple[int, ...], shape: tuple[int, ...]
) -> tuple[IntArray, FloatArray]:
    """Votes of the net's voxels given to the voxels of the stack that each of them covers."""
    of_z, *of_yx = _nearest(canonical, shape)
    where, who = [np.zeros((0, 3), np.int64)], [np.zeros(0, np.int64)]
    for z, of_net in enumerate(of_z):
        here = np.flatnonzero(at[:, 0] == of_net)
        plane = np.full(canonical[1:], -1, np.int64)
        plane[tuple(at[here, 1:].T)] = here
        covering = plane[np.ix_(*of_yx)]
        y, x = np.nonzero(covering >= 0)
        where.append(np.stack([np.full(len(y), z), y, x], axis=1))
        who.append(covering[y, x])
    return np.concatenate(where), says[np.concatenate(who)]


def _round_up(n: int, multiple: int) -> int:
    return -(-n // multiple) * multiple
