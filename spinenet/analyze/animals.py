"""What is counted on every dendrite, and each animal's own ratio of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, groupby

import numpy as np

from spinenet.analyze.branches import NO_BRANCHES, Branching, Junction, grow
from spinenet.analyze.clusters import RULES, find_clusters
from spinenet.analyze.lives import shares
from spinenet.analyze.network import network_k
from spinenet.analyze.nulls import candidates, clustered
from spinenet.analyze.spacing import flanked
from spinenet.analyze.states import GONE, SEEN, UNKNOWN, Histories, miss_counts, told_between
from spinenet.analyze.strength import FIRST
from spinenet.analyze.stretches import Stretches, scorable
from spinenet.analyze.survival import NEW, Cohort, kaplan_meier
from spinenet.analyze.turnover import bare, density, flow, flow_per_um, steps_days
from spinenet.config import AnalyzeConfig
from spinenet.types import BoolArray, FloatArray

PAIRS, CLUSTERS = "cluster_pairs_share", "cluster_count_contiguous"
UNBOUNDED = (
    CLUSTERS,
    "formation",
    "turnover_ratio_first",
    "density_per_um",
    "formation_per_um",
    "elimination_per_um",
    "network_k_new",
)
"""Ratios that may exceed 1."""


def furthest_apart(name: str) -> float:
    """The largest difference that two groups can have in a statistic of their animals."""
    if name in UNBOUNDED or name == FIRST:
        return float("inf")
    return 2.0 if "excess" in name else 1.0


PER_INTERVAL = (
    "formation",
    "elimination",
    "turnover_ratio",
    "turnover_ratio_first",
    "formation_per_um",
    "elimination_per_um",
)
"""Ratios that grow with the time from one session to the next."""
LIKE_STEPS, LIKE_MEANS = 1.1, 1.25
"""Groups whose sessions lie further apart than this many times the other's, by the median or on
average, are not compared so: one long interval of few is a long one, a session left out is not."""
CLUSTERED = ("clustered_fraction_contiguous", "clustered_fraction_within_d", "succedent_share")
"""Shares of new spines that grow with how many there are, and so with how often and how long one
looks; their excess over chance does not."""
BY_SIGHTINGS = ("transient_share", "persistent_share", *CLUSTERED)
"""Ratios that change with it: a spine is seen once, or formed in another session than its
neighbour, the more easily the closer sessions lie."""
OVER_STUDY = ("survival_fraction", "transient_share", *CLUSTERED)
"""Ratios that change with the days of the whole study."""


def unlike_intervals(hs: list[Histories]) -> dict[tuple[str, str], str]:
    """Pairs of groups (in order) whose sessions lie apart by unlike times, and the words for it."""
    steps = {g: steps_days(mine) for g, mine in _by_group(hs).items()}
    out: dict[tuple[str, str], str] = {}
    for middle, most, how in ((np.median, LIKE_STEPS, ""), (np.mean, LIKE_MEANS, "on average ")):
        days = {g: float(middle(of)) for g, of in steps.items()}
        for a, b in _unlike(days, most):
            why = (
                f"sessions lie {how}{days[a]:.3g} days apart in {a or 'one group'} and "
                f"{days[b]:.3g} in {b}: what happens per interval cannot be compared"
            )
            out.setdefault((a, b), why)
    return out


def unlike_spans(hs: list[Histories]) -> dict[tuple[str, str], str]:
    """Pairs of groups (in order) that were followed for unlike times, and the words for it."""
    span = {
        g: float(np.median([h.days[-1] - h.days[0] for h in mine]))
        for g, mine in _by_group(hs).items()
    }
    return {
        (a, b): f"the study lasted {span[a]:.3g} days in {a or 'one group'} and {span[b]:.3g} in "
        f"{b}: what became of spines by its end cannot be compared"
        for a, b in _unlike(span, LIKE_STEPS)
    }


def _by_group(hs: list[Histories]) -> dict[str, list[Histories]]:
    return {g: [h for h in hs if h.group == g] for g in sorted({h.group for h in hs})}


def _unlike(days: Mapping[str, float], most: float) -> list[tuple[str, str]]:
    """Pairs of groups (in order) of which one has more than so many times the other's days."""
    return [
        (a, b)
        for a, b in combinations(days, 2)
        if max(days[a], days[b]) > most * min(days[a], days[b])
    ]


