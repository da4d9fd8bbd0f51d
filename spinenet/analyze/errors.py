"""The machine's own mistakes in the error bars: histories drawn anew from what it is unsure of.

Every sighting may be a false alarm and every absence a miss, with the probability in `p_present`;
every link may be wrong, with the probability in `p_link`, and links that would slip together do so
together: drawn one by one, wrong links would scatter evenly and never make the rows of false "new"
spines that look like clusters. The statistics of `n_draws` such histories are put together by the
rules for imputed data (Rubin 1987).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy import stats

from spinenet.analyze.groups import LEVEL
from spinenet.analyze.states import GONE, SEEN, UNKNOWN, Histories
from spinenet.types import FloatArray, IntArray, Tracks

ALONE = -1


@dataclass(frozen=True)
class Rival:
    """A link that was not made: from spine `a` in session `ta` to spine `b` in session `tb`."""

    a: int
    ta: int
    b: int
    tb: int
    p: float


@dataclass(frozen=True)
class Doubt:
    """What one dendrite's links may have been instead."""

    slip: IntArray
    """(S, T) group of the link to the last sighting; ALONE where it slips with no other."""
    rivals: tuple[Rival, ...] = ()


@dataclass(frozen=True)
class Interval:
    """What sampling and the machine make of a statistic."""

    low: float
    high: float
    machine_low: float
    machine_high: float


def doubts(hs: list[Histories], tracks: pd.DataFrame, links: pd.DataFrame | None) -> list[Doubt]:
    """Slip groups and rivals of every dendrite from `links.csv`."""
    if links is None:
        return [Doubt(np.full(h.told.shape, ALONE)) for h in hs]
    out = []
    keyed = dict(list(links.groupby(["animal", "region"])))
    places = dict(list(tracks.groupby(["animal", "region", "dendrite_id"])))
    for h in hs:
        slip = np.full(h.told.shape, ALONE)
        mine = keyed.get((h.animal, h.region))
        where = _where(h, places[h.animal, h.region, h.dendrite_id])
        rivals = []
        for link in mine.itertuples(index=False) if mine is not None else ():
            start = where.get((link.session_from, link.spine_from))
            end = where.get((link.session_to, link.spine_to))
            if start is None or end is None:
                continue
            if not link.chosen:
                rivals.append(Rival(*start, *end, float(link.p)))
            elif pd.notna(link.slip_group):
                slip[end] = int(link.slip_group)
        rivals.sort(key=lambda r: (-r.p, r.a, r.ta, r.b, r.tb))
        out.append(Doubt(slip, tuple(rivals)))
    return out


def linked(tracks: Tracks, links: pd.DataFrame) -> Tracks:
    """The tracks with `p_link` from the links that were made, where they do not say it."""
    made = links[links["chosen"]].sort_values("session_from", kind="stable")
    made = made.rename(columns={"session_to": "session", "spine_to": "spine_id"})
    keys = ["animal", "region", "session", "spine_id"]
    last = made.drop_duplicates(keys, keep="last").set_index(keys)["p"]
    frame = tracks.frame
    at = pd.MultiIndex.from_frame(frame[keys])
    p = pd.Series(last.reindex(at).to_numpy(float), frame.index)
    return Tracks(frame.assign(p_link=frame["p_link"].fillna(p)))


def _where(h: Histories, rows: pd.DataFrame) -> dict[tuple[int, int], tuple[int, int]]:
    """(session, spine_id) -> row and column of the dendrite's matrices."""
    row = {int(k): i for i, k in enumerate(h.track_ids)}
    column = {int(s): t for t, s in enumerate(h.sessions)}
    seen = rows[rows["spine_id"].notna() & rows["track_id"].isin(row)]
    return {
        (int(r.session), int(r.spine_id)): (row[int(r.track_id)], column[int(r.session)])
        for r in seen.itertuples(index=False)
        if int(r.session) in column
    }


def draw(h: Histories, doubt: Doubt, max_gap: int, rng: np.random.Generator) -> Histories:
    """One history that the machine's probabilities allow.

    One number decides over all sessions of a track: what made the machine unsure of a spine in one
    session mostly does so in the next, and drawn apart its sightings would come and go.
    """
    told = h.told.copy()
    chance = np.broadcast_to(rng.random((len(told), 1)), told.shape)
    unsure = np.isfinite(h.p_present)
    told[unsure & (h.told == SEEN) & (chance >= h.p_present)] = GONE
    told[unsure & (h.told == GONE) & (chance < h.p_present)] = SEEN
    cut = _cuts(h, doubt, rng)
    joins = _joins(h, doubt, cut, rng)
    if not cut.any() and not joins:
        return h.retold(told, max_gap)
    return _apart(h, told, cut, joins, max_gap)


