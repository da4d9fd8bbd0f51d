"""How sure the matching head may be: its temperature, and what it reaches on held-out regions."""

from __future__ import annotations

import numpy as np
import torch

from spinenet.config import MatchConfig
from spinenet.evaluate.spines import expected_calibration_error, ratios
from spinenet.match.assign import path_cover
from spinenet.match.score import CANDIDATE_P, Candidates
from spinenet.models.siamese import SiameseMatcher, match_loss
from spinenet.training.match_pairs import MatchExample
from spinenet.training.match_task import join
from spinenet.types import FloatArray

TEMPERATURES = np.exp(np.linspace(np.log(0.5), np.log(3.0), 61))


def fit_temperature(
    net: SiameseMatcher, examples: list[MatchExample]
) -> tuple[float, dict[str, float]]:
    """The temperature under which held-out pairs are likeliest, and the scores there: F1 of links,
    that of places alone, and the calibration error of the probability."""
    batch = join(examples)
    with torch.inference_mode():
        log_odds = net.eval()(batch.pairs)
        loss = [
            float(match_loss(log_odds / t, batch.pairs.across, batch.same, batch.alone))
            for t in TEMPERATURES
        ]
    temperature = float(TEMPERATURES[int(np.argmin(loss))])
    cuts = np.cumsum([e.pairs.across.shape[1] for e in examples])[:-1]
    ours = np.split(np.exp(log_odds.numpy().astype(float) / temperature), cuts)
    places = [np.exp(e.pairs.log_odds.astype(float)) for e in examples]
    return temperature, {
        "link F1": _f1(examples, ours),
        "link F1 of places alone": _f1(examples, places),
        "calibration error": _calibration_error(examples, ours),
    }


def _candidates(example: MatchExample, odds: FloatArray) -> Candidates:
    i, j = example.pairs.across
    first = int(example.n_first)
    return Candidates(i, j - first, odds, (first, len(example.alone) - first))


def _f1(examples: list[MatchExample], odds: list[FloatArray]) -> float:
    """Of links between two sessions; what nobody knows counts neither way."""
    right = wrong = missed = 0
    for example, of in zip(examples, odds, strict=True):
        c = _candidates(example, of)
        track = path_cover(list(c.sizes), {(0, 1): c}, MatchConfig().min_link_p)
        linked = track[c.i] == track[c.j + c.sizes[0]]
        unknown = ~example.known
        right += int((linked & example.same).sum())
        wrong += int((linked & ~example.same & ~unknown).sum())
        missed += int((~linked & example.same).sum())
    return ratios(right, wrong, missed)["f1"]


def _calibration_error(examples: list[MatchExample], odds: list[FloatArray]) -> float:
    p = np.concatenate(
        [_candidates(e, o).probability[e.known] for e, o in zip(examples, odds, strict=True)]
    )
    same = np.concatenate([e.same[e.known] for e in examples])
    plausible = p >= CANDIDATE_P
    return expected_calibration_error(p[plausible], same[plausible])
