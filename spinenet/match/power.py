"""Would a spine have been seen there, had it been there? Absence is known only where it would.

The height of a spine's peak (as log odds) is taken to be its own plus the session's plus chance:
faint spines in dim sessions are missed. What is own and what is the session's is learned from the
sightings of the region itself; a session in which hardly anything was seen is not known to be dim
by them (`analyze.quality` looks for such sessions).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from scipy.stats import norm

from spinenet.types import FloatArray, IntArray

USUAL_SPREAD = 0.8
"""Standard deviation of the log odds of one spine's peak over sessions, before any was seen."""
USUAL_WEIGHT = 20
"""How many repeated sightings weigh as much as that expectation."""
ROUNDS = 10
CLIP = 0.01
NO_GLIMPSES: Mapping[tuple[int, int], float] = MappingProxyType({})


@dataclass(frozen=True)
class Sight:
    """How well spines are seen: each track's own height (log odds) and how often it was seen, each
    session's height, and chance."""

    own: dict[int, float]
    times: dict[int, int]
    of_session: FloatArray
    spread: float

    def power(self, track: int, session: int, least_p: float) -> float:
        """Probability that the peak of a track's spine would reach `least_p` in a session (by its
        position), were it there; 1 for what a person alone has seen."""
        if track not in self.own:
            return 1.0
        expected = self.own[track] + self.of_session[session]
        # chance in the sighting asked about, and in the mean of those that tell the own height
        spread = self.spread * (1 + 1 / self.times[track]) ** 0.5
        return float(norm.sf((log_odds(np.array(least_p)) - expected) / spread))


def learn_sight(
    track_of: Sequence[IntArray],
    heights: Sequence[FloatArray],
    glimpses: Mapping[tuple[int, int], float] = NO_GLIMPSES,
) -> Sight:
    """From the tracks (K,) of every session's spines and the heights (K,) of their peaks.

    `glimpses`, heights by track and session, are used only for tracks that have no sighting.

    Additive effects by turns (least squares), the sessions' drawn towards 0 by one sighting.
    """
    session = np.repeat(np.arange(len(track_of)), [len(k) for k in track_of])
    track = np.concatenate(track_of)
    value = log_odds(np.concatenate(heights))
    names, which = np.unique(track, return_inverse=True)
    times = np.bincount(which, minlength=len(names))
    repeated = times[which] > 1
    of_session = np.zeros(len(track_of))
    own = np.zeros(len(names))
    n = np.bincount(session[repeated], minlength=len(track_of))
    for _ in range(ROUNDS):
        own = np.bincount(which, value - of_session[session], len(names)) / times
        left = np.where(repeated, value - own[which], 0.0)
        of_session = np.bincount(session, left, len(track_of)) / (n + 1)
    left = (value - own[which] - of_session[session])[repeated]
    free = max(int(repeated.sum()) - int((times > 1).sum()), 0)
    variance = (USUAL_WEIGHT * USUAL_SPREAD**2 + float((left**2).sum())) / (USUAL_WEIGHT + free)
    tracks = names.tolist()
    own_of = dict(zip(tracks, own.tolist(), strict=True))
    times_of = dict(zip(tracks, times.tolist(), strict=True))
    for (k, t), height in glimpses.items():
        if k not in own_of:
            own_of[k] = float(log_odds(np.array(height))) - float(of_session[t])
            times_of[k] = 1
    return Sight(own_of, times_of, of_session, variance**0.5)


def log_odds(p: FloatArray) -> FloatArray:
    kept = np.clip(p, CLIP, 1 - CLIP)
    out: FloatArray = np.log(kept / (1 - kept))
    return out
