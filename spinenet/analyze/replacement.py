"""Do new spines form where others were lost before? (Lai, Franke & Gan, Nature 483:87, 2012)"""

from __future__ import annotations

from functools import partial

import numpy as np

from spinenet.analyze.deals import over_deals
from spinenet.analyze.ground import Ground
from spinenet.analyze.groups import mean_of_animals
from spinenet.analyze.near import near_another
from spinenet.analyze.rows import Row, beside_chance, row
from spinenet.analyze.states import GONE, NEVER, SEEN, Histories
from spinenet.config import AnalyzeConfig
from spinenet.types import FloatArray, IntArray

REPLACE_UM = 2.0


def losses(h: Histories) -> IntArray:
    """(S,) position of the session in which a spine was first missing after its last sighting;
    NEVER for those that stayed, or of which nobody knows."""
    seen = h.seen == SEEN
    last = h.seen.shape[1] - 1 - seen[:, ::-1].argmax(axis=1)
    later = np.arange(h.seen.shape[1]) > last[:, None]
    gone = (h.seen == GONE) & later & seen.any(axis=1)[:, None]
    out: IntArray = np.where(gone.any(axis=1), gone.argmax(axis=1), NEVER)
    return out


def replacing(h: Histories, place: IntArray, config: AnalyzeConfig) -> IntArray:
    """(B,) new spines that form within `REPLACE_UM` of one lost by then, in B deals of the lives to
    the places (S, B). Nearer than the resolution it may be the same spine under another name."""
    lost = losses(h)
    hits = np.zeros(place.shape[1], int)
    for i in np.flatnonzero(h.is_new(config.window)):
        before = np.flatnonzero((lost != NEVER) & (lost <= h.birth[i]))
        gap = np.abs(h.arc_um[place[before]] - h.arc_um[place[i]])
        hits += near_another(gap, REPLACE_UM, config).any(axis=0)
    return hits


def replacement_row(
    group: str, ground: Ground, config: AnalyzeConfig, rng: np.random.Generator
) -> Row:
    """`replacement_share`: of the new spines, beside lives dealt out anew to their places."""
    name = "replacement_share"
    hs = ground.histories
    animals = sorted({h.animal for h in hs})
    hits, n_new = np.zeros((2, len(animals)))
    dealt = np.zeros((len(animals), config.n_shuffles))
    for h in hs:
        a = animals.index(h.animal)
        n_new[a] += h.is_new(config.window).sum()
        count = partial(replacing, h, config=config)
        found, null = over_deals(count, h.in_view, config.n_shuffles, rng)
        hits[a] += found
        dealt[a] += null
    scored = n_new > 0
    if not scored.any():
        return row(name, group, np.nan, test=f"no new spines{ground.told}")
    share: FloatArray = hits[scored] / n_new[scored]
    null = (dealt[scored] / n_new[scored, None]).mean(axis=0)
    mean = mean_of_animals(share, 0.0, 1.0)
    how = (
        f"within {REPLACE_UM:g} um of a spine lost by then; spines dealt out to their places"
        f"{ground.told}"
    )
    n = int(n_new.sum())
    return beside_chance(name, group, mean, mean.value, null, how, n_spines=n)
