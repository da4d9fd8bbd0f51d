"""What chance is judged on: dendrites with enough spines on enough length, away from their ends.

On a short stretch, or one with few spines, shuffling can do little, and a spine at the end of what
could be scored has a neighbour that nobody saw. Clusters themselves are counted everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from spinenet.analyze.states import SEEN, Histories
from spinenet.analyze.stretches import NOWHERE, Stretches, scorable
from spinenet.config import AnalyzeConfig
from spinenet.types import FloatArray


@dataclass(frozen=True)
class Ground:
    """A group's dendrites, and the stretches of them that nulls and tests are about."""

    whole: list[Histories]
    spans_um: list[FloatArray]
    """(N, 2) of each dendrite; none where it is too short or holds too few spines."""
    bounds: str

    @property
    def histories(self) -> list[Histories]:
        """The dendrites that are left, with the spines that are left."""
        return self.among(self.whole)

    def among(self, drawn: list[Histories]) -> list[Histories]:
        """The same of other histories of these dendrites."""
        return [h for h, _ in self._left(drawn)]

    @property
    def stretches(self) -> list[tuple[Histories, FloatArray]]:
        """Each dendrite of `histories` with its stretches."""
        return list(self._left(self.whole))

    def _left(self, hs: list[Histories]) -> Iterator[tuple[Histories, FloatArray]]:
        for h, spans in zip(hs, self.spans_um, strict=True):
            if len(spans):
                yield h.only((h.arc_um >= spans.min()) & (h.arc_um <= spans.max())), spans

    @property
    def told(self) -> str:
        """For the column `test`; blank where nothing was left out."""
        left = self.histories
        if sum(len(h.arc_um) for h in left) == sum(len(h.arc_um) for h in self.whole):
            return ""
        return f"; on {len(left)} of {len(self.whole)} dendrites: {self.bounds}"


def ground_of(hs: list[Histories], scored_on: Stretches | None, config: AnalyzeConfig) -> Ground:
    """`config.min_spines_per_segment` spines on `config.min_seg_um`, those within `config.edge_um`
    of either end of what could be scored left out; without coverage.csv nobody knows those ends.

    Spines beside a gap in between stay: without them those on its sides would be neighbours.
    """
    bounds = f"{config.min_spines_per_segment} spines or more on {config.min_seg_um:g} um or more"
    if scored_on is not None:
        bounds += f", none within {config.edge_um:g} um of the end of what could be scored"
    return Ground(hs, [_stretches(h, scored_on, config) for h in hs], bounds)


def _stretches(h: Histories, scored_on: Stretches | None, config: AnalyzeConfig) -> FloatArray:
    if scored_on is not None and not any(len(s) for s in scored_on.of(h)):
        return NOWHERE
    spans = scorable(h, scored_on)
    long = float(np.diff(spans, axis=1).sum()) >= config.min_seg_um
    if scored_on is not None:
        spans = np.clip(spans, spans.min() + config.edge_um, spans.max() - config.edge_um)
        spans = spans[spans[:, 1] > spans[:, 0]]
    if not long or not len(spans):
        return NOWHERE
    here = (h.arc_um >= spans.min()) & (h.arc_um <= spans.max())
    n = int((here & (h.seen == SEEN).any(axis=1)).sum())
    return spans if n >= max(config.min_spines_per_segment, 1) else NOWHERE
