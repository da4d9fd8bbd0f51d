"""The simulator beside real stacks (rr30a, one neuron): the same statistics of both.

    python benchmarks/simulator_statistics.py

Measured at the true (simulated) or hand-placed (real) spines and centrelines; each row is the
median over stacks, with the 10th and 90th percentile. Real points are tips of spines that a person
could see; of the simulated ones those marked scorable count, at their tips too. Simulated detectors
are all of the real one's kind (8 bits, clipped), as its offset cannot be told from background.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy.ndimage import gaussian_filter, maximum_filter
from scipy.spatial import cKDTree

from spinenet.config import OpticsConfig, SimulateConfig, TurnoverConfig
from spinenet.geometry import arc_length, nearest_voxels
from spinenet.io.read import read_volume
from spinenet.io.sessions import find_stacks
from spinenet.measure.quality import noise_of
from spinenet.synthetic.experiment import simulate_region
from spinenet.types import Volume

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("SPINENET_RR30A", ROOT / "../shared/data/rr30a"))
XYZ = ["z_um", "y_um", "x_um"]
N_SIMULATED = 12


def tips(spines: pd.DataFrame) -> np.ndarray:
    """Tips of simulated spines: a head's radius beyond its centre, away from the base; where there
    is no head the centre of the thread's round end."""
    centre, base = (spines[[f"{p}{a}" for a in XYZ]].to_numpy() for p in ("", "base_"))
    out = (centre - base) / np.linalg.norm(centre - base, axis=1, keepdims=True)
    return centre + out * spines[["head_width_um"]].fillna(0.0).to_numpy() / 2


def puncta_per_1000_um2(
    volume: Volume, nodes_um: np.ndarray, floor: float, background: float
) -> float:
    """Local maxima over `floor` in the projection, farther than 4 um from every trace."""
    calm = gaussian_filter(volume.data.max(axis=0).astype(np.float32), 2) - background
    _, dy, dx = volume.voxel_size_um
    top = (calm == maximum_filter(calm, 9)) & (calm > floor)
    places = np.argwhere(top) * [dy, dx]
    traces = cKDTree(nodes_um[:, 1:])
    field = np.argwhere(np.ones(calm.shape)[::8, ::8]) * [8 * dy, 8 * dx]
    area = (traces.query(field)[0] > 4).sum() * 64 * dy * dx
    return float((traces.query(places)[0] > 4).sum() / area * 1000)


def peaks(volume: Volume, points_um: np.ndarray) -> np.ndarray:
    """Mean of 3 x 3 pixels at the brightest place within 1 slice and 0.4 um."""
    out = []
    for z, y, x in nearest_voxels(points_um, volume.voxel_size_um, volume.data.shape):
        r = round(0.4 / volume.voxel_size_um[1])
        box = volume.data[
            max(z - 1, 0) : z + 2, max(y - r, 0) : y + r + 1, max(x - r, 0) : x + r + 1
        ]
        out.append(np.percentile(box, 95))
    return np.array(out, float)


def statistics(volume: Volume, tips_um: np.ndarray, nodes: pd.DataFrame) -> dict[str, float]:
    background, noise = noise_of(volume)
    shaft = peaks(volume, nodes[XYZ].to_numpy()[::4]) - background
    heads = peaks(volume, tips_um) - background
    column = "dendrite" if "dendrite" in nodes else "dendrite_id"
    length = sum(arc_length(part[XYZ].to_numpy())[-1] for _, part in nodes.groupby(column))
    dark = np.asarray(volume.data, float)
    return {
        "shaft SNR (over background noise)": float(np.median(shaft) / noise),
        "spine / shaft brightness": float(np.median(heads) / np.median(shaft)),
        "background / shaft brightness": float(background / (np.median(shaft) + background)),
        "bright voxels (over 10 % of shaft), %": float(
            100 * (dark > background + 0.1 * np.median(shaft)).mean()
        ),
        "puncta off the dendrites per 1000 um2": puncta_per_1000_um2(
            volume, nodes[XYZ].to_numpy(), 0.1 * float(np.median(shaft)), background
        ),
        "spines per um of dendrite": len(tips_um) / length,
    }


def main() -> None:
    truth, traces = pd.read_csv(DATA / "spines.csv"), pd.read_csv(DATA / "dendrites.csv")
    real = []
    for file in find_stacks(DATA / "sessions.csv"):
        k = file.session.index
        real.append(
            statistics(
                read_volume(file),
                truth.loc[truth.session == k, XYZ].to_numpy(),
                traces[traces.session == k],
            )
        )
    simulated = []
    for seed in range(N_SIMULATED):
        config = SimulateConfig(
            snr="any",
            shape=(40, 256, 448),
            voxel_um=(1.0, 0.12, 0.12),
            turnover=TurnoverConfig(days=(0.0,)),
            optics=OpticsConfig(clip_8bit_chance=1.0),
            seed=900 + seed,
        )
        made = simulate_region(config, "m", "r", 0)
        volume = made.volumes[0]
        nodes = made.dendrites[made.dendrites.session == 0]
        extent = volume.extent_um
        nodes = nodes[((nodes[XYZ] >= 0) & (nodes[XYZ] <= extent)).all(axis=1)]
        spines = made.spines[(made.spines.session == 0) & made.spines.scorable]
        simulated.append(statistics(volume, tips(spines), nodes))
    rows = {"real": pd.DataFrame(real), "simulated": pd.DataFrame(simulated)}
    print("| | real (one neuron, 6 sessions) | simulated |\n|---|---|---|")
    for name in rows["real"]:
        cells = [
            "{:.3g} ({:.3g} to {:.3g})".format(*np.percentile(f[name], [50, 10, 90]))
            for f in rows.values()
        ]
        print(f"| {name} | {cells[0]} | {cells[1]} |")
    figure = Figure(figsize=(11, 2.6))
    for axis, name in zip(figure.subplots(1, 6), rows["real"], strict=True):
        for x, (kind, frame) in enumerate(rows.items()):
            axis.plot(x + np.linspace(-0.1, 0.1, len(frame)), frame[name], "o", ms=4, label=kind)
        axis.set_xticks([0, 1], list(rows))
        axis.set_xlim(-0.5, 1.5)
        axis.set_title(name, fontsize=8)
    figure.tight_layout()
    figure.savefig(ROOT / "docs" / "simulator_statistics.png", dpi=90)
    content = {k: f.to_dict("list") for k, f in rows.items()}
    (ROOT / "benchmarks" / "simulator_statistics.json").write_text(
        json.dumps(content, indent=1) + "\n"
    )


if __name__ == "__main__":
    main()
