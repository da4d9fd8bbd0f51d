"""When a finding of clusters must not be believed: the verdict on the data, in words.

Missed spines come back as new ones. Spread evenly, 5 % of them double the formation; missed in a
stretch, 2 % of them imitate Fu's clusters, and no shuffling within dendrites protects from that.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from scipy import stats

from spinenet.analyze.animals import unlike_intervals
from spinenet.analyze.deals import shuffle_within
from spinenet.analyze.rows import p_value
from spinenet.analyze.states import GONE, SEEN, UNKNOWN, Histories, miss_counts, told_between
from spinenet.types import BoolArray, IntArray

MOST_MISSED = 0.02
"""Share of sightings missed between two others from which false new spines rival true ones."""
FEWEST = 20
"""Sightings between two others, below which a session's share of missed ones is not judged."""
TIMES_THE_OTHERS = 2.0
SNR_RATIO = 1.5
LEVEL = 0.01
SHUFFLES = 500


@dataclass(frozen=True)
class Quality:
    """Reasons for doubt; none where the data pass."""

    reasons: tuple[str, ...]
    coverage_known: bool

    @property
    def verdict(self) -> str:
        if not self.reasons:
            good = (
                "No reason was found to doubt clusters: few spines were missed, and evenly, in the "
                "sessions between the first and the last. What was missed in these two nobody can "
                "tell: if the first is blurred in a stretch, its spines come back as new ones."
            )
            blind = (
                " How bright the shafts were, and whether sessions fit as well shifted by one "
                "spine, nobody can tell without coverage.csv."
            )
            return good + blind * (not self.coverage_known)
        return (
            "Do not believe a finding of clusters before these are settled: "
            + "; ".join(self.reasons)
            + "."
        )


def judge_quality(hs: list[Histories], coverage: pd.DataFrame | None, seed: int) -> Quality:
    """All reasons for doubt in all animals' dendrites."""
    rng = np.random.default_rng([seed, 71])
    reasons = [*_missed(hs), *_blurred_sessions(hs), *_dips(hs), *_runs_of_misses(hs, rng)]
    reasons += [*_missed_unequally(hs), *unlike_intervals(hs).values()]
    if coverage is not None:
        reasons += [*_snr(coverage), *_slips(coverage)]
    return Quality(tuple(reasons), coverage is not None)


def _missed(hs: list[Histories]) -> list[str]:
    gaps, full = np.sum([miss_counts(h) for h in hs], axis=0) if hs else (0, 0)
    n = int(gaps + full)
    if n < FEWEST:
        return [
            f"how many spines were missed cannot be told from {n} sightings between two others: "
            f"three sessions and {FEWEST} such sightings are needed"
        ]
    if gaps / n <= MOST_MISSED:
        return []
    return [
        f"{100 * gaps / n:.1f} % of sightings between two others were missed ({gaps} of {n}; "
        f"{100 * MOST_MISSED:g} % are tolerable), and a spine missed at first counts as new later"
    ]


def _missed_unequally(hs: list[Histories]) -> list[str]:
    """Groups of which unlike shares of sightings were missed."""
    counts = {
        g: np.sum([miss_counts(h) for h in hs if h.group == g], axis=0)
        for g in sorted({h.group for h in hs})
    }
    out = []
    for a, b in combinations(counts, 2):
        p = float(stats.fisher_exact([counts[a], counts[b]]).pvalue)
        if p < LEVEL:
            share = {g: 100 * counts[g][0] / counts[g].sum() for g in (a, b)}
            out.append(
                f"{share[a]:.1f} % of sightings between two others were missed in "
                f"{a or 'one group'} and {share[b]:.1f} % in {b} (P = {p:.2g}): what seems to form "
                "and to be lost in them differs by as much"
            )
    return out


def _blurred_sessions(hs: list[Histories]) -> list[str]:
    """Sessions in which far more was missed than in the others of the same region."""
    counts: dict[tuple[str, str, int], np.ndarray] = {}
    for h in hs:
        told = told_between(h)
        for t in range(1, len(h.sessions) - 1):
            mine = [int((told[:, t] == code).sum()) for code in (GONE, SEEN)]
            key = (h.animal, h.region, int(h.sessions[t]))
            counts[key] = counts.get(key, np.zeros(2, int)) + mine
    out = []
    for (animal, region, session), (gaps, full) in counts.items():
        n = gaps + full
        others = [v for k, v in counts.items() if k[:2] == (animal, region) and k[2] != session]
        rest = np.sum(others, axis=0) if others else np.zeros(2)
        usual = rest[0] / rest.sum() if rest.sum() else 0.0
        expected = max(MOST_MISSED, TIMES_THE_OTHERS * usual)
        if n >= FEWEST and stats.binom.sf(gaps - 1, n, expected) < LEVEL:
            out.append(
                f"session {session} of {animal}, {region}: {100 * gaps / n:.1f} % of sightings "
                f"were missed there and {100 * usual:.1f} % in its other sessions; blurred or dim? "
                "Set usable to 0 in sessions.csv (or, for `spinenet analyze`, in coverage.csv) and "
                "analyse again"
            )
    return out


