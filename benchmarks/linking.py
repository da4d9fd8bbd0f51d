"""Linkers side by side, on identical planted detections in simulated stacks (a person's points on
real ones: benchmarks/hand_points.py).

    python benchmarks/linking.py [--regions 40] [--weights siamese] [--judges_alone]

Every linker's one number (its gate, or the probability below which it links nothing; of point drift
its stiffness too) is tuned by F1 on other simulated dendrites of the same kind; the default is
shown as shipped besides. The real bar is places and sizes after the warp: Gaussian likelihoods of
how far a spine's size changes, fitted on the tuning dendrites. Intervals
are bootstrapped over dendrites, differences paired. Ablations hide something from the same head;
they are not trained anew. "Told the truth": the warp laid over the true tracks, and the true
scatter with it, as the most that a registration could do; who is who is then to be found as ever.
What the probabilities of standard dendrites are worth goes to weights/reliability.json, for the
report. Last, seconds to link fields of many dendrites over 12 sessions. `--judges_alone` compares
the judges after our warp and nothing else, so that many dendrites can settle what few cannot.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt
import torch
from linkers import LINKERS, Linker, Setting, chain
from linking_cases import SIZES, Case, Score, SizedTokens, case_of, f1, figures, ratio, score
from real import ROOT

from spinenet.config import MatchConfig
from spinenet.evaluate.identity import SURE_P
from spinenet.evaluate.spines import expected_calibration_error
from spinenet.io.manifest import PLACES_ALONE, RELIABILITY, judge_of
from spinenet.io.weights import load_match_weights
from spinenet.io.write import write_json
from spinenet.match.assign import path_cover, session_pairs
from spinenet.match.head import Judge, MatchingHead, PlacesAlone, all_candidates
from spinenet.match.region import link_by_places, tracks_by
from spinenet.match.score import CANDIDATE_P, PLACE_SD_UM, Candidates, Places
from spinenet.match.support import supported, sure_of_track
from spinenet.match.tokens import ABOUT, Tokens, pair_graph
from spinenet.measure.portrait import PORTRAIT
from spinenet.training.planted import DAYS, Planting, plant
from spinenet.training.sightings import NOBODY
from spinenet.types import FloatArray, IntArray

STANDARD = Planting(0.5, 50.0, 0.04, 0.03, 0.08, (0.4, 0.1, 0.1), 1.0)
HARD = Planting(0.8, 25.0, 0.10, 0.10, 0.15, (1.0, 0.12, 0.12), 1.5)
LEAST_P = (0.05, 0.1, 0.2, 0.35, 0.5)
DRAWS = 2000
TUNING_SEED, TEST_SEED = 90_000, 10_000
BAR, OURS = "places and sizes, whole tracks (the bar)", "matching head alone, whole tracks"
TUNING_REGIONS = 20
PLACES, DEFAULT = "places alone, whole tracks", "head and places, whole tracks (the default)"
SHIPPED = "the same, not tuned"
LABS = "Hungarian"


@dataclass(frozen=True)
class PlacesAndSizes:
    """Odds of the places, times how likely the change of size is for one spine over two."""

    places: Judge
    same_sd: FloatArray
    other_sd: FloatArray

    def look_at(self, tokens: Tokens) -> Tokens:
        return tokens

    def __call__(self, a: SizedTokens, b: SizedTokens) -> Candidates:
        c = self.places(a, b)
        change = a.sizes[c.i] - b.sizes[c.j]
        same, other = (
            (-0.5 * (change / sd) ** 2 - np.log(sd)).sum(axis=1)
            for sd in (self.same_sd, self.other_sd)
        )
        # four measures of one thing: they count as one and a half
        return replace(c, odds=c.odds * np.exp((same - other) * 1.5 / len(SIZES)))


def fit_sizes(cases: list[Case]) -> tuple[FloatArray, FloatArray]:
    """Standard deviation of the change of each size, for one spine and for two."""
    same, other = [], []
    for case in cases:
        for t, u in session_pairs(len(case.tokens)):
            one = case.truth[t][:, None] == case.truth[u]
            change = case.tokens[t].sizes[:, None] - case.tokens[u].sizes
            real = (case.truth[t] != NOBODY)[:, None]
            same.append(change[one & real])
            other.append(change[~one])
    return np.concatenate(same).std(axis=0), np.concatenate(other).std(axis=0)


@dataclass(frozen=True)
class Ablated:
    """A judge from which something is hidden."""

    judge: Judge
    hide: Callable[[Tokens], Tokens]

    def look_at(self, tokens: Tokens) -> Tokens:
        return self.judge.look_at(self.hide(tokens))

    def __call__(self, a: Tokens, b: Tokens) -> Candidates:
        return self.judge(a, b)


def no_portraits(tokens: Tokens) -> Tokens:
    return replace(tokens, portraits=np.zeros_like(tokens.portraits))


@dataclass(frozen=True)
class WithoutContext:
    """The head, every pair of spines judged by itself: no neighbours, no rivals."""

    head: MatchingHead

    def look_at(self, tokens: Tokens) -> Tokens:
        return self.head.look_at(tokens)

    def __call__(self, a: Tokens, b: Tokens) -> Candidates:
        whole = pair_graph(a, b, self.head.scatter_um)
        i, j = whole.across
        both, n = np.r_[i, j], len(i)
        alone = replace(
            whole,
            about=whole.about[both],
            portraits=whole.portraits[both],
            near=np.zeros((2, 0), np.int64),
            near_um=np.zeros((0, 3), np.float32),
            across=np.stack([np.arange(n), np.arange(n) + n]),
        )
        return Candidates(i, j - len(a.about), self.head.odds(alone), (len(a.about), len(b.about)))


Ways = dict[str, dict[str, list[list[IntArray]]]]
"""Tracks of every case, by linker and registration."""


Run = Callable[[list[Case], Setting], list[list[IntArray]]]
"""Tracks of cases, by what a way of linking is tuned by."""


def tuned(
    run: Run, cases: list[Case], tuning: list[Case], values: tuple[Setting, ...]
) -> list[list[IntArray]]:
    """Tracks of the cases at the value with the best F1 on the tuning ones."""
    return run(cases, max(values, key=lambda value: reached(run(tuning, value), tuning)))


def chained(link: Linker, registration: str) -> Run:
    return lambda of, gate: [chain(c.by_registration[registration], link, gate) for c in of]


def covered(judge: Callable[[Case], Judge]) -> Run:
    return lambda of, least_p: [
        tracks_by(judge(c), c.tokens, MatchConfig(min_link_p=least_p)) for c in of
    ]


def chains(of: list[Case], least_p: float) -> list[list[IntArray]]:
    """Paths through the sessions, by places, as the cover leaves them: no whole tracks."""
    found = []
    for c in of:
        sizes = [len(t.about) for t in c.tokens]
        track = path_cover(sizes, all_candidates(by_places(c), c.tokens), least_p)
        found.append(np.split(track, np.cumsum(sizes)[:-1]))
    return found


def classical(cases: list[Case], tuning: list[Case]) -> Ways:
    """What others do, after every registration."""
    return {
        name: {
            registration: tuned(chained(link, registration), cases, tuning, gates)
            for registration in ("none", "rigid", "rigid + warp")
        }
        for name, (link, gates) in LINKERS.items()
    }


def by_places(case: Case) -> PlacesAlone:
    return case.places


def informed(head: MatchingHead, case: Case) -> MatchingHead:
    """The head, told the scatter that linking by places learns of the dendrite."""
    return replace(head, scatter_um=case.places.scatter_um)


def covers(cases: list[Case], tuning: list[Case], head: MatchingHead) -> Ways:
    """All sessions at once after the warp, by who judges the links."""
    same_sd, other_sd = fit_sizes(tuning)

    alone = replace(head, share=1.0)
    judges: dict[str, Callable[[Case], Judge]] = {
        PLACES: by_places,
        DEFAULT: lambda c: informed(head, c),
        BAR: lambda c: PlacesAndSizes(by_places(c), same_sd, other_sd),
        OURS: lambda c: informed(alone, c),
        "head, no portraits": lambda c: Ablated(informed(alone, c), no_portraits),
        "head, no context": lambda c: WithoutContext(informed(alone, c)),
    }
    runs = {"path cover on places": chains} | {name: covered(of) for name, of in judges.items()}
    ways = {
        name: {"rigid + warp": tuned(run, cases, tuning, LEAST_P)} for name, run in runs.items()
    }
    shipped = (MatchConfig().min_link_p,)
    ways[SHIPPED] = {"rigid + warp": tuned(runs[DEFAULT], cases, tuning, shipped)}
    told, told_tuning = (
        [replace(c, tokens=c.told_tokens, places=c.told_places) for c in of]
        for of in (cases, tuning)
    )
    for name in (PLACES, DEFAULT, OURS):
        ways[name] |= {"told the truth": tuned(runs[name], told, told_tuning, LEAST_P)}
    return ways


def reached(tracks: list[list[IntArray]], cases: list[Case]) -> float:
    return f1([score(c, tr) for c, tr in zip(cases, tracks, strict=True)])


def judged_pairs(
    cases: list[Case], judge: Callable[[Case], Judge]
) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """(N,) probabilities of candidates over all pairs of sessions, and which are right."""
    p, right = [], []
    for case in cases:
        decide = judge(case)
        tracks = tracks_by(decide, case.tokens, MatchConfig())
        for (t, u), found in supported(all_candidates(decide, case.tokens), tracks).items():
            a, b = case.truth[t][found.i], case.truth[u][found.j]
            p.append(found.probability)
            right.append((a == b) & (a != NOBODY))
    every, good = np.concatenate(p), np.concatenate(right)
    return every[every >= CANDIDATE_P], good[every >= CANDIDATE_P]


def calibration(p: FloatArray, right: npt.NDArray[np.bool_]) -> dict[str, float]:
    """How far probabilities are from how often they are right; and how often the surest err."""
    sure = p >= SURE_P
    return {
        "ECE": expected_calibration_error(p, right),
        "candidates": len(p),
        "error at p >= .99": ratio(int((~right[sure]).sum()), int(sure.sum())),
        "links at p >= .99": int(sure.sum()),
    }


def reliability(p: FloatArray, right: npt.NDArray[np.bool_]) -> list[list[float]]:
    """By bin of probability: its mean, pairs that were right, pairs."""
    which = np.minimum((p * 10).astype(int), 9)
    bins = [which == k for k in np.unique(which)]
    return [[round(float(p[b].mean()), 4), int(right[b].sum()), int(b.sum())] for b in bins]


def better(ours: list[Score], theirs: list[Score], kind: str = "") -> tuple[float, float, float]:
    """How much higher our F1 is, and its 95 % interval, dendrites drawn anew, the same for both."""
    rng = np.random.default_rng(0)
    draws = [
        f1([ours[k] for k in drawn], kind) - f1([theirs[k] for k in drawn], kind)
        for drawn in rng.integers(0, len(ours), (DRAWS, len(ours)))
    ]
    low, high = np.nanpercentile(draws, [2.5, 97.5])
    return f1(ours, kind) - f1(theirs, kind), float(low), float(high)


def table(cases: list[Case], ways: Ways) -> list[dict[str, object]]:
    """A row for every way: how much better it is than the bar, how much worse than the head, and
    intervals."""
    rows = []
    scores = {
        (linker, registration): [score(c, tr) for c, tr in zip(cases, tracks, strict=True)]
        for linker, by in ways.items()
        for registration, tracks in by.items()
    }
    head = scores[OURS, "rigid + warp"]
    rivals = {"the bar": BAR, "places": PLACES, LABS: LABS}
    for (linker, registration), ours in scores.items():
        row: dict[str, object] = {"linker": linker, "registration": registration}
        row |= figures(ours)
        row["head's F1 over it"] = better(head, ours)
        row["head's contested F1 over it"] = better(head, ours, "contested_")
        for called, rival in rivals.items():
            if rival in ways:
                theirs = scores[rival, "rigid + warp"]
                row[f"F1 over {called}"] = better(ours, theirs)
                row[f"contested F1 over {called}"] = better(ours, theirs, "contested_")
        rows.append(row)
    return rows


def planted(planting: Planting, first_seed: int, n: int) -> list[Case]:
    return [case_of(plant(planting, first_seed + k)) for k in range(n)]


def wide_field(n_dendrites: int) -> list[Tokens]:
    """80 spines on each of many parallel dendrites over 12 sessions; nothing but places is true."""
    rng = np.random.default_rng(0)
    n = 80 * n_dendrites
    depth, side = rng.normal(0, 0.5, n), rng.choice([-1, 1], n) * rng.uniform(0.6, 1.6, n)
    lane = np.repeat(np.arange(n_dendrites) * 8.0, 80)
    homes = np.stack([depth, lane + side, rng.uniform(0, 160, n)], axis=1)
    axes = np.array([[0, 0, 1.0], [0, 1, 0], [-1, 0, 0]])
    sessions = []
    for _ in range(12):
        here = homes[rng.random(n) < 0.95]
        k = len(here)
        places = Places(here + rng.normal(0, [0.5, 0.2, 0.2], here.shape), np.tile(axes, (k, 1, 1)))
        about = rng.normal(0, 1, (k, len(ABOUT))).astype(np.float32)
        sessions.append(Tokens(places, about, rng.random((k, *PORTRAIT)).astype(np.float16)))
    return sessions


def cost(head: MatchingHead) -> dict[str, dict[str, float]]:
    """Seconds from measured spines to tracks, by number of dendrites and by judge. Both begin with
    links by places and what of them is sure; warps are not fitted anew, for which these places
    have no centrelines."""
    out: dict[str, dict[str, float]] = {}
    print("\n| dendrites x 80 spines x 12 sessions | places (s) | head (s) |\n|---|---|---|")
    for n in (5, 10, 20, 40):
        tokens = wide_field(n)
        start = time.perf_counter()
        places, tracks = link_by_places(tokens, MatchConfig())
        sure_of_track(all_candidates(places, tokens), tracks)
        first = time.perf_counter() - start
        seconds = {}
        for name, judge in (("places", places), ("head", head)):
            start = time.perf_counter()
            tracks_by(judge, tokens, MatchConfig())
            seconds[name] = first + time.perf_counter() - start
        out[str(n)] = seconds
        print(f"| {n} | {seconds['places']:.1f} | {seconds['head']:.1f} |", flush=True)
    return out


def show(name: str, rows: list[dict[str, object]]) -> None:
    print(f"\n**{name}**\n")
    names = list(rows[0])
    print("| " + " | ".join(names) + " |\n|" + "---|" * len(names))
    for row in rows:
        cells = []
        for value in row.values():
            if isinstance(value, tuple):
                cells.append(f"{value[0]:+.3f} ({value[1]:+.3f} to {value[2]:+.3f})")
            else:
                cells.append(value if isinstance(value, str) else f"{value:.3f}")
        print("| " + " | ".join(cells) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--regions", type=int, default=40)
    parser.add_argument("--weights", default="siamese")
    parser.add_argument("--judges_alone", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    weights = load_match_weights(args.weights)
    share, gate_um = MatchConfig().head_share, MatchConfig().gate_um
    head = MatchingHead(weights.net, weights.temperature, share, gate_um, PLACE_SD_UM)
    content = {"regions": args.regions, "weights": weights.sha256}
    for name, planting in (("standard", STANDARD), ("hard", HARD)):
        tuning = planted(planting, TUNING_SEED, min(TUNING_REGIONS, args.regions))
        cases = planted(planting, TEST_SEED, args.regions)
        ways = covers(cases, tuning, head)
        if not args.judges_alone:
            ways = classical(cases, tuning) | ways
        content[name] = table(cases, ways)
        show(f"{name}: {args.regions} simulated dendrites, {len(DAYS)} sessions", content[name])
        if args.judges_alone:
            continue
        pairs = {PLACES_ALONE: judged_pairs(cases, by_places)} | {
            judge_of(weights.sha256, said): judged_pairs(
                cases, partial(informed, replace(head, share=said))
            )
            for said in (share, 1.0)
        }
        content[f"{name}, calibration"] = {who: calibration(*of) for who, of in pairs.items()}
        if planting is STANDARD:
            known = {
                "data": "simulated dendrites, planted detections",
                "judges": {who: reliability(*of) for who, of in pairs.items()},
            }
            write_json(ROOT / "weights" / RELIABILITY, known)
        print(json.dumps(content[f"{name}, calibration"]))
    if not args.judges_alone:
        content["seconds"] = cost(head)
    path = ROOT / "benchmarks" / f"linking{'_judges' if args.judges_alone else ''}.json"
    path.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
