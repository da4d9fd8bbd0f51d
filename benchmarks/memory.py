"""Memory and time of infer.py on a 131 x 1292 x 1871 uint16 stack (simulated), on the CPU.

    python benchmarks/memory.py

One simulated field is tiled over the stack with fresh noise, so that dendrites fill it as they do
in reality. Reports the peak resident memory of the process that ran infer.py.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from spinenet.config import MorphologyConfig, OpticsConfig
from spinenet.io.write import write_volume
from spinenet.synthetic.patches import draw_example
from spinenet.types import Session, Volume

ROOT = Path(__file__).parents[1]
SHAPE = (131, 1292, 1871)
VOXEL_UM = (1.0, 0.12, 0.12)
FIELD = (131, 256, 256)


def big_stack() -> Volume:
    rng = np.random.default_rng(0)
    optics = OpticsConfig(clip_8bit_chance=0.0, photons=(40, 60))
    field = draw_example(rng, FIELD, optics, MorphologyConfig(), VOXEL_UM).image
    stack = np.empty(SHAPE, np.uint16)
    for y in range(0, SHAPE[1], FIELD[1]):
        for x in range(0, SHAPE[2], FIELD[2]):
            part = stack[:, y : y + FIELD[1], x : x + FIELD[2]]
            part[:] = rng.poisson(field[:, : part.shape[1], : part.shape[2]])
    return Volume(stack, VOXEL_UM, Session("big", "big", 0))


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        stack = write_volume(Path(folder) / "big.ome.tif", big_stack())
        start = time.perf_counter()
        infer = [
            sys.executable,
            ROOT / "infer.py",
            stack,
            "--out",
            Path(folder) / "out",
            "--device",
        ]
        subprocess.run([*infer, "cpu", "--quiet"], check=True)
        seconds = time.perf_counter() - start
        stages = json.loads((Path(folder) / "out" / "run.json").read_text())["seconds"]
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024**2
    result = {
        "shape": SHAPE,
        "peak_gib": round(peak, 2),
        "seconds": round(seconds),
        "stages": stages,
    }
    print(json.dumps(result, indent=1))
    (ROOT / "benchmarks" / "memory.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