def _dips(hs: list[Histories]) -> list[str]:
    """Sessions into which more spines were lost than came, and out of which more came than were
    lost. Whoever takes a spine missed there for a lost one, and its return for a new one, leaves no
    gap, only this. A burst of formation alone has no losses before it.
    """
    turns: dict[tuple[str, str, int], np.ndarray] = {}
    for h in hs:
        told = h.told_alone
        for t in range(1, len(h.sessions) - 1):
            before, now, after = told[:, t - 1], told[:, t], told[:, t + 1]
            lost_in, new_in = (before == SEEN) & (now == GONE), (before == GONE) & (now == SEEN)
            new_out, lost_out = (now == GONE) & (after == SEEN), (now == SEEN) & (after == GONE)
            counts = [int(c.sum()) for c in (lost_in, new_in, new_out, lost_out)]
            key = (h.animal, h.region, int(h.sessions[t]))
            turns[key] = turns.get(key, np.zeros(4, int)) + counts
    out = []
    for (animal, region, session), (lost_in, new_in, new_out, lost_out) in turns.items():
        p = max(
            stats.binom.sf(lost_in - 1, lost_in + new_in, 0.5),
            stats.binom.sf(new_out - 1, new_out + lost_out, 0.5),
        )
        if lost_in + new_in and new_out + lost_out and p < LEVEL:
            out.append(
                f"session {session} of {animal}, {region} has fewer spines than those before and "
                f"after it ({lost_in} lost and {new_in} new into it, {new_out} new and {lost_out} "
                "lost out of it); blurred or dim? Unless they truly went and others came, set "
                "usable to 0 in sessions.csv (or, for `spinenet analyze`, in coverage.csv) and "
                "analyse again"
            )
    return out


def _runs_of_misses(hs: list[Histories], rng: np.random.Generator) -> list[str]:
    """Misses side by side on one dendrite in one session, against misses dealt out anew."""
    missed: list[BoolArray] = []
    neighbours: list[IntArray] = []
    start = 0
    for h in hs:
        for told in told_between(h).T:
            here = told[told != UNKNOWN] == GONE
            if len(here) > 1:
                missed.append(here)
                neighbours.append(start + np.arange(len(here) - 1))
                start += len(here)
    if not missed:
        return []
    flags, left = np.concatenate(missed), np.concatenate(neighbours)
    pairs = int((flags[left] & flags[left + 1]).sum())
    # over the whole experiment: a blurred stretch gives one dendrite many
    mixed = shuffle_within(flags, np.zeros(len(flags), int), SHUFFLES, rng)
    null = (mixed[:, left] & mixed[:, left + 1]).sum(axis=1)
    p = p_value(float(pairs), null)
    if pairs < 2 or p > LEVEL:
        return []
    return [
        f"missed spines lie side by side ({pairs} neighbouring pairs; {null.mean():.1f} by chance, "
        f"P = {p:.2g}), which makes false clusters: look for a blurred or shaded stretch"
    ]


def _snr(coverage: pd.DataFrame) -> list[str]:
    seen = coverage[coverage["usable"] & np.isfinite(coverage["snr"])]
    out: list[str] = []
    if seen.empty:
        return out
    sessions = seen.groupby(["animal", "region", "session"])["snr"].median()
    for (animal, region), mine in sessions.groupby(level=[0, 1]):
        low, high = float(mine.min()), float(mine.max())
        if high > SNR_RATIO * low:
            session = mine.idxmin()[2]
            out.append(
                f"the shafts' SNR of {animal}, {region} is {low:.1f} in session {session} and "
                f"{high:.1f} in its best one"
            )
    groups = seen.groupby("group")["snr"].median()
    if len(groups) > 1 and groups.max() > SNR_RATIO * groups.min():
        out.append(
            f"the shafts' SNR differs between groups ({groups.idxmin() or 'no name'}: "
            f"{groups.min():.1f}, {groups.idxmax() or 'no name'}: {groups.max():.1f})"
        )
    return out


def _slips(coverage: pd.DataFrame) -> list[str]:
    bad = coverage[coverage["slip_ambiguous"]]
    where = bad.drop_duplicates(["animal", "region", "dendrite_id"])
    if where.empty:
        return []
    names = [f"{r.animal}, {r.region}, dendrite {r.dendrite_id}" for r in where.itertuples()]
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return [f"sessions of {names[0]}{more} fit as well shifted by one spine"]
