"""How many clusters there are, and how many of them are pairs."""

from __future__ import annotations

import numpy as np

from spinenet.analyze.animals import CLUSTERS, PAIRS
from spinenet.analyze.groups import Mean, jackknife, mean_of_animals
from spinenet.analyze.rows import Row, mean_row
from spinenet.types import FloatArray


def cluster_counts(parts: list[list[FloatArray]]) -> tuple[Mean, Mean]:
    """The number of all animals' clusters, and the share of pairs among them.

    Parameters
    ----------
    parts: per animal and dendrite, pairs and clusters
    """
    of_animals = np.array([np.sum(p, axis=0) for p in parts])
    total, n = of_animals.sum(axis=0), len(of_animals)
    mean = mean_of_animals(of_animals[:, 1], -np.inf, np.inf)
    count = Mean(float(total[1]), n * mean.low, n * mean.high, n, n**2 * mean.variance)
    without = np.array([_share(total - mine) for mine in of_animals])
    return count, jackknife(_share(total), without)


def _share(pairs_and_clusters: FloatArray) -> float:
    pairs, clusters = pairs_and_clusters
    return float(pairs / clusters) if clusters else float("nan")


def count_rows(group: str, parts: list[list[FloatArray]], n_spines: int) -> list[Row]:
    """`cluster_count_contiguous` and `cluster_pairs_share`, of clusters of so many spines."""
    count, share = cluster_counts(parts)
    how = "t interval over animals" if count.n > 1 else "fewer than two animals: no interval"
    without = "by leaving out animals" if count.n > 1 else "fewer than two animals: no interval"
    return [
        mean_row(
            CLUSTERS, group, count.within(0.0, np.inf), test=f"count; {how}", n_spines=n_spines
        ),
        mean_row(
            PAIRS,
            group,
            share.within(0.0, 1.0),
            test=f"of all clusters; {without}",
            n_spines=n_spines,
        ),
    ]
