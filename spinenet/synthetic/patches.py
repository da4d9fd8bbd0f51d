"""Training examples cut from simulated scenes: an image and everything true about it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spinenet.config import MorphologyConfig, OpticsConfig
from spinenet.synthetic.morphology import Scene, is_scorable, place
from spinenet.synthetic.optics import draw_microscope, image
from spinenet.synthetic.paint import paint
from spinenet.synthetic.scenes import draw_scene
from spinenet.synthetic.seen import seen_labels
from spinenet.types import FloatArray, Um3


@dataclass(frozen=True)
class Example:
    """image (Z, Y, X) as stored; labels (Z, Y, X) 0, 1 shaft, 2.. spines; K spines."""

    image: npt.NDArray[np.generic]
    labels: npt.NDArray[np.uint16]
    centres_um: FloatArray
    """(K, 3); spine k has label k + 2, if it is in view."""
    scorable: npt.NDArray[np.bool_]
    """(K,) see `scorable_spines`."""
    voxel_um: Um3


def draw_voxel(rng: np.random.Generator) -> Um3:
    """Any z step that labs use; y and x near the canonical spacing of the net."""
    z = float(np.exp(rng.uniform(np.log(0.3), np.log(1.5))))
    xy = rng.uniform(0.085, 0.125)
    return z, xy, xy


def draw_example(
    rng: np.random.Generator,
    shape: tuple[int, int, int],
    optics: OpticsConfig,
    morphology: MorphologyConfig,
    voxel_um: Um3 | None = None,
) -> Example:
    """One simulated stack of `shape` with one to three dendrites, or (one in 15) none."""
    voxel = voxel_um or draw_voxel(rng)
    extent = (np.array(shape) - 1) * np.array(voxel)
    n = 0 if rng.random() < 0.07 else int(rng.choice([1, 2, 3], p=[0.6, 0.3, 0.1]))
    scene = draw_scene(rng, morphology, extent, n)
    painted = paint(scene, shape, voxel)
    scope = draw_microscope(rng, optics)
    centres, scorable = scorable_spines(scene, extent)
    stack = image(rng, painted, voxel, scope)
    return Example(stack, seen_labels(painted, voxel, scope), centres, scorable, voxel)


def scorable_spines(
    scene: Scene, extent_um: FloatArray
) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """Head centres (K, 3) in um, in the order of `paint`, and (K,) which of them can be scored: at
    least 1 um inside a stack of (3,) `extent_um`, head 0.5 um beyond the shaft's edge in the
    plane."""
    placed = [(d, place(d, s)) for d in scene.dendrites for s in d.spines]
    centres = np.array([at.centre for _, at in placed]).reshape(-1, 3)
    return centres, np.array([is_scorable(d, at, extent_um) for d, at in placed], bool)
