"""Clustered shares of new spines beside what chance alone gives, by group."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from spinenet.analyze.clusters import RULES
from spinenet.analyze.ground import Ground
from spinenet.analyze.groups import ROUNDED, mean_of_animals
from spinenet.analyze.nulls import (
    candidates,
    clustered,
    members,
    segment_dispersion,
    uniform_counts,
)
from spinenet.analyze.rows import Row, beside_chance, mean_row, p_value, row
from spinenet.analyze.states import NEVER, SEEN, UNKNOWN, Histories
from spinenet.analyze.stretches import Stretches, common, tellable
from spinenet.config import AnalyzeConfig
from spinenet.types import FloatArray


@dataclass(frozen=True)
class Chance:
    """One group's clustered shares by a rule, and B shuffles of them."""

    share: FloatArray
    """(A,) of each animal; nan without new spines."""
    shuffled: FloatArray
    """(A, B) the same with the labels shuffled."""
    n_new: int

    @property
    def scored(self) -> np.ndarray:
        return np.isfinite(self.share)

    @property
    def judged(self) -> float:
        """The mean over animals that the null is of."""
        return float(np.nanmean(self.share))

    @property
    def null(self) -> FloatArray:
        """(B,) of the mean over animals."""
        null: FloatArray = (
            self.shuffled[self.scored].mean(axis=0) if self.scored.any() else np.zeros(0)
        )
        return null

    @property
    def excess(self) -> FloatArray:
        """(A,) of each animal over its own chance; where all shares are one, over the mean of their
        chances: what differs then are the shuffles, which tell nothing of animals."""
        by_chance = self.shuffled.mean(axis=1)
        scored = self.scored
        if scored.any() and np.ptp(self.share[scored]) <= ROUNDED:
            by_chance = np.full(len(scored), by_chance[scored].mean())
        return self.share - by_chance


def chances(
    hs: list[Histories], animals: list[str], config: AnalyzeConfig, seed: list[int]
) -> dict[str, Chance]:
    """By rule, each dendrite with a random stream of its own."""
    return _chances(hs, animals, config, seed, each_session=False)[0]


def chances_by_window(
    hs: list[Histories], animals: list[str], config: AnalyzeConfig, seed: list[int]
) -> list[dict[str, Chance]]:
    """The same over the whole window, and then in each of its sessions alone."""
    return _chances(hs, animals, config, seed, each_session=True)


def _chances(
    hs: list[Histories],
    animals: list[str],
    config: AnalyzeConfig,
    seed: list[int],
    *,
    each_session: bool,
) -> list[dict[str, Chance]]:
    streams = np.random.SeedSequence(seed).spawn(len(hs))
    numbers = sorted({int(h.sessions[t]) for h in hs for t in h.window(config.window)})
    column = {n: 1 + k for k, n in enumerate(numbers if each_session else ())}
    shape = (len(RULES), 1 + len(column), len(animals))
    hits, n_new, shuffled = np.zeros(shape), np.zeros(shape), np.zeros((*shape, config.n_shuffles))
    for h, stream in zip(hs, streams, strict=True):
        a, rng = animals.index(h.animal), np.random.default_rng(stream)
        found = members(h, config, rng, each_session=each_session)
        there = [0, *(column[n] for n in found.sessions.tolist())]
        hits[:, there, a] += found.observed
        n_new[:, there, a] += found.n_new
        shuffled[:, there, a] += found.shuffled
    n = np.where(n_new > 0, n_new, np.nan)
    return [
        {
            rule: Chance(
                hits[r, w] / n[r, w],
                shuffled[r, w] / n[r, w][:, None],
                int(n_new[r, w].sum()),
            )
            for r, rule in enumerate(RULES)
        }
        for w in range(1 + len(column))
    ]


def shares_by_rule(
    hs: list[Histories], animals: list[str], config: AnalyzeConfig
) -> dict[str, FloatArray]:
    """(A,) clustered share of each animal's new spines by each rule; nan without new ones."""
    hits, n_new = np.zeros((2, len(RULES), len(animals)))
    for h in hs:
        a, found = animals.index(h.animal), clustered(h, config)
        for i, rule in enumerate(RULES):
            hits[i, a] += found[rule]
            n_new[i, a] += (h.is_new(config.window) & candidates(h, rule, config)).sum()
    share = hits / np.where(n_new > 0, n_new, np.nan)
    return dict(zip(RULES, share, strict=True))


