"""The dendrite pulled straight: what a person compares between sessions."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from spinenet.geometry import from_line_frame
from spinenet.types import FloatArray, Segment, Volume

SIDE_UM = 3.0
STEP_UM = 0.12
UP_UM = (-1.5, -0.75, 0.0, 0.75, 1.5)


def straighten(volume: Volume, segment: Segment, s_um: FloatArray) -> npt.NDArray[np.float32]:
    """(2 * SIDE / STEP + 1, len(s_um)) brightest value within 1.5 um above and below the dendrite.

    Rows go sideways from -3 to 3 um, columns along the dendrite at arc lengths `s_um`; nan outside
    the stack.
    """
    side = np.arange(-SIDE_UM, SIDE_UM + 1e-9, STEP_UM)
    grid_s, grid_side = np.meshgrid(s_um, side)
    picture = np.full(grid_s.shape, np.nan, np.float32)
    for up in UP_UM:
        frame = np.stack([grid_s.ravel(), grid_side.ravel(), np.full(grid_s.size, up)], axis=1)
        points = from_line_frame(frame, segment.points_um, segment.arc_length_um)
        at = points / np.array(volume.voxel_size_um)
        low = np.clip(np.floor(at.min(axis=0)).astype(int) - 1, 0, None)
        high = np.ceil(at.max(axis=0)).astype(int) + 2
        box = volume.data[tuple(slice(a, max(b, a)) for a, b in zip(low, high, strict=True))]
        if box.size:
            plane = ndimage.map_coordinates(
                box.astype(np.float32), (at - low).T, order=1, cval=np.nan
            )
            picture = np.fmax(picture, plane.reshape(picture.shape))
    return picture
