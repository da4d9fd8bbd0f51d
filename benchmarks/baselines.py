"""spinenet beside what a user would pick instead: the same patches, training time and judge.

    python benchmarks/baselines.py [--minutes 20] [--recipes DeepD3 ...] [--out FOLDER]

The recipes are in benchmarks/recipes.py. Each is trained from nothing on the same simulated
patches (configs/segment.yaml, with patches for two cores) for the same processor time of one
thread, and its threshold is chosen by F1 on stacks of the same simulator, drawn apart. Then every
recipe's spines, those within 3 um of the shafts that it saw itself, are counted by
`spinenet evaluate` on stacks of another simulator (benchmarks/variant.py) and on real ones (rr30a,
one neuron), on which nothing was chosen. "At best" is the threshold that suits these real stacks
best, in hindsight.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import jsonargparse
import numpy as np
import pandas as pd
import torch
import variant
import yaml
from real import DATA, ROOT
from recipes import Blobs, DeepD3, NnUNet, Recipe, Spinenet
from scipy import ndimage

from spinenet.cli import main as spinenet
from spinenet.config import TrainSegmentConfig
from spinenet.io.read import read_volume
from spinenet.io.sessions import find_stacks
from spinenet.io.write import write_table
from spinenet.models.allocator import keep_freed_memory
from spinenet.pipeline.evaluation import evaluate
from spinenet.tables import SPINES

REACH_UM = 3.0
SMALLEST_SHAFT_UM3 = 4.0


def settings(path: Path) -> TrainSegmentConfig:
    parser = jsonargparse.ArgumentParser()
    parser.add_class_arguments(TrainSegmentConfig, "training")
    told = {"training": yaml.safe_load(path.read_text())}
    return parser.instantiate(parser.parse_object(told)).training


def beside_shaft(shaft: np.ndarray, voxel_um: np.ndarray) -> np.ndarray:
    """(Z, Y, X) within `REACH_UM` of a shaft that is more than a speck."""
    parts, n = ndimage.label(shaft >= 0.5)
    size = np.bincount(parts.ravel(), minlength=n + 1) * np.prod(voxel_um)
    large = (size >= SMALLEST_SHAFT_UM3) & (np.arange(n + 1) > 0)
    if not large.any():
        return np.zeros(shaft.shape, bool)
    return ndimage.distance_transform_edt(~large[parts], sampling=voxel_um) < REACH_UM


def detect(recipe: Recipe, data: Path) -> dict[float, pd.DataFrame]:
    """The spines of all stacks of a folder at every threshold, as in spines.csv."""
    rows: dict[float, list[dict[str, object]]] = {t: [] for t in recipe.thresholds}
    for file in find_stacks(data / "sessions.csv"):
        maps = recipe.maps(read_volume(file))
        near = beside_shaft(maps.shaft, maps.voxel_um)
        for threshold, mine in rows.items():
            places, sure = recipe.spines(maps, threshold)
            at = np.clip(np.rint(places).astype(int), 0, np.array(near.shape) - 1)
            for n, (place, p) in enumerate(zip(places, sure, strict=True)):
                if near[tuple(at[n])]:
                    um = place * maps.voxel_um + maps.shift_um
                    where = {f"{axis}_um": v for axis, v in zip("zyx", um, strict=True)}
                    mine.append(
                        {**file.session.columns, "spine_id": n, "probability": float(p), **where}
                    )
    return {t: SPINES.frame(found) for t, found in rows.items()}


def scores(found: dict[float, pd.DataFrame], data: Path, out: Path, point: str) -> pd.DataFrame:
    """Precision, recall and F1 at every threshold."""
    out.mkdir(parents=True, exist_ok=True)
    table = {}
    for threshold, frame in found.items():
        write_table(out, SPINES, frame)
        table[threshold] = detection(evaluate(data, out, point))
    return pd.DataFrame(table).T


def detection(figures: pd.DataFrame) -> pd.Series:
    whole = figures[figures["stratum"] == "all"].set_index("figure")["value"]
    return whole[["precision", "recall", "f1"]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "baselines")
    recipes = {r.__name__: r for r in (Spinenet, DeepD3, NnUNet, Blobs)}
    parser.add_argument("--recipes", nargs="+", choices=recipes, default=list(recipes))
    args = parser.parse_args()
    keep_freed_memory()
    torch.set_num_threads(1)
    config = replace(
        settings(ROOT / "configs" / "segment.yaml"), patch=(16, 64, 64), crops_per_scene=2
    )
    choose = args.out / "choose"
    if not choose.exists():
        how = ["--animals", "4", "--snr", "any", "--seed", "515", "--turnover.days", "[0]"]
        spinenet(["simulate", "--out", str(choose), *how])
    tests = {}
    for snr in variant.PHOTONS:
        tests[snr] = args.out / snr
        tests[snr].mkdir(parents=True, exist_ok=True)
        variant.write(tests[snr], snr, 8)
    path = ROOT / "benchmarks" / "baselines.json"
    kept = json.loads(path.read_text()) if path.exists() else {}
    rows = kept["recipes"] if kept.get("minutes") == args.minutes else {}
    for recipe in (recipes[name]() for name in args.recipes):
        steps = recipe.fit(config, args.minutes * 60)
        place = args.out / "found" / type(recipe).__name__
        chosen = scores(detect(recipe, choose), choose / "truth", place, "head")["f1"].idxmax()
        row = {"steps": steps, "threshold": chosen}
        for snr, data in tests.items():
            row[f"F1 {snr}"] = scores(detect(recipe, data), data, place, "head").loc[chosen, "f1"]
        real = scores(detect(recipe, DATA), DATA, place, "tip")
        row |= {f"real {name}": real.loc[chosen, name] for name in real}
        row["real f1 at best"] = real["f1"].max()
        rows[recipe.name] = row
        print(json.dumps({recipe.name: row}), flush=True)
        content = {"minutes": args.minutes, "recipes": rows}
        path.write_text(json.dumps(content, indent=1, default=float) + "\n")
    names = list(next(iter(rows.values())))
    print("| recipe | " + " | ".join(names) + " |\n|---|" + "---|" * len(names))
    for name, row in rows.items():
        print(f"| {name} | " + " | ".join(f"{row[n]:.4g}" for n in names) + " |")


if __name__ == "__main__":
    main()
