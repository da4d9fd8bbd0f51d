"""Are clusters neither invented nor erased? From stacks to clusters, beside what was planted.

    python benchmarks/planted_clusters.py [--regions 12] [--snr good ...] [--planted none ...]

Simulated regions of five sessions (the simulator of training, seeds apart), in which none, few or a
third of the new spines are planted beside an earlier new one; chance makes clusters besides. The
clustered share of new spines (contiguous, all regions pooled) is counted four times: among the true
tracks that a person could score; among the same as far as they were found, their identities known
("misses alone"); as the program reports it, spines left out that are true but that nobody could
score ("reported"); and with them ("reported, all"). Inflation is the third less the first, with a
95 % interval by drawing regions anew. Misses alone raise that share, as a spine that was not found
no longer parts two new ones; chance raises it as much, so beside each share stands what it is with
the spines' lives dealt out anew to their places, and how rarely (P) chance gives as much. A planted
cluster counts as there if two of its members are new and in one cluster. Beside it how many of the
spines reported as new and as lost are so in truth, whatever the session. With looking back before a
spine is called absent, and without. What is not run keeps its rows.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from real import ROOT

from spinenet.analyze.clusters import cluster_table
from spinenet.analyze.nulls import candidates, shuffled_counts
from spinenet.analyze.rows import p_value
from spinenet.analyze.states import NEVER, births, histories
from spinenet.cli import main as spinenet
from spinenet.config import AnalyzeConfig, SimulateConfig, TurnoverConfig
from spinenet.evaluate.judge import KEYS, Judged, judge
from spinenet.io.annotated import read_truth
from spinenet.io.experiment import write_experiment
from spinenet.io.table import read_table
from spinenet.pipeline.true_clusters import fair_tracks
from spinenet.tables import SPINES, TRACKS, TRUE_TRACKS
from spinenet.types import Presence, Tracks

PLANTED = {"none": (0.0, 0.0125), "few": (0.07, 0.0125), "a third": (0.33, 0.025)}
"""Share of new spines planted beside an earlier new one, and formation per day. A spine can only be
planted where one is new: at the rate of a resting animal a third would be one or two clusters."""
PLAIN = TurnoverConfig(
    days=(0.0, 4.0, 8.0, 12.0, 16.0),
    elimination_per_day=0.0125,
    new_loss_per_day=0.03,
)
RULE = "contiguous"
DRAWS = 2000
WAYS = {
    "with": {},
    "without": {"least_power": 0.0, "lookback_share": 10.0, "between_share": 10.0},
}
"""Of looking back: settings of `match`. No probability is ten times a threshold."""


def clustered(tracks: Tracks) -> pd.DataFrame:
    """By region: new spines, those of them in clusters and (B,) as many by chance; who they are."""
    config = AnalyzeConfig()
    hs = histories(tracks, config.max_gap)
    clusters = cluster_table(hs, config)
    clusters = clusters[clusters["rule"] == RULE]
    rows = []
    for h, stream in zip(hs, np.random.SeedSequence(0).spawn(len(hs)), strict=True):
        chance = shuffled_counts(h, config, np.random.default_rng(stream))[RULE]
        new = h.track_ids[h.is_new(config.window) & candidates(h, RULE, config)]
        here = (clusters["animal"] == h.animal) & (clusters["dendrite_id"] == h.dendrite_id)
        groups = [set(map(int, m.split(";"))) for m in clusters.loc[here, "track_ids"]]
        inside = set().union(*groups) & set(new.tolist())
        rows.append((h.animal, len(new), len(inside), groups, chance))
    return pd.DataFrame(rows, columns=["animal", "new", "clustered", "groups", "chance"])


def found_alone(true: Tracks, judged: Judged) -> Tracks:
    """True tracks with what was not found called absent: what misses alone make of them."""
    spines = judged.truth
    seen = spines[spines["found"] >= 0]
    keys = ["animal", "track_id", "session"]
    known = pd.MultiIndex.from_frame(seen[keys].astype({"track_id": int, "session": int}))
    frame = true.frame.copy()
    missed = (frame["presence"] == Presence.PRESENT) & ~pd.MultiIndex.from_frame(frame[keys]).isin(
        known
    )
    frame.loc[missed, "presence"] = str(Presence.ABSENT)
    frame.loc[missed, "spine_id"] = pd.NA
    lives = frame.assign(seen=frame["presence"] == Presence.PRESENT)
    ever = lives.groupby(keys[:2])["seen"].transform("any")
    return Tracks(frame[ever].reset_index(drop=True))


def true_names(judged: Judged) -> dict[tuple[str, int], int]:
    """By animal and reported track, the true track of most of its sightings."""
    truth = judged.truth.reset_index(drop=True)
    found = judged.detections
    hit = found[(found["true"] >= 0) & found["track_id"].notna()]
    name = truth["track_id"].to_numpy()[hit["true"].to_numpy(int)]
    named = hit.assign(name=pd.array(name, dtype="Int64")).dropna(subset=["name"])
    most = named.groupby(["animal", "track_id"])["name"].agg(lambda n: n.mode().iloc[0])
    return {(str(a), int(k)): int(v) for (a, k), v in most.items()}


def changed(tracks: Tracks) -> dict[str, set[tuple[str, int]]]:
    """Animals and tracks of the spines that are new, and of those that are lost at the end."""
    out: dict[str, set[tuple[str, int]]] = {"new": set(), "lost": set()}
    for h in histories(tracks, AnalyzeConfig().max_gap):
        for kind, there in (("new", h.seen), ("lost", h.seen[:, ::-1])):
            born = births(there) != NEVER
            out[kind] |= {(h.animal, int(k)) for k in h.track_ids[born]}
    return out


def planted_found(
    planted: dict[tuple[str, int], set[int]],
    table: pd.DataFrame,
    names: dict[tuple[str, int], int] | None = None,
) -> set[tuple[str, int]]:
    """Planted clusters of which two members are in one cluster of a table."""
    out = set()
    for animal, groups in zip(table["animal"], table["groups"], strict=True):
        for group in groups:
            who = {names.get((animal, k), -1) for k in group} if names is not None else group
            out |= {
                p for p, members in planted.items() if p[0] == animal and len(members & who) > 1
            }
    return out


def run(planted: str, snr: str, regions: int, folder: Path, way: dict[str, float]) -> dict:
    share, formation = PLANTED[planted]
    turnover = replace(PLAIN, clustered_share=share, formation_per_day=formation)
    config = SimulateConfig(animals=regions, snr=snr, seed=7171, turnover=turnover)
    if not (folder / "sessions.csv").exists():
        write_experiment(config, folder)
    out = folder / "results"
    how = [f"--match.{name}={value}" for name, value in way.items()] + ["--quiet"]
    assert spinenet(["infer", str(folder / "sessions.csv"), "--out", str(out), *how]) == 0
    found = read_table(out / SPINES.file, SPINES)
    truth = read_truth(folder / "truth", "head", found)
    tracks = read_table(folder / "truth" / TRACKS.file, TRUE_TRACKS)
    annotated = truth.sessions[KEYS].assign(whole=True)
    judged = judge(truth.spines, found, truth.nodes, annotated)
    fair = fair_tracks(tracks, judged.truth)
    reported, names = read_table(out / TRACKS.file, TRACKS), true_names(judged)
    scorable = set(zip(fair.frame["animal"], fair.frame["track_id"], strict=True))
    hidden = [
        names.get(key) is not None and (key[0], names[key]) not in scorable
        for key in zip(reported["animal"], reported["track_id"], strict=True)
    ]
    reported_fair = Tracks(reported[~np.array(hidden)].reset_index(drop=True))
    by = {
        "true": clustered(fair),
        "misses alone": clustered(found_alone(fair, judged)),
        "reported": clustered(reported_fair),
        "reported, all": clustered(Tracks(reported)),
    }
    mine = fair.frame[fair.frame["planted"] >= 0].groupby(["animal", "planted"])["track_id"]
    there = {(str(a), int(p)): set(map(int, ids)) for (a, p), ids in mine.unique().items()}
    pairs = {k: members for k, members in there.items() if len(members) > 1}
    pairs = {k: pairs[k] for k in planted_found(pairs, by["true"])}
    kept = planted_found(pairs, by["misses alone"])
    seen = planted_found(pairs, by["reported"], names)
    true_changes, told = changed(fair), changed(reported_fair)
    right = {
        kind: {k for k in of if (k[0], names.get(k)) in true_changes[kind]}
        for kind, of in told.items()
    }
    sums = {k: t.groupby("animal")[["new", "clustered"]].sum() for k, t in by.items()}
    return {
        "new spines": {k: int(s["new"].sum()) for k, s in sums.items()},
        "clustered share": {k: ratio(s) for k, s in sums.items()},
        "chance": {k: float(t["chance"].sum().mean() / t["new"].sum()) for k, t in by.items()},
        "p": {k: p_value(t["clustered"].sum(), t["chance"].sum()) for k, t in by.items()},
        "changes": {
            kind: {
                "true": len(true_changes[kind]),
                "right": len(right[kind]),
                "false": len(told[kind] - right[kind]),
            }
            for kind in told
        },
        "inflation": inflation(sums["true"], sums["reported"]),
        "planted clusters": len(pairs),
        "left by misses alone": len(kept),
        "of these reported": len(kept & seen),
    }


def ratio(sums: pd.DataFrame) -> float:
    new = sums["new"].sum()
    return float(sums["clustered"].sum() / new) if new else float("nan")


def inflation(true: pd.DataFrame, reported: pd.DataFrame) -> tuple[float, float, float]:
    """Points of the clustered share, and their 95 % interval."""
    animals = true.index.union(reported.index)
    a, b = (s.reindex(animals, fill_value=0) for s in (true, reported))
    rng = np.random.default_rng(0)
    drawn = rng.integers(0, len(animals), (DRAWS, len(animals)))
    values = [ratio(b.iloc[k]) - ratio(a.iloc[k]) for k in drawn]
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return 100 * (ratio(b) - ratio(a)), 100 * float(low), 100 * float(high)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--regions", type=int, default=12)
    parser.add_argument("--snr", nargs="+", default=["good", "fair", "poor"])
    parser.add_argument("--planted", nargs="+", choices=PLANTED, default=list(PLANTED))
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "planted_clusters")
    args = parser.parse_args()
    path = ROOT / "benchmarks" / "planted_clusters.json"
    for snr in args.snr:
        for planted in args.planted:
            folder = args.out / f"{snr}_{planted.replace(' ', '_')}_{args.regions}"
            for how, way in WAYS.items():
                at = {"snr": snr, "planted": planted, "look-back": how}
                row = {**at, "regions": args.regions}
                row |= run(planted, snr, args.regions, folder, way)
                print(json.dumps(row), flush=True)
                kept = json.loads(path.read_text()) if path.exists() else []
                rows = [r for r in kept if not at.items() <= r.items()] + [row]
                path.write_text(json.dumps(rows, indent=1, default=float) + "\n")


if __name__ == "__main__":
    main()
