"""One neuron (rr30a, real): detection and links by the acceptance scorer, and a picture.

    python benchmarks/real.py [--out FOLDER]

The shipped weights were trained on these very dendrites: figures in sample. What nets like them do
on dendrites that they never saw is measured by benchmarks/leave_one_out.py.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import tifffile
from matplotlib.figure import Figure

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("SPINENET_RR30A", ROOT / "../shared/data/rr30a"))
SCORER = Path(os.environ.get("SPINENET_SCORER", ROOT / "../shared/accept/score.py"))


def score(*arguments: str) -> dict:
    done = subprocess.run([sys.executable, SCORER, *arguments], capture_output=True, check=True)
    return json.loads(done.stdout)


def picture(out: Path, session: int, path: Path) -> None:
    """Brightest projection of one session: human tips (green rings) and detected heads (orange)."""
    stack = tifffile.imread(DATA / f"rr30a_r0_session{session}.ome.tif")
    truth, found = pd.read_csv(DATA / "spines.csv"), pd.read_csv(out / "spines.csv")
    figure = Figure(figsize=(11, 7))
    axis = figure.subplots()
    axis.imshow(stack.max(axis=0), cmap="gray", vmax=np.percentile(stack.max(axis=0), 99.5))
    for frame, style, label in (
        (truth, {"mec": "#3ddc64", "ms": 9}, "a person's tips (four dendrites annotated)"),
        (found, {"mec": "#ff9f1c", "ms": 5}, "spinenet's head centres"),
    ):
        mine = frame[frame["session"] == session]
        axis.plot(mine["x_um"] / 0.12, mine["y_um"] / 0.12, "o", mfc="none", label=label, **style)
    axis.legend(loc="lower left", fontsize=8)
    axis.set_axis_off()
    figure.savefig(path, dpi=90, bbox_inches="tight")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "rr30a")
    out = parser.parse_args().out
    infer = [sys.executable, ROOT / "infer.py", DATA / "sessions.csv", "--out", out, "--quiet"]
    subprocess.run(infer, check=True)
    rows = {"image-blind fence": score("tips", str(DATA), "--fence")}
    rows["spinenet"] = score("tips", str(DATA), str(out))
    for dendrite in "0134":
        rows[f"spinenet, dendrite {dendrite}"] = score(
            "tips", str(DATA), str(out), "--dendrites", dendrite
        )
    print("| | precision | recall | F1 | adjacent links, both detected: F1 | end to end: F1 |")
    print("|---|---|---|---|---|---|")
    for name, row in rows.items():
        d, a = row["detection"], row["adjacent"]
        links = [a[k]["f1"] for k in ("links_given_both_detected", "links_end_to_end")]
        values = [d["precision"], d["recall"], d["f1"], *links]
        print(f"| {name} | " + " | ".join(f"{v:.3f}" for v in values) + " |")
    (ROOT / "benchmarks" / "real.json").write_text(json.dumps(rows, indent=1) + "\n")
    picture(out, 3, ROOT / "docs" / "rr30a_session3.png")


if __name__ == "__main__":
    main()
