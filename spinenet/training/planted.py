"""Simulated dendrites whose spines are planted as detections: found, missed and invented by rule,
or by a segmentation net.

By rule the places carry a detector's scatter. The images are those of the simulator, and between
sessions the tissue moves; what is left after a rigid registration is planted too. The matching head
learns from them, and linkers are compared on others (benchmarks/linking.py).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from spinenet.config import MeasureConfig, MorphologyConfig, SimulateConfig, TurnoverConfig
from spinenet.evaluate.judge import XYZ
from spinenet.geometry import (
    arc_length,
    inside,
    point_at,
    side_frame,
    tangents,
)
from spinenet.io.weights import SegmentWeights
from spinenet.match.view import Probe, SessionView
from spinenet.match.warp import place_map
from spinenet.measure.attach import EXTRA_COLUMNS, attach, spine_rows
from spinenet.measure.portrait import portraits
from spinenet.measure.quality import Backdrop, backdrop_of
from spinenet.synthetic.experiment import simulate_region
from spinenet.tables import SPINES
from spinenet.training.found import find
from spinenet.training.sightings import NOBODY
from spinenet.types import Dendrites, FloatArray, IntArray, Segment, SpineTable, Um3, Volume


@dataclass(frozen=True)
class Planting:
    """How dense and how changing the spines are, and how a detector and a registration err.

    spines per um that a detector knows of (those that can be scored in at least half of the
    sessions in which they are there); length of the dendrite (um); share of their sightings that
    are missed, and of invented ones; formation and elimination per interval; standard deviation of
    a detection's place (z, y, x, um); largest shift left by the rigid registration (um).
    """

    per_um: float
    length_um: float
    miss: float
    invent: float
    turnover: float
    scatter_um: tuple[float, float, float]
    left_um: float
    voxel_um: Um3 = (0.8, 0.12, 0.12)


DAYS = (0.0, 4.0, 8.0, 12.0, 16.0)
DEPTH_UM, WIDTH_UM = 19.2, 13.44
KNOWN_SHARE = 0.49
"""Of simulated spines; the others hide above or below the shaft or at the stack's border."""
KNOWN_SESSIONS = 0.5


@dataclass(frozen=True)
class PlantedRegion:
    """Views of the sessions, true track of every detection, the rigid registration of each session
    onto the reference (3, 4), and the position of the reference."""

    views: list[SessionView]
    tracks: list[IntArray]
    affines: list[FloatArray]
    reference: int


def plant(planting: Planting, seed: int, net: SegmentWeights | None = None) -> PlantedRegion:
    """One dendrite over five sessions.

    Parameters
    ----------
    net: finds the spines, instead of the rule
    """
    rng = np.random.default_rng([seed, 31])
    per_um = planting.per_um / KNOWN_SHARE
    loss_per_day = -np.log(1 - planting.turnover) / DAYS[1]
    config = SimulateConfig(
        dendrites=1,
        shape=_shape(planting),
        voxel_um=planting.voxel_um,
        snr="any",
        morphology=MorphologyConfig(spines_per_um=(per_um, per_um)),
        turnover=TurnoverConfig(
            days=DAYS,
            formation_per_day=planting.turnover / DAYS[1],
            elimination_per_day=loss_per_day,
            new_loss_per_day=loss_per_day,
            protection=1.0,
        ),
        seed=seed,
    )
    region = simulate_region(config, "planted", "region", seed)
    reference = len(DAYS) // 2
    scored = region.spines.groupby("track_id")["scorable"].mean()
    known = region.spines[region.spines["track_id"].isin(scored.index[scored >= KNOWN_SESSIONS])]
    lines = [_line(region.dendrites, t) for t in range(len(DAYS))]
    home = lines[reference]
    on_map = Dendrites((replace(home, arc_length_um=arc_length(home.points_um)),))
    views, tracks, affines = [], [], []
    for t, volume in enumerate(region.volumes):
        affine = _rigid(lines[t].points_um, home.points_um)
        if t != reference:
            way = rng.normal(0, 1, 3)
            affine[:, 3] += way / np.linalg.norm(way) * rng.uniform(0, planting.left_um)
        own = place_map(on_map, Dendrites((lines[t],)), affine)
        back = backdrop_of(volume)
        if net is None:
            here = known[known["session"] == t]
            heads, track = _detections(here, lines[t], volume.extent_um, planting, rng)
            spines = _measured(volume, own, heads, back)
        else:
            here = region.spines[region.spines["session"] == t]
            spines, track = find(net, volume, own, here, back)
        views.append(_view(volume, own, spines, back))
        tracks.append(track)
        affines.append(affine)
    return PlantedRegion(views, tracks, affines, reference)


