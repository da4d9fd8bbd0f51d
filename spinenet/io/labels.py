"""Label TIFFs: one number for every spine, on the grid of their stack."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tifffile
from scipy import ndimage

from spinenet.evaluate.masks import IGNORE
from spinenet.geometry import label_middles, label_sizes, nearest_voxels, resample
from spinenet.io.damage import TORN_TIFF
from spinenet.io.voxel import voxel_of
from spinenet.types import FloatArray, InputError, IntArray, Segment, Um3

LOOKED_AT_UM, OTHER_SHAFT_UM = 3.0, 1.0
"""Beyond a traced shaft's surface: so far its spines reach, and farther than this a shaft is
another dendrite's."""
CLIPPED = 255
"""The greatest number that 8 bits hold."""
LONGEST_UM = 20.0
"""No spine reaches so far in the plane: filopodia of ten and more are rare."""
PARTS_UM = (8.0, 4.0, 4.0)
"""Nor do two parts of one lie so far apart (z, y, x)."""
SHORTEST_SHAFT_UM = 3.0
"""A shaft is longer than this, or it was hardly drawn."""
CRUMB_SHARE = 0.1
"""Parts smaller than this, beside the largest, are strokes of the brush that went astray."""


def read_labels(path: Path, shape: tuple[int, ...] | None, stack: str) -> npt.NDArray[np.uint16]:
    """(Z, Y, X) 0 background, 1 shaft, 2.. one label per spine, 65535 unknown.

    Raises
    ------
    InputError
        If the TIFF is damaged or does not lie on the grid `shape` (None: any) of its `stack`.
    """
    try:
        labels = np.squeeze(tifffile.imread(path))
    except PermissionError:
        raise
    except TORN_TIFF as error:
        raise InputError(f"{path.name} cannot be read ({error}). Export it again.") from error
    if not labels.size:
        raise InputError(f"{path.name} cannot be read (it holds no whole plane). Export it again.")
    shape = labels.shape if shape is None else shape
    if labels.shape != shape or labels.dtype.kind not in "ui":
        raise InputError(
            f"{path.name} holds {labels.dtype} of shape {labels.shape}; {stack} has {shape}. "
            "Labels are 16-bit whole numbers on the stack's grid: export them without scaling or "
            "cropping."
        )
    if labels.min() < 0 or labels.max() > IGNORE:
        raise InputError(
            f"{path.name} holds labels from {labels.min()} to {labels.max()}; 0 to {IGNORE} were "
            "expected. Number the spines anew, from 2 on."
        )
    if labels.dtype == np.uint8 and (labels == CLIPPED).any():
        raise InputError(
            f"{path.name} has 8 bits and holds the label {CLIPPED}: {IGNORE} (unknown) saved with "
            "8 bits becomes that. Save it with 16 bits; a spine of that number needs another one."
        )
    return labels.astype(np.uint16)


def known_labels(
    labels: npt.NDArray[np.uint16], voxel_um: Um3, traced: Sequence[Segment]
) -> npt.NDArray[np.uint16]:
    """The same (Z, Y, X) where only the traced dendrites were looked at: but for their spines,
    65535 (unknown) far from them, and where another shaft is nearer."""
    if not traced:
        return np.where(labels < 2, np.uint16(IGNORE), labels)
    thick = max(float(s.radius_um.max()) for s in traced)
    nodes = [resample(segment.points_um, min(voxel_um)) for segment in traced]
    at = nearest_voxels(np.concatenate(nodes), voxel_um, labels.shape)
    # no shaft is nearer to what was looked at than twice as far from the traces as that
    reach = np.ceil(2 * (thick + LOOKED_AT_UM) / np.array(voxel_um)).astype(int)
    low, high = np.maximum(at.min(axis=0) - reach, 0), at.max(axis=0) + reach + 1
    around = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    here = labels[around]
    line = np.ones(here.shape, bool)
    line[tuple((at - low).T)] = False
    own = ndimage.distance_transform_edt(line, sampling=voxel_um)
    other = (here == 1) & (own > thick + OTHER_SHAFT_UM)
    unknown = np.ones(labels.shape, bool)
    unknown[around] = own > thick + LOOKED_AT_UM
    if other.any():
        unknown[around] |= ndimage.distance_transform_edt(~other, sampling=voxel_um) < own
    return np.where(unknown & (labels < 2), np.uint16(IGNORE), labels)


