"""MOTA and AssA beside the package of the Cell Tracking Challenge, on random tracks."""

import numpy as np
import pytest

from spinenet.evaluate.identity import identity_figures
from tests.unit.judged_spines import judged, seen, true

ctc = pytest.importorskip("ctc_metrics.metrics")


def scene(seed, sessions=3, spines=12):
    """True and found spines: some missed, some invented, some exchanged."""
    rng = np.random.default_rng(seed)
    number = np.arange(1, spines + 1)
    truth, found = [], []
    frames = {"true": [], "found": [], "hit true": [], "hit found": []}
    for session in range(sessions):
        if session:
            pair = rng.choice(spines, 2, replace=False)
            number[pair] = number[pair[::-1]]
        labels = {name: [] for name in frames}
        for k in range(spines):
            if rng.random() < 0.2:
                continue
            truth.append(true(session, k + 1, 10 * k))
            labels["true"].append(k + 1)
            if rng.random() < 0.8:
                found.append(seen(session, int(number[k]), 10 * k))
                labels["found"].append(int(number[k]))
                labels["hit true"].append(k + 1)
                labels["hit found"].append(int(number[k]))
        for k in range(rng.integers(0, 3)):
            alarm = 100 * (session + 1) + k
            found.append(seen(session, alarm, 10 * (spines + 5 + k)))
            labels["found"].append(alarm)
        for name, values in labels.items():
            frames[name].append(np.array(values, int))
    return truth, found, list(frames.values())


@pytest.mark.parametrize("seed", range(5))
def test_mota_and_assa_agree(seed):
    truth, found, frames = scene(seed)
    ours = identity_figures(judged(truth, found))
    assert ours["MOTA"] == pytest.approx(ctc.mota(*frames)["MOTA"])
    names, numbers, hit, _ = frames
    tp = sum(map(len, hit))
    det_a = tp / (sum(map(len, names)) + sum(map(len, numbers)) - tp)
    assert ours["AssA"] == pytest.approx(ctc.hota(*frames)["HOTA"] ** 2 / det_a)
