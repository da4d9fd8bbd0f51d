"""One neuron (rr30a, real): a net fine-tuned on three dendrites, scored on the fourth.

    python benchmarks/leave_one_out.py [--seed 0] [--folds 0 1 3 4] [--out FOLDER] [--sure P]
        [--train [--KEY VALUE ...]]

`--train` fine-tunes the four nets first, two at a time (configs/finetune.yaml and further settings,
the spines of the scored dendrite held out of training, threshold and calibration); without it the
nets in FOLDER are used. A training that was cut off goes on. Each net
then goes through the whole of `infer.py`, and the acceptance scorer counts the one dendrite that it
never saw. With `--sure` a track counts only if it was once seen with that probability: fewer
spines, surer links. Figures are of the counts added up over the four folds; those of whole tracks
(`spinenet evaluate`) their mean, weighed by the sightings.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
from real import DATA, ROOT, score

from spinenet.evaluate.judge import judge
from spinenet.evaluate.spines import expected_calibration_error, ratios
from spinenet.io.annotated import read_truth
from spinenet.io.table import read_table
from spinenet.io.weights import load_segment_weights
from spinenet.pipeline.evaluation import evaluate
from spinenet.tables import SPINES

DENDRITES = (0, 1, 3, 4)
BLURRED = 2


def train(fold: Path, dendrite: int, seed: int, more: list[str]) -> None:
    """On one thread: two nets side by side use two cores better than one after the other."""
    command = [sys.executable, ROOT / "train.py", "segment", "--data", DATA, "--out", fold]
    command += ["--config", ROOT / "configs" / "finetune.yaml", "--seed", str(seed)]
    command += ["--annotated.point", "tip", "--annotated.hold_out", f"[{dendrite}]", *more]
    one = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run(command, check=True, env=one)


def infer(fold: Path, sure: float | None) -> None:
    command = [sys.executable, ROOT / "infer.py", DATA / "sessions.csv", "--out", fold / "results"]
    command += ["--weights.segment", fold / "unet.safetensors", "--quiet"]
    if sure is not None:
        centre = load_segment_weights(str(fold / "unet.safetensors")).thresholds["centre"]
        command += ["--match.sure_share", f"{sure / centre:.3f}"]
    subprocess.run(command, check=True)


def scored(results: Path, dendrite: int, without: int | None) -> dict:
    """The scorer's figures for one dendrite; sessions may be left out of truth and results."""
    with tempfile.TemporaryDirectory() as folder:
        truth, found = Path(folder) / "truth", Path(folder) / "found"
        truth.mkdir()
        found.mkdir()
        for name in ("sessions.csv", "spines.csv", "dendrites.csv", "contested.csv"):
            frame = pd.read_csv(DATA / name)
            frame[frame["session"] != without].to_csv(truth / name, index=False)
        frame = pd.read_csv(results / "spines.csv")
        frame[frame["session"] != without].to_csv(found / "spines.csv", index=False)
        return score("tips", str(truth), str(found), "--dendrites", str(dendrite))


def calibration(results: Path, dendrite: int) -> pd.DataFrame:
    """Columns probability and right of the detections on the scored dendrite."""
    truth = read_truth(DATA, "tip")
    found = read_table(results / SPINES.file, SPINES)
    annotated = truth.sessions.assign(whole=False)
    judged = judge(truth.spines, found, truth.nodes, annotated, [dendrite])
    fair = judged.truth["counts"].to_numpy(bool)
    seen = judged.detections
    right = (seen["true"] >= 0) & fair[np.maximum(seen["true"], 0)]
    kept = right | seen["alarm"]
    return pd.DataFrame({"probability": seen["probability"][kept], "right": right[kept]})


TRACKED = ("MOTA", "AssA", "complete_tracks", "turnover_bias_points")


def tracked(results: Path, dendrite: int) -> pd.Series:
    """What `spinenet evaluate` says of the tracks of one dendrite, and the number of sightings."""
    table = evaluate(DATA, results, "tip", [dendrite])
    whole = table[table["stratum"] == "all"].set_index("figure")
    values = whole["value"].reindex(TRACKED)
    return pd.concat([values, pd.Series({"sightings": whole.loc["AssA", "n"]})]).astype(float)


def add(rows: list[dict]) -> dict:
    """Detection and adjacent links, counts added up."""
    parts = {
        "detection": [r["detection"] for r in rows],
        "links": [r["adjacent"]["links_given_both_detected"] for r in rows],
        "end to end": [r["adjacent"]["links_end_to_end"] for r in rows],
    }
    return {
        k: ratios(*(sum(r[n] for r in v) for n in ("tp", "fp", "fn"))) for k, v in parts.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folds", type=int, nargs="+", choices=DENDRITES, default=DENDRITES)
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "leave_one_out")
    parser.add_argument("--sure", type=float)
    parser.add_argument("--train", action="store_true")
    args, more = parser.parse_known_args()
    if more and not args.train:
        parser.error(f"{' '.join(more)}: settings of the training, but --train is not given")
    folds = {d: args.out / f"seed{args.seed}_without{d}" for d in args.folds}
    if args.train:
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda d: train(folds[d], d, args.seed, more), folds))
    for fold in folds.values():
        infer(fold, args.sure)
    table: dict[str, dict] = {}
    for name, without in (("six sessions", None), ("without the blurred one", BLURRED)):
        rows = {d: scored(fold / "results", d, without) for d, fold in folds.items()}
        table |= {f"{name}, dendrite {d}": add([row]) for d, row in rows.items()}
        table[f"{name}, all"] = add(list(rows.values()))
    certainty = pd.concat([calibration(fold / "results", d) for d, fold in folds.items()])
    error = expected_calibration_error(
        certainty["probability"].to_numpy(float), certainty["right"].to_numpy(bool)
    )
    print("| held out | precision | recall | F1 | links, both detected: F1 | end to end: F1 |")
    print("|---|---|---|---|---|---|")
    for name, row in table.items():
        d = row["detection"]
        values = [d["precision"], d["recall"], d["f1"], row["links"]["f1"], row["end to end"]["f1"]]
        print(f"| {name} | " + " | ".join(f"{v:.3f}" for v in values) + " |")
    print(f"\ncalibration error of the probability (ECE): {error:.3f}")
    whole = pd.DataFrame({d: tracked(fold / "results", d) for d, fold in folds.items()}).T
    means = {k: float(np.average(whole[k], weights=whole["sightings"])) for k in TRACKED}
    print("; ".join(f"{k} {v:.3f}" for k, v in means.items()))
    if len(folds) < len(DENDRITES):
        return  # figures of some folds are no result
    path = ROOT / "benchmarks" / "leave_one_out.json"
    content = json.loads(path.read_text()) if path.exists() else {}
    name = f"seed {args.seed}" + ("" if args.sure is None else f", sure {args.sure:g}")
    content[name] = {**table, "calibration_error": error, "tracks": means}
    path.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
