"""The threshold at which peaks are spines."""

import numpy as np
import pytest
from scipy.special import expit, logit

from spinenet.evaluate.spines import ratios
from spinenet.training.thresholds import GRID, SLOPES, _Peaks, best_threshold, calibration


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


def peaks(heights, right):
    return _Peaks(np.array(heights), np.array(right), int(np.sum(right)))


@pytest.mark.parametrize("alarms", [(0.18, 0.22), (0.24, 0.26), (0.3, 0.5)])
def test_probabilities_are_right_on_average_however_narrow_the_heights(alarms):
    """Sixty spines between 0.23 and 0.27, and as many alarms below, among and above them: a map
    whose slope is bounded must still be right in the mean."""
    rng = np.random.default_rng(0)
    heights = np.r_[rng.uniform(0.23, 0.27, 60), rng.uniform(*alarms, 60)]
    right = np.arange(120) < 60
    slope, offset = calibration([peaks(heights, right)])
    p = expit(slope * logit(heights) + offset)
    assert SLOPES[0] <= slope <= SLOPES[1]
    assert p.mean() == pytest.approx(0.5, abs=0.03)


def test_nothing_to_tell_apart_changes_nothing():
    assert calibration([peaks([0.3, 0.6], [True, True])]) == (1.0, 0.0)
