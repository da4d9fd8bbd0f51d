"""A small picture of every spine in the frame of its dendrite, for telling spines apart."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from spinenet.geometry import nearest_voxels, point_at, project, side_frame, tangents
from spinenet.types import Dendrites, FloatArray, IntArray, Volume

STEP_UM = np.array([0.8, 0.25, 0.25])
"""Between planes, and between the pixels of one."""
PORTRAIT = (5, 17, 17)
BRIGHTEST = 3.0
"""In units of the shaft beside it; what is brighter, a soma say, is cut off."""
DIMMEST_SHARE = 0.02
"""Of the stack's own bright shafts: a shaft dimmer than this is no unit to measure by."""


def portraits(
    volume: Volume,
    heads_um: FloatArray,
    dendrites: Dendrites,
    home: IntArray,
    background: float,
    shape: tuple[int, int, int] = PORTRAIT,
) -> npt.NDArray[np.float16]:
    """(K, *shape) square root of the brightness over that of the shaft, around heads (K, 3) on the
    dendrites `home` (K,).

    The axes are depth (0.8 um a plane, down the stack), sideways from the dendrite in the plane and
    along it (0.25 um a pixel): how bright the stack is and which way the dendrite runs fall out of
    the picture. What lies outside the stack is 0.
    """
    out = np.zeros((len(heads_um), *shape), np.float16)
    voxel = np.array(volume.voxel_size_um)
    middle = (np.array(shape) - 1) / 2
    grid = (np.indices(shape).reshape(3, -1).T - middle) * STEP_UM
    bright = float(np.percentile(volume.data[:: max(len(volume.data) // 8, 1)], 99.5))
    floor = max(DIMMEST_SHARE * (bright - background), float(np.finfo(np.float32).tiny))
    for number, segment in dendrites.by_id().items():
        mine = np.flatnonzero(home == number)
        line, s = segment.points_um, segment.arc_length_um
        _, arcs, feet = project(heads_um[mine], line, s)
        courses = point_at(tangents(line), s, arcs)
        for k, course, foot in zip(mine, courses, feet, strict=True):
            course[0] = 0.0
            course /= max(float(np.linalg.norm(course)), 1e-9)
            axes = np.stack([[1.0, 0.0, 0.0], side_frame(course)[0][0], course])
            places = (heads_um[k] + grid @ axes) / voxel
            low = np.clip(np.floor(places.min(axis=0)).astype(int) - 1, 0, None)
            high = np.ceil(places.max(axis=0)).astype(int) + 2
            part = volume.data[tuple(slice(a, max(b, a)) for a, b in zip(low, high, strict=True))]
            if not part.size:
                continue
            light = ndimage.map_coordinates(
                part.astype(np.float32), (places - low).T, order=1, cval=background
            )
            shaft = _brightness(volume, foot) - background
            light = (light - background) / max(shaft, floor)
            out[k] = np.sqrt(np.clip(light, 0, BRIGHTEST)).reshape(shape)
    return out


def _brightness(volume: Volume, place_um: FloatArray) -> float:
    """Of the brightest of three planes around a place, in 3 x 3 pixels."""
    z, y, x = nearest_voxels(place_um, volume.voxel_size_um, volume.data.shape)[0]
    box = volume.data[max(z - 1, 0) : z + 2, max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2]
    return float(box.mean(axis=(1, 2), dtype=float).max())
