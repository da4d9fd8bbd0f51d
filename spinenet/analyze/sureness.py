"""Would a finding of clusters stand if the machine had believed fewer of its sightings?

A spine of which the machine was never sure may be none, and one missed by a stricter threshold may
come back as new: clusters that are there at one threshold alone hang on where it lies.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from spinenet.analyze.chance import chances, shares_by_rule
from spinenet.analyze.ground import Ground
from spinenet.analyze.groups import mean_of_animals
from spinenet.analyze.measured import by_sighting
from spinenet.analyze.nulls import candidates
from spinenet.analyze.rows import Row, beside_chance, mean_row, row
from spinenet.analyze.states import GONE, SEEN, Histories
from spinenet.config import AnalyzeConfig
from spinenet.types import FloatArray

RULE = "contiguous"
LEAST_PERCENT = (30, 50, 70)


def sureness_rows(
    group: str,
    ground: Ground,
    spines: pd.DataFrame | None,
    config: AnalyzeConfig,
    seed: list[int],
) -> list[Row]:
    """`clustered_fraction_contiguous_p30`, `_p50` and `_p70`: the same with every sighting less
    likely than that (`probability` in `spines.csv`, %) taken for an absence."""
    names = {p: f"clustered_fraction_{RULE}_p{p}" for p in LEAST_PERCENT}
    if spines is None or not spines["probability"].notna().any():
        why = "needs probability in spines.csv"
        return [row(name, group, np.nan, test=why) for name in names.values()]
    known = [by_sighting(h, spines, "probability") for h in ground.whole]
    rows = []
    for percent, name in names.items():
        surer = [
            surely(h, probability, percent / 100, config.max_gap)
            for h, probability in zip(ground.whole, known, strict=True)
        ]
        rows.append(_clustered(name, group, surer, ground, percent / 100, config, seed))
    return rows


def _clustered(
    name: str,
    group: str,
    surer: list[Histories],
    ground: Ground,
    least_p: float,
    config: AnalyzeConfig,
    seed: list[int],
) -> Row:
    animals = sorted({h.animal for h in surer})
    mean = mean_of_animals(shares_by_rule(surer, animals, config)[RULE], 0.0, 1.0)
    n_new = sum(int((h.is_new(config.window) & candidates(h, RULE, config)).sum()) for h in surer)
    found = chances(ground.among(surer), animals, config, seed)[RULE]
    how = f"sightings with a probability below {least_p:g} taken for absences"
    if not found.scored.any():
        why = f"{how}; no new spines to judge chance by{ground.told}"
        return mean_row(name, group, mean, test=why, n_spines=n_new)
    how += f"; places of spines shuffled within dendrites, {config.n_shuffles} times{ground.told}"
    return beside_chance(name, group, mean, found.judged, found.null, how, n_spines=n_new)


def surely(h: Histories, probability: FloatArray, least_p: float, max_gap: int) -> Histories:
    """The spines seen with a probability (S, T) of `least_p` or more, and only such sightings of
    them; where nobody said how likely a sighting is (nan), it counts."""
    doubted = (h.told == SEEN) & (probability < least_p)
    told = np.where(doubted, GONE, h.told).astype(np.int8)
    return h.retold(told, max_gap).only((told == SEEN).any(axis=1))
