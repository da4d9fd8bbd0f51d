"""The threshold at which peaks are spines."""

import numpy as np
import pytest
from scipy.special import expit

from spinenet.evaluate.spines import ratios
from spinenet.training.thresholds import GRID, best_threshold


@pytest.mark.parametrize("easy", [1.0, 2.5])
def test_half_of_the_best_f1_is_the_best_threshold_of_probabilities(easy):
    """Peaks that are spines with the probability they say; the F1 of every threshold, counted."""
    rng = np.random.default_rng(0)
    p = expit(easy * rng.normal(-0.5, 1.5, 200_000))
    right = rng.random(len(p)) < p

    def f1(threshold):
        kept = p >= threshold
        hits = (kept & right).sum()
        return ratios(hits, (kept & ~right).sum(), right.sum() - hits)["f1"]

    best = max(f1(t) for t in GRID)
    assert f1(best_threshold(best)) == pytest.approx(best, abs=0.002)


def test_where_nothing_is_right_the_lowest_threshold_remains():
    assert best_threshold(0.0) == GRID[0]
    assert best_threshold(float("nan")) == GRID[0]