def _cuts(h: Histories, doubt: Doubt, rng: np.random.Generator) -> np.ndarray:
    """(S, T) links to the last sighting that were wrong; those of a slip group share one number."""
    chance = rng.random(h.p_link.shape)
    groups = np.unique(doubt.slip)
    shared = dict(zip(groups, rng.random(len(groups)), strict=True))
    for group in groups[groups != ALONE]:
        chance[doubt.slip == group] = shared[group]
    return np.isfinite(h.p_link) & (h.told == SEEN) & (chance >= h.p_link)


def _joins(h: Histories, doubt: Doubt, cut: np.ndarray, rng: np.random.Generator) -> list[Rival]:
    """Rivals that take the place of links that were cut, or join a lost spine to a new one; the
    likeliest first, one to one."""
    out: list[Rival] = []
    ends: set[tuple[int, int]] = set()
    starts: set[tuple[int, int]] = set()
    for r in doubt.rivals:
        after = np.flatnonzero(h.told[r.a, r.ta + 1 :] == SEEN)
        free = not len(after) or cut[r.a, r.ta + 1 + after[0]]
        first = not (h.told[r.b, : r.tb] == SEEN).any()
        if not free or not (cut[r.b, r.tb] or first):
            continue
        if (r.a, r.ta) in starts or (r.b, r.tb) in ends:
            continue
        made = h.p_link[r.b, r.tb]
        left = 1 - made if np.isfinite(made) else 1.0
        if rng.random() < min(r.p / max(left, 1e-9), 1.0):
            out.append(r)
            starts.add((r.a, r.ta))
            ends.add((r.b, r.tb))
    return out


def _apart(
    h: Histories, told: np.ndarray, cut: np.ndarray, joins: list[Rival], max_gap: int
) -> Histories:
    """Tracks taken apart where they were cut, and put together again as the rivals say."""
    n = told.shape[1]
    piece = np.cumsum(cut, axis=1)
    parts = [(k, int(p)) for k in range(len(told)) for p in range(int(piece[k, -1]) + 1)]
    name = {part: i for i, part in enumerate(parts)}
    root = list(range(len(parts)))

    def find(i: int) -> int:
        while root[i] != i:
            i = root[i]
        return i

    for r in joins:
        i, j = (find(name[k, int(piece[k, t])]) for k, t in ((r.a, r.ta), (r.b, r.tb)))
        if i != j:
            root[max(i, j)] = min(i, j)
    rows: dict[int, np.ndarray] = {}
    for i, (k, p) in enumerate(parts):
        mine = told[k].copy()
        mine[(piece[k] != p) & (mine == SEEN)] = GONE
        top = find(i)
        rows[top] = mine if top not in rows else _both(rows[top], mine)
    kept = sorted(rows)
    source = np.array([parts[i][0] for i in kept])
    whole = replace(
        h,
        track_ids=np.arange(len(kept)),
        arc_um=h.arc_um[source],
        filopodium=h.filopodium[source],
        p_present=np.full((len(kept), n), np.nan),
        p_link=np.full((len(kept), n), np.nan),
        between=h.between[source],
    )
    return whole.retold(np.array([rows[i] for i in kept]), max_gap)


def _both(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Seen in either; gone where either says so; else unknown."""
    out = np.where(
        (a == SEEN) | (b == SEEN), SEEN, np.where((a == GONE) | (b == GONE), GONE, UNKNOWN)
    )
    return out.astype(np.int8)


def combine(means: FloatArray, variances: FloatArray, n_animals: float) -> Interval:
    """95 % intervals from D draws: (D,) means over animals and (D,) the variances of those means.

    Total variance W + (1 + 1 / D) B of the mean within (W) and the variance between draws (B). W is
    known with n - 1 and B with D - 1 degrees of freedom, their sum by Satterthwaite's rule: Barnard
    and Rubin's is made for many more observations than there are animals.
    """
    good = np.isfinite(means)
    if good.sum() < 2:
        return Interval(np.nan, np.nan, np.nan, np.nan)
    means, variances = means[good], variances[good]
    machine = np.percentile(means, [100 * LEVEL / 2, 100 * (1 - LEVEL / 2)])
    d, centre, between = len(means), float(means.mean()), float(means.var(ddof=1))
    within = float(np.nanmean(variances)) if np.isfinite(variances).any() else np.nan
    if not np.isfinite(within) or n_animals < 2:
        return Interval(np.nan, np.nan, *machine)
    total = within + (1 + 1 / d) * between
    if total == 0:
        return Interval(np.nan, np.nan, *machine)
    drawn = (1 + 1 / d) * between
    freedom = total**2 / (within**2 / (n_animals - 1) + drawn**2 / (d - 1))
    half = float(stats.t.ppf(1 - LEVEL / 2, freedom)) * total**0.5
    return Interval(centre - half, centre + half, *machine)
