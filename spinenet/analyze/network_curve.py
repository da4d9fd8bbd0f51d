"""Do new spines lie nearer to each other along the tree than labels dealt out anew, at any scale?

Of several radii each would have a P of its own; one is given for all: that of the largest departure
in standard deviations of the shuffles (a studentised envelope, Myllymaki et al. 2017).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

import numpy as np

from spinenet.analyze.branches import Branching, grow
from spinenet.analyze.deals import shuffle_within
from spinenet.analyze.ground import Ground
from spinenet.analyze.near import within
from spinenet.analyze.network import pair_weights
from spinenet.analyze.nulls import candidates
from spinenet.analyze.rows import Row, p_value, row
from spinenet.analyze.states import Histories
from spinenet.config import AnalyzeConfig
from spinenet.types import BoolArray, FloatArray, IntArray

RADII_UM = (1.0, 2.0, 3.0, 5.0, 7.5, 10.0)
LARGEST_SHARE = 1 / 3
"""Of a tree's length, up to which K is told on it."""
BATCH = 2000


@dataclass(frozen=True)
class _Spines:
    """(S,) those of one region's dendrites that were seen in the window."""

    dendrite: IntArray
    arc_um: FloatArray
    new: BoolArray
    stratum: IntArray
    """From and until which session their place was looked at, by dendrite."""


def _spines(hs: list[Histories], config: AnalyzeConfig) -> _Spines:
    parts = [(h, candidates(h, "within_d", config)) for h in hs]
    most = max(len(h.days) for h in hs)
    return _Spines(
        np.concatenate([np.full(int(p.sum()), h.dendrite_id) for h, p in parts]),
        np.concatenate([h.arc_um[p] for h, p in parts]),
        np.concatenate([h.is_new(config.window)[p] for h, p in parts]),
        np.concatenate([most**2 * k + h.in_view[p] for k, (h, p) in enumerate(parts)]),
    )


def curve_rows(
    group: str,
    ground: Ground,
    branches: Branching,
    config: AnalyzeConfig,
    rng: np.random.Generator,
) -> list[Row]:
    """`network_k_at_R`: K of the group's new spines within R um over R, beside that of labels dealt
    out within dendrites; and `network_k_curve`, the largest departure and its P."""
    seen = np.zeros((len(RADII_UM), 2))
    shuffled = np.zeros((len(RADII_UM), config.n_shuffles))
    for key, of in groupby(ground.stretches, key=lambda s: (s[0].animal, s[0].region)):
        mine = list(of)
        spines = _spines([h for h, _ in mine], config)
        spans = {h.dendrite_id: stretch for h, stretch in mine}
        for tree in grow(spans, branches.get(key, ())):
            on = tree.holds(spines.dendrite, spines.arc_um)
            new, whose = spines.new[on], spines.dendrite[on]
            if new.sum() < 2:
                continue
            place = tree.place(whose, spines.arc_um[on])
            far, weight = pair_weights(tree.tree, *place)
            told_on = np.array(RADII_UM) <= LARGEST_SHARE * tree.tree.total_um
            near = [
                weight * within(far, r) * told for r, told in zip(RADII_UM, told_on, strict=True)
            ]
            pairs = new.sum() * (new.sum() - 1) / tree.tree.total_um
            seen += np.c_[[float(new @ w @ new) for w in near], pairs * told_on]
            for start in range(0, config.n_shuffles, BATCH):
                n = min(BATCH, config.n_shuffles - start)
                dealt = shuffle_within(new, spines.stratum[on], n, rng).astype(float)
                shuffled[:, start : start + n] += [((dealt @ w) * dealt).sum(axis=1) for w in near]
    return _rows(group, seen, shuffled, ground.told)


def _rows(group: str, seen: FloatArray, shuffled: FloatArray, told: str) -> list[Row]:
    radii = np.array(RADII_UM)
    with np.errstate(divide="ignore", invalid="ignore"):
        k, null = seen[:, 0] / seen[:, 1] / radii, shuffled / seen[:, 1:] / radii[:, None]
    how = f"labels dealt out within dendrites{told}"
    rows = [
        row(f"network_k_at_{r:g}", group, k[i], null_mean=float(null[i].mean()), test=how)
        for i, r in enumerate(RADII_UM)
    ]
    spread = null.std(axis=1)
    told_of = np.isfinite(k) & (spread > 1e-9)
    if not told_of.any():
        why = f"no two new spines on one tree whose labels could be dealt out{told}"
        return [*rows, row("network_k_curve", group, np.nan, test=why)]
    middle, spread = null[told_of].mean(axis=1), spread[told_of]
    departure = (k[told_of] - middle) / spread
    largest = int(np.abs(departure).argmax())
    dealt = np.abs((null[told_of] - middle[:, None]) / spread[:, None]).max(axis=0)
    at = radii[told_of][largest]
    return [
        *rows,
        row(
            "network_k_curve",
            group,
            float(departure[largest]),
            null_mean=float(dealt.mean()),
            p_value=p_value(float(np.abs(departure[largest])), dealt),
            test=f"largest departure of K, at {at:g} um, in standard deviations; all radii "
            f"together; {how}",
        ),
    ]
