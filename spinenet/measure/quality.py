"""How well a shaft can be seen along its length."""

from __future__ import annotations

import numpy as np
from scipy.stats import norm

from spinenet.geometry import inside, nearest_voxels
from spinenet.types import FloatArray, Segment, Volume

ROUNDING = 12**-0.5
"""Standard deviation of what rounding to whole numbers takes away."""
LITTLE_CUT, MOST_CUT = 0.02, 0.95
"""Shares of dark voxels at the lowest value: less is no cut, and of more too little is left."""
FEW_LEVELS = 4
ROUNDS, FAR_SD = 3, 6.0
COLUMNS = 4
"""Every so many are enough."""


def noise_of(volume: Volume) -> tuple[float, float]:
    """Mean and standard deviation of the background, from neighbouring lines in places that are
    dark two lines before and after: a choice by the lines themselves would narrow their noise, and
    the median of what a detector cuts off lies below the mean that sums of light hold.

    Neighbours of different lines: within a line a detector's noise is often correlated. Where a
    detector cuts at its lowest value, the share of voxels there tells how much of the noise is
    lost. Whole numbers hide noise below that of rounding, so a detector that reads one value only
    is not taken for one without noise.
    """
    thin = volume.data[:: max(len(volume.data) // 16, 1), :, ::COLUMNS].astype(np.float32)
    rounding = ROUNDING if np.issubdtype(volume.data.dtype, np.integer) else 1e-6
    around = thin[:, :-5] + thin[:, 5:]
    if not around.size:
        return float(np.median(thin)), rounding
    dark = around <= np.median(around)
    pairs = np.stack([thin[:, 2:-3][dark], thin[:, 3:-2][dark]])
    for _ in range(ROUNDS):  # without what is thin and bright between dark places
        background = float(pairs.mean(dtype=np.float64))
        noise = float((pairs[1] - pairs[0]).std() / np.sqrt(2))
        pairs = pairs[:, (pairs <= background + FAR_SD * noise).all(axis=0)]
    cut = float((pairs == thin.min()).mean())
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


def shaft_snr(volume: Volume, segment: Segment, background: float, noise: float) -> FloatArray:
    """(N,) brightness of the shaft above background over the noise; nan outside the stack."""
    out = np.full(len(segment.points_um), np.nan)
    seen = inside(segment.points_um, volume.extent_um, 0.0)
    for i in np.flatnonzero(seen):
        z, y, x = nearest_voxels(segment.points_um[i], volume.voxel_size_um, volume.data.shape)[0]
        box = volume.data[max(z - 1, 0) : z + 2, max(y - 2, 0) : y + 3, max(x - 2, 0) : x + 3]
        out[i] = (float(box.mean()) - background) / noise
    return out
