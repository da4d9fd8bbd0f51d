"""What chance is judged on: dendrites with enough spines on enough length, away from their ends.

On a short stretch, or one with few spines, shuffling can do little, and a spine at the end of what
could be scored has a neighbour that nobody saw. Clusters themselves are counted everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from spinenet.analyze.states import SEEN, Histories
from spinenet.analyze.turnover import scorable
from spinenet.config import AnalyzeConfig
from spinenet.types import BoolArray


@dataclass(frozen=True)
class Ground:
    """A group's dendrites, and which of their spines the nulls and tests are about."""

    whole: list[Histories]
    kept: list[BoolArray]
    """(S,) of each dendrite; none where it is too short or holds too few."""
    bounds: str

    @property
    def histories(self) -> list[Histories]:
        """The dendrites that are left, with the spines that are left."""
        return self.among(self.whole)

    def among(self, drawn: list[Histories]) -> list[Histories]:
        """The same of other histories of the same spines."""
        return [h.only(k) for h, k in zip(drawn, self.kept, strict=True) if k.any()]

    @property
    def told(self) -> str:
        """For the column `test`; blank where nothing was left out."""
        left = sum(k.any() for k in self.kept)
        if all(k.all() for k in self.kept):
            return ""
        return f"; on {left} of {len(self.kept)} dendrites: {self.bounds}"


def ground_of(hs: list[Histories], coverage: pd.DataFrame | None, config: AnalyzeConfig) -> Ground:
    """`config.min_spines_per_segment` spines on `config.min_seg_um`, those within `config.edge_um`
    of the end of what could be scored left out; without coverage.csv nobody knows those ends."""
    bounds = (
        f"{config.min_spines_per_segment} spines or more on {config.min_seg_um:g} um or more, none "
        f"within {config.edge_um:g} um of the end of what could be scored"
    )
    return Ground(hs, [_kept(h, coverage, config) for h in hs], bounds)


def _kept(h: Histories, coverage: pd.DataFrame | None, config: AnalyzeConfig) -> BoolArray:
    spans = scorable(h, coverage)
    keep = np.ones(len(h.arc_um), bool)
    if coverage is not None:
        low, high = spans.T + np.array([[config.edge_um], [-config.edge_um]])
        keep = ((h.arc_um[:, None] >= low) & (h.arc_um[:, None] <= high)).any(axis=1)
    there = keep & (h.seen == SEEN).any(axis=1)
    enough = there.sum() >= config.min_spines_per_segment
    long = float(np.diff(spans, axis=1).sum()) >= config.min_seg_um
    return keep & bool(enough and long)
