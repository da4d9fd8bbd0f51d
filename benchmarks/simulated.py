"""Simulated regions of five sessions: detection, places, links, measures and clusters by SNR.

    python benchmarks/simulated.py [--regions 3]

Seeds apart from training's; the simulator is the one the shipped weights were trained on.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import chi2

from spinenet.analyze.summary import analyze
from spinenet.cli import main as spinenet
from spinenet.config import AnalyzeConfig
from spinenet.evaluate.judge import pair_centres
from spinenet.io.table import read_table
from spinenet.pipeline.evaluation import evaluate
from spinenet.pipeline.true_clusters import fair_tracks
from spinenet.tables import CLUSTERS, SPINES, TRACKS

ROOT = Path(__file__).parents[1]
MEASURES = ("length_um", "neck_length_um", "head_width_um", "head_volume_um3", "strength")
XYZ = ["z_um", "y_um", "x_um"]


def measures(truth: pd.DataFrame, found: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Median ratio to the truth, spread (half the 16-84 % range of the log) and correlation, of the
    `fair` spines that were found."""
    pairs = []
    keys = ["animal", "region", "session"]
    for key, mine in found.groupby(keys):
        true = truth[(truth[keys] == list(key)).all(axis=1)]
        i, j = pair_centres(mine[XYZ].to_numpy(), true[XYZ].to_numpy())
        kept = (true["fair"] & (true["kind"] == "spine")).to_numpy(bool)[j]
        i, j = i[kept], j[kept]
        pairs.append((mine.iloc[i][list(MEASURES)], true.iloc[j][list(MEASURES)]))
    a, b = (pd.concat([p[k] for p in pairs], ignore_index=True) for k in (0, 1))
    out = {}
    for name in MEASURES:
        good = (a[name] > 0) & (b[name] > 0)
        log = np.log(a[name][good] / b[name][good])
        low, mid, high = np.percentile(log, [16, 50, 84])
        r = float(np.corrcoef(np.log(a[name][good]), np.log(b[name][good]))[0, 1])
        out[name] = {"ratio": float(np.exp(mid)), "log_spread": (high - low) / 2, "r": r}
    return out


def poisson_interval(count: int) -> tuple[float, float]:
    """Exact 95 % interval of the mean of a Poisson count (Garwood 1936): how far the number of
    clusters in so few animals is from its expectation by chance alone."""
    low = chi2.ppf(0.025, 2 * count) / 2 if count else 0.0
    return float(low), float(chi2.ppf(0.975, 2 * count + 2) / 2)


def run(snr: str, regions: int, folder: Path) -> dict:
    data, out = folder / snr / "data", folder / snr / "out"
    common = ["--animals", str(regions), "--snr", snr, "--seed", "4242"]
    assert spinenet(["simulate", "--out", str(data), *common]) == 0
    infer = [sys.executable, ROOT / "infer.py", data / "sessions.csv", "--out", out, "--quiet"]
    subprocess.run(infer, check=True)
    evaluated = evaluate(data, out)
    truth, found = (read_table(p / SPINES.file, SPINES) for p in (data / "truth", out))
    scorable = truth["scorable"].astype(str).str.lower().isin(["true", "1"])
    true_tracks = fair_tracks(
        read_table(data / "truth" / TRACKS.file, TRACKS), truth.assign(counts=scorable)
    )
    true_clusters = analyze(true_tracks, AnalyzeConfig(n_shuffles=100)).clusters
    clusters = read_table(out / CLUSTERS.file, CLUSTERS)
    count = [int((c["rule"] == "contiguous").sum()) for c in (true_clusters, clusters)]
    return {
        "detection": evaluated.loc[evaluated["stratum"] == "all"]
        .set_index("figure")["value"]
        .to_dict(),
        "measures": measures(truth.assign(fair=scorable), found),
        "clusters_true": count[0],
        "clusters_found": count[1],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--regions", type=int, default=3)
    regions = parser.parse_args().regions
    with tempfile.TemporaryDirectory() as folder:
        rows = {snr: run(snr, regions, Path(folder)) for snr in ("good", "fair", "poor")}
    print(
        "| simulated SNR | precision | recall | F1 | lateral error (um) | clusters found / true "
        "(95 % by sampling) |"
    )
    print("|---|---|---|---|---|---|")
    for snr, row in rows.items():
        d = row["detection"]
        names = ("precision", "recall", "f1", "lateral centre error um")
        print(
            f"| {snr} | "
            + " | ".join(f"{d[n]:.3f}" for n in names)
            + f" | {row['clusters_found']} / {row['clusters_true']} "
            + "({:.0f} to {:.0f}) |".format(*poisson_interval(row["clusters_true"]))
        )
    print("\n| measure | " + " | ".join(f"{s}: ratio, spread, r" for s in rows) + " |")
    print("|---|" + "---|" * len(rows))
    for name in MEASURES:
        cells = [
            "{ratio:.2f}, {log_spread:.2f}, {r:.2f}".format(**rows[s]["measures"][name])
            for s in rows
        ]
        print(f"| {name} | " + " | ".join(cells) + " |")
    (ROOT / "benchmarks" / "simulated.json").write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
