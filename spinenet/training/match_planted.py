"""Dendrites with planted spines, laid over each other by the linker, for the matching head.

What the head has to mend is what the linker's own registration leaves, in dendrites as crowded and
as long as those it will meet, seen over as many sessions.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from spinenet.config import MatchConfig
from spinenet.io.weights import SegmentWeights
from spinenet.match.region import lay
from spinenet.match.view import frames_of
from spinenet.training.match_simulated import XY_UM, Z_UM
from spinenet.training.planted import Planting, plant
from spinenet.training.sightings import Family, Sighting

PER_UM, N_SPINES = (0.35, 1.0), (12, 27)
MISS, INVENT, TURNOVER = (0.02, 0.14), (0.02, 0.14), (0.03, 0.18)
BESIDE_SD_UM, DEPTH_SD_UM = (0.08, 0.15), (0.35, 1.1)
LEFT_UM = (0.5, 1.6)
LENIENT = (0.5, 1.0)
"""Part of the net's own threshold that a centre must reach: real stacks hold more doubtful ones."""


def draw_laid_family(seed: int, net: SegmentWeights | None = None) -> Family:
    """One simulated dendrite over its sessions in the frame in which the linker laid them, its
    spines planted as detections, or found by a net; how crowded it is, and how detector and
    registration err, is drawn anew."""
    rng = np.random.default_rng([seed, 32])
    region = plant(_planting(rng), seed, net and _lenient(net, rng))
    views, frames = region.views, [frames_of(v) for v in region.views]
    laid = lay(views, frames, region.reference, MatchConfig(), portrayed=True)
    (dendrite,) = views[region.reference].dendrites.by_id()
    return [
        Sighting(laid.warps[t, dendrite].place(frame), token.about, token.portraits, track)
        for t, (token, frame, track) in enumerate(
            zip(laid.tokens, frames, region.tracks, strict=True)
        )
    ]


def _lenient(net: SegmentWeights, rng: np.random.Generator) -> SegmentWeights:
    centre = net.thresholds["centre"] * float(rng.uniform(*LENIENT))
    return replace(net, thresholds=net.thresholds | {"centre": centre})


def _planting(rng: np.random.Generator) -> Planting:
    per_um = float(rng.uniform(*PER_UM))
    beside = float(rng.uniform(*BESIDE_SD_UM))
    depth = float(np.exp(rng.uniform(*np.log(DEPTH_SD_UM))))
    z = float(np.exp(rng.uniform(*np.log(Z_UM))))
    xy = float(rng.uniform(*XY_UM))
    miss, invent, turnover, left = (
        float(rng.uniform(*of)) for of in (MISS, INVENT, TURNOVER, LEFT_UM)
    )
    length = float(rng.uniform(*N_SPINES)) / per_um
    return Planting(
        per_um, length, miss, invent, turnover, (depth, beside, beside), left, (z, xy, xy)
    )
