"""What the segmentation net finds in a simulated stack, and which spines these truly are."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch

from spinenet.config import MeasureConfig
from spinenet.evaluate.judge import XYZ, pair_centres
from spinenet.io.weights import SegmentWeights
from spinenet.measure.attach import measure_spines
from spinenet.measure.quality import Backdrop
from spinenet.segment.label import label
from spinenet.segment.predict import predict
from spinenet.training.sightings import NOBODY
from spinenet.types import Dendrites, IntArray, SpineTable, Volume


def find(
    weights: SegmentWeights,
    volume: Volume,
    dendrites: Dendrites,
    truth: pd.DataFrame,
    back: Backdrop,
) -> tuple[SpineTable, IntArray]:
    """The spines that the net finds on dendrites, measured, and the track of each (K,).

    Parameters
    ----------
    truth: the simulated spines of that session
    """
    seen = predict(volume, weights.net, tile_mvox=5.0, device=torch.device("cpu"))
    segmentation = label(seen, **weights.thresholds)
    spines = measure_spines(volume, segmentation, dendrites, MeasureConfig(), back)
    track = np.full(len(spines), NOBODY)
    found, true = pair_centres(spines.centres_um, truth[XYZ].to_numpy(float))
    track[found] = truth["track_id"].to_numpy(int)[true]
    return spines, track
