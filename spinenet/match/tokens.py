"""What the matching head is told of every spine, and which spines it compares."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.spatial import cKDTree

from spinenet.match.score import Places, apart, near_pairs, pair_odds
from spinenet.types import FloatArray, IntArray

ABOUT = ("side", "up", "probability", "surely a filopodium")
BESIDE_UM = 1.5
USUAL_P, SPREAD_P = 0.7, 0.2
NEIGHBOURS, NEIGHBOUR_UM = 8, 10.0
LEAST_LOG_ODDS = -12.0


@dataclass(frozen=True)
class Tokens:
    """K spines of one session: their places in a frame that it shares with the others, what was
    measured of each (K, 4), and what it looks like: its portrait (K, 5, 17, 17), what the head made
    of it (K, 48), or nothing (K, 0) where nobody looks."""

    places: Places
    about: npt.NDArray[np.float32]
    portraits: npt.NDArray[np.floating]


@dataclass(frozen=True)
class PairGraph:
    """Two sessions' spines, those of the first before those of the second, and who looks at whom.

    near (2, S): of each spine its neighbours in its own session, and how they lie (S, 3) seen from
    it; across (2, C): a spine of the first session and one of the second that may be the same, how
    the second lies seen from the first (C, 3), the first from the second (C, 3), and the log odds
    of their places alone (C,).
    """

    about: npt.NDArray[np.float32]
    portraits: npt.NDArray[np.floating]
    near: IntArray
    near_um: npt.NDArray[np.float32]
    across: IntArray
    forth_um: npt.NDArray[np.float32]
    back_um: npt.NDArray[np.float32]
    log_odds: npt.NDArray[np.float32]


def about_spines(spines: pd.DataFrame, frames_um: FloatArray) -> npt.NDArray[np.float32]:
    """(K, 4) what the head is told of measured spines, about 0 with spread 1.

    No measure of size is among it: a spine that grew would be called lost and new. With length,
    width, volume and strength the head linked no better (benchmarks/RESULTS.md).

    Parameters
    ----------
    frames_um: (K, 3) arc length, sideways and upward offset of their heads
    """
    return np.stack(
        [
            frames_um[:, 1] / BESIDE_UM,
            frames_um[:, 2] / BESIDE_UM,
            (spines["probability"].to_numpy(float) - USUAL_P) / SPREAD_P,
            (spines["kind"] == "filopodium").to_numpy(float),
        ],
        axis=1,
    ).astype(np.float32)


def pair_graph(a: Tokens, b: Tokens, scatter_um: FloatArray) -> PairGraph:
    """The spines of two sessions and the pairs among them worth comparing.

    Parameters
    ----------
    scatter_um: (3,) of one spine between two sessions, along, sideways and upward
    """
    first = len(a.about)
    sides = [_neighbours(a.places, 0), _neighbours(b.places, first)]
    i, j = near_pairs(a.places, b.places)
    forth = apart(a.places, b.places, i, j)
    odds = pair_odds(forth, scatter_um, float("inf"))
    log_odds = np.maximum(np.log(np.maximum(odds, 1e-30)), LEAST_LOG_ODDS)
    return PairGraph(
        np.concatenate([a.about, b.about]),
        np.concatenate([a.portraits, b.portraits]),
        np.concatenate([who for who, _ in sides], axis=1),
        np.concatenate([lies for _, lies in sides]).astype(np.float32),
        np.stack([i, j + first]),
        forth.astype(np.float32),
        apart(b.places, a.places, j, i).astype(np.float32),
        log_odds.astype(np.float32),
    )


def _neighbours(places: Places, first: int) -> tuple[IntArray, FloatArray]:
    """(2, S) spine and neighbour, numbered from `first`, and (S, 3) how the neighbour lies."""
    k = min(NEIGHBOURS, len(places.points_um) - 1)
    if k < 1:
        return np.zeros((2, 0), np.int64), np.zeros((0, 3))
    far, who = cKDTree(places.points_um).query(places.points_um, k + 1)
    i = np.repeat(np.arange(len(who)), k)
    j, close = who[:, 1:].ravel(), far[:, 1:].ravel() <= NEIGHBOUR_UM
    i, j = i[close], j[close]
    return np.stack([i, j]) + first, apart(places, places, i, j)
