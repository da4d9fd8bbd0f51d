"""Do new spines stand nearer to stable ones, or farther from them, than their own pattern would?

The new spines of a dendrite and session are slid together along what could be scored of it then and
at the start, out at one end and in at the other (toroidal shift, Lotwick & Silverman 1982): their
own spacing stays as it is, so that clusters alone make no attraction.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from spinenet.analyze.ground import Ground
from spinenet.analyze.groups import mean_of_animals
from spinenet.analyze.near import beyond
from spinenet.analyze.rows import Row, mean_row, p_two_sided, row
from spinenet.analyze.spacing import stable_at
from spinenet.analyze.states import NEVER, Histories
from spinenet.analyze.stretches import Stretches, common
from spinenet.config import AnalyzeConfig
from spinenet.types import FloatArray

BATCH = 2000


def attraction_row(
    group: str,
    ground: Ground,
    scored_on: Stretches | None,
    config: AnalyzeConfig,
    rng: np.random.Generator,
) -> Row:
    """`new_to_stable_um`: from new spines to the nearest spine stable since the start, those within
    the exclusion zone of one left out."""
    name = "new_to_stable_um"
    animals = sorted({h.animal for h, _ in ground.stretches})
    seen, n_new = np.zeros((2, len(animals)))
    slid = np.zeros((len(animals), config.n_shuffles))
    for h, spans in ground.stretches:
        a = animals.index(h.animal)
        for new, stable, here in _patterns(h, spans, scored_on, config):
            null = _slides(new, stable, here, config, rng)
            if len(null):
                seen[a] += _nearest(new, stable).sum()
                n_new[a] += len(new)
                slid[a] += null
    scored = n_new > 0
    if not scored.any():
        why = f"no new spine on a dendrite with a stable one{ground.told}"
        return row(name, group, np.nan, test=why)
    mean = mean_of_animals(seen[scored] / n_new[scored], 0.0, np.inf)
    null = (slid[scored] / n_new[scored, None]).mean(axis=0)
    return mean_row(
        name,
        group,
        mean,
        null_mean=float(null.mean()),
        p_value=p_two_sided(mean.value, null),
        n_spines=int(n_new.sum()),
        test=f"{mean.test}; new spines of a dendrite and session slid along it together, exclusion "
        f"zone {config.exclusion_um:g} um{ground.told}",
    )


def _slides(
    new: FloatArray,
    stable: FloatArray,
    spans_um: FloatArray,
    config: AnalyzeConfig,
    rng: np.random.Generator,
) -> FloatArray:
    """(B,) sums of the distances to the nearest stable spine after slides that bring no spine into
    the exclusion zone of one; none where there is no such slide."""
    sums: list[FloatArray] = []
    while sum(map(len, sums)) < config.n_shuffles:
        far = _nearest(slide(new, spans_um, rng.random(BATCH)), stable)
        sums.append(far[beyond(far, config.exclusion_um).all(axis=1)].sum(axis=1))
        if not len(sums[-1]):
            return np.zeros(0)
    return np.concatenate(sums)[: config.n_shuffles]


def _patterns(
    h: Histories, spans_um: FloatArray, scored_on: Stretches | None, config: AnalyzeConfig
) -> Iterator[tuple[FloatArray, FloatArray, FloatArray]]:
    """For each session of the window: arc lengths of the new spines and of those stable until then,
    and the stretches (N, 2) scored then and at the start, on which all of them lie; without
    coverage.csv from the first to the last spine that was not new."""
    if scored_on is not None:
        spans = scored_on.of(h)
    else:
        old = h.arc_um[h.birth == NEVER]
        here = np.array([[old.min(), old.max()]]) if len(old) else np.zeros((0, 2))
    for t in h.window(config.window):
        if scored_on is not None:
            here = common(common(spans[0], spans[t]), spans_um)
        inside = ((h.arc_um[:, None] >= here[:, 0]) & (h.arc_um[:, None] <= here[:, 1])).any(axis=1)
        new = h.arc_um[inside & (h.birth == t) & ~h.filopodium]
        stable = h.arc_um[inside & stable_at(h, t)]
        if len(stable) and np.diff(here, axis=1).sum() > 0:
            new = new[beyond(_nearest(new, stable), config.exclusion_um)]
            if len(new):
                yield new, stable, here


def _nearest(places: FloatArray, stable: FloatArray) -> FloatArray:
    """Distances (...) of places (...) to the nearest stable spine, those in order."""
    after = np.searchsorted(stable, places)
    edges = np.r_[-np.inf, stable, np.inf]
    out: FloatArray = np.minimum(places - edges[after], edges[after + 1] - places)
    return out


def slide(arc_um: FloatArray, spans_um: FloatArray, by: FloatArray) -> FloatArray:
    """(B, K) places (K,) on the spans (N, 2) after slides by B shares of their length."""
    ends = np.cumsum(spans_um[:, 1] - spans_um[:, 0])
    starts = np.r_[0.0, ends[:-1]]
    at = np.searchsorted(spans_um[:, 0], arc_um, side="right") - 1
    moved = (starts[at] + arc_um - spans_um[at, 0] + by[:, None] * ends[-1]) % ends[-1]
    part = np.minimum(np.searchsorted(ends, moved, side="right"), len(ends) - 1)
    out: FloatArray = spans_um[part, 0] + moved - starts[part]
    return out
