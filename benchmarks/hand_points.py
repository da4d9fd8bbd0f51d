"""One neuron (rr30a, real): links among the points that a person placed, detection left aside.

    python benchmarks/hand_points.py [--drawn RUN] [--out FOLDER]

`spinenet link` with the person's tips and traces, scored by the acceptance scorer, which leaves out
the links that look wrong in the annotation itself (contested.csv). Judged by places alone, by the
shipped matching head beside them (the default) and by it alone; with `--drawn`, a run of `train.py
match` whose simulated regions are used, also by heads fine-tuned (configs/match.yaml, 500 steps)
on the other three dendrites for each that is scored.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

from real import DATA, ROOT, score

DENDRITES = (0, 1, 3, 4)
KINDS = ("adjacent", "all_pairs")
COUNTS = ("tp", "fp", "fn")
HEAD = "siamese"
ASKED = {"head and places": (), "head alone": ("--match.head_share", "1")}


def link(out: Path, judge: str, *said: str) -> None:
    command = [sys.executable, "-m", "spinenet", "link", DATA, "--out", out, "--point", "tip"]
    subprocess.run([*command, "--weights.match", judge, *said, "--quiet"], check=True)


def fine_tuned(drawn: Path, dendrite: int, out: Path) -> Path:
    """A head that saw no link of the dendrite."""
    n = {}
    for kind in ("regions", "planted", "found"):
        shutil.copytree(drawn / kind, out / kind, dirs_exist_ok=True)
        n[kind] = str(len(list((out / kind).glob("*.npz"))))
    command = [sys.executable, ROOT / "train.py", "match", "--data", DATA, "--out", out]
    command += ["--config", ROOT / "configs" / "match.yaml", "--init", HEAD, "--steps", "500"]
    command += ["--regions", n["regions"], "--planted.regions", n["planted"]]
    command += ["--planted.found", n["found"], "--learning_rate", "1e-3"]
    command += ["--annotated.point", "tip", "--annotated.hold_out", f"[{dendrite}]", "--quiet"]
    subprocess.run(command, check=True)
    return out / "siamese.safetensors"


def counts(out: Path, *dendrites: int) -> dict[str, Counter[str]]:
    told = ["--dendrites", *map(str, dendrites)] if dendrites else []
    found = score("tips", str(DATA), str(out), *told)
    given = {kind: found[kind]["links_given_both_detected"] for kind in KINDS}
    return {kind: Counter({c: given[kind][c] for c in COUNTS}) for kind in KINDS}


def ratios(n: Counter[str]) -> dict[str, float]:
    right, wrong, missed = (n[c] for c in COUNTS)
    return {
        "precision": right / (right + wrong),
        "recall": right / (right + missed),
        "f1": 2 * right / (2 * right + wrong + missed),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--drawn", type=Path)
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "hand_points")
    args = parser.parse_args()
    link(args.out, "places")
    found = {"places": counts(args.out)}
    for name, said in ASKED.items():
        link(args.out, HEAD, *said)
        found[name] = counts(args.out)
    if args.drawn:
        tuned = {d: fine_tuned(args.drawn, d, args.out / f"without{d}") for d in DENDRITES}
        for name, said in ASKED.items():
            summed: dict[str, Counter[str]] = {kind: Counter() for kind in KINDS}
            for d, head in tuned.items():
                link(args.out, str(head), *said)
                for kind, n in counts(args.out, d).items():
                    summed[kind].update(n)
            found[f"{name}, fine-tuned on the other dendrites"] = summed
    rows = {f"{judge}, {kind}": ratios(n) for judge, by in found.items() for kind, n in by.items()}
    print("| links among a person's points | precision | recall | F1 |\n|---|---|---|---|")
    for name, r in rows.items():
        print(f"| {name} | {r['precision']:.3f} | {r['recall']:.3f} | {r['f1']:.3f} |")
    (ROOT / "benchmarks" / "hand_points.json").write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
