"""From tracks to every table of the analysis; the numbers that matter, each with its doubts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from spinenet.analyze.animals import (
    BY_SIGHTINGS,
    OVER_STUDY,
    PAIRS,
    PER_INTERVAL,
    UNBOUNDED,
    Around,
    around,
    furthest_apart,
    pooled,
    ratios_of_animals,
    rests_on,
    totals,
    unlike_intervals,
    unlike_spans,
)
from spinenet.analyze.attraction import attraction_row
from spinenet.analyze.branches import branch_orders, branching
from spinenet.analyze.chance import (
    chance_rows,
    chances_by_window,
    lost_row,
    segment_row,
    uniform_row,
)
from spinenet.analyze.checks import check_same_animals, scored
from spinenet.analyze.cluster_counts import count_rows
from spinenet.analyze.clusters import cluster_table
from spinenet.analyze.errors import doubts, linked
from spinenet.analyze.following import following_row
from spinenet.analyze.ground import ground_of
from spinenet.analyze.groups import (
    FEWEST_FOR_ROBUST,
    Mean,
    compare,
    hierarchical_bootstrap,
    jackknife,
    mean_of_animals,
)
from spinenet.analyze.hazard import hazard_difference, hazard_row
from spinenet.analyze.hotspots import hotspot_row
from spinenet.analyze.kinetics import kinetics_rows
from spinenet.analyze.lives import state_table
from spinenet.analyze.machine import Redrawn, difference_with_machine, redraw, with_machine
from spinenet.analyze.mixed import Parts, mixed_rows
from spinenet.analyze.network_curve import curve_rows
from spinenet.analyze.quality import judge_quality
from spinenet.analyze.replacement import replacement_row
from spinenet.analyze.rows import Row, difference_row, mean_row, row
from spinenet.analyze.spacing import flanked, spacing_rows
from spinenet.analyze.states import Histories, histories
from spinenet.analyze.strength import FIRST, changes, first_changes, strength_rows
from spinenet.analyze.stretches import stretches_of
from spinenet.analyze.sureness import sureness_rows
from spinenet.analyze.survival import (
    NEW,
    NO_DAY,
    Cohort,
    corrected_share,
    follow,
    survival,
    untold,
)
from spinenet.analyze.turnover import bare, intervals
from spinenet.config import AnalyzeConfig
from spinenet.tables import DENDRITES, LINKS, SPINES, STATISTICS
from spinenet.types import Analysis, FloatArray, Tracks

Values = dict[str, FloatArray]
"""(A,) each animal's own value by statistic."""
BOOTSTRAP_DRAWS = 2000
SURVIVALS = tuple(f"survival_{kind}" for kind in NEW)


@dataclass(frozen=True)
class Evidence:
    """What is known besides the tracks; None where it was not given."""

    coverage: pd.DataFrame | None = None
    """`coverage.csv`: densities, where spines could be scored, SNR."""
    spines: pd.DataFrame | None = None
    """`spines.csv`: strength."""
    links: pd.DataFrame | None = None
    """`links.csv`: what the machine was unsure of."""
    dendrites: pd.DataFrame | None = None
    """`dendrites.csv`: which dendrite branches off which."""


