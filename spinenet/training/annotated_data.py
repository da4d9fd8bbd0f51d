"""Annotated stacks as training scenes: what a person marked is known, all else is not."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from spinenet.config import AnnotatedConfig
from spinenet.evaluate.judge import sure
from spinenet.geometry import point_at, resample
from spinenet.io.annotated import IGNORE, AnnotatedStack, read_labels
from spinenet.io.read import read_volume
from spinenet.models.inputs import (
    canonical_voxel_um,
    measure_brightness,
    normalise,
    resample_xy,
    xy_zoom,
)
from spinenet.training.targets import (
    KNOWN_ALL,
    KNOWN_CENTRE,
    KNOWN_SHAFT,
    KNOWN_SPINE,
    Labelled,
    forget,
    heat_at,
)
from spinenet.types import FloatArray, InputError, Segment, Um3

Z_SQUEEZE = 2.5
"""Distances in z count less by this: the depth of focus, and how far clicks stray in z."""
SURE_SHAFT_UM, NO_SHAFT_UM = 0.2, 1.5
NO_SPINE_UM = 1.0
TIP_TO_HEAD_UM, TIP_TO_HEAD_SHARE = 0.5, 0.35
"""A tip is clicked at the outer edge; the head's middle lies about so far towards the base, and in
a short spine at this share of its length."""
OUTER_SHARE = 0.45
"""Places farther than this from the tip towards the base are not the head's."""
SNAP_UM = (1.5, 0.25, 0.25)
"""A click is moved to the brightest place within this."""
SLACK_UM = (1.0, 0.24, 0.24)
"""How far a marked head may be from the true one after that."""


@dataclass(frozen=True)
class AnnotatedScene:
    """A whole stack with its labels, and places along its dendrites from which crops are taken."""

    labelled: Labelled
    anchors_vox: FloatArray
    """(N, 3) places with something to learn."""
    reach: npt.NDArray[np.float32] | None
    """(Z, Y, X) um to the nearest trace, z squeezed; None where a label TIFF tells all."""


def read_scene(stack: AnnotatedStack, config: AnnotatedConfig) -> AnnotatedScene:
    """Read one annotated stack onto the net's grid.

    Raises
    ------
    InputError
        If stack or labels cannot be read, or nothing but held-out dendrites is annotated.
    """
    volume = read_volume(stack.file)
    zoom = (1.0, *xy_zoom(volume.voxel_size_um))
    shape = tuple(max(round(n * f), 1) for n, f in zip(volume.data.shape, zoom, strict=True))
    voxel = canonical_voxel_um(volume.voxel_size_um)
    brightness = measure_brightness(volume.data, volume.voxel_size_um)
    image = resample_xy(normalise(volume.data, brightness), shape)  # type: ignore[arg-type]
    # resampling keeps the outer edges of the field in place, not the centres of voxel 0
    shift_um = 0.5 * (np.array(voxel) - np.array(volume.voxel_size_um))
    if stack.labels is not None:
        labels = read_labels(stack.labels, volume.data.shape, stack.file.path.name)
        return _from_labels(stack, image, labels, voxel, shift_um)
    return _from_points(stack, image, voxel, shift_um, config)


