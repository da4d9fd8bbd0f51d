"""Whole cohorts without images: tracks as the machine would give them, and the truth.

For studying the analysis itself: how often it errs where nothing is to be found, whether its
intervals hold the truth, how many animals a study needs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from spinenet.chain import SURE, Rates, presence
from spinenet.config import CohortConfig
from spinenet.tables import TRACKS
from spinenet.types import BoolArray, FloatArray, Presence, Tracks

APART_UM = 0.3
"""Closer spines cannot be told apart: none is placed there."""
BESIDE_UM = (0.5, 3.0)
"""A clustered new spine forms so far from an earlier new one, if no other spine lies between."""
TRIES = 30


@dataclass(frozen=True)
class Cohort:
    """What the machine reports of some animals, and what was there."""

    observed: Tracks
    """With `p_present` and `p_link`, which say truly how unsure it is."""
    true: Tracks


@dataclass(frozen=True)
class _Spines:
    """S places on a dendrite: (S,) arc length and (S, T) presence of a spine there."""

    arc_um: FloatArray
    there: BoolArray


def simulate_cohort(config: CohortConfig, group: str, rng: np.random.Generator) -> Cohort:
    """One group. Animals differ in formation and elimination by a log-normal factor.

    Of the machine's two mistakes one is a sighting missed, the other a link between a lost spine
    and a new one at its place: both are in the truth only.
    """
    observed, true = [], []
    for a in range(config.animals):
        spread = config.animal_log_sd
        scale = float(np.exp(rng.normal(-(spread**2) / 2, spread)))
        for d in range(config.dendrites):
            name = f"{group or 'animal'}{a}"
            who = {"animal": name, "group": group, "region": "r0", "dendrite_id": d}
            spines = _draw(config, scale, rng)
            wrong = _wrong_links(config, spines, rng)
            true.append(_table(who, config, _taken_apart(spines, wrong)))
            seen = spines.there & (rng.random(spines.there.shape) >= config.miss_rate)
            found = seen.any(axis=1)
            frame = _table(who, config, _Spines(spines.arc_um[found], seen[found]))
            ratio = np.where(seen[found], SURE, config.miss_rate)
            rates = Rates(config.formation, config.elimination, _usual_new_loss(config))
            certain = presence(ratio, rates, real=1.0)
            frame["p_present"] = certain.ravel()
            linked = seen[found] & (np.cumsum(seen[found], axis=1) > 1)
            frame["p_link"] = np.where(linked, 1 - config.link_error, np.nan).ravel()
            observed.append(frame)
    return Cohort(_joined(observed), _joined(true))


def _usual_new_loss(config: CohortConfig) -> float:
    """Share of new spines lost per interval: planted ones and their partners are protected."""
    protected = 1 - (1 - config.clustered_share) ** 2
    return config.new_loss * (1 - protected + protected / config.protection)


def _joined(parts: list[pd.DataFrame]) -> Tracks:
    """Track numbers run on over the dendrites of an animal."""
    frame = pd.concat(parts, ignore_index=True)
    keys = ["animal", "dendrite_id", "track_id"]
    frame["track_id"] = frame.groupby(keys, sort=False).ngroup()
    return Tracks(TRACKS.conform(frame))


def _draw(config: CohortConfig, scale: float, rng: np.random.Generator) -> _Spines:
    n_sessions = len(config.days)
    arc: list[float] = []
    for _ in range(rng.poisson(config.spines_per_um * config.length_um)):
        _place(arc, config, rng)
    there = [[True] for _ in arc]
    new = [False] * len(arc)
    protected = [False] * len(arc)
    for t in range(1, n_sessions):
        alive = [k for k, life in enumerate(there) if life[-1]]
        for k, life in enumerate(there):
            loss = config.new_loss if new[k] else config.elimination * scale
            loss = loss / config.protection if protected[k] else loss
            life.append(life[-1] and rng.random() >= loss)
        for _ in range(rng.poisson(config.formation * scale * len(alive))):
            here = [k for k, life in enumerate(there) if life[-1]]
            fresh = [k for k in here if new[k]]
            partner = None
            if fresh and rng.random() < config.clustered_share:
                partner = _beside(arc, here, fresh[int(rng.integers(len(fresh)))], config, rng)
            if partner is None and not _place(arc, config, rng):
                continue
            there.append([False] * t + [True])
            new.append(True)
            protected.append(partner is not None)
            if partner is not None:
                protected[partner] = True
    order = np.argsort(arc)
    return _Spines(np.array(arc)[order], np.array(there, bool).reshape(-1, n_sessions)[order])


def _place(arc: list[float], config: CohortConfig, rng: np.random.Generator) -> bool:
    """Anywhere with room; no place is added where none was found."""
    for place in rng.uniform(0, config.length_um, TRIES):
        if all(abs(place - other) >= APART_UM for other in arc):
            arc.append(float(place))
            return True
    return False


def _beside(
    arc: list[float], here: list[int], partner: int, config: CohortConfig, rng: np.random.Generator
) -> int | None:
    """A place next to a new spine with nothing between; the partner, or None without room."""
    for _ in range(TRIES):
        place = arc[partner] + rng.choice([-1, 1]) * rng.uniform(*BESIDE_UM)
        low, high = sorted((place, arc[partner]))
        between = any(low < arc[k] < high for k in here if k != partner)
        free = all(abs(place - other) >= APART_UM for other in arc)
        if 0 <= place <= config.length_um and free and not between:
            arc.append(float(place))
            return partner
    return None


def _wrong_links(config: CohortConfig, spines: _Spines, rng: np.random.Generator) -> BoolArray:
    """(S, T) links to the last presence at which a lost spine was taken for a new one."""
    linked = spines.there & (np.cumsum(spines.there, axis=1) > 1)
    return linked & (rng.random(linked.shape) < config.link_error)


def _taken_apart(spines: _Spines, wrong: BoolArray) -> _Spines:
    """Each place's successive spines as rows of their own."""
    piece = np.cumsum(wrong, axis=1)
    arc, there = [], []
    for k, place in enumerate(spines.arc_um):
        for p in range(int(piece[k, -1]) + 1):
            arc.append(place)
            there.append(spines.there[k] & (piece[k] == p))
    n_sessions = spines.there.shape[1]
    return _Spines(np.array(arc), np.array(there, bool).reshape(-1, n_sessions))


def _table(who: Mapping[str, object], config: CohortConfig, spines: _Spines) -> pd.DataFrame:
    n, n_sessions = spines.there.shape
    words = np.where(spines.there.ravel(), str(Presence.PRESENT), str(Presence.ABSENT))
    return pd.DataFrame(
        {
            **who,
            "track_id": np.repeat(np.arange(n), n_sessions),
            "session": np.tile(np.arange(n_sessions), n),
            "day": np.tile(config.days, n),
            "arc_length_um": np.repeat(spines.arc_um, n_sessions),
            "kind": "spine",
            "presence": words,
        }
    )