@dataclass(frozen=True)
class Around:
    """What is known around the spines of some animals: where they could be scored, which dendrites
    branch off others, and, by animal, numerators and denominators of the dendrites without
    spines."""

    scored_on: Stretches | None
    branches: Branching = field(default_factory=lambda: NO_BRANCHES)
    bare: tuple[tuple[str, dict[str, tuple[float, float]]], ...] = ()


def around(
    hs: list[Histories], scored_on: Stretches | None, branches: Branching = NO_BRANCHES
) -> Around:
    """What surrounds the spines of these dendrites; holds for histories drawn anew too."""
    empty = tuple((h.animal, _per_um(h, scored_on)) for h in bare(hs, scored_on))
    return Around(scored_on, branches, empty)


def counted(
    h: Histories, config: AnalyzeConfig, scored_on: Stretches | None
) -> dict[str, tuple[float, float]]:
    """Numerator and denominator of each ratio on one dendrite, its intervals added up."""
    f = flow(h)
    new, lost = int(f.n_new.sum()), int(f.n_lost.sum())
    before, after = int(f.n_before.sum()), int(f.n_after.sum())
    out: dict[str, tuple[float, float]] = {
        "formation": (new, before),
        "elimination": (lost, before),
        "turnover_ratio": (new + lost, before + after),
        "turnover_ratio_first": (new + lost, 2 * before),
    }
    out |= _per_um(h, scored_on) | shares(h, config)
    hits = clustered(h, config)
    for rule in RULES:
        mine = h.is_new(config.window) & candidates(h, rule, config)
        out[f"clustered_fraction_{rule}"] = (hits[rule], int(mine.sum()))
    found = find_clusters(h, "contiguous", config)
    staggered = sum(len({int(b) for b in h.birth[list(c.members)]}) > 1 for c in found)
    out["succedent_share"] = (staggered, len(found))
    out[PAIRS] = (sum(c.n_sites == 2 for c in found), len(found))
    gaps, full = miss_counts(h)
    out["miss_rate_q"] = (gaps, gaps + full)
    return out


def _per_um(h: Histories, scored_on: Stretches | None) -> dict[str, tuple[float, float]]:
    if scored_on is None:
        return {}
    seen, on_um = density(h, scored_on)
    moved, um = flow_per_um(h, scored_on)
    return {
        "density_per_um": (int(seen.sum()), float(on_um.sum())),
        "formation_per_um": (int(moved.n_new.sum()), um),
        "elimination_per_um": (int(moved.n_lost.sum()), um),
    }


def rests_on(h: Histories, config: AnalyzeConfig) -> dict[str, BoolArray]:
    """By statistic, (S,) which spines it rests on, each counted once. Of statistics that are not
    listed the denominator is that number."""
    before, after = h.seen[:, :-1], h.seen[:, 1:]
    known = (before >= GONE) & (after >= GONE)
    at_risk = (known & (before == SEEN)).any(axis=1)
    either = at_risk | (known & (after == SEEN)).any(axis=1)
    members = np.zeros(len(h.arc_um), bool)
    members[[k for c in find_clusters(h, "contiguous", config) for k in c.members]] = True
    out = dict.fromkeys(
        ("formation", "elimination", "formation_per_um", "elimination_per_um"), at_risk
    )
    out |= dict.fromkeys(("turnover_ratio", "turnover_ratio_first"), either)
    out |= dict.fromkeys(("succedent_share", PAIRS, CLUSTERS), members)
    return out | {
        "density_per_um": (h.seen == SEEN).any(axis=1),
        "miss_rate_q": (told_between(h) != UNKNOWN).any(axis=1),
        "network_k_new": h.is_new(config.window),
    }


