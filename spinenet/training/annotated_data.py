"""Annotated stacks as training scenes: what a person marked is known, all else is not."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import ndimage

from spinenet.config import AnnotatedConfig
from spinenet.evaluate.judge import sure
from spinenet.evaluate.masks import IGNORE
from spinenet.geometry import label_middles, nearest_voxels, point_at, resample
from spinenet.io.annotated import (
    AnnotatedStack,
    heads_of,
    labels_of_marks,
)
from spinenet.io.labels import check_shaft, check_singles, drawn_in, known_labels, read_labels
from spinenet.io.read import read_volume
from spinenet.models.inputs import (
    canonical_shape,
    canonical_shift_um,
    canonical_voxel_um,
    measure_brightness,
    normalise,
    resample_xy,
)
from spinenet.training.annotated_checks import (
    check_places,
    near_a_trace,
    warn_if_dark,
    warn_of_little,
)
from spinenet.training.annotated_scene import AnnotatedScene, Grid
from spinenet.training.held_out import check_held_out, check_hidden
from spinenet.training.implant import Line, radius_seen
from spinenet.training.targets import (
    KNOWN_ALL,
    KNOWN_CENTRE,
    KNOWN_SHAFT,
    KNOWN_SPINE,
    Labelled,
    forget,
    heat_at,
)
from spinenet.types import (
    BoolArray,
    FloatArray,
    InputError,
    Segment,
    Um3,
)

logger = logging.getLogger(__name__)

SURE_SHAFT_UM, NO_SHAFT_UM = 0.2, 1.5
NO_SHAFT_SHARE = 0.5
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


def read_scenes(stacks: Sequence[AnnotatedStack], config: AnnotatedConfig) -> list[AnnotatedScene]:
    """Read annotated stacks onto the net's grid; those with held-out dendrites alone are left out.

    Raises
    ------
    InputError
        If a stack or its labels cannot be read, marks lie outside the stack, an unknown dendrite is
        held out, or nothing is left to train on.
    """
    check_held_out(stacks, config.hold_out)
    taught = [
        s for s in stacks if not s.dendrites or {d.id for d in s.dendrites} - {*config.hold_out}
    ]
    if not taught:
        raise InputError(
            f"all annotated dendrites ({', '.join(map(str, sorted(config.hold_out)))}) are held "
            "out; nothing is left to train on. Hold out fewer."
        )
    for stack in taught:
        check_hidden(stack, stacks, config.hold_out)
    return [_read_scene(stack, config) for stack in taught]


def _read_scene(stack: AnnotatedStack, config: AnnotatedConfig) -> AnnotatedScene:
    volume = read_volume(stack.file)
    check_places(stack, volume)
    shape = canonical_shape(volume.data.shape, volume.voxel_size_um)
    voxel = canonical_voxel_um(volume.voxel_size_um)
    brightness = measure_brightness(volume.data, volume.voxel_size_um)
    image = resample_xy(normalise(volume.data, brightness), shape)
    grid = Grid(image, voxel, canonical_shift_um(volume.voxel_size_um))
    if stack.labels is not None:
        native = read_labels(stack.labels, volume.data.shape, stack.file.path.name)
        check_singles(native, volume.voxel_size_um, stack.labels.name)
        check_shaft(native, volume.voxel_size_um, stack.labels.name)
        warn_of_little(native, stack.labels.name)
        if stack.partly:
            native = known_labels(native, volume.voxel_size_um, stack.dendrites)
        scene = _from_labels(stack, grid, native, volume.voxel_size_um, config.hold_out)
    else:
        scene = _from_points(stack, grid, config)
    held = [_nodes_vox(d, grid) for d in stack.dendrites if d.id in config.hold_out]
    if not held:
        return scene
    hidden = grid.distance(np.concatenate(held)) < config.reach_um
    seen = scene.labelled
    at = nearest_voxels(seen.centres_vox, (1, 1, 1), hidden.shape)
    wanted = seen.wanted & ~hidden[tuple(at.T)]
    reaching = np.unique(seen.labels[hidden])
    wanted[reaching[reaching > 1].astype(int) - 2] = False
    known = np.where(hidden, 0, seen.known).astype(np.uint8)
    return replace(
        scene,
        labelled=forget(replace(seen, known=known, wanted=wanted)),
        hidden=hidden if scene.hidden is None else hidden | scene.hidden,
        anchors_vox=_outside(scene.anchors_vox, hidden),
    )


def _outside(anchors_vox: FloatArray, hidden: BoolArray) -> FloatArray:
    """The places around which patches are cut, where the net may see spines; all of them if none is
    left."""
    at = nearest_voxels(anchors_vox, (1, 1, 1), hidden.shape)
    free = ~hidden[tuple(at.T)]
    return anchors_vox[free] if free.any() else anchors_vox


def _from_labels(
    stack: AnnotatedStack,
    grid: Grid,
    native: npt.NDArray[np.uint16],
    native_um: Um3,
    hold_out: Sequence[int],
) -> AnnotatedScene:
    rows = [
        np.minimum(((np.arange(n) + 0.5) * o / n).astype(int), o - 1)
        for n, o in zip(grid.image.shape, native.shape, strict=True)
    ]
    labels = native[np.ix_(*rows)]
    unknown = labels == IGNORE
    known = np.where(unknown, 0, KNOWN_ALL).astype(np.uint8)
    labels[unknown] = 0
    shaft = labels == 1
    if labels.any() and not shaft.any():
        known &= KNOWN_SPINE | KNOWN_CENTRE
    numbers = np.unique(labels[labels > 1])
    centres = label_middles(labels, numbers)
    wanted = np.ones(len(numbers), bool)
    place = {int(number): k for k, number in enumerate(numbers)}
    if shaft.any():
        warn_if_dark(grid, [("the shaft (label 1)", np.argwhere(shaft))], stack)
    bare: list[tuple[FloatArray, bool]] = []
    heads = grid.vox(heads_of(stack.spines))
    shown = ~stack.spines["dendrite_id"].isin(list(hold_out)).to_numpy(bool)
    certain_of = sure(stack.spines).to_numpy(bool) & grid.holds(heads) & shown
    told = (stack.spines["label"].fillna(0) > 0).to_numpy(bool)
    drawn = drawn_in(native, native_um)
    mine = labels_of_marks(stack.spines, native, native_um, *drawn).tolist()
    machine = stack.spines.get("source", pd.Series("", stack.spines.index)) == "lookback"
    for n, point in enumerate(stack.spines["point"]):
        k = place.get(mine[n])
        if k is None:
            # with a label it was painted over; without, a person saw one more
            bare.append((heads[n], bool(certain_of[n] and not told[n] and not machine.iloc[n])))
            continue
        wanted[k] &= certain_of[n]
        if point == "head":
            centres[k] = heads[n]
    order = np.zeros(max(int(labels.max()), 1) + 1, np.uint16)
    order[1] = 1
    order[numbers] = np.arange(len(numbers)) + 2
    labels = order[labels]
    anchors = np.argwhere(shaft if shaft.any() else labels > 0)
    if not len(anchors):
        anchors = np.argwhere(known > 0)
    if not len(anchors):
        raise InputError(
            f"{stack.file.path.name}: every voxel of its labels is {IGNORE} (unknown)."
        )
    for head, _ in bare:
        window, heat = heat_at(head, grid.voxel_um, labels.shape)
        known[window][heat > 0.1] &= KNOWN_SHAFT | KNOWN_CENTRE
    points = np.concatenate([centres, np.array([head for head, _ in bare]).reshape(-1, 3)])
    wanted = np.r_[wanted, np.array([certain for _, certain in bare], bool)]
    scene = Labelled(grid.image, labels, known, points, wanted, grid.voxel_um)
    few = anchors[:: max(len(anchors) // 5000, 1)].astype(float)
    return AnnotatedScene(forget(scene), few, hidden=unknown if unknown.any() else None)


def _from_points(stack: AnnotatedStack, grid: Grid, config: AnnotatedConfig) -> AnnotatedScene:
    taught = [d for d in stack.dendrites if d.id not in config.hold_out]
    nodes = [_nodes_vox(d, grid) for d in taught]
    named = [(f"dendrite {d.id}", n) for d, n in zip(taught, nodes, strict=True)]
    warn_if_dark(grid, named, stack)
    anchors = np.concatenate(nodes)
    reach = grid.distance(anchors)
    tube = reach < config.reach_um
    known = np.where(tube, KNOWN_CENTRE, 0).astype(np.uint8)
    # what is as bright as the traced shaft may be another dendrite, or a thick one's flank
    level = np.median(ndimage.map_coordinates(grid.image, anchors.T, order=1, mode="nearest"))
    dim = ndimage.gaussian_filter(grid.image, (0, 1, 1)) < NO_SHAFT_SHARE * level
    known[(reach < SURE_SHAFT_UM) | (tube & (reach > NO_SHAFT_UM) & dim)] |= KNOWN_SHAFT
    labels = (reach < SURE_SHAFT_UM).astype(np.uint16)

    # spines of dendrites that nobody traced, or that are held out, are hidden: around them not all
    # were marked, and beside a dendrite that is shown they are no background either
    home = stack.spines["dendrite_id"]
    shown = {d.id for d in stack.dendrites} - {*config.hold_out}
    wanted = (sure(stack.spines) & (home.isin(shown) | home.isna())).to_numpy(bool)
    wanted &= near_a_trace(stack)
    stalks: list[FloatArray] = [np.zeros((0, 3))]
    centres: list[FloatArray] = []
    for row in stack.spines.to_dict("records"):
        base = grid.vox(np.array([row[f"base_{a}_um"] for a in "zyx"]))
        point = grid.vox(np.array([row[f"{a}_um"] for a in "zyx"]))
        wanted[len(centres)] &= grid.holds(point)[0]
        tip = row["point"] == "tip"
        centre = head_of_tip(grid.image, point, base, grid.voxel_um) if tip else point
        centres.append(centre)
        ends = np.array([p for p in (point, centre, base) if np.isfinite(p).all()])
        stalks.append(resample(ends * grid.voxel_um, 0.2) / grid.voxel_um)
    near = grid.distance(np.concatenate(stalks))
    known[tube & (near > NO_SPINE_UM)] |= KNOWN_SPINE
    for k, centre in enumerate(centres):
        window, heat = heat_at(centre, grid.voxel_um, labels.shape)
        known[window][heat > 0.1] |= KNOWN_CENTRE
        known[window][heat > 0.6] |= KNOWN_SPINE
        labels[window][heat > 0.6] = k + 2
    points = np.array(centres).reshape(-1, 3)
    scene = Labelled(grid.image, labels, known, points, wanted, grid.voxel_um, SLACK_UM)
    lines = [Line(n, radius_seen(grid.image, n[::20], grid.voxel_um)) for n in nodes if len(n)]
    return AnnotatedScene(forget(scene), anchors[::4], tuple(lines))


def _nodes_vox(segment: Segment, grid: Grid) -> FloatArray:
    s = np.arange(0, segment.length_um, 0.1)
    return grid.vox(point_at(segment.points_um, segment.arc_length_um, s))


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
    across = inward[1:]  # depth is not told apart: clicks stray in it
    if across.any():
        share = ((grid - tip_vox) * voxel)[..., 1:] @ across / (across @ across)
        calm[(share > OUTER_SHARE) & np.any(grid != at, axis=-1)] = -np.inf
    best: FloatArray = np.array(np.unravel_index(calm.argmax(), calm.shape)) + low.astype(float)
    return best
