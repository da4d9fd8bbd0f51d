"""A random field of dendrites with spines and clutter: the raw material of training patches."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from spinenet.config import MorphologyConfig
from spinenet.synthetic.morphology import (
    Dendrite,
    Scene,
    draw_branch,
    draw_clutter,
    draw_shaft,
    grow_spines,
)
from spinenet.types import FloatArray


def draw_scene(
    rng: np.random.Generator, config: MorphologyConfig, extent_um: FloatArray, n_dendrites: int
) -> Scene:
    """`n_dendrites` that cross a field of (3,) `extent_um`, some with a branch, and clutter."""
    dendrites: list[Dendrite] = []
    reach = 1.5 * float(np.hypot(extent_um[1], extent_um[2]))
    for _ in range(n_dendrites):
        through = extent_um * rng.uniform([0.15, 0.15, 0.15], [0.85, 0.85, 0.85])
        shaft = draw_shaft(rng, through, reach, rng.uniform(*config.shaft_radius_um))
        dendrites.append(replace(shaft, spines=grow_spines(rng, config, shaft)))
        if rng.random() < 0.25:
            branch = draw_branch(rng, shaft, reach / 2)
            dendrites.append(replace(branch, spines=grow_spines(rng, config, branch)))
    return Scene(tuple(dendrites), draw_clutter(rng, config, extent_um))