def _shape(planting: Planting) -> tuple[int, int, int]:
    """Of a stack that shows the dendrite whole."""
    z, y, x = planting.voxel_um
    return round(DEPTH_UM / z), round(WIDTH_UM / y), round(planting.length_um / x)


def _line(nodes: pd.DataFrame, session: int) -> Segment:
    mine = nodes[nodes["session"] == session]
    points = mine[XYZ].to_numpy(float)
    return Segment(0, points, mine["radius_um"].to_numpy(float), arc_length(points))


def _rigid(moving: FloatArray, fixed: FloatArray) -> FloatArray:
    """The rotation and shift (3, 4) that lay the same points over each other (Kabsch 1976)."""
    a, b = moving - moving.mean(axis=0), fixed - fixed.mean(axis=0)
    u, _, v = np.linalg.svd(a.T @ b)
    sign = np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ v))])
    turn = (u @ sign @ v).T
    return np.c_[turn, fixed.mean(axis=0) - turn @ moving.mean(axis=0)]


def _detections(
    spines: pd.DataFrame,
    line: Segment,
    extent_um: FloatArray,
    planting: Planting,
    rng: np.random.Generator,
) -> tuple[FloatArray, IntArray]:
    here = spines[rng.random(len(spines)) >= planting.miss]
    heads, track = here[XYZ].to_numpy(float), here["track_id"].to_numpy(int)
    n = rng.binomial(len(heads), planting.invent)
    inner = line.arc_length_um[-1] * rng.uniform(0.1, 0.9, n)
    axis = point_at(tangents(line.points_um), line.arc_length_um, inner)
    right, up = side_frame(axis) if n else (np.zeros((0, 3)), np.zeros((0, 3)))
    angle = rng.uniform(0, 2 * np.pi, (n, 1))
    away = np.cos(angle) * right + np.sin(angle) * up
    foot = point_at(line.points_um, line.arc_length_um, inner)
    false = foot + away * rng.uniform(0.7, 1.6, (n, 1))
    heads = np.concatenate([heads, false]) + rng.normal(0, planting.scatter_um, (len(heads) + n, 3))
    seen = inside(heads, extent_um, 0.0)
    return heads[seen], np.r_[track, np.full(n, NOBODY)][seen]


def _measured(
    volume: Volume, dendrites: Dendrites, heads: FloatArray, back: Backdrop
) -> SpineTable:
    """Detections at places (K, 3)."""
    home = attach(heads, dendrites).dendrite
    rows = spine_rows(volume, heads, heads, dendrites, home, MeasureConfig(), back)
    frame = SPINES.frame(
        [{**r, "spine_id": i, "probability": 0.8, "label": 0} for i, r in enumerate(rows, 1)]
    )
    return SpineTable(frame.reindex(columns=[*SPINES.names, *EXTRA_COLUMNS]))


def _view(volume: Volume, dendrites: Dendrites, spines: SpineTable, back: Backdrop) -> SessionView:
    def measure(points_um: FloatArray, home: IntArray) -> list[dict[str, object]]:
        heads = spines.centres_um
        return spine_rows(volume, heads, points_um, dendrites, home, MeasureConfig(), back)

    def portray(points_um: FloatArray, home: IntArray) -> np.ndarray:
        return portraits(volume, points_um, dendrites, home, back.background)

    # looking back would find spines besides, and linkers are compared on identical detections
    def no_probe(points_um: FloatArray, home: IntArray) -> Probe:
        raise NotImplementedError("planted spines are not looked for")

    snr = {s.id: np.full(len(s.points_um), 20.0) for s in dendrites.segments}
    return SessionView(
        volume.session,
        spines,
        dendrites,
        snr,
        volume.extent_um,
        True,
        no_probe,
        measure,
        portray,
    )
