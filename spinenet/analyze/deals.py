"""Labels, and lives, dealt out anew: what all shuffles have in common."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from spinenet.types import BoolArray, FloatArray, IntArray

BATCH = 10_000
"""So many shuffles at a time, for the sake of the memory."""


def permutations(size: int, n: int, rng: np.random.Generator) -> IntArray:
    """(size, n) a random order of 0..size-1 in each column: random numbers sorted with the index in
    their lowest bits, six times as fast as `Generator.permuted`."""
    bits = np.uint64(max(size - 1, 1).bit_length())
    keys = rng.integers(0, 2**63, (n, size), dtype=np.uint64) >> bits << bits
    keys |= np.arange(size, dtype=np.uint64)
    keys.sort(axis=1)
    return np.ascontiguousarray((keys & ((np.uint64(1) << bits) - np.uint64(1))).T.astype(np.int16))


def deals(own_place: IntArray, stratum: IntArray, n: int, rng: np.random.Generator) -> IntArray:
    """(S, n) places dealt out to the lives (S,), each of the stratum of its own place.

    Parameters
    ----------
    stratum: (S,) of the places
    """
    out = np.empty((len(stratum), n), np.int16)
    for one in np.unique(stratum):
        places = np.flatnonzero(stratum == one).astype(np.int16)
        out[stratum[own_place] == one] = places[permutations(len(places), n, rng)]
    return out


def over_deals(
    count: Callable[[IntArray], IntArray], stratum: IntArray, n: int, rng: np.random.Generator
) -> tuple[int, FloatArray]:
    """The count for the observed data, and (n,) counts for n random deals of lives to places.

    Parameters
    ----------
    count: (B,) of B deals (S, B)
    stratum: (S,) within which lives are dealt out
    """
    own = np.arange(len(stratum))
    batches = [min(BATCH, n - start) for start in range(0, n, BATCH)]
    dealt = [count(deals(own, stratum, size, rng)) for size in batches]
    return int(count(own[:, None])[0]), np.concatenate([np.zeros(0), *dealt])


def shuffle_within(
    flags: BoolArray, whose: IntArray, n: int, rng: np.random.Generator
) -> BoolArray:
    """(B, N) the flags (N,) dealt out anew among those of the same owner (N,)."""
    out = np.zeros((n, len(flags)), bool)
    for owner in np.unique(whose):
        mine = np.flatnonzero(whose == owner)
        k = int(flags[mine].sum())
        if k == len(mine):
            out[:, mine] = True
        elif k:
            first = np.argpartition(rng.random((n, len(mine))), k - 1, axis=1)[:, :k]
            out[np.arange(n)[:, None], mine[first]] = True
    return out


def mixed_strata(flags: BoolArray, whose: IntArray) -> bool:
    """Whether any owner has flags of both kinds: else every shuffle is what was seen."""
    share = pd.Series(flags.astype(float)).groupby(whose).mean()
    return bool(((share > 0) & (share < 1)).any())