def _from_labels(
    stack: AnnotatedStack,
    image: npt.NDArray[np.float32],
    native: npt.NDArray[np.uint16],
    voxel: Um3,
    shift_um: FloatArray,
) -> AnnotatedScene:
    rows = [
        np.minimum(((np.arange(n) + 0.5) * o / n).astype(int), o - 1)
        for n, o in zip(image.shape, native.shape, strict=True)
    ]
    labels = native[np.ix_(*rows)]
    known = np.where(labels == IGNORE, 0, KNOWN_ALL).astype(np.uint8)
    labels[labels == IGNORE] = 0
    numbers = np.unique(labels[labels > 1])
    told = stack.spines.set_index("label")
    certain = sure(told)
    centres, wanted = [], []
    for number in numbers:
        row = told.loc[number] if number in told.index else None
        if row is not None and row["point"] == "head":
            centres.append((row[["z_um", "y_um", "x_um"]].to_numpy(float) - shift_um) / voxel)
        else:
            centres.append(np.array(ndimage.center_of_mass(labels == number)))
        wanted.append(row is None or bool(certain[number]))
    order = np.zeros(max(int(labels.max()), 1) + 1, np.uint16)
    order[1] = 1
    order[numbers] = np.arange(len(numbers)) + 2
    labels = order[labels]
    shaft = np.argwhere(labels == 1)
    if not len(shaft):
        shaft = np.argwhere(known > 0)
    points = np.array(centres).reshape(-1, 3)
    scene = Labelled(image, labels, known, points, np.array(wanted, bool), voxel)
    return AnnotatedScene(forget(scene), shaft[:: max(len(shaft) // 5000, 1)].astype(float), None)


def _from_points(
    stack: AnnotatedStack,
    image: npt.NDArray[np.float32],
    voxel: Um3,
    shift_um: FloatArray,
    config: AnnotatedConfig,
) -> AnnotatedScene:
    taught = [d for d in stack.dendrites if d.id not in config.hold_out]
    others = [d for d in stack.dendrites if d.id in config.hold_out]
    if not taught:
        raise InputError(
            f"{stack.file.path.name}: all its dendrites ({', '.join(str(d.id) for d in others)}) "
            "are held out; nothing is left to train on. Hold out fewer."
        )
    nodes = [_nodes_vox(d, voxel, shift_um) for d in taught]
    reach = _distance(image.shape, np.concatenate(nodes), voxel)
    tube = reach < config.reach_um
    if others:
        foreign = [_nodes_vox(d, voxel, shift_um) for d in others]
        tube &= _distance(image.shape, np.concatenate(foreign), voxel) >= config.reach_um
    known = np.where(tube, KNOWN_CENTRE, 0).astype(np.uint8)
    known[(reach < SURE_SHAFT_UM) | (tube & (reach > NO_SHAFT_UM))] |= KNOWN_SHAFT
    labels = (reach < SURE_SHAFT_UM).astype(np.uint16)

    mine = stack.spines[stack.spines["dendrite_id"].isin([d.id for d in taught])]
    stalks, centres = [], []
    for row in mine.to_dict("records"):
        base = (np.array([row[f"base_{a}_um"] for a in "zyx"]) - shift_um) / voxel
        point = (np.array([row[f"{a}_um"] for a in "zyx"]) - shift_um) / voxel
        centre = head_of_tip(image, point, base, voxel) if row["point"] == "tip" else point
        centres.append(centre)
        ends = [p for p in (point, centre, base) if np.isfinite(p).all()]
        stalks.append(resample(np.array(ends) * voxel, 0.2) / voxel)
    if stalks:
        near = _distance(image.shape, np.concatenate(stalks), voxel)
        known[tube & (near > NO_SPINE_UM)] |= KNOWN_SPINE
    wanted = sure(mine).to_numpy(bool)
    for k, centre in enumerate(centres):
        window, heat = heat_at(centre, voxel, image.shape)
        known[window][heat > 0.1] |= KNOWN_CENTRE
        known[window][heat > 0.6] |= KNOWN_SPINE
        labels[window][heat > 0.6] = k + 2
    points = np.array(centres).reshape(-1, 3)
    scene = Labelled(image, labels, known, points, wanted, voxel, SLACK_UM)
    return AnnotatedScene(forget(scene), np.concatenate(nodes)[::4], reach)


def head_of_tip(
    image: npt.NDArray[np.float32], tip_vox: FloatArray, base_vox: FloatArray, voxel_um: Um3
) -> FloatArray:
    """(3,) middle of the head, voxels, whose outer edge was clicked.

    A little way from the tip towards the base, and from there to the brightest place nearby, in
    the outer half of the spine: clicks stray, most of all in z.
    """
    voxel = np.array(voxel_um)
    inward = (base_vox - tip_vox) * voxel if np.isfinite(base_vox).all() else np.zeros(3)
    length = float(np.linalg.norm(inward))
    start = tip_vox + min(TIP_TO_HEAD_UM / max(length, 1e-6), TIP_TO_HEAD_SHARE) * inward / voxel
    at = np.clip(np.rint(start), 0, np.array(image.shape) - 1).astype(int)
    reach = np.maximum(np.rint(np.array(SNAP_UM) / voxel), 1).astype(int)
    margin = reach + 3
    low, high = np.maximum(at - margin, 0), np.minimum(at + margin + 1, image.shape)
    box = image[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    calm = ndimage.gaussian_filter(box, np.array([0.4, 0.14, 0.14]) / voxel)
    grid = np.moveaxis(np.indices(calm.shape), 0, -1) + low
    calm[np.any(np.abs(grid - at) > reach, axis=-1)] = -np.inf
    if length > 0:
        share = ((grid - tip_vox) * voxel) @ inward / length**2
        calm[(share > OUTER_SHARE) & np.any(grid != at, axis=-1)] = -np.inf
    best: FloatArray = np.array(np.unravel_index(calm.argmax(), calm.shape)) + low.astype(float)
    return best


def _nodes_vox(segment: Segment, voxel: Um3, shift_um: FloatArray) -> FloatArray:
    s = np.arange(0, segment.length_um, 0.1)
    return (point_at(segment.points_um, segment.arc_length_um, s) - shift_um) / np.array(voxel)


def _distance(
    shape: tuple[int, ...], points_vox: FloatArray, voxel: Um3
) -> npt.NDArray[np.float32]:
    """(Z, Y, X) um from each voxel to the nearest of the points, z squeezed."""
    empty = np.ones(shape, bool)
    at = np.rint(points_vox).astype(int)
    at = at[np.all((at >= 0) & (at < shape), axis=1)]
    if not len(at):
        return np.full(shape, np.inf, np.float32)
    empty[tuple(at.T)] = False
    sampling = (voxel[0] / Z_SQUEEZE, voxel[1], voxel[2])
    return ndimage.distance_transform_edt(empty, sampling=sampling).astype(np.float32)


def cut(scene: AnnotatedScene, shape: tuple[int, int, int], rng: np.random.Generator) -> Labelled:
    """A crop around a random anchor, jittered; what lies outside the stack is unknown."""
    labelled = scene.labelled
    anchor = scene.anchors_vox[rng.integers(len(scene.anchors_vox))]
    jitter = rng.uniform(-0.3, 0.3, 3) * shape
    low = np.rint(anchor + jitter - np.array(shape) / 2).astype(int)
    low = np.clip(low, 0, np.maximum(np.array(labelled.image.shape) - shape, 0))
    window = tuple(slice(a, a + n) for a, n in zip(low, shape, strict=True))
    pad = [(0, n - s) for n, s in zip(shape, labelled.image[window].shape, strict=True)]
    return replace(
        labelled,
        image=np.pad(labelled.image[window], pad),
        labels=np.pad(labelled.labels[window], pad),
        known=np.pad(labelled.known[window], pad),
        centres_vox=labelled.centres_vox - low,
    )
