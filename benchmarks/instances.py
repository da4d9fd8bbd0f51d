"""How spine voxels become spines: the net's offsets against watersheds, touching pairs apart.

    python benchmarks/instances.py [--weights NAME] [--stacks 8]

Stacks of another simulator (benchmarks/variant.py) at 60 photons, with three times as many spines
as usual, so that many touch. One prediction of one net for all rules; thresholds are those stored
with it.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import variant
from scipy import ndimage
from scipy.spatial import cKDTree
from skimage.feature import peak_local_max
from skimage.segmentation import watershed

from spinenet.config import MorphologyConfig
from spinenet.evaluate.judge import pair_centres
from spinenet.evaluate.masks import MaskCounts, count_masks
from spinenet.evaluate.spines import SAME_DEPTH_UM, TOUCHING_UM, ratios
from spinenet.io.weights import load_segment_weights
from spinenet.segment.label import find_peaks, label
from spinenet.segment.predict import Prediction, predict
from spinenet.types import FloatArray, Session, Volume

ROOT = Path(__file__).parents[1]
DENSE = MorphologyConfig(spines_per_um=(0.8, 2.0))
SMALLEST_VOX = 3
Labels = npt.NDArray[np.integer]
Thresholds = dict[str, float]
Rule = Callable[[Prediction, Thresholds], tuple[Labels, FloatArray]]
"""(Z, Y, X) labels from 1, and the places (K, 3) in um of the spines."""


def offsets(seen: Prediction, t: Thresholds) -> tuple[Labels, FloatArray]:
    found = label(seen, **t)
    return found.spines, found.centres_um


def masks(seen: Prediction, t: Thresholds) -> npt.NDArray[np.bool_]:
    return (seen.spine >= round(t["spine"] * 255)) & (seen.shaft < round(t["shaft"] * 255))


def watershed_of_centres(seen: Prediction, t: Thresholds) -> tuple[Labels, FloatArray]:
    centres, _ = find_peaks(seen.centre, seen.voxel_size_um, t["centre"])
    seeds = np.zeros(seen.spine.shape, np.int32)
    at = np.rint(centres / np.array(seen.voxel_size_um)).astype(int)
    seeds[tuple(at.T)] = np.arange(1, len(centres) + 1)
    return watershed(-seen.spine.astype(np.int16), seeds, mask=masks(seen, t)), centres


def watershed_of_depth(seen: Prediction, t: Thresholds) -> tuple[Labels, FloatArray]:
    mask = masks(seen, t)
    depth = ndimage.distance_transform_edt(mask, sampling=seen.voxel_size_um)
    depth = ndimage.gaussian_filter(depth, 1)
    parts, _ = ndimage.label(mask)
    peaks = peak_local_max(depth, min_distance=2, labels=parts, exclude_border=False)
    seeds = np.zeros(mask.shape, np.int32)
    seeds[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    return middles(watershed(-depth, seeds, mask=mask), seen)


def components(seen: Prediction, t: Thresholds) -> tuple[Labels, FloatArray]:
    return middles(ndimage.label(masks(seen, t))[0], seen)


def middles(labels: Labels, seen: Prediction) -> tuple[Labels, FloatArray]:
    """Specks dropped; the middle of each label is its place."""
    size = np.bincount(labels.ravel())
    numbers = np.flatnonzero((size >= SMALLEST_VOX) & (np.arange(len(size)) > 0))
    order = np.zeros(len(size), np.int32)
    order[numbers] = np.arange(1, len(numbers) + 1)
    labels = order[labels]
    at = ndimage.center_of_mass(labels > 0, labels, np.arange(1, len(numbers) + 1))
    return labels, np.array(at).reshape(-1, 3) * np.array(seen.voxel_size_um)


RULES: dict[str, Rule] = {
    "centres and offsets": offsets,
    "watershed from the centres": watershed_of_centres,
    "watershed from the masks' depth": watershed_of_depth,
    "connected components": components,
}


def touching(points_um: FloatArray, fair: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Neighbours in the plane, at much the same depth, as `spinenet evaluate` counts them."""
    low, high = TOUCHING_UM
    out = []
    for i, j in cKDTree(points_um).query_pairs(np.hypot(high, SAME_DEPTH_UM)):
        z, y, x = np.abs(points_um[i] - points_um[j])
        if fair[i] and fair[j] and z <= SAME_DEPTH_UM and low <= np.hypot(y, x) <= high:
            out.append((i, j))
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", default="default")
    parser.add_argument("--stacks", type=int, default=8)
    args = parser.parse_args()
    weights = load_segment_weights(args.weights)
    counts = {name: MaskCounts() for name in RULES}
    found = {name: np.zeros(3, int) for name in RULES}
    pairs: dict[str, list[bool]] = {name: [] for name in RULES}
    for k in range(args.stacks):
        rng = np.random.default_rng([78, k])
        scene = variant.draw(rng, DENSE)
        stack, labelled = variant.image(rng, scene, variant.PHOTONS["good"])
        volume = Volume(stack, variant.VOXEL_UM, Session(f"v{k}", "dense", 0))
        seen = predict(volume, weights.net, tile_mvox=5.0, device=torch.device("cpu"))
        true = np.array([[row[f"{a}_um"] for a in "zyx"] for row in scene.rows])
        fair = np.array([row["scorable"] for row in scene.rows])
        hidden = np.array([row["label"] for row in scene.rows])[~fair]
        near = touching(true, fair)
        shaft = seen.shaft >= round(weights.thresholds["shaft"] * 255)
        for name, rule in RULES.items():
            labels, places = rule(seen, weights.thresholds)
            whole = np.where(labels > 0, labels + 1, shaft)
            counts[name] += count_masks(labelled, whole, hidden)
            i, j = pair_centres(places, true)
            hit = np.zeros(len(true), bool)
            hit[j] = True
            pairs[name] += [bool(hit[a] and hit[b]) for a, b in near]
            alarms = len(places) - len(i)
            found[name] += [int((hit & fair).sum()), alarms, int((fair & ~hit).sum())]
    rows = {
        name: {
            "touching pairs both found": float(np.mean(pairs[name])),
            **ratios(*found[name]),
            **counts[name].figures(),
        }
        for name in RULES
    }
    names = list(next(iter(rows.values())))
    n = len(pairs["connected components"])
    print(f"{n} touching pairs, {found['connected components'][[0, 2]].sum()} spines")
    print("| rule | " + " | ".join(names) + " |\n|---|" + "---|" * len(names))
    for name, row in rows.items():
        print(f"| {name} | " + " | ".join(f"{row[m]:.3f}" for m in names) + " |")
    content = {"weights": args.weights, "touching_pairs": n, "rules": rows}
    path = ROOT / "benchmarks" / "instances.json"
    path.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
