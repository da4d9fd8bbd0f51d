"""Simulated regions as the matching head sees them: spines found by the segmentation net or marked
where they are, and who they truly are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from spinenet.config import MeasureConfig, SimulateConfig
from spinenet.evaluate.judge import XYZ
from spinenet.geometry import from_line_frame, inside
from spinenet.io.weights import SegmentWeights
from spinenet.measure.attach import spine_rows
from spinenet.measure.quality import backdrop_of
from spinenet.synthetic.experiment import simulate_region
from spinenet.tables import SPINES
from spinenet.training.found import find
from spinenet.training.sightings import NOBODY, Family, Sighting, sight
from spinenet.types import Dendrites, FloatArray, IntArray, Segment, Volume

Z_UM, XY_UM = (0.5, 1.1), (0.1, 0.14)
FORMATION, ELIMINATION = (0.0, 0.06), (0.0, 0.05)
SIZE_LOG_SD = (0.15, 0.45)
INVENTED, BESIDE_UM = 0.25, (0.5, 1.8)
"""Largest share of marks that are none, and how far from the dendrite's axis they lie."""


def draw_families(config: SimulateConfig, weights: SegmentWeights, seed: int) -> list[Family]:
    """The dendrites of one simulated region, each twice: with the spines that the segmentation net
    finds, and with those that a person would mark. Voxel size and turnover are drawn anew."""
    rng = np.random.default_rng([config.seed, seed, 77])
    z = float(np.exp(rng.uniform(*np.log(Z_UM))))
    xy = float(rng.uniform(*XY_UM))
    turnover = replace(
        config.turnover,
        formation_per_day=float(rng.uniform(*FORMATION)),
        elimination_per_day=float(rng.uniform(*ELIMINATION)),
        size_log_sd=float(rng.uniform(*SIZE_LOG_SD)),
    )
    drawn = replace(config, voxel_um=(z, xy, xy), turnover=turnover)
    region = simulate_region(drawn, "simulated", "region", seed)
    found: dict[int, Family] = {}
    marked: dict[int, Family] = {}
    for t, volume in enumerate(region.volumes):
        truth = region.spines[region.spines["session"] == t]
        lines = _lines(region.dendrites[region.dendrites["session"] == t])
        for number, sighting in _found(volume, weights, lines, truth).items():
            found.setdefault(number, []).append(sighting)
        for number, sighting in _marked(volume, lines, truth[truth["scorable"]], rng).items():
            marked.setdefault(number, []).append(sighting)
    return [*found.values(), *marked.values()]


def _lines(nodes: pd.DataFrame) -> list[Segment]:
    return [
        Segment(
            int(number),
            line[XYZ].to_numpy(float),
            line["radius_um"].to_numpy(float),
            line["arc_length_um"].to_numpy(float),
        )
        for number, line in nodes.groupby("dendrite_id")
    ]


def _found(
    volume: Volume, weights: SegmentWeights, lines: list[Segment], truth: pd.DataFrame
) -> dict[int, Sighting]:
    """By dendrite, the spines that the net finds in one stack along the true centrelines."""
    back = backdrop_of(volume)
    spines, track = find(weights, volume, Dendrites(tuple(lines)), truth, back)
    return _by_dendrite(volume, lines, spines.frame, track, back.background)


def _marked(
    volume: Volume, lines: list[Segment], truth: pd.DataFrame, rng: np.random.Generator
) -> dict[int, Sighting]:
    """By dendrite, the true spines of one stack, measured where they are, and some places beside it
    where there is none."""
    heads = truth[XYZ].to_numpy(float)
    home, track = (truth[c].to_numpy(int) for c in ("dendrite_id", "track_id"))
    for line in lines:
        places = _nothing_there(line, volume.extent_um, int((home == line.id).sum()), rng)
        heads = np.concatenate([heads, places])
        home, track = (
            np.r_[of, np.full(len(places), n)] for of, n in ((home, line.id), (track, NOBODY))
        )
    back = backdrop_of(volume)
    rows = spine_rows(volume, heads, heads, Dendrites(tuple(lines)), home, MeasureConfig(), back)
    frame = SPINES.frame([row | {"spine_id": 0, "probability": 1.0, "label": 0} for row in rows])
    return _by_dendrite(volume, lines, frame, track, back.background)


def _nothing_there(
    line: Segment, extent_um: FloatArray, n_spines: int, rng: np.random.Generator
) -> FloatArray:
    """(N, 3) places beside a dendrite in view, a share of the number of its spines."""
    n = int(rng.binomial(n_spines, rng.uniform(0, INVENTED)))
    s = line.arc_length_um
    seen = s[inside(line.points_um, extent_um, 1.0)]
    if not n or not len(seen):
        return np.zeros((0, 3))
    angle, away = rng.uniform(0, 2 * np.pi, n), rng.uniform(*BESIDE_UM, n)
    frame = np.stack([rng.choice(seen, n), away * np.cos(angle), away * np.sin(angle)], axis=1)
    places = from_line_frame(frame, line.points_um, s)
    return places[inside(places, extent_um, 0.0)]


def _by_dendrite(
    volume: Volume,
    lines: list[Segment],
    spines: pd.DataFrame,
    track: IntArray,
    background: float,
) -> dict[int, Sighting]:
    home = spines["dendrite_id"].to_numpy(int)
    return {
        line.id: sight(volume, line, spines[home == line.id], track[home == line.id], background)
        for line in lines
    }