def chance_rows(
    group: str,
    by_window: list[dict[str, Chance]],
    values: Mapping[str, FloatArray],
    n_new: Mapping[str, int],
    told: str,
    config: AnalyzeConfig,
) -> list[Row]:
    """`clustered_fraction_*` and `clustered_excess_*`, and the P of the larger of both rules.

    Parameters
    ----------
    by_window: as from `chances_by_window`
    values: (A,) by statistic, on all dendrites: what is estimated
    n_new: by statistic, new spines on all dendrites
    told: which dendrites chance was judged on
    """
    rows = []
    for rule, c in by_window[0].items():
        name, excess = f"clustered_fraction_{rule}", f"clustered_excess_{rule}"
        mean = mean_of_animals(values[name], 0.0, 1.0)
        if not c.scored.any():
            why = f"no new spines to judge chance by{told}"
            bare = mean_row(name, group, mean, test=why, n_spines=n_new[name])
            rows += [bare, row(excess, group, np.nan, test=why)]
            continue
        how = f"places of spines shuffled within dendrites, {config.n_shuffles} times{told}"
        how += f", of whose new spines {100 * c.judged:.1f} % are clustered" * bool(told)
        share = beside_chance(name, group, mean, c.judged, c.null, how, n_spines=n_new[name])
        over = mean_of_animals(c.excess, -1.0, 1.0)
        same = {"p_value": share["p_value"], "n_spines": c.n_new}
        test = f"{over.test}; {how}"
        rows.append(share)
        rows.append(mean_row(excess, group, over, null_mean=0.0, test=test, **same))
    either = list(by_window[0].values())
    every = [c for by_rule in by_window for c in by_rule.values()]
    return [
        *rows,
        largest_excess("clustered_fraction_either_rule", group, either, "of both rules"),
        largest_excess(
            "clustered_fraction_any_rule_or_window",
            group,
            every,
            "of both rules, over the whole window and in each of its sessions,",
        ),
    ]


def largest_excess(name: str, group: str, family: list[Chance], which: str) -> Row:
    """The largest excess of several in standard deviations of their nulls, beside that of the same
    shuffles: one P for all that were looked at."""
    judged = [c for c in family if c.scored.any()]
    if not judged:
        return row(name, group, np.nan, test="no new spines to judge chance by")
    # of shuffles that all agree the deviation is at most that of one with one spine more
    scale = [max(float(c.null.std()), 1 / (c.n_new * len(c.null) ** 0.5)) for c in judged]
    null = np.max(
        [(c.null - c.null.mean()) / s for c, s in zip(judged, scale, strict=True)], axis=0
    )
    most = max((c.judged - float(c.null.mean())) / s for c, s in zip(judged, scale, strict=True))
    test = f"the larger excess {which} in standard deviations of its null"
    p = p_value(most, null)
    return row(name, group, most, null_mean=float(null.mean()), p_value=p, test=test)


def uniform_row(
    group: str,
    ground: Ground,
    within_d: Chance,
    of_animals: FloatArray,
    scored_on: Stretches | None,
    config: AnalyzeConfig,
    seed: list[int],
) -> Row:
    """New spines within d of another against places dealt out along the dendrite, where one would
    be known to be new.

    Parameters
    ----------
    of_animals: (A,) `clustered_fraction_within_d` on all dendrites
    """
    name = "clustered_fraction_within_d_uniform"
    mean = mean_of_animals(of_animals, 0.0, 1.0)
    if not within_d.scored.any():
        why = f"no new spines to judge chance by{ground.told}"
        return mean_row(name, group, mean, test=why)
    animals, left = sorted({h.animal for h in ground.whole}), ground.stretches
    n_new = np.zeros(len(animals))
    shuffled = np.zeros((len(animals), config.n_shuffles))
    streams = np.random.SeedSequence(seed).spawn(len(left))
    for (h, spans), stream in zip(left, streams, strict=True):
        a = animals.index(h.animal)
        n_new[a] += (h.is_new(config.window) & candidates(h, "within_d", config)).sum()
        rng = np.random.default_rng(stream)
        room = partial(_room, spans, None if scored_on is None else scored_on.of(h))
        shuffled[a] += uniform_counts(h, room, config, rng)
    scored = within_d.scored
    null = (shuffled[scored] / n_new[scored, None]).mean(axis=0)
    how = (
        f"new spines anywhere on the dendrite but within {config.exclusion_um:g} um of another "
        f"spine{ground.told}"
    )
    return beside_chance(name, group, mean, within_d.judged, null, how, n_spines=within_d.n_new)


