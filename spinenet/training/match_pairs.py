"""Training pairs for the matching head: two sessions of a dendrite, moved apart as tissue moves or
laid over each other by the linker."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from spinenet.config import MatchConfig, MisfitConfig
from spinenet.match.region import link_by_places
from spinenet.match.score import Places
from spinenet.match.tokens import (
    BESIDE_UM,
    PairGraph,
    Tokens,
    pair_graph,
)
from spinenet.measure.portrait import PORTRAIT, STEP_UM
from spinenet.training.looks import seen_otherwise
from spinenet.training.sightings import MARGIN, UNNAMED, Family, Sighting
from spinenet.types import FloatArray

SMOOTH_UM = 12.0
RESETTLED_PER_UM = (0.2, 1.2)
LEAST_SHARE = 0.2
"""Of the largest misfit, in the pair that fits best."""
FAR_SHARE, FAR_TIMES = 0.15, 3.0
"""Of spines that are seen or clicked elsewhere: share, and how many times the usual scatter."""
ASTRAY_SHARE, ASTRAY_UM = 0.25, (0.5, 0.3, 1.2)
"""Of laid spines that lie elsewhere: largest share, and standard deviation along, sideways, up."""


@dataclass(frozen=True)
class MatchExample:
    """Two sessions of a dendrite, with `n_first` spines in the first; (C,) which of the pairs worth
    comparing are one spine, and of which it is known whether they are; (N,) which spines have no
    partner."""

    pairs: PairGraph
    n_first: int
    same: npt.NDArray[np.bool_]
    known: npt.NDArray[np.bool_]
    alone: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Laid:
    """A dendrite whose sessions the linker laid over each other, with pictures (K, *PORTRAIT), and
    the scatter (3,) along, sideways and upward that its links by places then have."""

    family: Family
    scatter_um: FloatArray

    @classmethod
    def of(cls, family: Family) -> Laid:
        """Sessions in one frame, their links by places made anew."""
        return cls(family, _scatter(family))


def draw_pair(
    families: list[Family], config: MisfitConfig, rng: np.random.Generator
) -> MatchExample:
    """Two sessions of a dendrite in either order, misplaced, some spines left out."""
    family = families[int(rng.integers(len(families)))]
    t, u = rng.choice(len(family), 2, replace=False)
    a, b = family[int(t)], family[int(u)]
    if rng.random() < config.resettled:
        a, b = _resettled(a, b, rng)
    a, b = _varied(a, b, config, rng)
    misfit, beside, depth = np.exp(rng.uniform(np.log(LEAST_SHARE), 0, 3)) * config.worst
    beside_um = np.array(config.scatter_um) * [beside, beside, depth]
    a, b = (_scattered(s, beside_um, rng) for s in (a, b))
    b = _moved(b, b.frame_um + _misfit(b.frame_um[:, 0], config, misfit, rng))
    scatter_um = _scatter([a, b])
    if rng.random() < config.hide_portraits:
        a, b = _hidden(a, b)
    return as_example(a, b, scatter_um)


def draw_laid(laid: list[Laid], config: MisfitConfig, rng: np.random.Generator) -> MatchExample:
    """Two sessions of a dendrite in either order as the linker laid them, some spines left out and
    some astray."""
    one = laid[int(rng.integers(len(laid)))]
    t, u = rng.choice(len(one.family), 2, replace=False)
    a, b = _varied(one.family[int(t)], one.family[int(u)], config, rng)
    a, b = (_astray(s, rng) for s in (a, b))
    if rng.random() < config.hide_portraits:
        a, b = _hidden(a, b)
    return as_example(a, b, one.scatter_um)


def _varied(
    a: Sighting, b: Sighting, config: MisfitConfig, rng: np.random.Generator
) -> tuple[Sighting, Sighting]:
    """Both sessions with some spines left out, other pictures, and perhaps as in a mirror."""
    leave_out = rng.uniform(0, config.leave_out)
    a, b = (_kept(s, rng.random(len(s.track)) >= leave_out) for s in (a, b))
    a, b = (seen_otherwise(s, rng) for s in (a, b))
    return _mirrored(a, b, rng)


def _astray(s: Sighting, rng: np.random.Generator) -> Sighting:
    """Some spines elsewhere than the linker laid them: real ones turn, and are found at another
    end of their head."""
    gone = rng.random(len(s.track)) < rng.uniform(0, ASTRAY_SHARE)
    return _moved(s, s.frame_um + gone[:, None] * rng.normal(0, ASTRAY_UM, s.frame_um.shape))


def _hidden(a: Sighting, b: Sighting) -> tuple[Sighting, Sighting]:
    a, b = (replace(s, portraits=np.zeros_like(s.portraits)) for s in (a, b))
    return a, b


def _scatter(sightings: list[Sighting]) -> FloatArray:
    """(3,) what links by places learn of it."""
    return link_by_places([_tokens(s) for s in sightings], MatchConfig())[0].scatter_um


def _resettled(a: Sighting, b: Sighting, rng: np.random.Generator) -> tuple[Sighting, Sighting]:
    """Every spine moved to another place along the dendrite, the same in both sessions, so that a
    few dendrites give many patterns; the denser, the more must be told apart."""
    sides = []
    tracks = np.union1d(a.track, b.track)
    length = len(tracks) / rng.uniform(*RESETTLED_PER_UM)
    home = rng.uniform(0, length, len(tracks))
    arcs, of = np.r_[a.frame_um[:, 0], b.frame_um[:, 0]], np.r_[a.track, b.track]
    was = np.array([arcs[of == k].mean() for k in tracks])
    for s in (a, b):
        frame = s.frame_um.copy()
        k = np.searchsorted(tracks, s.track)
        known = s.track >= 0
        frame[known, 0] += (home - was)[k[known]]
        frame[~known, 0] = rng.uniform(0, length, int((~known).sum()))
        sides.append(replace(s, frame_um=frame))
    return sides[0], sides[1]


def as_example(a: Sighting, b: Sighting, scatter_um: FloatArray) -> MatchExample:
    """Two sessions of a dendrite as they are.

    Parameters
    ----------
    scatter_um: (3,) of one spine between two sessions, as far as it is known
    """
    pairs = pair_graph(_tokens(a), _tokens(b), scatter_um)
    track = np.r_[a.track, b.track]
    i, j = pairs.across
    named = track >= 0
    same = (track[i] == track[j]) & named[i]
    partner = np.r_[np.isin(a.track, b.track), np.isin(b.track, a.track)]
    # two false alarms at one place may well be one thing: it is not said that they are not. A
    # spine without a name may be any
    unnamed = track == UNNAMED
    known = (named[i] | named[j]) & ~unnamed[i] & ~unnamed[j]
    perhaps = np.zeros(len(track), bool)
    perhaps[pairs.across[:, ~known].ravel()] = True
    alone = np.where(named, ~partner, ~unnamed) & ~perhaps
    return MatchExample(pairs, len(a.track), same, known, alone)


def _tokens(s: Sighting) -> Tokens:
    places = Places(s.frame_um, np.tile(np.eye(3), (len(s.track), 1, 1)))
    return Tokens(places, s.about, s.portraits)


def _kept(s: Sighting, keep: npt.NDArray[np.bool_]) -> Sighting:
    return Sighting(s.frame_um[keep], s.about[keep], s.portraits[keep], s.track[keep])


def _mirrored(a: Sighting, b: Sighting, rng: np.random.Generator) -> tuple[Sighting, Sighting]:
    """Both sessions with the dendrite run the other way, or its sides exchanged."""
    for axis, flip in ((0, 3), (1, 2)):
        if rng.random() < 0.5:
            sign = np.where(np.arange(3) == axis, -1.0, 1.0)
            a, b = (
                replace(_moved(s, s.frame_um * sign), portraits=np.flip(s.portraits, flip))
                for s in (a, b)
            )
    return a, b


def _moved(s: Sighting, frame_um: FloatArray) -> Sighting:
    """The spines at other places (K, 3)."""
    about = s.about.copy()
    about[:, :2] = frame_um[:, 1:] / BESIDE_UM
    return replace(s, frame_um=frame_um, about=about)


def _scattered(s: Sighting, scatter_um: FloatArray, rng: np.random.Generator) -> Sighting:
    """Spines found or clicked beside their middles: place and picture, cut from its surroundings,
    are off by it."""
    far = np.where(rng.random(len(s.track)) < FAR_SHARE, FAR_TIMES, 1.0)[:, None]
    off = rng.normal(0, 1, s.frame_um.shape) * scatter_um * far
    by = np.rint(off[:, [2, 1, 0]] * [-1, 1, 1] / STEP_UM).astype(int)  # down, sideways, along
    corner = np.clip(by, np.negative(MARGIN), MARGIN) + MARGIN
    looks = [
        look[tuple(slice(c, c + n) for c, n in zip(at, PORTRAIT, strict=True))]
        for look, at in zip(s.portraits, corner.tolist(), strict=True)
    ]
    portraits = np.array(looks, s.portraits.dtype).reshape(-1, *PORTRAIT)
    return replace(_moved(s, s.frame_um + off), portraits=portraits)


def _misfit(
    along_um: FloatArray, config: MisfitConfig, scale: float, rng: np.random.Generator
) -> FloatArray:
    """(K, 3) what a registration leaves between two sessions: a shift and a smooth stretching."""
    out = np.tile(rng.normal(0, np.array(config.shift_um) * scale), (len(along_um), 1))
    if rng.random() < config.slip:
        out[:, 0] += rng.choice([-1, 1]) * rng.uniform(1, 2)
    for axis, sd in enumerate(config.smooth_um):
        for _ in range(3):
            wave, phase = rng.normal(0, 1 / SMOOTH_UM), rng.uniform(0, 2 * np.pi)
            lift = rng.normal(0, sd * scale * np.sqrt(2 / 3))
            out[:, axis] += lift * np.sin(along_um * wave + phase)
    return out
