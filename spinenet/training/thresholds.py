"""Thresholds that go with the weights, and a centre map that can be read as a probability.

Masks are judged on simulated stacks that the net never saw; centres on the annotated dendrites it
was trained on, where there are any, else on the same simulated stacks.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage
from scipy.optimize import minimize
from scipy.special import expit

from spinenet.config import MorphologyConfig, OpticsConfig, TrainSegmentConfig
from spinenet.evaluate.judge import pair_centres
from spinenet.evaluate.spines import expected_calibration_error, ratios
from spinenet.geometry import nearest_voxels
from spinenet.models.inputs import denormalise
from spinenet.models.unet3d import CENTRE, SpineUNet, folded
from spinenet.segment.label import find_peaks
from spinenet.segment.predict import Prediction, pick_device, predict
from spinenet.synthetic.patches import draw_example
from spinenet.training.implant import PLAIN
from spinenet.training.segment_data import as_labelled
from spinenet.training.targets import KNOWN_CENTRE, KNOWN_SHAFT, KNOWN_SPINE, Labelled
from spinenet.types import BoolArray, FloatArray, Session, Volume

logger = logging.getLogger(__name__)
STACK_SHAPE = (24, 192, 192)
GRID = tuple(np.round(np.arange(0.1, 0.81, 0.02), 2).tolist())
MASK_GRID = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
REACH_UM = 3.0
FAINTEST = 0.1
"""Peaks from this height on tell how height and truth go together."""
LOWEST = 0.02
"""Peaks below are never looked at, whatever the calibration makes of them."""
SLOPES = (0.2, 4.0)
"""Of the calibration; outside, too few peaks were seen to tell."""
VALIDATION_STREAM = 999_983
"""Seed apart from all training streams."""


@dataclass(frozen=True)
class _Seen:
    labelled: Labelled
    prediction: Prediction


@dataclass(frozen=True)
class _Places:
    """Peaks of one stack: (N, 3) where, (N,) how high, and whether they would be false alarms."""

    labelled: Labelled
    centres_um: FloatArray
    heights: FloatArray
    counted: BoolArray


@dataclass(frozen=True)
class _Peaks:
    """Peaks that count: their heights, which are spines; and how many spines there are."""

    heights: FloatArray
    right: BoolArray
    n_true: int

    @property
    def counts(self) -> tuple[int, int, int]:
        hits = int(self.right.sum())
        return hits, len(self.right) - hits, self.n_true - hits


def fit_thresholds(
    net: SpineUNet, config: TrainSegmentConfig, annotated: Sequence[Labelled] = ()
) -> tuple[dict[str, float], dict[str, float]]:
    """Calibrate the net's centre map in place, and choose thresholds.

    Returns
    -------
    Thresholds of shaft and spine by Dice and of the centre for F1, and the scores they reach on
    what they were fitted on.
    """
    device = pick_device(config.device)
    simulated = _see(net, validation_stacks(config), device)
    shaft, shaft_dice = _best_mask(
        [(s.prediction.shaft, s.labelled.labels == 1, _known(s, KNOWN_SHAFT)) for s in simulated]
    )
    spine, spine_dice = _best_mask(
        [(s.prediction.spine, s.labelled.labels > 1, _known(s, KNOWN_SPINE)) for s in simulated]
    )
    marked = [a for a in annotated if a.wanted.any()]
    if annotated and not marked:
        logger.warning(
            "no spine is marked in the annotated stacks: the threshold and the probability of "
            "centres are fitted on simulated stacks alone."
        )
    seen = _see(net, annotated, device) if marked else simulated
    places = [_places(s, shaft) for s in seen]
    slope, offset = calibration([_peaks(p, FAINTEST) for p in places])
    calibrate(net, slope, offset)
    places = [replace(p, heights=_calibrated(p.heights, slope, offset)) for p in places]
    most = max(ratios(*_all([_peaks(p, t) for p in places]).counts)["f1"] for t in GRID)
    centre = best_threshold(most)
    best = _all([_peaks(p, centre) for p in places])
    return (
        {"shaft": shaft, "spine": spine, "centre": centre},
        {
            "shaft_dice": shaft_dice,
            "spine_dice": spine_dice,
            **ratios(*best.counts),
            "calibration_error": expected_calibration_error(best.heights, best.right),
        },
    )


def best_threshold(f1: float) -> float:
    """Of probabilities, the threshold that gives the best F1 is half of that F1 (Lipton, Elkan &
    Naryanaswamy 2014, theorem 1).

    The best F1 is well known from few spines, the place of so flat a maximum is not: on three
    dendrites it fell anywhere between 0.28 and 0.48.
    """
    return round(f1 / 2, 2) if f1 > 0 else GRID[0]


def validation_stacks(config: TrainSegmentConfig) -> list[Labelled]:
    """Stacks of the simulator's default statistics, which are those of real stacks."""
    rng = np.random.default_rng([config.seed, VALIDATION_STREAM])
    return [
        as_labelled(draw_example(rng, STACK_SHAPE, OpticsConfig(), MorphologyConfig()))
        for _ in range(config.validation_stacks)
    ]


