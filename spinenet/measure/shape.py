"""Size and strength of one spine, from the stack's own intensities.

Strength is the integrated brightness of the spine over that of 1 um of adjacent shaft, background
removed (Holtmaat & Svoboda 2009): blur cancels, because both are sums. Head volume follows from it
and the shaft's cross-section, as both hold the same fluorophore; head width is the diameter of a
ball of that volume. The width of a head's own profile says less: most heads are narrower than the
blur, and on simulated truth it scattered more than twice as much (benchmarks/RESULTS.md).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from spinenet.measure.imaged import Imaged
from spinenet.types import BoolArray, FloatArray, Um3, Volume

REACH_UM: Um3 = (2.0, 0.75, 0.75)
"""Half axes of the ellipsoid around a head whose light is its own."""
BESIDE_UM = (-2.4, -2.0, -1.6, -1.2, 1.2, 1.6, 2.0, 2.4)
"""How far along the shaft the light without the spine is looked for."""
CLEAR_SHARES = (0.7, 0.3)
"""Of such a place must be clear of other spines; the less where none has the more."""
FINE_UM = (0.3, 0.15, 0.15)
"""Light is read between the voxels so finely: whole voxels of thick slices make an ellipsoid that
is another one, the planes a little higher."""
SHAFT_HALF_UM = 1.5
NOWHERE: FloatArray = np.zeros((0, 3))
SHAFT_BEYOND_UM = (2.5, 0.7)
"""How far its blur reaches beyond the shaft: in depth, sideways."""


@dataclass(frozen=True)
class Shape:
    """Lengths um, volume um3; nan where the spine is not brighter than the place beside it, or the
    shaft gives no light to compare with."""

    head_width_um: float
    head_volume_um3: float
    strength: float


@dataclass(frozen=True)
class Stalk:
    """Where a spine stands: (3,) place on the shaft's axis, (3,) direction of the axis, radius."""

    base_um: FloatArray
    tangent: FloatArray
    radius_um: float


def measure_shape(
    volume: Volume,
    centre_um: FloatArray,
    stalk: Stalk,
    others_um: FloatArray,
    background: float,
    crowd_um: FloatArray = NOWHERE,
    imaged: Imaged | None = None,
) -> Shape:
    """Measure the spine with its head at `centre_um`; nan where it lies far outside the stack.

    Parameters
    ----------
    others_um: (K, 3) centres of the other spines near it, whose light is not this one's
    crowd_um: (M, 3) nodes of the other dendrites near it, whose light is not this shaft's
    background: intensity of empty tissue
    imaged: beyond which the stack is blank, and measured as if it ended there
    """
    window, grid = _window(volume, (centre_um + stalk.base_um) / 2, 3.5 + stalk.radius_um)
    light = volume.data[window].astype(np.float32) - background
    if not light.size:
        return Shape(float("nan"), float("nan"), float("nan"))
    blank = np.zeros(light.shape, bool) if imaged is None else imaged.blank(window)
    corner_um = np.array([axis.flat[0] for axis in grid])
    around = _Light(light, blank, corner_um, volume.voxel_size_um)
    own, mine = around.of(centre_um, others_um, centre_um)
    total = float((own[mine] - _beside(around, centre_um, stalk, others_um)).sum())
    total *= float(np.prod(FINE_UM) / np.prod(volume.voxel_size_um))
    light[_nearer_to(crowd_um, grid, stalk)] = 0.0
    along = _shaft_light(light, grid, stalk, blank)
    strength = total / along if along > 0 and total > 0 else float("nan")
    volume_um3 = strength * np.pi * stalk.radius_um**2
    return Shape(float(np.cbrt(6 * volume_um3 / np.pi)), volume_um3, strength)


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


def _scaled(points_um: FloatArray, centre_um: FloatArray) -> FloatArray:
    """Distance (N,) to a point in units of `REACH_UM`."""
    out: FloatArray = np.linalg.norm((points_um - centre_um) / REACH_UM, axis=1)
    return out


def _ellipsoid() -> FloatArray:
    """(N, 3) offsets of a fine grid within `REACH_UM`."""
    half = [np.arange(1, r / d + 1) * d for r, d in zip(REACH_UM, FINE_UM, strict=True)]
    axes = [np.r_[-h[::-1], 0, h] for h in half]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    return points[_scaled(points, np.zeros(3)) <= 1]


OFFSETS_UM = _ellipsoid()


