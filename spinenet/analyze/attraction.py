"""Do new spines stand nearer to stable ones, or farther from them, than their own pattern would?

The pattern of a dendrite's new spines is slid along what could be scored of it, round its ends
(toroidal shift, Lotwick & Silverman 1982): their own spacing stays as it is, so that clusters
alone make no attraction.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from spinenet.analyze.ground import Ground
from spinenet.analyze.groups import mean_of_animals
from spinenet.analyze.rows import Row, mean_row, p_two_sided, row
from spinenet.analyze.spacing import stable_at
from spinenet.analyze.states import Histories
from spinenet.config import AnalyzeConfig
from spinenet.types import FloatArray

BATCH = 2000


def attraction_row(
    group: str, ground: Ground, config: AnalyzeConfig, rng: np.random.Generator
) -> Row:
    """`new_to_stable_um`: from new spines to the nearest spine stable since the start, those within
    the exclusion zone of one left out."""
    name = "new_to_stable_um"
    animals = sorted({h.animal for h, _ in ground.stretches})
    seen = np.zeros((len(animals), 2))
    slid = np.zeros((len(animals), 2, config.n_shuffles))
    for h, spans in ground.stretches:
        a = animals.index(h.animal)
        for start in range(0, config.n_shuffles, BATCH):
            n = min(BATCH, config.n_shuffles - start)
            by = np.r_[0.0, rng.random(n)] if not start else rng.random(n)
            told = sum_and_number(h, spans, by, config)
            if not start:
                seen[a] += told[:, 0]
                told = told[:, 1:]
            slid[a, :, start : start + n] += told
    scored = (seen[:, 1] > 0) & (slid[:, 1] > 0).all(axis=1)
    if not scored.any():
        why = f"no new spine on a dendrite with a stable one{ground.told}"
        return row(name, group, np.nan, test=why)
    mean = mean_of_animals(seen[scored, 0] / seen[scored, 1], 0.0, np.inf)
    null = (slid[scored, 0] / slid[scored, 1]).mean(axis=0)
    return mean_row(
        name,
        group,
        mean,
        null_mean=float(null.mean()),
        p_value=p_two_sided(mean.value, null),
        n_spines=int(seen[:, 1].sum()),
        test=f"{mean.test}; each dendrite's new spines slid along it together, exclusion zone "
        f"{config.exclusion_um:g} um{ground.told}",
    )


def sum_and_number(
    h: Histories, spans_um: FloatArray, by: FloatArray, config: AnalyzeConfig
) -> FloatArray:
    """(2, B) the sum of the new spines' distances to the nearest stable one, and their number,
    after slides by B shares of what could be scored (N, 2)."""
    out = np.zeros((2, len(by)))
    for arc, stable in _new_and_stable(h, config):
        far = _nearest(slide(arc, spans_um, by), stable)
        apart = far >= config.exclusion_um
        out += [(far * apart).sum(axis=1), apart.sum(axis=1)]
    return out


def slide(arc_um: FloatArray, spans_um: FloatArray, by: FloatArray) -> FloatArray:
    """(B, K) places after slides by B shares of the spans (N, 2), out at one end and in at the
    other."""
    ends = np.cumsum(spans_um[:, 1] - spans_um[:, 0])
    starts = np.r_[0.0, ends[:-1]]
    at = np.clip(np.searchsorted(spans_um[:, 0], arc_um, side="right") - 1, 0, None)
    along = starts[at] + np.clip(arc_um - spans_um[at, 0], 0, (ends - starts)[at])
    # a slide by nothing leaves what stands at the very end there
    moved = np.where(by[:, None] > 0, (along + by[:, None] * ends[-1]) % ends[-1], along)
    part = np.minimum(np.searchsorted(ends, moved, side="left"), len(ends) - 1)
    out: FloatArray = spans_um[part, 0] + moved - starts[part]
    return out


def _new_and_stable(h: Histories, config: AnalyzeConfig) -> Iterator[tuple[FloatArray, FloatArray]]:
    """Arc lengths of the new spines of each session of the window, and of the stable ones then."""
    for t in h.window(config.window):
        new = (h.birth == t) & ~h.filopodium
        stable = stable_at(h, t)
        if new.any() and stable.any():
            yield h.arc_um[new], h.arc_um[stable]


def _nearest(places: FloatArray, stable: FloatArray) -> FloatArray:
    """(B, K) distances of the places to the nearest of the stable ones, in order."""
    after = np.searchsorted(stable, places)
    edges = np.r_[-np.inf, stable, np.inf]
    out: FloatArray = np.minimum(places - edges[after], edges[after + 1] - places)
    return out
