"""Nets of four widths, trained equally long on the same simulated patches: size, accuracy, speed.

    python benchmarks/nets.py [--minutes 20] [--widths 8 12 16 24] [--out FOLDER]

Each starts from nothing (configs/segment.yaml with patches for two cores, seed 0), with as many
steps as fit into the minutes of processor time, its patches' simulation counted, as measured on its
first steps; other work on the machine does not count. Scores are on simulated validation stacks,
thresholds fitted on them alike. Widths that are not run keep their rows: run all on one machine.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch

from spinenet.io.weights import load_segment_weights
from spinenet.models.allocator import keep_freed_memory
from spinenet.models.unet3d import SpineUNet
from spinenet.segment.predict import predict
from spinenet.types import Session, Volume

ROOT = Path(__file__).parents[1]
WIDTHS = {
    "8": (8, 16, 32, 64),
    "12": (12, 24, 48, 96),
    "16": (16, 32, 64, 128),
    "24": (24, 48, 96, 192),
}
PROBE_STEPS = 30
VALIDATION_STACKS = 12


def children_seconds() -> float:
    """Processor time of all commands that have ended."""
    used = os.times()
    return used.children_user + used.children_system


def train(
    channels: tuple[int, ...], steps: int, out: Path, stacks: int
) -> tuple[float, dict[str, float]]:
    """Seconds of processor time of the whole command, and the scores it prints, on so many
    validation stacks."""
    command = [sys.executable, ROOT / "train.py", "segment", "--out", out, "--quiet"]
    command += ["--config", ROOT / "configs" / "segment.yaml", "--steps", str(steps)]
    command += ["--validation_stacks", str(stacks)]
    command += ["--patch", "[16, 64, 64]", "--crops_per_scene", "2"]
    command += ["--net.channels", str(list(channels)), "--learning_rate", "2e-3"]
    shutil.rmtree(out, ignore_errors=True)  # it would go on with an earlier run
    before = children_seconds()
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    rows = [line.split() for line in done.stdout.splitlines() if not line.startswith("weights")]
    return children_seconds() - before, {name: float(value) for value, name in rows}


def speed(weights: Path) -> float:
    """Millions of voxels a second of the net alone, median of five."""
    net = load_segment_weights(str(weights)).net
    stack = np.random.default_rng(0).poisson(3, (32, 256, 256)).astype(np.uint16)
    volume = Volume(stack, (1.0, 0.1, 0.1), Session("speed", "speed", 0))
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        predict(volume, net, tile_mvox=5.0, device=torch.device("cpu"))
        seconds.append(time.perf_counter() - start)
    return stack.size / float(np.median(seconds)) / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--widths", nargs="+", choices=WIDTHS, default=list(WIDTHS))
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "nets")
    args = parser.parse_args()
    keep_freed_memory()
    path = ROOT / "benchmarks" / "nets.json"
    rows = json.loads(path.read_text()) if path.exists() else {}
    for name in args.widths:
        channels = WIDTHS[name]
        folder = args.out / name
        few, _ = train(channels, PROBE_STEPS, folder / "probe_short", 1)
        more, _ = train(channels, 2 * PROBE_STEPS, folder / "probe_long", 1)
        steps = int(args.minutes * 60 / max((more - few) / PROBE_STEPS, 0.05))
        seconds, scores = train(channels, steps, folder / "run", VALIDATION_STACKS)
        parameters = sum(p.numel() for p in SpineUNet(channels).parameters())
        rows[name] = {
            "parameters_M": parameters / 1e6,
            "steps": steps,
            "minutes": seconds / 60,
            "Mvox_per_s": speed(folder / "run" / "unet.safetensors"),
            **scores,
        }
        print(json.dumps({name: rows[name]}), flush=True)
        path.write_text(json.dumps(rows, indent=1) + "\n")
    names = list(next(iter(rows.values())))
    print("| channels of the first level | " + " | ".join(names) + " |")
    print("|---|" + "---|" * len(names))
    for name, row in rows.items():
        print(f"| {name} | " + " | ".join(f"{row[n]:.3g}" for n in names) + " |")


if __name__ == "__main__":
    main()
