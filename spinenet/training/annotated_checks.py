"""Does an annotation lie on its stack? What is far off is refused, what is odd is named."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from spinenet.evaluate.judge import MARK_REACH_UM
from spinenet.evaluate.masks import IGNORE
from spinenet.geometry import inside
from spinenet.io.annotated import AnnotatedStack, heads_of, told_dendrites
from spinenet.measure.attach import attach_told
from spinenet.training.annotated_scene import Grid
from spinenet.types import BoolArray, Dendrites, FloatArray, InputError, IntArray, Volume

logger = logging.getLogger(__name__)
OUTSIDE_UM = 2.0
"""Marks may lie this far outside their stack, no farther."""
DARK_SHARE = 0.75
"""A shaft is brighter than this share of its stack."""


def check_places(stack: AnnotatedStack, volume: Volume) -> None:
    """Marks far outside the stack are in other units, or of another stack."""
    points = stack.spines[["z_um", "y_um", "x_um"]].to_numpy(float)
    # a trace may go on beyond the field, but not for most of its length
    middles = [np.median(d.points_um, axis=0) for d in stack.dendrites]
    points = np.concatenate([points, np.array(middles).reshape(-1, 3)])
    bad = ~inside(points, volume.extent_um, -OUTSIDE_UM)
    if bad.any():
        z, y, x = points[bad][0]
        size = " x ".join(f"{v:.0f}" for v in volume.extent_um)
        raise InputError(
            f"{stack.file.path.name}: a mark at z {z:.1f}, y {y:.1f}, x {x:.1f} um lies outside "
            f"the stack, which is {size} um large. Coordinates are um from the first voxel's "
            "centre; pixels and slices in their place are the usual cause."
        )


def warn_of_little(labels: npt.NDArray[np.uint16], name: str) -> None:
    """A label TIFF in which nothing is drawn, or no shaft."""
    if not ((labels > 0) & (labels < IGNORE)).any():
        logger.warning(
            "%s holds no label: the net is taught that nothing of its stack is a shaft or a spine. "
            "If it was not looked at, take the file away.",
            name,
        )
    elif not (labels == 1).any():
        logger.warning(
            "%s holds no shaft (label 1): of shafts nothing is learned from it, and no simulated "
            "dendrite is laid over its stack.",
            name,
        )


def warn_if_dark(
    grid: Grid, shafts: Sequence[tuple[str, FloatArray | IntArray]], stack: AnnotatedStack
) -> None:
    """Shafts (name, places (N, 3) in voxels) that lie where the stack is dark are none of it."""
    level = np.quantile(grid.image, DARK_SHARE)
    for name, at in shafts:
        light = ndimage.map_coordinates(grid.image, at.T, order=1, mode="nearest")
        if np.median(light) <= level:
            logger.warning(
                "%s: %s lies where the stack is dark, so the net is taught that background is a "
                "shaft. Slices or pixels in the place of um, x and y exchanged, or the annotation "
                "of another stack are the usual causes.",
                stack.file.path.name,
                name,
            )


def near_a_trace(stack: AnnotatedStack) -> BoolArray:
    """(K,) which marks lie near their dendrite, or one of them: others are taught nothing of."""
    dendrites = Dendrites(stack.dendrites)
    told = told_dendrites(stack.spines)
    told[~np.isin(told, [d.id for d in stack.dendrites])] = np.nan
    _, near = attach_told(heads_of(stack.spines), told, dendrites, MARK_REACH_UM)
    if not near.all():
        logger.warning(
            "%s: %d of %d marks are more than %g um from their dendrite and are not learned from. "
            "Exchanged columns or a wrong dendrite are the usual causes.",
            stack.file.path.name,
            int((~near).sum()),
            len(near),
            MARK_REACH_UM,
        )
    return near