def _k_of_new(
    hs: list[Histories],
    config: AnalyzeConfig,
    scored_on: Stretches | None,
    junctions: Sequence[Junction],
) -> list[FloatArray]:
    """K within `d_um` over its value by chance, of the new spines of one region: numerator and
    denominator of each of its trees."""
    new = [h.arc_um[h.is_new(config.window)] for h in hs]
    whose = np.repeat([h.dendrite_id for h in hs], [len(arc) for arc in new])
    radius = np.array([config.d_um])
    out = []
    for grown in grow({h.dendrite_id: scorable(h, scored_on) for h in hs}, junctions):
        k = network_k(grown.tree, *grown.place(whose, np.concatenate(new)), radius)[0]
        out.append(k * [1.0, config.d_um])
    return out


def ratios_of_animals(
    hs: list[Histories],
    cohort: Cohort,
    horizon_days: float,
    config: AnalyzeConfig,
    known: Around,
) -> tuple[dict[str, FloatArray], dict[str, list[list[FloatArray]]]]:
    """Each animal's own ratios, in the order of their names, nan where undefined; and the parts.

    Parameters
    ----------
    cohort: the landmark cohort of the same animals
    horizon_days: whole days after the landmark on which survival is told

    Returns
    -------
    (A,) by statistic; and by statistic, animal and dendrite (of `network_k_new` tree) the numerator
    and denominator.
    """
    animals = sorted({h.animal for h in hs})
    parts: dict[str, list[list[FloatArray]]] = {}
    for h in hs:
        for name, pair in counted(h, config, known.scored_on).items():
            of = parts.setdefault(name, [[] for _ in animals])
            of[animals.index(h.animal)].append(np.array(pair, float))
    for animal, pairs_of in known.bare:
        for name, pair in pairs_of.items():
            parts[name][animals.index(animal)].append(np.array(pair, float))
    if hs:
        parts["network_k_new"] = [[] for _ in animals]
    for (animal, region), mine in groupby(hs, key=lambda h: (h.animal, h.region)):
        pairs = _k_of_new(
            list(mine), config, known.scored_on, known.branches.get((animal, region), ())
        )
        parts["network_k_new"][animals.index(animal)] += pairs or [np.zeros(2)]
    values = {}
    for name, of_animals in parts.items():
        sums = np.array([np.sum(p, axis=0) for p in of_animals])
        with np.errstate(divide="ignore", invalid="ignore"):
            values[name] = np.where(sums[:, 1] > 0, sums[:, 0] / sums[:, 1], np.nan)
    values |= _survival(cohort, animals, horizon_days)
    relative = flanked(hs, config)
    mean = relative.relative(config.exclusion_um).groupby(relative.frame["animal"]).mean()
    values["spacing_u"] = mean.reindex(animals).to_numpy(float)
    return values, parts


def pooled(parts: list[list[FloatArray]]) -> float:
    """The ratio of the sums over all animals."""
    above, below = totals(parts)
    return above / below if below > 0 else float("nan")


def totals(parts: list[list[FloatArray]]) -> tuple[float, float]:
    """Numerator and denominator over all animals."""
    above, below = np.sum([np.sum(p, axis=0) for p in parts], axis=0)
    return float(above), float(below)


def _survival(cohort: Cohort, animals: list[str], horizon_days: float) -> dict[str, FloatArray]:
    """Kaplan-Meier at each animal's own look on that day after the landmark. A spine that nobody
    looked at on it, and that was looked at later, is censored at the look before: to count only
    those that were later found alive would make spines look longer-lived."""
    out = {f"survival_{kind}": np.full(len(animals), np.nan) for kind in NEW}
    lives = cohort.lives[cohort.lives["class"].isin(NEW) & cohort.lives["animal"].isin(animals)]
    for (animal, kind), mine in lives.groupby(["animal", "class"]):
        if horizon_days in cohort.looked[animal]:
            looks = [np.array(of) for of in mine["looks_days"]]
            before = np.array([of[of < horizon_days].max() for of in looks])
            on_day = np.array([horizon_days in of for of in looks])
            unknown = ~on_day & (mine["days"].to_numpy(float) > horizon_days)
            followed = mine.assign(
                days=np.where(unknown, before, mine["days"]), lost=mine["lost"] & ~unknown
            )
            survival = kaplan_meier(followed, np.array([horizon_days]))[0]
            out[f"survival_{kind}"][animals.index(animal)] = survival
    return out
