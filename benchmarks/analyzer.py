"""The analysis itself: false positives, whether its intervals hold the truth, speed, and a person's
own table of one neuron.

    python benchmarks/analyzer.py [--null 1000] [--planted 300]

Simulated cohorts without images (`spinenet.synthetic.cohort`), two groups of five animals that
differ in their rates by a log-normal factor of 0.3.
- *Null*: both groups alike, no clusters planted. Share of cohorts with P below 0.05, every test.
- *Planted*: one group, a third of the new spines planted beside another one; the machine misses 5 %
  of sightings and 2 % of its links are wrong, and its probabilities say so; and the same cohorts
  without mistakes. Share of cohorts whose 95 % interval holds the truth (of 400 animals without
  mistakes).
- *Power*: what `spinenet power` promises, against whole studies of that size.
- *Speed*: 10,000 shuffles of 200 dendrites over 5 sessions, beside the same in a plain loop.
- *rr30a*: one neuron, a person's tracks.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from real import DATA, ROOT

from spinenet.analyze.ground import ground_of
from spinenet.analyze.hotspots import hotspot_row
from spinenet.analyze.nulls import shuffled_counts
from spinenet.analyze.power import plan
from spinenet.analyze.states import SEEN, Histories, histories
from spinenet.analyze.summary import Evidence, analyze
from spinenet.analyze.survival import NEW
from spinenet.config import AnalyzeConfig, CohortConfig, PowerConfig
from spinenet.geometry import arc_length, project
from spinenet.synthetic.cohort import simulate_cohort
from spinenet.tables import TRACKS
from spinenet.types import Tracks

PLAIN = CohortConfig()
PLANTED = replace(PLAIN, clustered_share=0.35, protection=2.0, miss_rate=0.05, link_error=0.02)
FLAWLESS = replace(PLANTED, miss_rate=0.0, link_error=0.0)
COHORTS = {"with mistakes": PLANTED, "without": FLAWLESS}
COVERED = (
    *("formation", "elimination", "turnover_ratio"),
    *("clustered_fraction_contiguous", "clustered_excess_contiguous", "clustered_excess_within_d"),
)


def strengths(tracks: Tracks, rng: np.random.Generator) -> pd.DataFrame:
    """`spines.csv` of the sightings: every spine has a strength of its own, animals and sessions
    differ, and nothing grows."""
    seen = tracks.frame[tracks.frame["presence"] == "present"]
    rows = seen[["animal", "group", "region", "session", "day", "track_id", "dendrite_id"]]
    log = rng.normal(0, 0.3, len(rows))
    for keys, spread in ((["track_id"], 0.5), (["session"], 0.2)):
        part = rows.groupby(["animal", "region", *keys]).ngroup().to_numpy()
        log += rng.normal(0, spread, part.max() + 1)[part]
    return rows.assign(strength=np.exp(log), probability=np.nan)


def null_cohort(seed: int) -> tuple[dict[str, float], bool]:
    """P of every test, by statistic, comparisons of groups under their own name; and whether the
    verdict found a reason for doubt, where nothing was missed."""
    rng = np.random.default_rng([seed, 1])
    groups = [simulate_cohort(PLAIN, name, rng).observed.frame for name in ("a", "b")]
    tracks = Tracks(pd.concat(groups, ignore_index=True))
    evidence = Evidence(spines=strengths(tracks, rng))
    config = AnalyzeConfig(n_shuffles=400, n_draws=0)
    rows = analyze(tracks, config, evidence, seed).statistics
    doubted = bool(rows.loc[rows["name"] == "quality_reasons", "estimate"].iloc[0])
    rows = rows[np.isfinite(rows["p_value"]) & (rows["group"] != "b")]
    hs = histories(Tracks(groups[0]), config.max_gap)
    late = replace(config, window=(hs[0].days[2], hs[0].days[-1]))
    before = hotspot_row("a", ground_of(hs, None, late), late, np.random.default_rng([seed, 4]))
    rows = pd.concat([rows, pd.DataFrame([before])], ignore_index=True)
    names = rows["name"].where(rows["group_b"] == "", "between groups: " + rows["name"])
    return dict(zip(names, rows["p_value"], strict=True)), doubted


def planted_cohort(seed: int, cohort: CohortConfig) -> dict[str, list[float]]:
    """Estimate, sampling interval, total interval of what is covered."""
    rng = np.random.default_rng([seed, 2])
    tracks = simulate_cohort(cohort, "a", rng).observed
    config = AnalyzeConfig(n_shuffles=50)
    if cohort == FLAWLESS:  # nothing to draw
        config = replace(config, n_draws=0)
    rows = analyze(tracks, config, seed=seed).statistics.set_index("name")
    columns = ["estimate", "sampling_low", "sampling_high", "ci_low", "ci_high"]
    return {name: rows.loc[name, columns].tolist() for name in COVERED}


def truth(cohort: CohortConfig) -> dict[str, float]:
    """Of 400 animals; wrong links hide losses and births, which are in the truth alone."""
    many = replace(cohort, animals=400)
    tracks = simulate_cohort(many, "a", np.random.default_rng(99)).true
    rows = analyze(tracks, AnalyzeConfig(n_shuffles=20, n_draws=0)).statistics.set_index("name")
    return {name: float(rows.loc[name, "estimate"]) for name in COVERED}


def coverage(
    planted: list[dict[str, list[float]]], true: dict[str, float]
) -> dict[str, dict[str, float]]:
    """How often each interval holds the truth."""
    print("\n| statistic | truth | mean estimate | sampling interval holds it | total interval |")
    print("|---|---|---|---|---|")
    covered = {}
    for name in COVERED:
        value = np.array([p[name] for p in planted], float)
        naive, whole = (
            float(((value[:, k] <= true[name]) & (true[name] <= value[:, k + 1])).mean())
            for k in (1, 3)
        )
        covered[name] = {"truth": true[name], "naive": naive, "total": whole}
        mean = value[:, 0].mean()
        print(f"| {name} | {true[name]:.4f} | {mean:.4f} | {naive:.3f} | {whole:.3f} |")
    return covered


def study_finds_it(seed: int, dendrites: int, animals: int, plan: PowerConfig) -> bool:
    rng = np.random.default_rng([seed, 3])
    groups = []
    for name, share in (("a", plan.effect), ("b", 0.0)):
        cohort = replace(plan.cohort, animals=animals, dendrites=dendrites, clustered_share=share)
        groups.append(simulate_cohort(cohort, name, rng).observed.frame)
    tracks = Tracks(pd.concat(groups, ignore_index=True))
    rows = analyze(tracks, AnalyzeConfig(n_shuffles=200, n_draws=0), seed=seed).statistics
    row = rows[(rows["name"] == "clustered_excess_contiguous") & (rows["group_b"] == "b")]
    return bool(row["p_value"].iloc[0] <= 0.05)


def promised_power(studies: int) -> dict[str, float]:
    config = PowerConfig(dendrites=(4,), cohort=replace(PLAIN, miss_rate=0.02))
    (found,) = plan(config, 0)
    n = found.animals or config.most_animals
    with ProcessPoolExecutor(2) as pool:
        hits = list(
            pool.map(partial(study_finds_it, dendrites=4, animals=n, plan=config), range(studies))
        )
    return {"animals": n, "promised": found.by_animals[n], "found": float(np.mean(hits))}


def plain_loop(h: Histories, n: int, config: AnalyzeConfig, rng: np.random.Generator) -> list[int]:
    """What `shuffled_counts` does for the contiguous rule, a shuffle and a spine at a time."""
    window = h.window(config.window)
    pool = np.flatnonzero((h.seen[:, window] == SEEN).any(axis=1))
    new, seen, arc = h.is_new(config.window)[pool], h.seen[pool] == SEEN, h.arc_um[pool]
    counts = []
    for _ in range(n):
        life = rng.permutation(len(pool))
        members = set()
        for t in window:
            here = [i for i in range(len(pool)) if seen[life[i], t]]
            for i, j in zip(here[:-1], here[1:], strict=True):
                if new[life[i]] and new[life[j]] and arc[j] - arc[i] >= config.resolution_um:
                    members |= {i, j}
        counts.append(len(members))
    return counts


def speed() -> dict[str, float]:
    config = replace(PLAIN, animals=20, dendrites=10)
    tracks = simulate_cohort(config, "a", np.random.default_rng(0)).observed
    hs = histories(tracks, 1)
    rng = np.random.default_rng(0)
    seconds = {}
    for n in (10_000, 20_000, 40_000, 80_000):
        settings = AnalyzeConfig(n_shuffles=n)
        start = time.perf_counter()
        for h in hs:
            shuffled_counts(h, settings, rng)
        seconds[n] = time.perf_counter() - start
    start = time.perf_counter()
    for h in hs[:20]:
        plain_loop(h, 50, AnalyzeConfig(), rng)
    loop = (time.perf_counter() - start) / (20 * 50) * len(hs) * 10_000
    slope = np.polyfit(np.log(list(seconds)), np.log(list(seconds.values())), 1)[0]
    plot_seconds(seconds)
    return {
        "dendrites": len(hs),
        "seconds for 10,000 shuffles, both rules": seconds[10_000],
        "seconds of the plain loop, contiguous alone (extrapolated)": loop,
        "times faster": loop / seconds[10_000],
        "slope of log time against log shuffles": float(slope),
        "peak memory GB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
    }


def plot_seconds(seconds: dict[int, float]) -> None:
    """docs/analyzer_speed.png"""
    figure = Figure(figsize=(4, 3), layout="constrained")
    axes = figure.subplots()
    axes.loglog(list(seconds), list(seconds.values()), "o-")
    axes.set(
        xlabel="shuffles", ylabel="seconds", title="200 dendrites, 5 sessions, both rules, one core"
    )
    axes.title.set_fontsize(9)
    axes.set_xticks(list(seconds), [f"{n:,}" for n in seconds])
    axes.set_yticks([1, 2, 5, 10], ["1", "2", "5", "10"])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    figure.savefig(ROOT / "docs" / "analyzer_speed.png", dpi=150)


def along(spines: pd.DataFrame, nodes: pd.DataFrame) -> pd.Series:
    """Arc length of every spine's base on its session's own trace, in the plane: clicks wriggle in
    depth. The traces of a dendrite are slid and stretched so that the spines they share agree."""
    arc = pd.Series(np.nan, spines.index)
    for dendrite, mine in spines.groupby("dendrite_id"):
        known = pd.Series(dtype=float)
        for session, here in mine.groupby("session"):
            on = (nodes["dendrite_id"] == dendrite) & (nodes["session"] == session)
            flat = np.array([0.0, 1.0, 1.0])
            line = nodes.loc[on, ["z_um", "y_um", "x_um"]].to_numpy(float) * flat
            bases = here[["base_z_um", "base_y_um", "base_x_um"]].to_numpy(float) * flat
            at = pd.Series(project(bases, line, arc_length(line))[1], here["track_id"].to_numpy())
            shared = at.index.intersection(known.index)
            if len(shared) > 2:
                stretch, slide = np.polyfit(at[shared], known[shared], 1)
                at = stretch * at + slide
            arc[here.index] = at.to_numpy()
            known = pd.concat([known, at.drop(shared)]) if len(known) else at
    return arc


def human_table() -> pd.DataFrame:
    """tracks.csv of a person's spines: what was not marked in a session was absent there, unless
    its dendrite was not traced there."""
    spines, nodes = pd.read_csv(DATA / "spines.csv"), pd.read_csv(DATA / "dendrites.csv")
    spines = spines.rename(columns={"track": "track_id", "dendrite": "dendrite_id"})
    nodes = nodes.rename(columns={"dendrite": "dendrite_id"})
    spines["arc_length_um"] = along(spines, nodes)
    days = spines.drop_duplicates("session").set_index("session")["day"]
    traced = {(int(d), int(s)) for d, s in zip(nodes["dendrite_id"], nodes["session"], strict=True)}
    rows = []
    for track, mine in spines.groupby("track_id"):
        dendrite = int(mine["dendrite_id"].iloc[0])
        seen = set(mine["session"])
        for session, day in days.items():
            absent = "absent" if (dendrite, int(session)) in traced else "out_of_view"
            rows.append(
                {
                    "animal": "rr30a",
                    "region": "r0",
                    "dendrite_id": dendrite,
                    "track_id": int(track),
                    "session": int(session),
                    "day": float(day),
                    "arc_length_um": float(mine["arc_length_um"].mean()),
                    "kind": "spine",
                    "presence": "present" if session in seen else absent,
                }
            )
    return TRACKS.frame(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--null", type=int, default=1000)
    parser.add_argument("--planted", type=int, default=300)
    args = parser.parse_args()
    fast = speed()  # first, so that its memory is its own
    with ProcessPoolExecutor(2) as pool:
        nulls = list(pool.map(null_cohort, range(args.null), chunksize=5))
        planted = {
            how: list(pool.map(partial(planted_cohort, cohort=of), range(args.planted)))
            for how, of in COHORTS.items()
        }
    null = pd.DataFrame([p for p, _ in nulls])
    doubted = float(np.mean([reasons for _, reasons in nulls]))
    false = {name: float((p.dropna() < 0.05).mean()) for name, p in null.items()}
    print("| test | cohorts | P < 0.05 |\n|---|---|---|")
    for name, share in false.items():
        print(f"| {name} | {null[name].count()} | {100 * share:.1f} % |")
    print(f"\nThe verdict doubts {100 * doubted:.1f} % of these cohorts; nothing was missed there.")
    covered = {how: coverage(of, truth(COHORTS[how])) for how, of in planted.items()}
    power = promised_power(args.planted)
    print(f"\npower with {power['animals']} animals a group: promised {power['promised']:.3f}, ")
    print(f"found in {power['found']:.3f} of {args.planted} studies")
    print()
    for name, value in fast.items():
        print(f"- {name}: {value:.3g}")
    # its second session was on day 4.1
    found = analyze(Tracks(human_table()), AnalyzeConfig(landmark_day=4.2))
    shown = ("formation", "elimination", "turnover_ratio", "clustered_fraction_contiguous")
    lives = [f"survival_{kind}" for kind in NEW]
    rows = found.statistics[found.statistics["name"].isin([*shown, *lives])]
    print("\nrr30a, a person's tracks (one neuron):")
    for row in rows.itertuples():
        print(f"- {row.name}: {row.estimate:.3f}, chance {row.null_mean:.3f}, P {row.p_value:.3g}")
    print(f"- {found.verdict}")
    content = {
        "false positives": false,
        "null cohorts doubted": doubted,
        "coverage": covered,
        "power": power,
        "speed": fast,
        "rr30a": {r.name: [r.estimate, r.null_mean, r.p_value] for r in rows.itertuples()},
        "rr30a verdict": found.verdict,
    }
    path = ROOT / "benchmarks" / "analyzer.json"
    path.write_text(json.dumps(content, indent=1, default=float) + "\n")


if __name__ == "__main__":
    main()
