"""One neuron (rr30a, real): the two thresholds of a detection, chosen on three dendrites and
scored on the fourth.

    python benchmarks/thresholds.py [--weights NAME]

`centre` is the height from which a peak is a detection, `sure` the multiple of it that one sighting
of a track must reach. `--weights` should never have seen a real stack, like `unet-base`, the
default. Each fold takes the pair with the best adjacent link F1 on three dendrites among those
whose detection F1 there is at least 0.65; its counts on the fourth are added up over the folds.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import tempfile
from dataclasses import replace
from itertools import product
from pathlib import Path

from spinenet.config import InferConfig, SegmentConfig, WeightsConfig
from spinenet.io.sessions import find_stacks
from spinenet.io.weights import load_segment_weights
from spinenet.io.write import write_table
from spinenet.match.region import link_region
from spinenet.models.allocator import keep_freed_memory
from spinenet.pipeline.sessions import region_views
from spinenet.pipeline.stacks import RunLog, segment_stack
from spinenet.progress import Stages
from spinenet.segment.predict import pick_device
from spinenet.tables import SPINES
from spinenet.types import SpineTable

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("SPINENET_RR30A", ROOT / "../shared/data/rr30a"))
SCORER = Path(os.environ.get("SPINENET_SCORER", ROOT / "../shared/accept/score.py"))
CENTRES = (0.21, 0.24, 0.27, 0.30, 0.33, 0.36, 0.40, 0.42, 0.44)
SURES = (1.0, 1.15, 1.3, 1.4, 1.5, 1.7)
DENDRITES = ("0", "1", "3", "4")
ENOUGH_F1 = 0.65
Counts = dict[str, tuple[int, int, int]]


def scorer():
    spec = importlib.util.spec_from_file_location("score", SCORER)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.score


def counts(row: dict) -> Counts:
    """Hits, false ones and misses of detection and of adjacent links among detected pairs."""
    parts = {"detection": row["detection"], "links": row["adjacent"]["links_given_both_detected"]}
    return {k: (v["tp"], v["fp"], v["fn"]) for k, v in parts.items()}


def pooled(rows: list[Counts]) -> Counts:
    return {k: tuple(map(sum, zip(*(r[k] for r in rows), strict=True))) for k in rows[0]}


def f1(c: tuple[int, int, int]) -> float:
    return 2 * c[0] / max(2 * c[0] + c[1] + c[2], 1)


def goodness(rows: list[Counts]) -> float:
    """Link F1 where detection is good enough; below every one of those where it is not."""
    whole = pooled(rows)
    detection = f1(whole["detection"])
    return f1(whole["links"]) if detection >= ENOUGH_F1 else detection - 1


def table(weights: str) -> dict[tuple[float, float], dict[str, Counts]]:
    """Counts by thresholds and dendrite."""
    score = scorer()
    keep_freed_memory()
    config = InferConfig(
        weights=WeightsConfig(weights), segment=SegmentConfig(centre_threshold=min(CENTRES))
    )
    net = load_segment_weights(weights)
    out: dict[tuple[float, float], dict[str, Counts]] = {}
    with tempfile.TemporaryDirectory() as scratch, Stages() as stages:
        folder = Path(scratch)
        device = pick_device("auto")
        files = find_stacks(DATA / "sessions.csv")
        stacks = [segment_stack(f, folder / "s", net, config, device, stages) for f in files]
        views, reference = region_views(stacks, config, RunLog())
        for centre, sure in product(CENTRES, SURES):
            seen = []
            for view in views:
                frame = view.spines.frame
                kept = frame[frame["probability"] >= centre].reset_index(drop=True)
                seen.append(replace(view, spines=SpineTable(kept)))
            match = replace(config.match, sure_share=sure)
            write_table(folder, SPINES, link_region(seen, reference, match, centre).spines)
            out[centre, sure] = {d: counts(score("tips", DATA, folder, [d])) for d in DENDRITES}
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", default="unet-base")
    weights = parser.parse_args().weights
    found = table(weights)
    held: dict[str, dict] = {}
    for d in DENDRITES:
        rest = [e for e in DENDRITES if e != d]
        best = max(found, key=lambda k, rest=rest: goodness([found[k][e] for e in rest]))
        held[d] = {"centre": best[0], "sure": best[1], "counts": found[best][d]}
    whole = pooled([h["counts"] for h in held.values()])
    chosen = max(found, key=lambda k: goodness(list(found[k].values())))
    print("| scored dendrite | centre, sure chosen on the others | P | R | F1 | adjacent link F1 |")
    print("|---|---|---|---|---|---|")
    rows = [(f"{d}", f"{h['centre']}, {h['sure']}", h["counts"]) for d, h in held.items()]
    rows += [("all, held out", "", whole)]
    rows += [("all, in sample", f"{chosen[0]}, {chosen[1]}", pooled(list(found[chosen].values())))]
    for name, thresholds, c in rows:
        tp, fp, fn = c["detection"]
        print(
            f"| {name} | {thresholds} | {tp / (tp + fp):.3f} | {tp / (tp + fn):.3f} "
            f"| {f1(c['detection']):.3f} | {f1(c['links']):.3f} |"
        )
    content = {
        "held_out": held,
        "chosen": chosen,
        "grid": [{"centre": c, "sure": s, "counts": v} for (c, s), v in found.items()],
    }
    (ROOT / "benchmarks" / "thresholds.json").write_text(
        json.dumps({"weights": weights, **content}) + "\n"
    )


if __name__ == "__main__":
    main()
