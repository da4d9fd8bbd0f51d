"""Did clusters form where spines had come and gone before? (Frank et al., Nat Commun 9:422, 2018)

Only with a window that begins later than the first interval: what came and went before the window
is told of other sessions than the clusters.
"""

from __future__ import annotations

import numpy as np

from spinenet.analyze.clusters import find_clusters
from spinenet.analyze.ground import Ground
from spinenet.analyze.groups import mean_of_animals
from spinenet.analyze.near import near_another
from spinenet.analyze.nulls import candidates
from spinenet.analyze.replacement import losses
from spinenet.analyze.rows import Row, beside_chance, row
from spinenet.analyze.states import NEVER, Histories
from spinenet.config import AnalyzeConfig
from spinenet.types import FloatArray, IntArray


def hotspot_row(group: str, ground: Ground, config: AnalyzeConfig, rng: np.random.Generator) -> Row:
    """`turnover_before_clusters`: spines gained and lost before the window within `d_um` of the
    earliest spine of each contiguous cluster. One for each: neighbours have the same surroundings,
    and would count the same chance twice."""
    name = "turnover_before_clusters"
    hs = [h for h in ground.histories if _before(h, config)]
    if not hs:
        why = "no interval lies before those of the window; give a later one (analyze.window)"
        return row(name, group, np.nan, test=why)
    animals, means, nulls, n_clusters = sorted({h.animal for h in hs}), [], [], 0
    for animal in animals:
        found, n, dealt = 0.0, 0, np.zeros(config.n_shuffles)
        for events, weight in (_places(h, config) for h in hs if h.animal == animal):
            if not weight.any():
                continue
            n += round(weight.sum())
            found += float(events @ weight)
            anew = rng.permuted(np.tile(events, (config.n_shuffles, 1)), axis=1)
            dealt += anew @ weight
        if n:
            n_clusters += n
            means.append(found / n)
            nulls.append(dealt / n)
    if not means:
        return row(name, group, np.nan, test=f"no clusters in the window{ground.told}")
    null: FloatArray = np.mean(nulls, axis=0)
    mean = mean_of_animals(np.array(means), 0.0, np.inf)
    how = f"within {config.d_um:g} um; other places of the same dendrites instead{ground.told}"
    return beside_chance(name, group, mean, mean.value, null, how, n_spines=n_clusters)


def events_nearby(h: Histories, config: AnalyzeConfig) -> IntArray:
    """(S,) births and losses of other spines within `d_um` of each, before the window. Nearer than
    the resolution it may be the same spine under another name; filopodia always come and go."""
    first = min(h.window(config.window), default=0)
    lost = losses(h)
    changes = ((h.birth != NEVER) & (h.birth < first)).astype(int)
    changes += (lost != NEVER) & (lost < first)
    changes[h.filopodium] = 0
    gap = np.abs(h.arc_um[:, None] - h.arc_um)
    out: IntArray = near_another(gap, config.d_um, config) @ changes
    return out


def _before(h: Histories, config: AnalyzeConfig) -> bool:
    """Whether an interval lies before the first one that ends in the window."""
    return min(h.window(config.window), default=0) > 1


def _places(h: Histories, config: AnalyzeConfig) -> tuple[IntArray, FloatArray]:
    """Events near each spine seen in the window, and its part in being the earliest of a cluster:
    where several are, each is a part of one."""
    pool = candidates(h, "contiguous", config)
    earliest = {
        tuple(k for k in c.members if h.birth[k] == h.birth[list(c.members)].min())
        for c in find_clusters(h, "contiguous", config)
    }
    weight = np.zeros(len(h.arc_um))
    for members in sorted(earliest):
        weight[list(members)] += 1 / len(members)
    return events_nearby(h, config)[pool], weight[pool]
