"""Do later new spines come beside earlier ones, more than these places and births would have it?

Births are dealt out anew among a dendrite's new spines; the places stay. So places that new spines
prefer, all at once, are no reason to say that one followed the other.
"""

from __future__ import annotations

from functools import partial
from itertools import permutations

import numpy as np

from spinenet.analyze.clusters import alive
from spinenet.analyze.deals import over_deals
from spinenet.analyze.ground import Ground
from spinenet.analyze.groups import mean_of_animals
from spinenet.analyze.near import near_another
from spinenet.analyze.rows import Row, beside_chance, row
from spinenet.analyze.states import Histories
from spinenet.config import AnalyzeConfig
from spinenet.types import IntArray


def following_row(
    group: str, ground: Ground, config: AnalyzeConfig, rng: np.random.Generator
) -> Row:
    """`following_share`: of the new spines on dendrites where several were born at several times,
    those within `d_um` of an earlier one that was still there."""
    name = "following_share"
    told = [h for h in ground.histories if _births_differ(h, config)]
    if not told:
        why = f"no dendrite with new spines of different sessions{ground.told}"
        return row(name, group, np.nan, test=why)
    animals = sorted({h.animal for h in told})
    hits, n_new = np.zeros((2, len(animals)))
    dealt = np.zeros((len(animals), config.n_shuffles))
    for h in told:
        a, new = animals.index(h.animal), _new(h, config)
        n_new[a] += len(new)
        count = partial(following, h, config=config)
        found, null = over_deals(count, h.in_view[new], config.n_shuffles, rng)
        hits[a] += found
        dealt[a] += null
    mean = mean_of_animals(hits / n_new, 0.0, 1.0)
    null = (dealt / n_new[:, None]).mean(axis=0)
    how = f"births dealt out among the new spines of a dendrite, {config.d_um:g} um{ground.told}"
    return beside_chance(name, group, mean, mean.value, null, how, n_spines=int(n_new.sum()))


def following(h: Histories, place: IntArray, config: AnalyzeConfig) -> IntArray:
    """(B,) followers, in B deals of the new spines' lives to their places (K, B). Nearer than the
    resolution two spines are one place, and no one followed."""
    new = _new(h, config)
    birth, stood, arc = h.birth[new], alive(h, config)[new], h.arc_um[new][place]
    follows = np.zeros(place.shape, bool)
    for i, j in permutations(range(len(new)), 2):
        if birth[i] < birth[j] and stood[i, birth[j]]:
            gap = np.abs(arc[i] - arc[j])
            follows[j] |= near_another(gap, config.d_um, config)
    counts: IntArray = follows.sum(axis=0)
    return counts


def _new(h: Histories, config: AnalyzeConfig) -> IntArray:
    return np.flatnonzero(h.is_new(config.window) & ~h.filopodium)


def _births_differ(h: Histories, config: AnalyzeConfig) -> bool:
    return len(np.unique(h.birth[_new(h, config)])) > 1
