"""An annotated stack on the net's grid, from which patches are cut."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from spinenet.training.implant import Line
from spinenet.training.targets import Labelled
from spinenet.types import BoolArray, FloatArray, Um3

Z_SQUEEZE = 2.5
"""Distances in z count less by this: the depth of focus, and how far clicks stray in z."""


@dataclass(frozen=True)
class AnnotatedScene:
    """A whole stack with its labels, and places along its dendrites from which crops are taken."""

    labelled: Labelled
    anchors_vox: FloatArray
    """(N, 3) places with something to learn."""
    lines: tuple[Line, ...] = ()
    """Traced dendrites on which simulated spines may grow; none where a label TIFF tells all."""
    hidden: BoolArray | None = None
    """(Z, Y, X) around the dendrites that are held out, and what a label TIFF calls unknown."""


@dataclass(frozen=True)
class Grid:
    """A stack as the net sees it, and where um of the stack lie on it."""

    image: npt.NDArray[np.float32]
    voxel_um: Um3
    shift_um: FloatArray

    def vox(self, points_um: FloatArray) -> FloatArray:
        """(N, 3) um of the stack -> fractional voxels of the grid."""
        out: FloatArray = (np.asarray(points_um, float) - self.shift_um) / np.array(self.voxel_um)
        return out

    def holds(self, points_vox: FloatArray) -> BoolArray:
        """(N,) which points lie within the stack; of marks beyond it nobody knows what is seen."""
        p = np.atleast_2d(points_vox)
        held: BoolArray = np.all((p >= -0.5) & (p <= np.array(self.image.shape) - 0.5), axis=1)
        return held

    def distance(self, points_vox: FloatArray) -> npt.NDArray[np.float32]:
        """(Z, Y, X) um from each voxel to the nearest of the points, z squeezed."""
        empty = np.ones(self.image.shape, bool)
        at = np.rint(points_vox).astype(int).reshape(-1, 3)
        at = at[np.all((at >= 0) & (at < empty.shape), axis=1)]
        if not len(at):
            return np.full(empty.shape, np.inf, np.float32)
        empty[tuple(at.T)] = False
        z, y, x = self.voxel_um
        near: npt.NDArray[np.float64] = ndimage.distance_transform_edt(
            empty, sampling=(z / Z_SQUEEZE, y, x)
        )
        return near.astype(np.float32)


def cut(
    scene: AnnotatedScene, shape: tuple[int, int, int], rng: np.random.Generator
) -> tuple[Labelled, FloatArray]:
    """A crop around a random anchor, jittered, and its corner (3,) in voxels of the scene.

    What lies outside the stack is unknown.
    """
    labelled = scene.labelled
    anchor = scene.anchors_vox[rng.integers(len(scene.anchors_vox))]
    jitter = rng.uniform(-0.3, 0.3, 3) * shape
    low = np.rint(anchor + jitter - np.array(shape) / 2).astype(int)
    low = np.clip(low, 0, np.maximum(np.array(labelled.image.shape) - shape, 0))
    window = tuple(slice(a, a + n) for a, n in zip(low, shape, strict=True))
    pad = [(0, n - s) for n, s in zip(shape, labelled.image[window].shape, strict=True)]
    crop = replace(
        labelled,
        image=np.pad(labelled.image[window], pad),
        labels=np.pad(labelled.labels[window], pad),
        known=np.pad(labelled.known[window], pad),
        centres_vox=labelled.centres_vox - low,
    )
    return crop, low.astype(float)
