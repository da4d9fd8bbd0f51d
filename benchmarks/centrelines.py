"""Centrelines beside the dendrites that were drawn: what is followed, invented, cut and mixed up.

    python benchmarks/centrelines.py [--fields 24] [--weights NAME]

Simulated by the simulator of training, two or three dendrites (some branched) in a field of 28 x 28
um, all clutter on; peak shaft photons 60, 25 and 10. A node of a line follows the nearest drawn
shaft within 0.8 um in the plane and 2.5 um in depth. A line that follows 3 um of each of two shafts
mixes them; a dendrite that goes on in its branch does so too.

Crossings: two straight shafts of radius 0.45 um, 60 photons, at 20 to 90 degrees and 0.5 to 3.5 um
above each other. Kept apart are those that give two lines, each along one shaft on both sides.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass

import numpy as np
import torch
from real import ROOT
from scipy.spatial import cKDTree

from spinenet.config import MeasureConfig, MorphologyConfig, OpticsConfig
from spinenet.geometry import arc_length, inside, point_at
from spinenet.io.weights import SegmentWeights, load_segment_weights
from spinenet.measure.skeleton import find_dendrites
from spinenet.models.allocator import keep_freed_memory
from spinenet.segment.label import label
from spinenet.segment.predict import predict
from spinenet.synthetic.morphology import Clutter, Dendrite, Scene
from spinenet.synthetic.optics import draw_microscope, image
from spinenet.synthetic.paint import paint
from spinenet.synthetic.scenes import draw_scene
from spinenet.types import FloatArray, Session, Volume

SHAPE, VOXEL_UM = (28, 280, 280), (0.8, 0.1, 0.1)
PHOTONS = {"good": 60.0, "fair": 25.0, "poor": 10.0}
NEAR_UM = np.array([2.5, 0.8, 0.8])
LEAST_UM = 3.0
"""A line that follows less of a shaft only touches it."""
STEP_UM = 0.25
ANGLES_DEG = (20, 35, 50, 70, 90)
APART_UM = (0.5, 1.5, 2.5, 3.5)
BLURRED_UM = 4.0
"""From the crossing: nearer, shafts at 20 degrees are not told apart."""


@dataclass
class Counts:
    """Lengths in um and events, added up over fields."""

    drawn_um: float = 0.0
    followed_um: float = 0.0
    lines_um: float = 0.0
    invented_um: float = 0.0
    shafts: int = 0
    pieces: int = 0
    mixed: int = 0
    lines: int = 0

    def row(self) -> dict[str, float]:
        return {
            "drawn, um": self.drawn_um,
            "followed": self.followed_um / self.drawn_um,
            "invented": self.invented_um / max(self.lines_um, 1e-9),
            "cuts per 100 um": 100 * (self.pieces - self.shafts) / self.drawn_um,
            "lines that mix two shafts": self.mixed / max(self.lines, 1),
            "lines": self.lines,
        }


def drawn(scene: Scene, extent_um: FloatArray) -> list[FloatArray]:
    """The shafts in view, nodes every 0.25 um; pieces of one shaft parted by the border are one."""
    out = []
    for dendrite in scene.dendrites:
        s = arc_length(dendrite.points_um)
        nodes = point_at(dendrite.points_um, s, np.arange(0, s[-1], STEP_UM))
        nodes = nodes[inside(nodes, extent_um, 1.0)]
        if len(nodes) * STEP_UM >= MeasureConfig().min_dendrite_um:
            out.append(nodes)
    return out


def compare(shafts: list[FloatArray], lines: list[FloatArray], extent_um: FloatArray, c: Counts):
    """Add one field's lines to the counts."""
    everything = cKDTree(np.concatenate(shafts) / NEAR_UM)
    whose = np.concatenate([np.full(len(n), i) for i, n in enumerate(shafts)])
    c.drawn_um += STEP_UM * len(whose)
    followed = np.zeros(len(whose), bool)
    pieces = dict.fromkeys(range(len(shafts)), 0)
    for line in lines:
        s = arc_length(line)
        nodes = point_at(line, s, np.arange(0, s[-1], STEP_UM))
        nodes = nodes[inside(nodes, extent_um, 1.0)]
        if not len(nodes):
            continue
        far, at = everything.query(nodes / NEAR_UM)
        on = far <= 1
        c.lines += 1
        c.lines_um += STEP_UM * len(nodes)
        c.invented_um += STEP_UM * float((~on).sum())
        lengths = np.bincount(whose[at[on]], minlength=len(shafts)) * STEP_UM
        mine = np.flatnonzero(lengths >= LEAST_UM)
        c.mixed += len(mine) > 1
        for i in mine:
            pieces[i] += 1
        back, _ = cKDTree(nodes / NEAR_UM).query(np.concatenate(shafts) / NEAR_UM)
        followed |= back <= 1
    c.followed_um += STEP_UM * float(followed.sum())
    c.shafts += sum(n > 0 for n in pieces.values())
    c.pieces += sum(pieces.values())


