"""One neuron (rr30a, real): links among the points that a person placed, detection left aside.

    python benchmarks/hand_points.py

The stacks are segmented for their shafts, registered and mapped as always; then the detections are
replaced by the person's tips, moved 0.5 um towards the base (to the head), and linked without
looking back.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from thresholds import DATA, ROOT, scorer

from spinenet.config import InferConfig
from spinenet.io.sessions import find_stacks
from spinenet.io.weights import load_segment_weights
from spinenet.io.write import write_table
from spinenet.match.region import link_region
from spinenet.match.view import SessionView
from spinenet.measure.attach import attach
from spinenet.models.allocator import keep_freed_memory
from spinenet.pipeline.sessions import region_views
from spinenet.pipeline.stacks import RunLog, segment_stack
from spinenet.progress import Stages
from spinenet.tables import SPINES
from spinenet.types import SpineTable

XYZ = ("z_um", "y_um", "x_um")
TO_HEAD_UM = 0.5
NOTHING = 2.0
"""A probability that no place reaches: looking back finds nothing."""


def with_points(view: SessionView, points: pd.DataFrame) -> SessionView:
    """A session whose spines are the person's."""
    mine = points[points["session"] == view.session.index]
    tip = mine[list(XYZ)].to_numpy()
    inward = mine[[f"base_{a}" for a in XYZ]].to_numpy() - tip
    length = np.linalg.norm(inward, axis=1, keepdims=True)
    heads = tip + inward / length * np.minimum(TO_HEAD_UM, length / 2)
    at = attach(heads, view.dendrites)
    rows = [
        {
            **view.session.columns,
            "spine_id": i + 1,
            "dendrite_id": int(at.dendrite[i]),
            **dict(zip(XYZ, heads[i], strict=True)),
            "arc_length_um": at.arc_um[i],
            "probability": 1.0,
            "kind": "spine",
            "source": "person",
        }
        for i in range(len(heads))
    ]
    return replace(view, spines=SpineTable(SPINES.frame(rows)))


def main() -> None:
    keep_freed_memory()
    config, weights = InferConfig(), load_segment_weights("default")
    points = pd.read_csv(DATA / "spines.csv")
    with tempfile.TemporaryDirectory() as scratch, Stages() as stages:
        files = find_stacks(DATA / "sessions.csv")
        stacks = [
            segment_stack(f, Path(scratch) / "s", weights, config, "auto", stages) for f in files
        ]
        views, reference = region_views(stacks, config, RunLog())
        match = replace(config.match, sure_share=0.0)
        views = [with_points(v, points) for v in views]
        write_table(Path(scratch), SPINES, link_region(views, reference, match, NOTHING).spines)
        found = scorer()("tips", DATA, scratch)
    rows = {k: found[k]["links_given_both_detected"] for k in ("adjacent", "all_pairs")}
    print("| links among a person's points | precision | recall | F1 |\n|---|---|---|---|")
    for name, r in rows.items():
        print(f"| {name} | {r['precision']:.3f} | {r['recall']:.3f} | {r['f1']:.3f} |")
    (ROOT / "benchmarks" / "hand_points.json").write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
