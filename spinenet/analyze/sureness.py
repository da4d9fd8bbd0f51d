"""Would a finding of clusters stand if the machine had believed fewer of its spines?

A spine of which the machine was never sure may be none, and one missed by a stricter threshold may
come back as new: clusters that are there at one threshold alone hang on where it lies.
"""

from __future__ import annotations

import numpy as np

from spinenet.analyze.chance import chances
from spinenet.analyze.ground import Ground
from spinenet.analyze.groups import mean_of_animals
from spinenet.analyze.rows import Row, beside_chance, row
from spinenet.analyze.states import GONE, SEEN, Histories
from spinenet.config import AnalyzeConfig

LEAST_PERCENT = (30, 50, 70)


def sureness_rows(group: str, ground: Ground, config: AnalyzeConfig, seed: list[int]) -> list[Row]:
    """`clustered_fraction_contiguous_p30`, `_p50` and `_p70`: the same with every sighting less
    likely than that (`p_present`, %) taken for an absence."""
    name = "clustered_fraction_contiguous"
    return [
        _at_least(f"{name}_p{percent}", group, ground, percent / 100, config, seed)
        for percent in LEAST_PERCENT
    ]


def _at_least(
    name: str, group: str, ground: Ground, least_p: float, config: AnalyzeConfig, seed: list[int]
) -> Row:
    hs = ground.histories
    if not any(np.isfinite(h.p_present).any() for h in hs):
        return row(name, group, np.nan, test=f"needs p_present in tracks.csv{ground.told}")
    surer = [surely(h, least_p, config.max_gap) for h in hs]
    found = chances(surer, sorted({h.animal for h in surer}), config, seed)["contiguous"]
    if not found.scored.any():
        return row(name, group, np.nan, test=f"no new spines of that probability{ground.told}")
    mean = mean_of_animals(found.share[found.scored], 0.0, 1.0)
    how = (
        f"sightings with p_present below {least_p:g} taken for absences; places of spines shuffled "
        f"within dendrites, {config.n_shuffles} times{ground.told}"
    )
    return beside_chance(name, group, mean, found.judged, found.null, how, n_spines=found.n_new)


def surely(h: Histories, least_p: float, max_gap: int) -> Histories:
    """The spines seen with `least_p` or more, and only such sightings of them; where tracks.csv
    does not say how likely a sighting is, it counts."""
    doubted = (h.told == SEEN) & (h.p_present < least_p)
    told = np.where(doubted, GONE, h.told).astype(np.int8)
    return h.retold(told, max_gap).only((told == SEEN).any(axis=1))
