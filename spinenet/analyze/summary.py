"""From tracks to every table of the analysis; the numbers that matter, each with its null."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats

from spinenet.analyze.clusters import RULES, cluster_table
from spinenet.analyze.nulls import candidates, clustered, p_value, shuffled_counts
from spinenet.analyze.states import Histories, histories, miss_counts
from spinenet.analyze.survival import survival
from spinenet.analyze.turnover import intervals
from spinenet.config import AnalyzeConfig
from spinenet.tables import STATISTICS
from spinenet.types import Analysis, FloatArray, Tracks

RATES = ("formation", "elimination", "turnover_ratio", "density_per_um")


def analyze(
    tracks: Tracks, config: AnalyzeConfig, coverage: pd.DataFrame | None = None, seed: int = 0
) -> Analysis:
    """Turnover, clusters, survival and statistics of all animals.

    Parameters
    ----------
    coverage: `coverage.csv`, for densities; without it they are nan
    seed: of the shuffles

    The unit is the animal: estimates are means over animals, intervals are t intervals over them
    and nan below two animals. The machine's own mistakes are not yet part of the intervals.
    """
    if tracks.frame.empty:
        return Analysis(
            intervals([], coverage),
            cluster_table([], config),
            survival([], config),
            STATISTICS.frame(),
        )
    hs = histories(tracks, config.max_gap)
    spans = intervals(hs, coverage)
    clusters = cluster_table(hs, config)
    curves = survival(hs, config)
    rows: list[dict[str, object]] = []
    nulls: dict[str, FloatArray] = {}
    for number, group in enumerate(sorted({h.group for h in hs})):
        mine = [h for h in hs if h.group == group]
        rows += _rates(group, spans)
        for rule in RULES:
            row, null = _clustering(group, mine, rule, config, [seed, number])
            rows.append(row)
            nulls[f"{row['name']}|{group}"] = null
        rows += _cluster_counts(group, mine, clusters)
        rows += _survivals(group, len({h.animal for h in mine}), curves)
        gaps, full = np.sum([miss_counts(h) for h in mine], axis=0)
        n = int(gaps + full)
        q = gaps / n if n else float("nan")
        rows.append(_row("miss_rate_q", group, q, n_spines=n, test="n(101)/(n(101)+n(111))"))
    return Analysis(spans, clusters, curves, STATISTICS.frame(rows), nulls)


def _row(name: str, group: str, estimate: float, **more: object) -> dict[str, object]:
    return {"name": name, "group": group, "group_b": "", "estimate": estimate, **more}


def _over_animals(values: FloatArray, highest: float = np.inf) -> dict[str, object]:
    """Mean over animals and its t interval, cut at 0 and at the highest possible value.

    nan where one animal cannot tell.
    """
    values = values[np.isfinite(values)]
    n = len(values)
    out: dict[str, object] = {"n_animals": n, "test": "mean of animals, t interval"}
    if n < 2:
        return out | {"test": "fewer than two animals: no interval"}
    half = stats.t.ppf(0.975, n - 1) * values.std(ddof=1) / np.sqrt(n)
    low, high = max(values.mean() - half, 0.0), min(values.mean() + half, highest)
    return out | {"ci_low": low, "ci_high": high, "sampling_low": low, "sampling_high": high}


def _rates(group: str, spans: pd.DataFrame) -> list[dict[str, object]]:
    """Rates per animal over all intervals, then over animals."""
    mine = spans[(spans["level"] == "animal") & (spans["group"] == group)]
    total = mine.groupby("animal")[["n_before", "n_after", "n_new", "n_lost"]].sum()
    before = total["n_before"].where(total["n_before"] > 0)
    values = {
        "formation": total["n_new"] / before,
        "elimination": total["n_lost"] / before,
        "turnover_ratio": (total["n_new"] + total["n_lost"]) / (before + total["n_after"]),
        "density_per_um": mine.groupby("animal")["density_per_um"].mean(),
    }
    return [
        _row(
            name,
            group,
            float(values[name].mean()),
            n_spines=int(total["n_before"].sum()),
            **_over_animals(values[name].to_numpy(float)),
        )
        for name in RATES
    ]


def _clustering(
    group: str, hs: list[Histories], rule: str, config: AnalyzeConfig, seed: list[int]
) -> tuple[dict[str, object], FloatArray]:
    """Clustered share of new spines, per animal and then over animals, against shuffled labels."""
    animals = sorted({h.animal for h in hs})
    streams = np.random.SeedSequence([*seed, RULES.index(rule)]).spawn(len(hs))
    n_new = dict.fromkeys(animals, 0)
    hits = dict.fromkeys(animals, 0)
    shuffled = {a: np.zeros(config.n_shuffles) for a in animals}
    for h, stream in zip(hs, streams, strict=True):
        new = h.is_new(config.window) & candidates(h, rule, config)
        n_new[h.animal] += int(new.sum())
        hits[h.animal] += int(clustered(h, new[None], rule, config).sum())
        shuffled[h.animal] += shuffled_counts(h, rule, config, np.random.default_rng(stream))
    scored = [a for a in animals if n_new[a]]
    name = f"clustered_fraction_{rule}"
    if not scored:
        return _row(name, group, float("nan"), test="no new spines"), np.zeros(0)
    share = np.array([hits[a] / n_new[a] for a in scored])
    null = np.mean([shuffled[a] / n_new[a] for a in scored], axis=0)
    row = _row(
        name,
        group,
        float(share.mean()),
        null_mean=float(null.mean()),
        p_value=p_value(float(share.mean()), null),
        n_spines=sum(n_new.values()),
        **_over_animals(share, highest=1.0),
    )
    row["test"] = f"{row['test']}; labels shuffled within dendrites, {config.n_shuffles} times"
    return row, null


def _cluster_counts(
    group: str, hs: list[Histories], clusters: pd.DataFrame
) -> list[dict[str, object]]:
    mine = clusters[(clusters["group"] == group) & (clusters["rule"] == "contiguous")]
    pairs = float((mine["size"] == 2).mean()) if len(mine) else float("nan")
    animals = len({h.animal for h in hs})
    more = {"n_animals": animals, "n_spines": int(mine["size"].sum()), "test": "count"}
    return [
        _row("cluster_count_contiguous", group, float(len(mine)), **more),
        _row("cluster_pairs_share", group, pairs, **more),
    ]


def _survivals(group: str, n_animals: int, curves: pd.DataFrame) -> list[dict[str, object]]:
    rows = []
    for kind in ("clustered", "non_clustered"):
        mine = curves[(curves["group"] == group) & (curves["class"] == kind)]
        if mine.empty:
            rows.append(_row(f"survival_{kind}", group, float("nan"), test="nobody to follow"))
            continue
        last = mine.iloc[-1]
        rows.append(
            _row(
                f"survival_{kind}",
                group,
                float(last["survival"]),
                ci_low=float(last["ci_low"]),
                ci_high=float(last["ci_high"]),
                n_animals=n_animals,
                n_spines=int(mine["at_risk"].max()),
                test=f"Kaplan-Meier, {last['day']:g} days after the landmark",
            )
        )
    return rows