def analyze(
    tracks: Tracks, config: AnalyzeConfig, evidence: Evidence | None = None, seed: int = 0
) -> Analysis:
    """Turnover, clusters, spacing, strength, persistence and comparisons of groups.

    The unit is the animal: estimates are means over animals of their own ratios, intervals are t
    intervals over them and nan below two animals. Where the machine's probabilities are known,
    `machine_*` and the total interval hold its mistakes.

    Parameters
    ----------
    seed: of the shuffles and of the draws

    Raises
    ------
    InputError
        If the tracks contradict themselves or the coverage, or a table is of other animals.
    """
    known = evidence or Evidence()
    for table, frame in (
        (SPINES, known.spines),
        (LINKS, known.links),
        (DENDRITES, known.dendrites),
    ):
        check_same_animals(tracks, frame, table.file)
    if known.coverage is not None:
        tracks = scored(tracks, known.coverage)
    if known.links is not None:
        tracks = linked(tracks, known.links)
    hs = histories(tracks, config.max_gap) if len(tracks.frame) else []
    branches = branching(known.dendrites)
    scored_on = None if known.coverage is None else stretches_of(known.coverage)
    cohort = follow(hs, config)
    clusters = cluster_table(hs, config)
    quality = judge_quality(hs, known.coverage, seed)
    strength = changes(hs, known.spines, config) if known.spines is not None else None
    places = flanked(hs, config)
    doubt = doubts(hs, tracks.frame, known.links)
    rows: list[Row] = []
    values: dict[str, Values] = {}
    nulls: dict[str, FloatArray] = {}
    machine: dict[str, Redrawn] = {}
    hazards: dict[str, Mean] = {}
    parts: dict[str, Parts] = {}
    for number, group in enumerate(sorted({h.group for h in hs})):
        at = [i for i, h in enumerate(hs) if h.group == group]
        mine = [hs[i] for i in at]
        streams = [np.random.default_rng([seed, number, k]) for k in range(8)]
        ground = ground_of(mine, scored_on, config)
        nearby = around(mine, scored_on, branches)
        animals = sorted({h.animal for h in mine})
        by_window = chances_by_window(ground.histories, animals, config, [seed, number, 10])
        by_rule = by_window[0]
        found, values[group], parts[group] = _ratio_rows(mine, nearby, cohort, config, streams[0])
        values[group] |= {f"clustered_excess_{rule}": c.excess for rule, c in by_rule.items()}
        n_new = {k: int(totals(of)[1]) for k, of in parts[group].items()}
        found += chance_rows(group, by_window, values[group], n_new, ground.told, config)
        found.append(
            uniform_row(
                group,
                ground,
                by_rule["within_d"],
                values[group]["clustered_fraction_within_d"],
                scored_on,
                config,
                [seed, number, 11],
            )
        )
        found.append(segment_row(group, ground, config, streams[1]))
        found.append(lost_row(group, ground, config, [seed, number, 15]))
        found += sureness_rows(group, ground, known.spines, config, [seed, number, 16])
        found += curve_rows(group, ground, branches, config, streams[6])
        found.append(replacement_row(group, ground, config, streams[7]))
        more = [np.random.default_rng([seed, number, 12 + k]) for k in range(3)]
        found.append(attraction_row(group, ground, scored_on, config, more[0]))
        found.append(following_row(group, ground, config, more[1]))
        found.append(hotspot_row(group, ground, config, more[2]))
        found += kinetics_rows(group, cohort)
        hazard, hazards[group] = hazard_row(group, cohort, config, streams[2])
        found.append(hazard)
        missed = dict(zip(animals, values[group]["miss_rate_q"].tolist(), strict=True))
        found += _corrected(group, cohort, missed, cohort.horizon(animals))
        found += spacing_rows(group, places, config, streams[3])
        found += strength_rows(group, strength, config, streams[4])
        if strength is not None:
            values[group][FIRST] = first_changes(strength, group)
        machine[group] = redraw(
            ground,
            [doubt[i] for i in at],
            cohort.horizon(animals),
            nearby,
            config,
            [seed, number, 17],
            streams[5],
        )
        rows += [with_machine(r, machine[group]) for r in found]
        nulls |= {f"clustered_fraction_{rule}|{group}": c.null for rule, c in by_rule.items()}
    days = {g: cohort.horizon({h.animal for h in hs if h.group == g}) for g in values}
    unlike = unlike_intervals(hs)
    whys = {name: dict(unlike) for name in PER_INTERVAL + BY_SIGHTINGS}
    for name in OVER_STUDY:
        whys[name] = unlike_spans(hs) | whys.get(name, {})
    no_day = NO_DAY if cohort.looked else untold(min(values, default=""), 0, np.nan, cohort, config)
    rows += _comparisons(values, days, whys, machine, no_day, np.random.default_rng([seed, 7]))
    rows += mixed_rows(parts, unlike)
    rows += [hazard_difference(a, b, hazards) for a, b in combinations(sorted(hazards), 2)]
    if hs:
        rows.append(row("quality_reasons", "", len(quality.reasons), test=quality.verdict))
    return Analysis(
        intervals(hs + bare(hs, scored_on), scored_on, branch_orders(branches, known.dendrites)),
        clusters,
        survival(cohort),
        STATISTICS.frame(rows),
        nulls,
        places.frame.assign(relative=places.relative(config.exclusion_um)),
        strength if strength is not None else pd.DataFrame(),
        state_table(hs, config),
        quality.verdict if hs else "",
    )


def _ratio_rows(
    hs: list[Histories],
    known: Around,
    cohort: Cohort,
    config: AnalyzeConfig,
    rng: np.random.Generator,
) -> tuple[list[Row], Values, Parts]:
    """Means over animals of what is a ratio, and the ratios of the sums over all animals.

    The means of clustered fractions and of u', which have a chance level, get their rows elsewhere.
    """
    group = hs[0].group
    last = cohort.horizon({h.animal for h in hs})
    values, parts = ratios_of_animals(hs, cohort, last, config, known)
    rows: list[Row] = []
    spines = _n_spines(hs, parts, cohort, config)
    rows += count_rows(group, parts.pop(PAIRS), spines[PAIRS])
    del values[PAIRS]
    for name, of_animals in values.items():
        n = {"n_spines": spines.get(name, 0)}
        if name in parts:
            rows.append(_pooled_row(name, group, parts[name], rng) | n)
        if not name.startswith(("clustered_fraction", "spacing_u")):
            highest = np.inf if name in UNBOUNDED else 1.0
            found = mean_row(name, group, mean_of_animals(of_animals, 0.0, highest), **n)
            if name in SURVIVALS:
                why = untold(group, n["n_spines"], last, cohort, config)
                found |= {"test": why or f"{last:g} days after the landmark; {found['test']}"}
            rows.append(found)
    if known.scored_on is None:
        rows.append(row("density_per_um", group, np.nan, test="needs coverage.csv"))
    return rows, values, parts