def drawn_in(labels: npt.NDArray[np.uint16], voxel_um: Um3) -> tuple[IntArray, FloatArray]:
    """Numbers (M,) of the spines that a label image holds, and their middles (M, 3), um."""
    numbers = np.flatnonzero(label_sizes(labels))
    numbers = numbers[(numbers > 1) & (numbers < IGNORE)]
    return numbers, label_middles(labels, numbers.tolist()) * np.array(voxel_um)


def label_voxel_um(path: Path) -> Um3:
    """Voxel size of a label TIFF as results have them."""
    with tifffile.TiffFile(path) as tif:
        return voxel_of(tif, tif.series[0], path.name)


def check_singles(labels: npt.NDArray[np.uint16], voxel_um: Um3, name: str) -> None:
    """One number for all spines of a stack would be taken for one spine, its middle in the tissue
    between them.

    Raises
    ------
    InputError
        If the voxels of a spine's number lie farther apart than those of any one spine.
    """
    spines = np.where(labels == IGNORE, 0, labels)
    for number, window in enumerate(ndimage.find_objects(spines), start=1):
        if window is None or number == 1:
            continue
        size = [(w.stop - w.start) * v for w, v in zip(window, voxel_um, strict=True)]
        if max(size[1:]) <= LONGEST_UM and _in_one_place(spines[window] == number, voxel_um):
            continue
        z, y, x = (w.start * v for w, v in zip(window, voxel_um, strict=True))
        raise InputError(
            f"{name}: label {number} reaches over {size[0]:.1f} x {size[1]:.1f} x {size[2]:.1f} um "
            f"(z, y, x) from {z:.1f}, {y:.1f}, {x:.1f} um on; one spine was expected. One number "
            "for all spines is the usual cause: give each its own, from 2 on (Fiji: MorphoLibJ > "
            "Binary Images > Connected Components Labeling, whose numbers begin with 1: raise them "
            "by one, for 1 is the shaft)."
        )


def check_shaft(labels: npt.NDArray[np.uint16], voxel_um: Um3, name: str) -> None:
    """Spines numbered from 1 on would lose the first of them to the shaft, and have no other.

    Raises
    ------
    InputError
        If what bears the shaft's number beside spines is no longer than one of them.
    """
    shaft = ndimage.find_objects((labels == 1).astype(np.uint8))
    if not shaft or not ((labels > 1) & (labels < IGNORE)).any():
        return
    longest = max((w.stop - w.start) * v for w, v in zip(shaft[0], voxel_um, strict=True))
    if longest < SHORTEST_SHAFT_UM:
        raise InputError(
            f"{name}: label 1 is {longest:.1f} um long; it is the shaft's number, and a shaft of "
            f"{SHORTEST_SHAFT_UM:g} um or more was expected. Spines numbered from 1 on are the "
            "usual cause: number them from 2 on. Where no shaft was drawn, use 1 for nothing."
        )


def _in_one_place(mask: npt.NDArray[np.bool_], voxel_um: Um3) -> bool:
    parts, n = ndimage.label(mask, np.ones((3, 3, 3)))
    if n < 2:
        return True
    size = np.bincount(parts.ravel())[1:]
    kept = np.flatnonzero(size >= CRUMB_SHARE * size.max()) + 1
    middles = np.array(ndimage.center_of_mass(mask, parts, kept)) * voxel_um
    apart = np.abs(middles - middles[size[kept - 1].argmax()])
    return bool((apart <= PARTS_UM).all())
