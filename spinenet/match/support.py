"""What whole tracks say of a spine, not its next sighting alone.

A chain of links looks at two sightings at a time. The mean of n independent sightings is known to
1/n of the variance of one, so that a further sighting differs from it by (n + 1) / 2n (in squares)
of what it differs from a single one: mean log odds in favour therefore count 2n / (n + 1) times.
Those against do not: one sighting beside its place is far from all others for one and the same
reason.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np

from spinenet.match.assign import SKIP_COST, BySessions, Pair, left_out, solve
from spinenet.types import BoolArray, FloatArray, IntArray

LEAST_LOG_ODDS = -2.0
"""Of a sighting far away: a track is not given up for one that was found beside its place."""
SWEEPS = 8


@dataclass(frozen=True)
class Evidence:
    """Log odds (E,) that spine `one` (E,) and spine `other` (E,) are the same, every pair told both
    ways; spines are counted through all sessions, `session` (N,) is that of each."""

    session: IntArray
    one: IntArray
    other: IntArray
    log_odds: FloatArray


@dataclass(frozen=True)
class AgainstTracks:
    """Spines `one` (P,) against the sightings of `track` (P,) in other sessions: their number, the
    mean of the log odds with each, and the best of them."""

    one: IntArray
    track: IntArray
    sightings: IntArray
    mean: FloatArray
    best: FloatArray

    @property
    def weight(self) -> FloatArray:
        n = self.sightings
        out: FloatArray = np.where(self.mean > 0, 2 * n / (n + 1), 1.0)
        return out


def evidence(sizes: list[int], candidates: BySessions) -> Evidence:
    """Of the candidates of sessions (t, u), t < u, that hold so many spines."""
    first = np.r_[0, np.cumsum(sizes)]
    none = np.zeros(0, np.int64)
    i = np.concatenate([none, *(c.i + first[t] for (t, _), c in candidates.items())])
    j = np.concatenate([none, *(c.j + first[u] for (_, u), c in candidates.items())])
    odds = np.concatenate([np.zeros(0), *(c.odds for c in candidates.values())])
    log_odds = np.log(np.maximum(odds, 1e-12))
    session = np.repeat(np.arange(len(sizes)), sizes)
    return Evidence(session, np.r_[i, j], np.r_[j, i], np.r_[log_odds, log_odds])


def against_tracks(told: Evidence, track: IntArray) -> AgainstTracks:
    """Every spine against every track of which a sighting may be it; sightings that may not count
    `LEAST_LOG_ODDS`."""
    n_tracks, n_sessions = int(track.max(initial=-1)) + 1, int(told.session.max(initial=-1)) + 1
    key, at = np.unique(told.one * n_tracks + track[told.other], return_inverse=True)
    one, of = key // max(n_tracks, 1), key % max(n_tracks, 1)
    total = np.bincount(at, np.maximum(told.log_odds, LEAST_LOG_ODDS), len(key))
    best = np.full(len(key), -np.inf)
    np.maximum.at(best, at, told.log_odds)
    found = np.bincount(at, minlength=len(key))
    there = np.zeros((n_tracks, n_sessions), bool)
    there[track, told.session] = True
    sightings = there.sum(axis=1)[of] - there[of, told.session[one]]
    mean = (total + LEAST_LOG_ODDS * (sightings - found)) / sightings
    return AgainstTracks(one, of, sightings, mean, best)


def settle(
    told: Evidence,
    track: IntArray,
    min_p: float,
    same: Collection[Pair] = (),
    different: Collection[Pair] = (),
    looked: BoolArray | None = None,
) -> IntArray:
    """(N,) tracks after the spines of each session in turn were assigned anew, exactly, to the
    tracks of all others, until nothing changes or after `SWEEPS` rounds.

    Parameters
    ----------
    track: (N,) that the spines are in
    min_p: what is less sure than this, as a whole or by its best sighting, joins nothing; sessions
        left out before a track's first sighting or after its last have the price of the cover
    same, different: pairs of spines that stay where they are, and that are never joined
    looked: as `path_cover` takes it
    """
    track = np.unique(track, return_inverse=True)[1]
    still = np.zeros(len(track), bool)
    still[[k for pair in same for k in pair]] = True
    apart = np.array([*different], np.int64).reshape(-1, 2)
    apart = apart[told.session[apart[:, 0]] != told.session[apart[:, 1]]]
    apart = np.concatenate([apart, apart[:, ::-1]])
    need = np.log((1 - min_p) / min_p)
    by_session = [_told_of(told, t) for t in range(int(told.session.max(initial=-1)) + 1)]
    for _ in range(SWEEPS):
        before = track
        for t, part in enumerate(by_session):
            here = told.session == t
            on = against_tracks(part, track)
            price = SKIP_COST * left_out(looked, on.one, *_gap(told, on, track, t))
            gain = on.weight * on.mean + need - price
            taken = np.isin(on.track, track[here & still])
            never = np.isin(
                on.one * len(track) + on.track, apart[:, 0] * len(track) + track[apart[:, 1]]
            )
            may = (np.minimum(gain, on.best + need - price) > 0) & ~still[on.one] & ~taken & ~never
            edges = dict(
                zip(
                    zip(on.one[may].tolist(), (on.track[may] + len(track)).tolist(), strict=True),
                    gain[may].tolist(),
                    strict=True,
                )
            )
            track = _joined(track, here & ~still, solve(edges, 2 * len(track))[: len(track)])
        if _alike(before, track):
            break
    return track


def _told_of(told: Evidence, t: int) -> Evidence:
    """What is told of the spines of one session."""
    mine = told.session[told.one] == t
    return replace(told, one=told.one[mine], other=told.other[mine], log_odds=told.log_odds[mine])


def _gap(told: Evidence, on: AgainstTracks, track: IntArray, t: int) -> tuple[IntArray, IntArray]:
    """(P,) an earlier and a later session: session t and the nearest end of each track's sightings
    in other ones; t twice if it lies between these."""
    elsewhere = told.session != t
    n_tracks, n_sessions = int(track.max(initial=-1)) + 1, int(told.session.max(initial=-1)) + 1
    first, last = np.full(n_tracks, n_sessions), np.full(n_tracks, -1)
    np.minimum.at(first, track[elsewhere], told.session[elsewhere])
    np.maximum.at(last, track[elsewhere], told.session[elsewhere])
    return np.minimum(last[on.track], t), np.maximum(first[on.track], t)


def _joined(track: IntArray, loose: np.ndarray, joins: IntArray) -> IntArray:
    """Tracks once every loose spine is in the one it joins, or in one of its own."""
    n = len(track)
    alone = loose & (joins < 0)
    out = np.where(loose, joins - n, track)
    out[alone] = n + np.arange(alone.sum())
    numbers: IntArray = np.unique(out, return_inverse=True)[1]
    return numbers


def _alike(a: IntArray, b: IntArray) -> bool:
    """Whether two sets of tracks join the same spines, whatever their numbers."""
    return len(np.unique(np.stack([a, b]), axis=1).T) == len(np.unique(a)) == len(np.unique(b))


def supported(candidates: BySessions, track_of: list[IntArray]) -> BySessions:
    """The same candidates, with the odds that both spines have with the other's whole track.

    What the sightings of one track say is not independent of each other, so here it weighs by the
    root only: on simulated dendrites probabilities then are as often right as they say. Two spines
    of different tracks that are far apart stay as unlikely as they are alone.
    """
    sizes = [len(of) for of in track_of]
    first, track = np.r_[0, np.cumsum(sizes)], np.concatenate([*track_of, np.zeros(0, np.int64)])
    told = evidence(sizes, candidates)
    on = against_tracks(told, track)
    n_tracks = int(track.max(initial=-1)) + 1
    key, worth = on.one * n_tracks + on.track, np.sqrt(on.weight) * on.mean
    out = {}
    for (t, u), c in candidates.items():
        i, j = c.i + first[t], c.j + first[u]
        both = (
            worth[np.searchsorted(key, i * n_tracks + track[j])]
            + worth[np.searchsorted(key, j * n_tracks + track[i])]
        )
        odds = np.exp(both / 2)
        far = (track[i] != track[j]) & (c.odds < np.exp(LEAST_LOG_ODDS))
        out[t, u] = replace(c, odds=np.where(far, np.minimum(c.odds, odds), odds))
    return out


def sure_of_track(candidates: BySessions, track_of: list[IntArray]) -> list[BoolArray]:
    """(K,) of every session: spines that are likelier than not one with some other sighting of
    their track. What a person bound is judged like the rest."""
    sure = [np.zeros(len(of), bool) for of in track_of]
    for (t, u), c in supported(candidates, track_of).items():
        one = (track_of[t][c.i] == track_of[u][c.j]) & (c.probability > 0.5)
        sure[t][c.i[one]] = True
        sure[u][c.j[one]] = True
    return sure
