"""Who judges whether two spines are one: their places alone, or the matching head beside them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from scipy.special import expit

from spinenet.match.assign import BySessions, session_pairs
from spinenet.match.score import Candidates, apart, near_pairs, pair_odds
from spinenet.match.tokens import PairGraph, Tokens, pair_graph
from spinenet.models.siamese import SiameseMatcher, SpinePairs
from spinenet.types import FloatArray


class Judge(Protocol):
    """Gives the pairs of two sessions that may be one spine, and how likely they are."""

    def look_at(self, tokens: Tokens) -> Tokens:
        """A session's spines after what need not be done again for every other session."""
        ...

    def __call__(self, a: Tokens, b: Tokens) -> Candidates:
        """Of two sessions that were looked at."""
        ...


def all_candidates(judge: Judge, tokens: list[Tokens]) -> BySessions:
    """Of every session (t, u), t < u."""
    seen = [judge.look_at(t) for t in tokens]
    return {(t, u): judge(seen[t], seen[u]) for t, u in session_pairs(len(seen))}


@dataclass(frozen=True)
class PlacesAlone:
    """By how far apart they lie, against the scatter (3,) along, sideways and upward; never where
    more than `gate_um` apart along the dendrite."""

    scatter_um: FloatArray
    gate_um: float

    def look_at(self, tokens: Tokens) -> Tokens:
        return tokens

    def __call__(self, a: Tokens, b: Tokens) -> Candidates:
        i, j = near_pairs(a.places, b.places)
        odds = pair_odds(apart(a.places, b.places, i, j), self.scatter_um, self.gate_um)
        return Candidates(i, j, odds, (len(a.about), len(b.about)))


@dataclass(frozen=True)
class MatchingHead:
    """By the net and by places: a pair's probability, rivals left aside, is `share` of the net's,
    whose log odds are divided by a fitted temperature, and for the rest that of places alone (a
    linear opinion pool, Stone 1961); never where more than `gate_um` apart along the dendrite. Both
    are told the scatter (3,) that the region's own links have."""

    net: SiameseMatcher
    temperature: float
    share: float
    gate_um: float
    scatter_um: FloatArray

    def look_at(self, tokens: Tokens) -> Tokens:
        with torch.inference_mode():
            looks = self.net.look(torch.from_numpy(tokens.portraits).float()).numpy()
        return replace(tokens, portraits=looks)

    def __call__(self, a: Tokens, b: Tokens) -> Candidates:
        graph = pair_graph(a, b, self.scatter_um)
        i, j = graph.across
        return Candidates(i, j - len(a.about), self.odds(graph), (len(a.about), len(b.about)))

    def odds(self, graph: PairGraph) -> FloatArray:
        """(C,) of the pairs across."""
        with torch.inference_mode():
            log_odds = self.net(as_tensors(graph)).numpy().astype(float) / self.temperature
        by_places = graph.log_odds.astype(float)
        one = self.share * expit(log_odds) + (1 - self.share) * expit(by_places)
        two = self.share * expit(-log_odds) + (1 - self.share) * expit(-by_places)
        near = np.abs(graph.forth_um[:, 0]) <= self.gate_um
        out: FloatArray = np.where(near, one / two, 0.0)
        return out


def as_tensors(graph: PairGraph) -> SpinePairs:
    """The same as the net takes it."""
    return SpinePairs(
        *(
            torch.from_numpy(part).to(torch.int64 if part.dtype.kind == "i" else torch.float32)
            for part in (
                graph.about,
                graph.portraits,
                graph.near,
                graph.near_um,
                graph.across,
                graph.forth_um,
                graph.back_um,
                graph.log_odds,
            )
        )
    )
