"""Simulated stacks with pixels of other sizes: does the shipped net find as many spines?

    python benchmarks/pixels.py [--stacks 8]

The net sees pixels of 0.08 to 0.13 um as they are and others resampled to 0.1 um. Stacks of the
simulator of training, 60 to 100 photons, slices of 0.8 um; scorable spines, peaks of the centre map
at the threshold of the weights, anywhere in the stack. False ones are peaks that are no true spine
at all, scorable or not.
"""

from __future__ import annotations

import argparse
import json

import numpy as np
import torch
from real import ROOT

from spinenet.config import MorphologyConfig, OpticsConfig, SegmentConfig
from spinenet.evaluate.judge import pair_centres
from spinenet.io.weights import load_segment_weights
from spinenet.models.allocator import keep_freed_memory
from spinenet.segment.label import find_peaks
from spinenet.segment.predict import predict
from spinenet.synthetic.patches import draw_example
from spinenet.types import Session, Volume

FIELDS = {0.05: 320, 0.1: 192, 0.15: 128, 0.2: 128, 0.3: 96}
"""Pixels of each field by their size, um."""
SLICES, SLICE_UM = 16, 0.8


def row(xy_um: float, stacks: int) -> dict[str, float]:
    weights = load_segment_weights("default")
    tile_mvox, cpu = SegmentConfig().tile_mvox, torch.device("cpu")
    voxel, shape = (SLICE_UM, xy_um, xy_um), (SLICES, FIELDS[xy_um], FIELDS[xy_um])
    optics, session = OpticsConfig(photons=(60.0, 100.0)), Session("pixels", "pixels", 0)
    heights, beside, n_true, n_found, n_false = [], [], 0, 0, 0
    for seed in range(stacks):
        drawn = draw_example(np.random.default_rng(seed), shape, optics, MorphologyConfig(), voxel)
        seen = predict(
            Volume(drawn.image, voxel, session), weights.net, tile_mvox=tile_mvox, device=cpu
        )
        centres, height = find_peaks(seen.centre, voxel, weights.thresholds["centre"])
        i, j = pair_centres(centres, drawn.centres_um)
        n_false += len(centres) - len(i)
        i, j = i[drawn.scorable[j]], j[drawn.scorable[j]]
        heights.extend(height[i])
        beside.extend(np.linalg.norm((centres[i] - drawn.centres_um[j])[:, 1:], axis=1))
        n_true, n_found = n_true + int(drawn.scorable.sum()), n_found + len(i)
    return {
        "scorable": n_true,
        "found": n_found,
        "false": n_false,
        "median probability": float(np.median(heights)),
        "median lateral error, um": float(np.median(beside)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stacks", type=int, default=8)
    args = parser.parse_args()
    keep_freed_memory()
    torch.set_num_threads(1)
    rows = {xy: row(xy, args.stacks) for xy in FIELDS}
    print("| pixel, um | " + " | ".join(rows[0.1]) + " |\n|---|---|---|---|---|---|")
    for xy, values in rows.items():
        print(f"| {xy:g} | " + " | ".join(f"{v:.3g}" for v in values.values()) + " |")
    path = ROOT / "benchmarks" / "pixels.json"
    path.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
