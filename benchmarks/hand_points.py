"""One neuron (rr30a, real): links among the points that a person placed, detection left aside.

    python benchmarks/hand_points.py [--out FOLDER]

`spinenet link` with the person's tips and traces, scored by the acceptance scorer, which leaves out
the links that look wrong in the annotation itself (contested.csv).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

from real import DATA, ROOT, score


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "hand_points")
    out = parser.parse_args().out
    link = [sys.executable, "-m", "spinenet", "link", DATA, "--out", out]
    subprocess.run([*link, "--point", "tip", "--quiet"], check=True)
    found = score("tips", str(DATA), str(out))
    rows = {k: found[k]["links_given_both_detected"] for k in ("adjacent", "all_pairs")}
    print("| links among a person's points | precision | recall | F1 |\n|---|---|---|---|")
    for name, r in rows.items():
        print(f"| {name} | {r['precision']:.3f} | {r['recall']:.3f} | {r['f1']:.3f} |")
    (ROOT / "benchmarks" / "hand_points.json").write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
