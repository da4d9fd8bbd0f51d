"""How well a shaft can be seen along its length."""

from __future__ import annotations

import numpy as np

from spinenet.geometry import inside, nearest_voxels
from spinenet.types import FloatArray, Segment, Volume

ROUNDING = 12**-0.5
"""Standard deviation of what rounding to whole numbers takes away."""


def noise_of(volume: Volume) -> tuple[float, float]:
    """Median and standard deviation of the background, from neighbours whose sum is dark: of normal
    noise their difference does not depend on it, so the choice does not narrow it.

    Neighbours of different lines: within a line a detector's noise is often correlated. Whole
    numbers hide noise below that of rounding, so a detector clipped at zero is not taken for one
    without noise.
    """
    thin = volume.data[:: max(len(volume.data) // 16, 1)].astype(np.float32)
    background = float(np.median(thin))
    # where half are clipped to one value, a quarter above them shows the noise
    clipped = background == thin.min()
    limit = background + (float(np.percentile(thin, 75)) if clipped else background)
    steps = (thin[:, 1:] - thin[:, :-1])[thin[:, 1:] + thin[:, :-1] <= limit]
    noise = float(steps.std() / np.sqrt(2)) if steps.size else 0.0
    rounding = ROUNDING if np.issubdtype(volume.data.dtype, np.integer) else 1e-6
    return background, max(noise, rounding)


def shaft_snr(volume: Volume, segment: Segment, background: float, noise: float) -> FloatArray:
    """(N,) brightness of the shaft above background over the noise; nan outside the stack."""
    out = np.full(len(segment.points_um), np.nan)
    seen = inside(segment.points_um, volume.extent_um, 0.0)
    for i in np.flatnonzero(seen):
        z, y, x = nearest_voxels(segment.points_um[i], volume.voxel_size_um, volume.data.shape)[0]
        box = volume.data[max(z - 1, 0) : z + 2, max(y - 2, 0) : y + 3, max(x - 2, 0) : x + 3]
        out[i] = (float(box.mean()) - background) / noise
    return out
