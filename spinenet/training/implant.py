"""Simulated spines on real dendrites: real noise, haze and neighbours meet a known truth."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from spinenet.config import MorphologyConfig, OpticsConfig
from spinenet.geometry import resample
from spinenet.models.inputs import Brightness, denormalise, normalise
from spinenet.synthetic.morphology import (
    Dendrite,
    Scene,
    SpineShape,
    draw_spine,
    is_beside_shaft,
    place,
)
from spinenet.synthetic.optics import blur, draw_microscope
from spinenet.synthetic.paint import paint
from spinenet.synthetic.seen import seen_labels
from spinenet.training.targets import KNOWN_ALL, Labelled, forget
from spinenet.types import FloatArray, Um3

PLAIN = Brightness(0.0, 1.0)
"""What `denormalise` gives back."""
SPINES_PER_UM = (0.05, 0.3)
BRIGHTER = (1.0, 2.5)
"""A shaft is often saturated, so that its light is read too low, and that of its implants."""
CLEAR_UM = 1.0
"""Implants keep this far from the spines that are there."""
SCORABLE_REACH_UM = 0.5
NODE_UM = 0.5


@dataclass(frozen=True)
class Line:
    """A traced dendrite on the net's grid."""

    nodes_vox: FloatArray
    """(N, 3) along it."""
    radius_um: float
    """Half its width as it is seen."""


def implant(
    patch: Labelled,
    dendrite: Dendrite,
    morphology: MorphologyConfig,
    optics: OpticsConfig,
    rng: np.random.Generator,
) -> Labelled:
    """The patch with simulated spines grown on a traced dendrite that crosses it.

    Parameters
    ----------
    dendrite: its centreline in um of the patch, radii as seen, without spines
    """
    voxel = np.array(patch.voxel_um)
    spines = _free(patch, dendrite, morphology, rng)
    if not spines:
        return patch
    bare = paint(Scene((dendrite,)), patch.shape, patch.voxel_um)
    grown = paint(Scene((replace(dendrite, spines=spines),)), patch.shape, patch.voxel_um)
    scope = draw_microscope(rng, optics)
    shaft = blur(bare.density, bare.fold, patch.voxel_um, scope)
    added = blur(grown.density - bare.density, grown.fold, patch.voxel_um, scope)
    light = denormalise(patch.image)
    on = bare.labels == 1
    if not on.any():
        return patch
    per_density = float(np.median(light[on]) / max(float(np.median(shaft[on])), 1e-3))
    added *= max(per_density, 0.0) * rng.uniform(*BRIGHTER)
    noise = np.sqrt(np.clip(added, 0, None) * photon_share(light, on))
    light += added + noise * rng.standard_normal(patch.shape, dtype=np.float32)

    labels, known = patch.labels.copy(), patch.known.copy()
    centres, wanted = [patch.centres_vox], [patch.wanted]
    seen = seen_labels(grown, patch.voxel_um, scope)
    for k, spine in enumerate(spines):
        at = place(dendrite, spine)
        number = len(patch.centres_vox) + k + 2
        mine = (seen == k + 2) & (patch.labels == 0)
        labels[mine], known[mine] = number, KNOWN_ALL
        centres.append(at.centre[None] / voxel)
        wanted.append(np.array([is_beside_shaft(dendrite, at)]))
    grown_patch = replace(
        patch,
        image=normalise(light, PLAIN),
        labels=labels,
        known=known,
        centres_vox=np.concatenate(centres),
        wanted=np.concatenate(wanted),
    )
    return forget(grown_patch)


def photon_share(light: npt.NDArray[np.float32], on: npt.NDArray[np.bool_]) -> float:
    """Variance of the noise over the mean on bright voxels, from neighbouring lines."""
    both = on[:, 1:] & on[:, :-1]
    if both.sum() < 20:
        return 0.05
    steps = (light[:, 1:] - light[:, :-1])[both]
    spread = 1.4826 * float(np.median(np.abs(steps - np.median(steps)))) / np.sqrt(2)
    return float(np.clip(spread**2 / max(float(np.median(light[on])), 1e-3), 0.0, 0.3))


def radius_seen(image: npt.NDArray[np.float32], nodes_vox: FloatArray, voxel_um: Um3) -> float:
    """Half the width in the plane at which a shaft's brightness falls to half, median, um."""
    calm = ndimage.gaussian_filter(image, (0.5, 1, 1))
    bright = ndimage.map_coordinates(calm, nodes_vox.T, order=1, mode="nearest")
    halves = []
    for node, top in zip(nodes_vox, bright, strict=True):
        for turn in np.arange(0, np.pi, np.pi / 4):
            step = np.array([0.0, np.sin(turn), np.cos(turn)])
            reach = np.arange(0, 2.0, 0.1) / voxel_um[2]
            line = ndimage.map_coordinates(
                calm, (node[None] + reach[:, None] * step).T, order=1, mode="nearest"
            )
            below = np.flatnonzero(line < 0.5 * top)
            halves.append(0.1 * below[0] if len(below) else 2.0)
    # the narrowest directions are those across the shaft
    return float(np.clip(np.percentile(halves, 25), 0.2, 1.5)) if halves else 0.4


def _free(
    patch: Labelled, dendrite: Dendrite, morphology: MorphologyConfig, rng: np.random.Generator
) -> tuple[SpineShape, ...]:
    """Spines at random places where there is none yet."""
    s = dendrite.frame_um
    n = rng.poisson(rng.uniform(*SPINES_PER_UM) * (s[-1] - s[0]))
    taken = list(patch.centres_vox * np.array(patch.voxel_um))
    spines: list[SpineShape] = []
    for arc in np.sort(rng.uniform(s[0], s[-1], n)):
        spine = draw_spine(rng, morphology, float(arc))
        centre = place(dendrite, spine).centre
        if all(np.linalg.norm(centre - other) > CLEAR_UM for other in taken):
            taken.append(centre)
            spines.append(spine)
    return tuple(spines)


def dendrite_of(line: Line, patch: Labelled, low_vox: FloatArray) -> Dendrite | None:
    """The stretch of a traced dendrite that crosses a patch whose corner is at `low_vox`."""
    nodes = line.nodes_vox - low_vox
    within = np.flatnonzero(np.all((nodes >= 0) & (nodes < patch.image.shape), axis=1))
    if len(within) < 2:
        return None
    nodes = nodes[within[0] : within[-1] + 1]
    points = resample(nodes * np.array(patch.voxel_um), NODE_UM)
    return Dendrite(points, np.full(len(points), line.radius_um), 1.0)