def _room(
    spans_um: FloatArray, scored_on: list[FloatArray] | None, born: int, last: int
) -> FloatArray:
    """(N, 2) where a spine born in one session would be known to be new, and still be looked at in
    the last session that tells of it; anywhere if nobody knows what was scored in which session."""
    if scored_on is None:
        return spans_um
    return common(common(spans_um, tellable(scored_on, born)), scored_on[last])


def lost_row(group: str, ground: Ground, config: AnalyzeConfig, seed: list[int]) -> Row:
    """`lost_clustered_fraction`: the contiguous clusters of lost spines that were there from the
    start, as those of new ones are found, time run backward. Nobody expects old spines to be lost
    together: where they are, a stretch may have been missed, and new ones together are as likely to
    be a mistake."""
    name = "lost_clustered_fraction"
    backward = [h.only(h.birth == NEVER).backward() for h in ground.histories]
    everything = replace(config, window=None)
    found = chances(backward, sorted({h.animal for h in backward}), everything, seed)["contiguous"]
    if not found.scored.any():
        return row(name, group, np.nan, test=f"no spine was lost{ground.told}")
    mean = mean_of_animals(found.share[found.scored], 0.0, 1.0)
    how = f"lives dealt out to their places, as of new spines; all sessions{ground.told}"
    return beside_chance(name, group, mean, found.judged, found.null, how, n_spines=found.n_new)


def _could_be_new(h: Histories) -> int:
    """Spines that were there in the first session, or of which somebody looked before they were."""
    seen = (h.seen == SEEN).any(axis=1)
    return int((seen & ((h.first_told == 0) | (h.birth != NEVER))).sum())


def _scored_alike(hs: list[Histories]) -> list[list[Histories]]:
    """Dendrites of whose spines anything is known in the same sessions, together."""
    alike: dict[tuple[int, ...], list[Histories]] = {}
    for h in hs:
        scored = tuple(h.sessions[(h.seen != UNKNOWN).any(axis=0)].tolist())
        alike.setdefault(scored, []).append(h)
    return list(alike.values())


def segment_row(group: str, ground: Ground, config: AnalyzeConfig, rng: np.random.Generator) -> Row:
    """Do new spines gather on some of an animal's dendrites?"""
    name = "new_per_dendrite_dispersion"
    found, nulls, hs = [], [], ground.histories
    for animal in sorted({h.animal for h in hs}):
        parts, weights = [], []
        for mine in _scored_alike([h for h in hs if h.animal == animal and _could_be_new(h)]):
            new = np.array([int(h.is_new(config.window).sum()) for h in mine])
            spines = np.array([_could_be_new(h) for h in mine])
            if len(new) > 1 and new.sum():
                value, null = segment_dispersion(new, spines, config.n_shuffles, rng)
                parts.append(np.r_[value, null])
                weights.append(len(new) - 1)
        if parts:
            whole = np.average(parts, axis=0, weights=weights)
            found.append(float(whole[0]))
            nulls.append(whole[1:])
    if not found:
        why = f"no animal has new spines and two dendrites scored in the same sessions{ground.told}"
        return row(name, group, np.nan, test=why)
    mean, null = mean_of_animals(np.array(found), 0.0, np.inf), np.mean(nulls, axis=0)
    how = (
        "variance over mean of new spines per dendrite; which of the animal's spines are new dealt "
        f"out among dendrites scored in the same sessions{ground.told}"
    )
    return beside_chance(name, group, mean, mean.value, null, how)
