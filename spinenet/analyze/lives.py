"""What became of every spine over the whole study."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from spinenet.analyze.days import slack_days
from spinenet.analyze.states import GONE, NEVER, SEEN, UNKNOWN, Histories, returned
from spinenet.config import AnalyzeConfig
from spinenet.tables import STATES
from spinenet.types import BoolArray, FloatArray, IntArray

STABLE, LOST, RECURRENT = "stable", "lost", "recurrent"
TRANSIENT, PERSISTENT, NEW = "transient", "persistent", "new"


def states(h: Histories, config: AnalyzeConfig) -> list[str]:
    """(S,) the state of each spine of one dendrite; blank where it was never seen.

    - recurrent: seen again after more than `max_gap` absences
    - stable, lost: there from the start, or nobody knows since when
    - transient: new, seen in one session alone and then gone
    - persistent: new, seen in two sessions or more over at least `persist_days`
    - new: any other new spine: gone before, or formed too late to tell
    """
    life = _lives(h)
    new = h.birth != NEVER
    long = (life.n_seen > 1) & (life.span_days >= _persists(config))
    cases = [
        (life.n_seen == 0, ""),
        (returned(h.seen).any(axis=1), RECURRENT),
        (~new & life.lost, LOST),
        (~new, STABLE),
        ((life.n_seen == 1) & life.lost, TRANSIENT),
        (long, PERSISTENT),
    ]
    which, names = zip(*cases, strict=True)
    out: list[str] = np.select(which, names, NEW).tolist()
    return out


def _persists(config: AnalyzeConfig) -> float:
    """Days over which a persistent spine is seen, give or take some hours."""
    return config.persist_days - slack_days(config.persist_days)


@dataclass(frozen=True)
class _Lives:
    """(S,) of each spine: position of its first and last sighting, how many there were, the days
    between, and whether it was gone after the last."""

    first: IntArray
    last: IntArray
    n_seen: IntArray
    span_days: FloatArray
    lost: BoolArray


def _lives(h: Histories) -> _Lives:
    seen = h.seen == SEEN
    first = seen.argmax(axis=1)
    last = seen.shape[1] - 1 - seen[:, ::-1].argmax(axis=1)
    later = np.arange(seen.shape[1]) > last[:, None]
    lost = ((h.seen == GONE) & later).any(axis=1)
    return _Lives(first, last, seen.sum(axis=1), h.days[last] - h.days[first], lost)


def shares(h: Histories, config: AnalyzeConfig) -> dict[str, tuple[int, int]]:
    """Of one dendrite: transient and persistent spines, of those new in the window that were
    followed long enough to tell; and the spines of the region's first session that are there in its
    last, of those that could be scored in it."""
    state, life = np.array(states(h, config)), _lives(h)
    new = h.is_new(config.window)
    known = h.seen != UNKNOWN
    looked = known.shape[1] - 1 - known[:, ::-1].argmax(axis=1)
    over_days = h.days[looked] - h.days[life.first]
    followed = new & (over_days > 0)
    # lost or not: of late ones only the lost would otherwise count
    long = new & (over_days >= _persists(config))
    first = (h.seen[:, 0] == SEEN) & (h.seen[:, -1] != UNKNOWN) & h.whole_study
    return {
        "transient_share": (int((followed & (state == TRANSIENT)).sum()), int(followed.sum())),
        "persistent_share": (int((long & (state == PERSISTENT)).sum()), int(long.sum())),
        "survival_fraction": (int((first & (h.seen[:, -1] == SEEN)).sum()), int(first.sum())),
    }


def state_table(all_histories: list[Histories], config: AnalyzeConfig) -> pd.DataFrame:
    """`states.csv`: one row per spine that was seen."""
    rows: list[dict[str, object]] = []
    for h in all_histories:
        life = _lives(h)
        for k, state in enumerate(states(h, config)):
            if not state:
                continue
            rows.append(
                {
                    "animal": h.animal,
                    "group": h.group,
                    "region": h.region,
                    "dendrite_id": h.dendrite_id,
                    "track_id": int(h.track_ids[k]),
                    "state": state,
                    "birth_session": pd.NA if h.birth[k] == NEVER else int(h.sessions[h.birth[k]]),
                    "first_session": int(h.sessions[life.first[k]]),
                    "last_session": int(h.sessions[life.last[k]]),
                    "n_seen": int(life.n_seen[k]),
                }
            )
    return STATES.frame(rows)
