"""The one recipe from a stack to what the net sees, shared by training and inference.

xy is resampled to the canonical spacing if it is far from it, z is left as it is; brightness is
normalised per stack, never per tile, by statistics that a few bright cell bodies do not move.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage
from torch import Tensor

from spinenet.types import FloatArray, Um3

CANONICAL_XY_UM = 0.1
ACCEPTED_XY_UM = (0.08, 0.13)
SQUARE = 1.05
"""Pixels whose sides differ by less are square enough to be turned."""
BLOCK_UM = 4.0


@dataclass(frozen=True)
class Brightness:
    """Background and typical brightness of structures of one stack, in its intensity units."""

    background: float
    scale: float


def measure_brightness(stack: npt.NDArray[Any], voxel_um: Um3) -> Brightness:
    """The median, and how far the bright end of a block of tissue stands above it.

    The bright end is the 99th percentile of each xy block of 4 um over all z; of the blocks the
    95th percentile counts, so that a cell body in a corner does not darken every dendrite.
    """
    thin = stack[:, ::2, ::2] if stack.size > 4_000_000 else stack
    step = 2 if thin is not stack else 1
    background = float(np.median(thin[:: max(len(thin) // 32, 1)]))
    side = max(int(BLOCK_UM / voxel_um[2] / step), 4)
    tops = [
        np.percentile(thin[:, y : y + side, x : x + side], 99)
        for y in range(0, thin.shape[1], side)
        for x in range(0, thin.shape[2], side)
    ]
    scale = float(np.percentile(tops, 95)) - background
    return Brightness(background, max(scale, 1e-6))


def normalise(stack: npt.NDArray[Any], brightness: Brightness) -> npt.NDArray[np.float32]:
    """0 at the background, 1 at the brightness of structures; far brighter is compressed."""
    return normalised(torch.from_numpy(stack.astype(np.float32)), brightness).numpy()


def normalised(stack: Tensor, brightness: Brightness) -> Tensor:
    """The same of float32, where it lies."""
    relative = (stack - brightness.background) / brightness.scale
    return torch.asinh(5 * relative) / math.asinh(5)


def denormalise(image: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The stack of background 0 and scale 1 whose `normalise` gives this image."""
    return np.sinh(image * np.float32(np.arcsinh(5.0))) / np.float32(5)


def xy_zoom(voxel_um: Um3) -> tuple[float, float]:
    """Factors by which y and x are enlarged before the net; 1 for square pixels near the canonical
    spacing."""
    _, y, x = voxel_um
    low, high = ACCEPTED_XY_UM
    if low <= min(y, x) and max(y, x) <= min(high, SQUARE * min(y, x)):
        return 1.0, 1.0
    return y / CANONICAL_XY_UM, x / CANONICAL_XY_UM


def canonical_voxel_um(voxel_um: Um3) -> Um3:
    """Voxel size of what the net sees."""
    y, x = xy_zoom(voxel_um)
    return voxel_um[0], voxel_um[1] / y, voxel_um[2] / x


def canonical_shape(shape: tuple[int, ...], voxel_um: Um3) -> tuple[int, int, int]:
    """Shape of a stack (Z, Y, X) as the net sees it."""
    zoom = (1.0, *xy_zoom(voxel_um))
    z, y, x = (max(round(n * f), 1) for n, f in zip(shape, zoom, strict=True))
    return z, y, x


def canonical_shift_um(voxel_um: Um3) -> FloatArray:
    """(3,) where voxel (0, 0, 0) of what the net sees lies in the stack: resampling keeps the outer
    edges of the field in place, not the centres of the first voxels."""
    shift: FloatArray = 0.5 * (np.array(canonical_voxel_um(voxel_um)) - np.array(voxel_um))
    return shift


def resample_xy(
    stack: npt.NDArray[np.float32], shape: tuple[int, int, int]
) -> npt.NDArray[np.float32]:
    """(Z, Y, X) at another y, x shape; averaged first where it shrinks."""
    if stack.shape == shape:
        return stack
    zoom = [n / o for n, o in zip(shape, stack.shape, strict=True)]
    sigma = [0.0, *(max(0.5 / z - 0.5, 0.0) for z in zoom[1:])]
    calm = ndimage.gaussian_filter(stack, sigma) if any(sigma) else stack
    out = np.empty(shape, np.float32)
    for z, plane in enumerate(calm):
        ndimage.zoom(plane, zoom[1:], order=1, output=out[z], grid_mode=True, mode="nearest")
    return out