def _n_spines(
    hs: list[Histories],
    parts: dict[str, list[list[FloatArray]]],
    cohort: Cohort,
    config: AnalyzeConfig,
) -> dict[str, int]:
    """How many spines each value rests on: those of the denominator where it counts each once."""
    out = {name: int(totals(of_animals)[1]) for name, of_animals in parts.items()}
    about = [rests_on(h, config) for h in hs]
    out |= {name: sum(int(of[name].sum()) for of in about) for name in about[0]}
    lives = cohort.lives[cohort.lives["group"] == hs[0].group]
    return out | {f"survival_{kind}": int((lives["class"] == kind).sum()) for kind in NEW}


def _pooled_row(
    name: str, group: str, parts: list[list[FloatArray]], rng: np.random.Generator
) -> Row:
    """All animals' spines in one pot; many spines of few animals are few observations."""
    value, n = pooled(parts), len(parts)
    found = row(f"{name}_pooled", group, value, n_animals=n)
    if n < FEWEST_FOR_ROBUST:
        why = f"pooled; an interval by bootstrap needs {FEWEST_FOR_ROBUST} animals, with {n} it is "
        return found | {"test": why + "far too narrow"}
    drawn = hierarchical_bootstrap(parts, BOOTSTRAP_DRAWS, rng)
    if not np.isfinite(drawn).any():
        return found | {"test": "pooled; nothing to divide by"}
    low, high = np.nanpercentile(drawn, [2.5, 97.5])
    test = "pooled; animals and their dendrites drawn anew"
    spread = {"sampling_low": low, "sampling_high": high, "ci_low": low, "ci_high": high}
    return found | spread | {"test": test}


def _corrected(group: str, cohort: Cohort, miss_rate: Mapping[str, float], day: float) -> list[Row]:
    """Survival until a day if the sightings on it were missed as often as those between two.

    Parameters
    ----------
    miss_rate: of each animal
    """

    def share(lives: pd.DataFrame, left_out: str) -> float:
        rates = np.array([q for a, q in miss_rate.items() if a != left_out])
        known = rates[np.isfinite(rates)]
        return corrected_share(
            lives[lives["animal"] != left_out], float(known.mean()) if len(known) else np.nan, day
        )

    rows = []
    for kind in NEW:
        lives = cohort.lives
        mine = lives[(lives["group"] == group) & (lives["class"] == kind)]
        without = np.array([share(mine, a) for a in mine["animal"].unique()])
        found = jackknife(share(mine, ""), without).within(0.0, 1.0)
        test = (
            f"share of the landmark cohort seen {day:g} days after the landmark over "
            "1 - miss_rate_q; pooled; interval by leaving out animals"
            if np.isfinite(day)
            else NO_DAY
        )
        told = mean_row(f"survival_{kind}_corrected", group, found, test=test, n_spines=len(mine))
        rows.append(told | {"estimate": min(found.value, 1.0)})
    return rows


def _comparisons(
    values: dict[str, Values],
    days: Mapping[str, float],
    whys: Mapping[str, Mapping[tuple[str, str], str]],
    machine: dict[str, Redrawn],
    no_day: str,
    rng: np.random.Generator,
) -> list[Row]:
    """Every pair of groups: the first minus the second, animals' labels permuted.

    Parameters
    ----------
    days: by group, after the landmark, on which its survival is told
    whys: by ratio, pairs of groups in which it cannot be compared, and why
    no_day: why survival cannot be where `days` differ
    """
    rows = []
    for a, b in combinations(sorted(values), 2):
        for name in values[a]:
            if name in SURVIVALS and days[a] != days[b]:
                rows.append(row(name, a, np.nan, group_b=b, test=no_day))
                continue
            if why := whys.get(name, {}).get((a, b)):
                rows.append(row(name, a, np.nan, group_b=b, test=why))
                continue
            difference = compare(values[a][name], values[b][name], rng)
            difference = difference.within(furthest_apart(name))
            found = difference_row(name, a, b, difference)
            n = int(np.isfinite(values[a][name]).sum()), int(np.isfinite(values[b][name]).sum())
            rows.append(difference_with_machine(found, machine[a], machine[b], n))
    return rows
