"""Size and strength of one spine, from the stack's own intensities.

Strength is the integrated brightness of the spine over that of 1 um of adjacent shaft, background
removed (Holtmaat & Svoboda 2009): blur cancels, because both are sums. Head volume follows from it
and the shaft's cross-section, as both hold the same fluorophore.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from spinenet.types import FloatArray, Um3, Volume

REACH_UM: Um3 = (1.8, 0.75, 0.75)
"""Half axes of the ellipsoid around a head whose light is its own."""
SHAFT_HALF_UM = 1.0
BLUR_FWHM_UM = 0.42
"""Typical lateral blur, removed from widths in quadrature."""


@dataclass(frozen=True)
class Shape:
    """Lengths um, volume um3; nan where the shaft beside it gives no light to compare with."""

    head_width_um: float
    head_volume_um3: float
    strength: float


def measure_shape(
    volume: Volume,
    shaft: npt.NDArray[np.bool_],
    centre_um: FloatArray,
    base_um: FloatArray,
    radius_um: float,
    others_um: FloatArray,
    background: float,
) -> Shape:
    """Measure the spine with its head at `centre_um` on a shaft of `radius_um` at `base_um`.

    Parameters
    ----------
    shaft: (Z, Y, X) shaft mask
    others_um: (K, 3) centres of the other spines near it, whose light is not this one's
    background: intensity of empty tissue
    """
    window, grid = _window(volume, (centre_um + base_um) / 2, 2.5 + radius_um)
    light = volume.data[window].astype(np.float32) - background
    inside_shaft = shaft[window]
    d = _scaled(grid, centre_um)
    own = (d <= 1) & ~inside_shaft
    for other in others_um:
        own &= d <= _scaled(grid, other)
    haze = _haze(grid, light, base_um, centre_um, own)
    total = float((light - haze)[own].sum())
    along = _shaft_light(light, grid, base_um, radius_um)
    strength = total / along if along > 0 else float("nan")
    volume_um3 = strength * np.pi * radius_um**2
    return Shape(_width(volume, centre_um, base_um, background), volume_um3, strength)


def _window(
    volume: Volume, centre_um: FloatArray, half_um: float
) -> tuple[tuple[slice, slice, slice], list[FloatArray]]:
    voxel = np.array(volume.voxel_size_um)
    low = np.clip(np.floor((centre_um - half_um) / voxel), 0, volume.data.shape).astype(int)
    high = np.clip(np.ceil((centre_um + half_um) / voxel) + 1, 0, volume.data.shape).astype(int)
    high = np.maximum(high, low + 1)
    axes = [np.arange(a, b) * v for a, b, v in zip(low, high, voxel, strict=True)]
    z, y, x = (slice(a, b) for a, b in zip(low, high, strict=True))
    return (z, y, x), [axes[0][:, None, None], axes[1][None, :, None], axes[2][None, None, :]]


def _scaled(grid: list[FloatArray], point_um: FloatArray) -> FloatArray:
    """Distance to a point in units of `REACH_UM`."""
    far2 = sum(((g - p) / r) ** 2 for g, p, r in zip(grid, point_um, REACH_UM, strict=True))
    return np.sqrt(far2)


def _haze(
    grid: list[FloatArray],
    light: FloatArray,
    base_um: FloatArray,
    centre_um: FloatArray,
    own: npt.NDArray[np.bool_],
) -> float:
    """Light that the shaft throws on the spine's place: what lies as far from the shaft's axis,
    beside the spine."""
    out = centre_um - base_um
    reach = float(np.linalg.norm(out))
    d = np.sqrt(sum((g - p) ** 2 for g, p in zip(grid, base_um, strict=True)))
    beside = ~own & (np.abs(d - reach) < 0.3) & (_scaled(grid, centre_um) > 1.3)
    values = light[beside]
    return float(np.percentile(values, 40)) if len(values) > 20 else 0.0


def _shaft_light(
    light: FloatArray, grid: list[FloatArray], base_um: FloatArray, radius_um: float
) -> float:
    """Integrated light of the shaft per um of its length, from a ball around the base."""
    half = SHAFT_HALF_UM
    d = np.sqrt(
        ((grid[0] - base_um[0]) / 2.2) ** 2
        + (grid[1] - base_um[1]) ** 2
        + (grid[2] - base_um[2]) ** 2
    )
    reach = radius_um + half
    share = light[d <= reach]
    # a straight shaft crosses the ball along a chord of about its diameter
    return float(share.sum()) / (2 * reach) if len(share) else 0.0


def _width(volume: Volume, centre_um: FloatArray, base_um: FloatArray, background: float) -> float:
    """Full width at half maximum of the head across the spine's axis in the plane, blur removed."""
    axis = (centre_um - base_um)[1:]
    length = float(np.hypot(*axis))
    if length < 1e-6:
        return float("nan")
    across = np.array([0.0, -axis[1], axis[0]]) / length
    t = np.arange(-1.2, 1.2001, 0.04)
    places = (centre_um + t[:, None] * across) / np.array(volume.voxel_size_um)
    low = np.maximum(np.floor(places.min(axis=0)).astype(int) - 1, 0)
    high = np.ceil(places.max(axis=0)).astype(int) + 2
    box = volume.data[low[0] : high[0], low[1] : high[1], low[2] : high[2]].astype(np.float32)
    if not box.size:
        return float("nan")
    line = ndimage.map_coordinates(box, (places - low).T, order=1, mode="nearest") - background
    line = ndimage.gaussian_filter1d(line, 2)
    middle = len(t) // 2
    peak = middle - 6 + int(line[middle - 6 : middle + 7].argmax())
    half = line[peak] / 2
    if half <= 0:
        return float("nan")
    right = next((i for i in range(peak, len(t)) if line[i] < half), len(t) - 1)
    left = next((i for i in range(peak, -1, -1) if line[i] < half), 0)
    return float(np.sqrt(max((t[right] - t[left]) ** 2 - BLUR_FWHM_UM**2, 0.1**2)))
