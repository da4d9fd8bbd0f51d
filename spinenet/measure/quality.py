"""How well a shaft can be seen along its length."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from spinenet.geometry import inside, nearest_voxels
from spinenet.measure.imaged import Imaged, find_imaged
from spinenet.types import BoolArray, FloatArray, Segment, Volume

ROUNDING = 12**-0.5
"""Standard deviation of what rounding to whole numbers takes away."""
LITTLE_CUT, MOST_CUT = 0.02, 0.95
"""Shares of dark voxels at the lowest value: less is no cut, and of more too little is left."""
FEW_LEVELS = 4
FULL_SHARE = 0.002
"""Of the range of a stack: so close lie interpolated values of a full detector."""
ROUNDS, FAR_SD = 3, 6.0
COLUMNS = 4
"""Every so many are enough."""


@dataclass(frozen=True)
class Backdrop:
    """What a stack shows where there is nothing, and where it shows anything at all."""

    background: float
    noise: float
    imaged: Imaged


def backdrop_of(volume: Volume) -> Backdrop:
    """Looked at once for a stack: it takes a pass through all of it."""
    imaged = find_imaged(volume)
    return Backdrop(*noise_of(volume, imaged), imaged)


def noise_of(volume: Volume, imaged: Imaged | None = None) -> tuple[float, float]:
    """Mean and standard deviation of the background.

    The noise is the difference of neighbouring lines at places chosen as dark by other lines (two
    before, two after): a choice by the same lines would make it too small; and the median of what a
    detector cuts off lies below the mean that sums of light hold.

    Neighbours of different lines: within a line a detector's noise is often correlated. Where a
    detector cuts at its lowest value, the share of voxels there tells how much of the noise is
    lost. Whole numbers hide noise below that of rounding, so a detector that reads one value only
    is not taken for one without noise.
    """
    n_z, n_y, n_x = volume.data.shape
    few = slice(0, n_z, max(n_z // 16, 1)), slice(0, n_y), slice(0, n_x, COLUMNS)
    thin = volume.data[few].astype(np.float32)
    rounding = ROUNDING if np.issubdtype(volume.data.dtype, np.integer) else 1e-6
    lowest = thin.min()
    blank = (imaged or find_imaged(volume)).blank(few)
    middle = float(np.median(thin[~blank]))
    around = thin[:, :-5] + thin[:, 5:]
    free = ~(blank[:, :-5] | blank[:, 2:-3] | blank[:, 3:-2] | blank[:, 5:])
    if not free.any():
        return middle, rounding
    dark = free & (around <= np.median(around[free]))
    pairs = np.stack([thin[:, 2:-3][dark], thin[:, 3:-2][dark]])
    for _ in range(ROUNDS):  # without what is thin and bright between dark places
        mean = float(pairs.mean(dtype=np.float64))
        noise = float((pairs[1] - pairs[0]).std() / np.sqrt(2))
        pairs = pairs[:, (pairs <= mean + FAR_SD * max(noise, rounding)).all(axis=0)]
    # of an unevenly lit stack the dark half is not the background; how skewed it is, it tells
    background = middle + float(pairs.mean(dtype=np.float64) - np.median(pairs))
    cut = float((pairs == lowest).mean())
    if cut > LITTLE_CUT and not _counts_photons(pairs):
        noise /= _left_by_a_cut(min(cut, MOST_CUT))
    return background, max(noise, rounding)


def _counts_photons(values: FloatArray) -> bool:
    """Are dark voxels of so few values that they are counts, of which nothing is cut off?"""
    few = values.ravel()[:: max(values.size // 100_000, 1)]
    return len(np.unique(few[few <= np.quantile(few, 0.97)])) <= FEW_LEVELS


def _left_by_a_cut(share: float) -> float:
    """Standard deviation of normal noise of which the lowest `share` reads as one value, over its
    own (the moments of a censored normal variable)."""
    k = -float(norm.ppf(share))
    above, density = float(norm.cdf(k)), float(norm.pdf(k))
    mean = density + k * above
    return float(np.sqrt((1 + k**2) * above + k * density - mean**2))


def saturated_share(volume: Volume, shaft: BoolArray, floor: float) -> float:
    """Share of the shaft's voxels (Z, Y, X) at the top value: near 0 where a detector has room,
    large where it is full; 0 without a shaft.

    The top is the highest value; in stacks of many values also the fullest of narrow bins in the
    upper half above the background (`floor`), for interpolation (as registration does) spreads the
    one value, and overshoots it.
    """
    light = np.asarray(volume.data)[shaft].astype(np.float64)
    if not light.size:
        return 0.0
    top = light.max()
    at_top = float((light == top).mean())
    width = FULL_SHARE * (top - floor)
    if width < 1 and np.issubdtype(volume.data.dtype, np.integer):
        return at_top
    bins = np.bincount(((light[light > (top + floor) / 2] - floor) / width).astype(int))
    # one value may lie on the border of two bins
    fullest = int((bins[1:] + bins[:-1]).max(initial=0))
    return max(at_top, fullest / light.size)


def shaft_snr(volume: Volume, segment: Segment, background: float, noise: float) -> FloatArray:
    """(N,) brightness of the shaft above background over the noise; nan outside the stack."""
    out = np.full(len(segment.points_um), np.nan)
    seen = inside(segment.points_um, volume.extent_um, 0.0)
    for i in np.flatnonzero(seen):
        z, y, x = nearest_voxels(segment.points_um[i], volume.voxel_size_um, volume.data.shape)[0]
        box = volume.data[max(z - 1, 0) : z + 2, max(y - 2, 0) : y + 3, max(x - 2, 0) : x + 3]
        out[i] = (float(box.mean()) - background) / noise
    return out