def row(photons: float, fields: int, weights: str) -> dict[str, float]:
    loaded = load_segment_weights(weights)
    counts, extent = Counts(), (np.array(SHAPE) - 1) * np.array(VOXEL_UM)
    optics = OpticsConfig(photons=(photons, photons))
    for seed in range(fields):
        rng = np.random.default_rng([91, seed])
        scene = draw_scene(rng, MorphologyConfig(), extent, int(rng.integers(2, 4)))
        shafts = drawn(scene, extent)
        if not shafts:
            continue
        stack = image(rng, paint(scene, SHAPE, VOXEL_UM), VOXEL_UM, draw_microscope(rng, optics))
        compare(shafts, _lines(stack, loaded), extent, counts)
    return counts.row()


def _lines(stack: np.ndarray, loaded: SegmentWeights) -> list[FloatArray]:
    volume = Volume(stack, VOXEL_UM, Session("centrelines", "", 0))
    seen = predict(volume, loaded.net, tile_mvox=10.0, device=torch.device("cpu"))
    found = find_dendrites(label(seen, **loaded.thresholds), MeasureConfig())
    return [segment.points_um for segment in found.segments]


def crossings(weights: str) -> dict[str, int]:
    """How many of the drawn crossings are kept apart, by angle."""
    loaded = load_segment_weights(weights)
    extent = (np.array(SHAPE) - 1) * np.array(VOXEL_UM)
    optics = OpticsConfig(photons=(60.0, 60.0), clip_8bit_chance=0.0)
    out = {}
    for angle in ANGLES_DEG:
        out[f"{angle} degrees"] = 0
        for apart in APART_UM:
            rng = np.random.default_rng(3)
            shafts = [_across(extent, s * angle / 2, s * apart / 2) for s in (-1, 1)]
            scene = Scene(tuple(Dendrite(p, np.full(len(p), 0.45), 1.0) for p in shafts), Clutter())
            painted = paint(scene, SHAPE, VOXEL_UM)
            stack = image(rng, painted, VOXEL_UM, draw_microscope(rng, optics))
            lines = _lines(stack, loaded)
            out[f"{angle} degrees"] += _kept_apart(shafts, lines, extent)
    return out


def _across(extent_um: FloatArray, angle_deg: float, above_um: float) -> FloatArray:
    """A straight shaft through the middle of the field."""
    z, y, x = extent_um / 2
    along = np.arange(-22, 22, 0.5)
    turn = np.deg2rad(angle_deg)
    level = np.full(len(along), z + above_um)
    return np.stack([level, y + along * np.sin(turn), x + along * np.cos(turn)], axis=1)


def _kept_apart(shafts: list[FloatArray], lines: list[FloatArray], extent_um: FloatArray) -> bool:
    """Does each line follow one shaft, wherever the shafts are told apart?"""
    nodes = [s[inside(s, extent_um, 1.0)] for s in shafts]
    tree = cKDTree(np.concatenate(nodes) / NEAR_UM)
    whose = np.repeat([0, 1], [len(n) for n in nodes])
    followed = []
    for line in lines:
        far = np.linalg.norm((line - extent_um / 2)[:, 1:], axis=1) > BLURRED_UM
        followed.append(set(whose[tree.query(line[far] / NEAR_UM)[1]]))
    return sorted(map(tuple, followed)) == [(0,), (1,)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fields", type=int, default=24)
    parser.add_argument("--weights", default="default")
    args = parser.parse_args()
    keep_freed_memory()
    torch.set_num_threads(1)
    rows = {snr: row(photons, args.fields, args.weights) for snr, photons in PHOTONS.items()}
    print("| SNR | " + " | ".join(rows["good"]) + " |\n|---|" + "---|" * len(rows["good"]))
    for snr, values in rows.items():
        print(f"| {snr} | " + " | ".join(f"{v:.3g}" for v in values.values()) + " |")
    kept = crossings(args.weights)
    told = ", ".join(f"{n} at {angle}" for angle, n in kept.items())
    print(f"\nof {len(APART_UM)} crossings each kept apart: {told}")
    path = ROOT / "benchmarks" / "centrelines.json"
    path.write_text(json.dumps({**rows, "crossings kept apart": kept}, indent=1) + "\n")


if __name__ == "__main__":
    main()