def calibration(peaks: Sequence[_Peaks]) -> tuple[float, float]:
    """Slope and offset that turn the logit of a height into the logit of being a spine.

    Logistic regression with smoothed targets (Platt 1999, section 2.2), so that few or perfectly
    separated peaks do not give certainty.
    """
    together = _all(peaks)
    if together.right.all() or not together.right.any():
        return 1.0, 0.0
    x = _logit(together.heights)
    hits, alarms = int(together.right.sum()), int((~together.right).sum())
    y = np.where(together.right, (hits + 1) / (hits + 2), 1 / (alarms + 2))

    def loss(parameters: FloatArray) -> float:
        z = parameters[0] * x + parameters[1]
        return float(np.mean(np.logaddexp(0, z) - y * z))

    anywhere = (None, None)
    slope, offset = minimize(loss, [1.0, 0.0], method="Nelder-Mead", bounds=[SLOPES, anywhere]).x
    return float(slope), float(offset)


def calibrate(net: SpineUNet, slope: float, offset: float) -> None:
    """Build the map of `calibration` into the last layer: a peak's height is a probability."""
    with torch.no_grad():
        net.head.weight[CENTRE] *= slope
        bias = net.head.bias
        assert bias is not None
        bias[CENTRE] = bias[CENTRE] * slope + offset


def _see(net: SpineUNet, stacks: Sequence[Labelled], device: torch.device) -> list[_Seen]:
    ready = folded(net)
    out = []
    for i, labelled in enumerate(stacks):
        session = Session("validation", str(i), 0)
        volume = Volume(denormalise(labelled.image), labelled.voxel_um, session)
        seen = predict(volume, ready, tile_mvox=5.0, device=device, brightness=PLAIN)
        out.append(_Seen(labelled, seen))
    return out


def _known(seen: _Seen, bit: int) -> BoolArray:
    known: BoolArray = seen.labelled.known & bit > 0
    return known


def _best_mask(
    stacks: list[tuple[npt.NDArray[np.uint8], BoolArray, BoolArray]],
) -> tuple[float, float]:
    """Threshold and Dice of (map, truth, where the truth is known); spines that nobody could see
    would ask for a threshold that takes noise for spines."""
    scores = []
    for t in MASK_GRID:
        both = size = 0
        for p, truth, known in stacks:
            found, true = p[known] >= t * 255, truth[known]
            both += int((found & true).sum())
            size += int(found.sum() + true.sum())
        scores.append((2 * both / max(size, 1), t))
    dice, threshold = max(scores)
    return threshold, dice


def _counted(seen: _Seen, shaft: float) -> BoolArray:
    """(Z, Y, X) where a peak that is no spine is a false alarm: spines are known, a shaft near."""
    known = _known(seen, KNOWN_CENTRE)
    mask = seen.prediction.shaft >= shaft * 255
    if not mask.any():
        return np.zeros_like(known)
    far = ndimage.distance_transform_edt(~mask, sampling=seen.labelled.voxel_um) > REACH_UM
    return known & ~far


def _places(seen: _Seen, shaft: float) -> _Places:
    """All peaks of a stack: a calibration, which grows with the height, leaves their voxels."""
    labelled = seen.labelled
    centres, heights = find_peaks(seen.prediction.centre, labelled.voxel_um, LOWEST)
    at = nearest_voxels(centres, labelled.voxel_um, labelled.shape)
    return _Places(labelled, centres, heights, _counted(seen, shaft)[tuple(at.T)])


def _peaks(places: _Places, threshold: float) -> _Peaks:
    """Peaks that are spines or false alarms; what nobody could score counts neither way."""
    labelled, high = places.labelled, places.heights >= threshold
    found, true = pair_centres(
        places.centres_um[high], labelled.centres_vox * np.array(labelled.voxel_um)
    )
    right, paired = np.zeros(high.sum(), bool), np.zeros(high.sum(), bool)
    right[found[labelled.wanted[true]]] = True
    paired[found] = True
    counts = right | (~paired & places.counted[high])
    return _Peaks(places.heights[high][counts], right[counts], int(labelled.wanted.sum()))


def _all(peaks: Sequence[_Peaks]) -> _Peaks:
    return _Peaks(
        np.concatenate([p.heights for p in peaks]),
        np.concatenate([p.right for p in peaks]),
        sum(p.n_true for p in peaks),
    )


def _calibrated(heights: FloatArray, slope: float, offset: float) -> FloatArray:
    out: FloatArray = expit(slope * _logit(heights) + offset)
    return out


def _logit(p: FloatArray) -> FloatArray:
    safe = np.clip(p, 1e-3, 1 - 1e-3)
    out: FloatArray = np.log(safe / (1 - safe))
    return out
