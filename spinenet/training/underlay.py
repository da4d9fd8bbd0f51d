"""Simulated dendrites over empty parts of real stacks: real noise, haze and stray puncta lie under
a truth that is known in full."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from spinenet.config import MorphologyConfig, OpticsConfig
from spinenet.models.inputs import denormalise, normalise
from spinenet.synthetic.optics import blur, draw_microscope
from spinenet.synthetic.paint import paint
from spinenet.synthetic.patches import scorable_spines
from spinenet.synthetic.scenes import draw_scene
from spinenet.synthetic.seen import seen_labels
from spinenet.training.implant import PLAIN, photon_share
from spinenet.training.targets import KNOWN_ALL, Labelled, forget
from spinenet.types import BoolArray, IntArray

BRIGHT_SHARE = 0.5
"""Normalised brightness over the shafts' from which a voxel may be of a dendrite."""
EMPTY_SHARE = 0.002
"""Of such voxels in an empty part: a few puncta, no dendrite."""
STEP_VOX = (2, 16, 16)
BRIGHTNESS = (0.6, 1.6)
"""Of the simulated shafts over the stack's own."""


@dataclass(frozen=True)
class Ground:
    """A real stack and its empty parts."""

    labelled: Labelled
    shape: tuple[int, int, int]
    """Of its empty parts."""
    corners_vox: IntArray
    """(N, 3) their first voxels."""
    shaft_light: float
    photon_share: float
    top_light: float
    """Where the detector saturates."""


def find_ground(
    labelled: Labelled, shape: tuple[int, int, int], closed: BoolArray | None = None
) -> Ground | None:
    """The parts of `shape` without a dendrite or a marked spine, and without a voxel of `closed`
    (Z, Y, X); None where there is none, or no shaft is known."""
    on = labelled.labels == 1
    if not on.any() or any(n < s for n, s in zip(labelled.shape, shape, strict=True)):
        return None
    level = float(np.median(labelled.image[on]))
    bright = ndimage.gaussian_filter(labelled.image, (0, 1, 1)) > BRIGHT_SHARE * level
    never = labelled.labels > 1
    if closed is not None:
        never |= closed
    heads = np.rint(labelled.centres_vox).astype(int)
    heads = heads[np.all((heads >= 0) & (heads < labelled.shape), axis=1)]
    never[tuple(heads.T)] = True
    empty = _counts(bright | on, shape) < EMPTY_SHARE * np.prod(shape)
    corners = np.argwhere(empty & (_counts(never, shape) == 0)) * np.array(STEP_VOX)
    if not len(corners):
        return None
    light = denormalise(labelled.image)
    return Ground(
        labelled,
        shape,
        corners,
        float(np.median(light[on])),
        photon_share(light, on),
        float(light.max()),
    )


def _counts(flags: BoolArray, shape: tuple[int, int, int]) -> IntArray:
    """How many voxels are set in the boxes of `shape` that begin every `STEP_VOX` voxels, from the
    running sum of the whole stack."""
    total = np.zeros(np.array(flags.shape) + 1, np.int32)
    total[1:, 1:, 1:] = flags
    for axis in range(3):
        np.cumsum(total, axis=axis, out=total)
    for axis, n in enumerate(shape):
        high, low = (
            np.take(total, np.arange(start, total.shape[axis] - n + start), axis=axis)
            for start in (n, 0)
        )
        total = high - low
    out: IntArray = total[tuple(slice(None, None, step) for step in STEP_VOX)]
    return out


def underlay(
    ground: Ground,
    morphology: MorphologyConfig,
    optics: OpticsConfig,
    rng: np.random.Generator,
) -> Labelled:
    """A simulated dendrite or two in an empty part of a real stack."""
    shape = ground.shape
    low = ground.corners_vox[rng.integers(len(ground.corners_vox))]
    window = tuple(slice(a, a + n) for a, n in zip(low, shape, strict=True))
    light = denormalise(ground.labelled.image[window])
    voxel = ground.labelled.voxel_um
    extent = (np.array(shape) - 1) * np.array(voxel)
    none = (0.0, 0.0)
    bare = replace(morphology, axons=none, puncta=none, clouds=none, blobs=none)
    scene = draw_scene(rng, bare, extent, int(rng.integers(1, 3)))
    painted = paint(scene, shape, voxel)
    scope = draw_microscope(rng, optics)
    added = blur(painted.density, painted.fold, voxel, scope)
    on = painted.labels == 1
    own = float(np.median(added[on])) if on.any() else 1.0
    added *= ground.shaft_light * rng.uniform(*BRIGHTNESS) / max(own, 1e-3)
    noise = np.sqrt(np.clip(added, 0, None) * ground.photon_share)
    light += added + noise * rng.standard_normal(shape, dtype=np.float32)
    centres_um, scorable = scorable_spines(scene, extent)
    return forget(
        Labelled(
            normalise(np.minimum(light, ground.top_light), PLAIN),
            seen_labels(painted, voxel, scope),
            np.full(shape, KNOWN_ALL, np.uint8),
            centres_um / np.array(voxel),
            scorable,
            voxel,
        )
    )