@dataclass(frozen=True)
class _Light:
    """Light (Z, Y, X) around a spine, background removed."""

    light: FloatArray
    blank: BoolArray
    corner_um: FloatArray
    """Place of its first voxel."""
    voxel_um: Um3

    def of(
        self, middle_um: FloatArray, others_um: FloatArray, centre_um: FloatArray
    ) -> tuple[FloatArray, BoolArray]:
        """(N,) light on the fine grid of the ellipsoid around a place, as far as it was imaged; and
        (N,) which of it is nearer to the spine at `centre_um` than to another one near it."""
        points = middle_um + OFFSETS_UM
        at = (points - self.corner_um) / self.voxel_um
        there = ((at > -0.5) & (at < np.array(self.light.shape) - 0.5)).all(axis=1)
        points, at = points[there], at[there]
        imaged = ~self.blank[tuple(np.rint(at).astype(int).T)]
        points, at = points[imaged], at[imaged]
        light = ndimage.map_coordinates(self.light, at.T, order=1, mode="nearest")
        mine = np.ones(len(points), bool)
        own = np.minimum(_scaled(points, centre_um), 1)
        for other in others_um:
            mine &= _scaled(points, other) > own
        return light, mine


def _beside(around: _Light, centre_um: FloatArray, stalk: Stalk, others_um: FloatArray) -> float:
    """Mean light of the same ellipsoid moved along the shaft: what the shaft and its haze throw on
    the spine's place. Places with another spine are left out; of the rest the darker quarter. In a
    close row no place on the spine's own side may be clear: then those across the shaft. nan where
    there is none."""
    across_um = 2 * stalk.base_um - centre_um
    for least in CLEAR_SHARES:
        for place_um, steps in ((centre_um, BESIDE_UM), (across_um, (*BESIDE_UM, 0.0))):
            moved = (around.of(place_um + d * stalk.tangent, others_um, centre_um) for d in steps)
            means = [
                float(light[clear].mean())
                for light, clear in moved
                if clear.sum() > least * max(len(clear), 1)
            ]
            if means:
                return float(np.percentile(means, 25))
    return float("nan")


def _nearer_to(crowd_um: FloatArray, grid: list[FloatArray], stalk: Stalk) -> npt.NDArray[np.bool_]:
    """Voxels that are nearer to another dendrite than to the axis of this one."""
    away = [g - b for g, b in zip(grid, stalk.base_um, strict=True)]
    along = sum(a * t for a, t in zip(away, stalk.tangent, strict=True))
    to_axis2 = sum(a**2 for a in away) - along**2
    nearer = np.zeros(to_axis2.shape, bool)
    for node in crowd_um:
        nearer |= sum((g - n) ** 2 for g, n in zip(grid, node, strict=True)) < to_axis2
    return nearer


def _shaft_light(
    light: FloatArray, grid: list[FloatArray], stalk: Stalk, blank: npt.NDArray[np.bool_]
) -> float:
    """Integrated light of the shaft per um of its length: the median over thin slices across it,
    which a spine on one of them does not move.

    Slices are compared by their mean light, as how many voxels fall into one hangs on the pixels;
    together, as far as the stack reaches, they say how many there are per um.
    """
    away = [g - b for g, b in zip(grid, stalk.base_um, strict=True)]
    along = sum(a * t for a, t in zip(away, stalk.tangent, strict=True))
    sideways = np.sqrt(
        away[1] ** 2 + away[2] ** 2 - np.minimum(along**2, away[1] ** 2 + away[2] ** 2)
    )
    depth, side = (stalk.radius_um + beyond for beyond in SHAFT_BEYOND_UM)
    near = (np.abs(away[0]) <= depth) & (sideways <= side) & ~blank
    edges = np.linspace(-SHAFT_HALF_UM, SHAFT_HALF_UM, 9)
    slices = np.digitize(along[near], edges)
    sums = np.bincount(slices, weights=light[near], minlength=len(edges) + 1)[1:-1]
    counts = np.bincount(slices, minlength=len(edges) + 1)[1:-1]
    seen = counts > 0
    if not seen.any():
        return 0.0
    whole = np.flatnonzero(counts >= 0.5 * np.median(counts[seen]))
    first, last = whole[0], whole[-1] + 1
    per_um = counts[first:last].sum() / (edges[last] - edges[first])
    return float(np.median(sums[seen] / counts[seen]) * per_um)
