"""Thresholds that go with the weights, fitted on simulated stacks the net never saw."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage

from spinenet.config import MorphologyConfig, OpticsConfig, TrainSegmentConfig
from spinenet.evaluate.spines import pair_centres
from spinenet.models.unet3d import SpineUNet, folded
from spinenet.segment.label import find_peaks
from spinenet.segment.predict import Prediction, predict
from spinenet.synthetic.patches import Example, draw_example
from spinenet.types import FloatArray, Session, Volume

STACK_SHAPE = (24, 192, 192)
GRID = tuple(np.round(np.arange(0.06, 0.81, 0.02), 2).tolist())
MASK_GRID = (0.3, 0.4, 0.5, 0.6, 0.7)
REACH_UM = 3.0
VALIDATION_STREAM = 999_983
"""Seed apart from all training streams."""


@dataclass(frozen=True)
class _Seen:
    example: Example
    prediction: Prediction


def fit_thresholds(
    net: SpineUNet, config: TrainSegmentConfig
) -> tuple[dict[str, float], dict[str, float]]:
    """Thresholds of shaft and spine by Dice and of the centre by F1, and the scores they reach.

    On stacks of the simulator's default statistics, which are those of real stacks.
    """
    ready = folded(net)
    rng = np.random.default_rng([config.seed, VALIDATION_STREAM])
    seen = []
    for i in range(config.validation_stacks):
        example = draw_example(rng, STACK_SHAPE, OpticsConfig(), MorphologyConfig())
        volume = Volume(example.image, example.voxel_um, Session("validation", str(i), 0))
        seen.append(
            _Seen(example, predict(volume, ready, tile_mvox=6.0, device=torch.device("cpu")))
        )
    shaft, shaft_dice = _best_mask([(s.prediction.shaft, s.example.labels == 1) for s in seen])
    spine, spine_dice = _best_mask([(s.prediction.spine, s.example.labels > 1) for s in seen])
    centre, counts = max(
        ((t, _detection(seen, t, shaft)) for t in GRID), key=lambda found: _f1(found[1])
    )
    hits, misses, alarms = counts
    return (
        {"shaft": shaft, "spine": spine, "centre": centre},
        {
            "shaft_dice": shaft_dice,
            "spine_dice": spine_dice,
            "precision": hits / max(hits + alarms, 1),
            "recall": hits / max(hits + misses, 1),
            "f1": _f1(counts),
        },
    )


def _best_mask(
    pairs: list[tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]],
) -> tuple[float, float]:
    scores = []
    for t in MASK_GRID:
        both = sum(int(((p >= t * 255) & truth).sum()) for p, truth in pairs)
        size = sum(int((p >= t * 255).sum() + truth.sum()) for p, truth in pairs)
        scores.append((2 * both / max(size, 1), t))
    dice, threshold = max(scores)
    return threshold, dice


def _detection(seen: list[_Seen], threshold: float, shaft: float) -> tuple[int, int, int]:
    """Hits, misses and false alarms near a shaft; what nobody could score counts in none."""
    hits = misses = alarms = 0
    for s in seen:
        voxel = s.example.voxel_um
        centres, _ = find_peaks(s.prediction.centre, voxel, threshold)
        near = _near_shaft(centres, s.prediction.shaft >= shaft * 255, voxel)
        found, true = pair_centres(centres[near], s.example.centres_um)
        hits += int(s.example.scorable[true].sum())
        misses += int(s.example.scorable.sum() - s.example.scorable[true].sum())
        alarms += int(near.sum()) - len(found)
    return hits, misses, alarms


def _near_shaft(
    centres_um: FloatArray, shaft: npt.NDArray[np.bool_], voxel_um: tuple[float, float, float]
) -> npt.NDArray[np.bool_]:
    if not len(centres_um) or not shaft.any():
        return np.zeros(len(centres_um), bool)
    depth = ndimage.distance_transform_edt(~shaft, sampling=voxel_um)
    at = np.clip(np.rint(centres_um / np.array(voxel_um)).astype(int), 0, np.array(shaft.shape) - 1)
    out: npt.NDArray[np.bool_] = depth[tuple(at.T)] <= REACH_UM
    return out


def _f1(counts: tuple[int, int, int]) -> float:
    hits, misses, alarms = counts
    return 2 * hits / max(2 * hits + misses + alarms, 1)
