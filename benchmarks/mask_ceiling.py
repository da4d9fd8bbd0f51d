"""Why masks are what is seen, not where a spine is: simulated spines, alone and without noise.

    python benchmarks/mask_ceiling.py [--stacks 40]

Each scorable spine is imaged without its shaft, its neighbours and noise, and cut at a share of its
own brightest voxel outside the shaft; Dice with where it was painted. Beside it the painted masks
themselves, moved by one pixel and by one slice: what an error of that size costs. Voxels of
0.7 x 0.105 x 0.105 um, microscopes as in training; Dice of the counts added up over all spines.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np

from spinenet.config import MorphologyConfig, OpticsConfig
from spinenet.synthetic.morphology import Dendrite, Scene
from spinenet.synthetic.optics import blur, draw_microscope
from spinenet.synthetic.paint import Painted, paint
from spinenet.synthetic.patches import scorable_spines
from spinenet.synthetic.scenes import draw_scene

ROOT = Path(__file__).parents[1]
SHAPE, VOXEL_UM = (24, 160, 160), (0.7, 0.105, 0.105)
SHARES = (0.2, 0.3, 0.4, 0.5, 0.55, 0.6, 0.65, 0.7, 0.8)


def alone(dendrite: Dendrite, spines: tuple) -> Painted:
    return paint(Scene((replace(dendrite, spines=spines),)), SHAPE, VOXEL_UM)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stacks", type=int, default=40)
    args = parser.parse_args()
    rng = np.random.default_rng(3)
    extent_um = (np.array(SHAPE) - 1) * np.array(VOXEL_UM)
    both, size = defaultdict(int), defaultdict(int)
    n_spines, n_voxels = 0, 0
    for _ in range(args.stacks):
        dendrite = draw_scene(rng, MorphologyConfig(), extent_um, 1).dendrites[0]
        microscope = draw_microscope(rng, OpticsConfig())
        whole, bare = alone(dendrite, dendrite.spines), alone(dendrite, ())
        _, scorable = scorable_spines(Scene((dendrite,)), extent_um)
        for k in np.flatnonzero(scorable):
            truth = whole.labels == k + 2
            one = alone(dendrite, (dendrite.spines[k],))
            light = blur(one.density - bare.density, one.fold, VOXEL_UM, microscope)
            light[whole.labels == 1] = 0
            masks = {f"above {s} of its peak": light > s * light.max() for s in SHARES}
            masks["the truth, one pixel aside"] = np.roll(truth, 1, axis=2)
            masks["the truth, one slice up"] = np.roll(truth, 1, axis=0)
            for name, mask in masks.items():
                both[name] += int((mask & truth).sum())
                size[name] += int(mask.sum() + truth.sum())
            n_spines, n_voxels = n_spines + 1, n_voxels + int(truth.sum())
    dice = {name: 2 * both[name] / size[name] for name in both}
    print(f"{n_spines} spines of {n_voxels / n_spines:.0f} voxels on average\n")
    print("| mask | Dice |\n|---|---|")
    for name, value in dice.items():
        print(f"| {name} | {value:.3f} |")
    content = {"spines": n_spines, "voxels": n_voxels, "dice": dice}
    path = ROOT / "benchmarks" / "mask_ceiling.json"
    path.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
