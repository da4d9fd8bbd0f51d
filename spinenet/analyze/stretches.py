"""Where along each dendrite, and in which session, spines could be scored: `coverage.csv`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from spinenet.analyze.near import within
from spinenet.analyze.states import Histories
from spinenet.types import BoolArray, FloatArray

Dendrite = tuple[str, str, int]
"""Animal, region and dendrite_id."""
NOWHERE: FloatArray = np.zeros((0, 2))


@dataclass(frozen=True)
class Stretches:
    """The usable rows of `coverage.csv`, looked up once: a study asks for them again with every
    history that is drawn."""

    by_session: Mapping[Dendrite, Mapping[int, FloatArray]]
    """(N, 2) from and to, um, in order and apart, of each session that has any."""

    def of(self, h: Histories) -> list[FloatArray]:
        """For each session of a dendrite the stretches (N, 2) on which spines could be scored."""
        mine = self.by_session.get((h.animal, h.region, h.dendrite_id), {})
        return [mine.get(int(s), NOWHERE) for s in h.sessions]


def stretches_of(coverage: pd.DataFrame) -> Stretches:
    """Those of `coverage.csv` whose stack was usable."""
    found: dict[Dendrite, dict[int, FloatArray]] = {}
    keys = ["animal", "region", "dendrite_id", "session"]
    for (animal, region, dendrite, session), rows in coverage[coverage["usable"]].groupby(keys):
        spans = merged(rows[["start_um", "end_um"]].to_numpy(float))
        found.setdefault((animal, region, int(dendrite)), {})[int(session)] = spans
    return Stretches(found)


def scorable(h: Histories, known: Stretches | None) -> FloatArray:
    """(N, 2) stretches on which spines could be scored in any session; without coverage.csv from
    the first spine to the last."""
    spans = np.concatenate(known.of(h)) if known is not None else NOWHERE
    return merged(spans) if len(spans) else np.array([[h.arc_um.min(), h.arc_um.max()]])


def tellable(spans: list[FloatArray], t: int) -> FloatArray:
    """(N, 2) stretches, of those of each session, on which a spine first seen in one session would
    be known to be new: scorable then and in some session before."""
    return common(spans[t], merged(np.concatenate(spans[:t])))


def merged(spans: FloatArray) -> FloatArray:
    """(M, 2) the stretches of (N, 2), those that overlap made one."""
    out: list[list[float]] = []
    for low, high in spans[np.argsort(spans[:, 0])]:
        if out and low <= out[-1][1]:
            out[-1][1] = max(out[-1][1], high)
        else:
            out.append([low, high])
    return np.array(out).reshape(-1, 2)


def common(a: FloatArray, b: FloatArray) -> FloatArray:
    """(N, 2) what lies in stretches of both, each in order."""
    parts = [(max(x[0], y[0]), min(x[1], y[1])) for x in a for y in b]
    return np.array([p for p in parts if p[0] < p[1]]).reshape(-1, 2)


def standing_on(arc_um: FloatArray, spans: Sequence[FloatArray]) -> BoolArray:
    """(S, N) which spines stand on a stretch of each of the N sets. Some could be scored a little
    beside one, but what is counted per um must stand on those um."""
    on = [
        (within(span[:, 0] - arc_um[:, None], 0.0) & within(arc_um[:, None] - span[:, 1], 0.0))
        for span in spans
    ]
    return np.array([of.any(axis=1) for of in on], bool).reshape(len(spans), len(arc_um)).T


def length_um(spans: FloatArray) -> float:
    """Of stretches (N, 2) that lie apart, together."""
    return float(np.diff(spans, axis=1).sum()) if len(spans) else 0.0
