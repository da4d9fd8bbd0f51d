"""Shapes to voxels: density of fluorophore and exact labels, by signed distance in small boxes.

Symbols: the fine grid has the stack's pixels in y and x and `fold` sub-slices for each slice.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spinenet.synthetic.morphology import (
    THIN_RADIUS_UM,
    Clutter,
    Dendrite,
    Scene,
    SpineShape,
    place,
)
from spinenet.types import FloatArray, Um3

SUB_SLICE_UM = 0.2


@dataclass(frozen=True)
class Painted:
    """density (Z * fold, Y, X) float32, 1 inside; labels (Z, Y, X): 0, 1 shaft, 2.. spines, where
    any part of a slice is inside; fine_labels (Z * fold, Y, X) by sub-slices."""

    density: npt.NDArray[np.float32]
    labels: npt.NDArray[np.uint16]
    fine_labels: npt.NDArray[np.uint16]
    fold: int


def paint(scene: Scene, shape: tuple[int, int, int], voxel_um: Um3) -> Painted:
    """Draw a scene. Spine k of all dendrites, in order, gets label k + 2."""
    fold = max(round(voxel_um[0] / SUB_SLICE_UM), 1)
    canvas = _Canvas(shape, voxel_um, fold)
    _paint_clutter(canvas, scene.clutter)
    label = 2
    for dendrite in scene.dendrites:
        for spine in dendrite.spines:
            _paint_spine(canvas, dendrite, spine, label)
            label += 1
    for dendrite in scene.dendrites:
        p, r = dendrite.points_um, dendrite.radius_um
        for i in range(0, len(p) - 1, 2):
            j = min(i + 2, len(p) - 1)
            canvas.capsule(p[i], p[j], (r[i] + r[j]) / 2, dendrite.brightness, 1)
    labels = canvas.labels.reshape(shape[0], fold, *shape[1:])
    spines = labels.max(axis=1)
    shaft = (labels == 1).any(axis=1)
    whole = np.where(shaft, 1, spines).astype(np.uint16)
    return Painted(canvas.density, whole, canvas.labels, fold)


def _paint_spine(canvas: _Canvas, dendrite: Dendrite, spine: SpineShape, label: int) -> None:
    at = place(dendrite, spine)
    level = dendrite.brightness * spine.brightness
    for a, b in ((at.base, at.surface), (at.surface, at.bend), (at.bend, at.neck_end)):
        if not np.allclose(a, b):
            canvas.capsule(a, b, spine.neck_radius_um, level, label)
    if spine.kind == "filopodium":
        canvas.capsule(at.bend, at.centre, spine.neck_radius_um, level, label)
        return
    canvas.ellipsoid(at.centre, at.axis, spine.head_radii_um, level, label)
    if spine.cup:
        across = np.cross(at.axis, [1.0, 0.0, 0.0])
        across /= max(float(np.linalg.norm(across)), 1e-6)
        lobe = at.centre + across * spine.cup * spine.head_radii_um[1]
        along, wide, thick = spine.head_radii_um
        canvas.ellipsoid(lobe, at.axis, (0.8 * along, 0.8 * wide, 0.8 * thick), level, label)


def _paint_clutter(canvas: _Canvas, clutter: Clutter) -> None:
    for a, b, radius, level in clutter.capsules:
        canvas.capsule(a, b, radius, level, 0)
    for centre, radii, level in clutter.balls:
        z, y, x = map(float, radii)
        canvas.ellipsoid(centre, np.array([1.0, 0, 0]), (z, y, x), level, 0)


class _Canvas:
    """The fine grid while it is being painted; brightest wins, shaft wins over spine."""

    def __init__(self, shape: tuple[int, int, int], voxel_um: Um3, fold: int) -> None:
        self.density = np.zeros((shape[0] * fold, *shape[1:]), np.float32)
        self.labels = np.zeros(self.density.shape, np.uint16)
        self.step = np.array([voxel_um[0] / fold, voxel_um[1], voxel_um[2]])
        # the middle of the sub-slices of slice 0 lies at z = 0
        self.origin = np.array([-(fold - 1) / 2 * self.step[0], 0.0, 0.0])
        self.axes = [
            (np.arange(n) * d + o).astype(np.float32)
            for n, d, o in zip(self.density.shape, self.step, self.origin, strict=True)
        ]

    def _box(
        self, low: FloatArray, high: FloatArray
    ) -> tuple[tuple[slice, slice, slice], list[FloatArray]] | None:
        first = np.maximum(np.floor((low - self.origin) / self.step).astype(int), 0)
        last = np.minimum(
            np.ceil((high - self.origin) / self.step).astype(int) + 1, self.density.shape
        )
        if np.any(last <= first):
            return None
        deep, down, right = (slice(a, b) for a, b in zip(first, last, strict=True))
        z, y, x = (axis[w] for axis, w in zip(self.axes, (deep, down, right), strict=True))
        return (deep, down, right), [z[:, None, None], y[None, :, None], x[None, None, :]]

    def _fill(
        self, window: tuple[slice, slice, slice], outside_um: FloatArray, level: float, label: int
    ) -> None:
        soft = np.clip(0.5 - outside_um / self.step[2], 0, 1) * np.float32(level)
        np.maximum(self.density[window], soft, out=self.density[window])
        if label:
            labels = self.labels[window]
            free = labels == 0 if label > 1 else labels != 1
            labels[(outside_um <= 0) & free] = label

    def capsule(
        self, a: FloatArray, b: FloatArray, radius_um: float, level: float, label: int
    ) -> None:
        """A stick with round ends. Thinner than the grid can show: wider and as much dimmer."""
        radius = max(radius_um, THIN_RADIUS_UM)
        level = level * (radius_um / radius) ** 2
        pad = radius + self.step
        box = self._box(np.minimum(a, b) - pad, np.maximum(a, b) + pad)
        if box is None:
            return
        window, grid = box
        d = b - a
        rel = [g - np.float32(o) for g, o in zip(grid, a, strict=True)]
        h = sum(r * np.float32(c) for r, c in zip(rel, d, strict=True)) / max(float(d @ d), 1e-9)
        h = np.clip(h, 0, 1)
        far2 = sum((r - h * np.float32(c)) ** 2 for r, c in zip(rel, d, strict=True))
        self._fill(window, np.sqrt(far2) - radius, level, label)

    def ellipsoid(
        self, centre: FloatArray, axis: FloatArray, radii_um: Um3, level: float, label: int
    ) -> None:
        """Half axes along `axis`, across it in the plane, and across both."""
        pad = max(radii_um) + self.step
        box = self._box(centre - pad, centre + pad)
        if box is None:
            return
        window, grid = box
        side = np.cross(axis, [1.0, 0.0, 0.0])
        norm = float(np.linalg.norm(side))
        side = side / norm if norm > 1e-6 else np.array([0.0, 1.0, 0.0])
        third = np.cross(axis, side)
        rel = [g - np.float32(o) for g, o in zip(grid, centre, strict=True)]
        q = sum(
            (sum(r * np.float32(c) for r, c in zip(rel, v, strict=True)) / max(r_um, 0.05)) ** 2
            for v, r_um in zip((axis, side, third), radii_um, strict=True)
        )
        size = float(np.prod(radii_um)) ** (1 / 3)
        self._fill(window, (np.sqrt(q) - 1) * size, level, label)
