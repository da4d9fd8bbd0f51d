"""Every detected head to its dendrite: base, arc length, side, lengths, kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from spinenet.config import MeasureConfig
from spinenet.geometry import inside, label_sizes, point_at, project, side_frame, tangents
from spinenet.measure.quality import Backdrop
from spinenet.measure.shape import Stalk, measure_shape
from spinenet.tables import SPINES
from spinenet.types import (
    BoolArray,
    Dendrites,
    FloatArray,
    IntArray,
    Segmentation,
    SpineTable,
    Volume,
)

INSIDE_SHAFT_UM = 0.1
NEIGHBOUR_UM = 4.5
"""Farther heads throw no light on a spine, nor on the places along the shaft beside it."""
SELF_UM = 0.2
"""A centre so near is that of the very spine."""
CROWD_UM = 5.0
"""Farther dendrites throw no light on a shaft."""
EXTRA_COLUMNS = ("instance", "side_um")
UNKNOWN_WIDTH_UM = 0.4
"""Of a head whose light does not say: about the median."""
FILOPODIUM_LENGTH_UM = 2.5
FILOPODIUM_WIDTH_UM = 0.45


@dataclass(frozen=True)
class Attachment:
    """Where a head (K of them) hangs on the nearest dendrite; -1 and nan where none is near."""

    dendrite: np.ndarray
    base_um: FloatArray
    tangent: FloatArray
    arc_um: FloatArray
    azimuth_deg: FloatArray
    side_um: FloatArray
    """Offset to the right of the dendrite in the plane, as the straightened picture shows it."""
    radius_um: FloatArray
    reach_um: FloatArray
    """From the shaft's surface to the head's centre; negative inside the shaft."""


def attach(
    centres_um: FloatArray, dendrites: Dendrites, home: IntArray | None = None
) -> Attachment:
    """The dendrite whose surface is nearest to each head (K,), or `home` (K,) where it is given."""
    k = len(centres_um)
    out = Attachment(
        np.full(k, -1),
        np.full((k, 3), np.nan),
        np.full((k, 3), np.nan),
        np.full(k, np.nan),
        np.full(k, np.nan),
        np.full(k, np.nan),
        np.full(k, np.nan),
        np.full(k, np.inf),
    )
    for segment in dendrites.segments if k else ():
        s = segment.arc_length_um
        d, arc, foot = project(centres_um, segment.points_um, s)
        radius = np.interp(arc, s, segment.radius_um)
        near = d - radius < out.reach_um if home is None else home == segment.id
        tangent = point_at(tangents(segment.points_um), s, arc)
        tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
        right, up = side_frame(tangent)
        away = centres_um - foot
        azimuth = np.degrees(np.arctan2((away * up).sum(1), (away * right).sum(1))) % 360
        out.dendrite[near] = segment.id
        out.base_um[near] = foot[near]
        out.tangent[near] = tangent[near]
        for target, value in (
            (out.arc_um, arc),
            (out.azimuth_deg, azimuth),
            (out.side_um, (away * right).sum(1)),
            (out.radius_um, radius),
            (out.reach_um, d - radius),
        ):
            target[near] = value[near]
    return out


def attach_told(
    heads_um: FloatArray, told: FloatArray, dendrites: Dendrites, reach_um: float
) -> tuple[IntArray, BoolArray]:
    """The dendrite (K,) of each head, as a person said (`told` (K,), nan where not) or else the
    nearest; and which lie within reach of it, and it is one of the dendrites."""
    nearest = attach(heads_um, dendrites).dendrite
    home = np.where(np.isfinite(told), told, nearest).astype(np.int64)
    return home, attach(heads_um, dendrites, home).reach_um <= reach_um


def is_beside(found: Attachment, config: MeasureConfig) -> BoolArray:
    """(K,) heads near enough to a shaft, and not inside it."""
    beside: BoolArray = (found.reach_um <= config.reach_um) & (found.reach_um >= -INSIDE_SHAFT_UM)
    return beside


def measure_spines(
    volume: Volume,
    segmentation: Segmentation,
    dendrites: Dendrites,
    config: MeasureConfig,
    back: Backdrop,
    chosen: set[int] | None = None,
) -> SpineTable:
    """The spines of one session: heads within `config.reach_um` of a shaft, measured.

    If some dendrites are `chosen`, only the heads that are nearest to one of them.

    Columns as `tables.SPINES`, and besides `instance` (the spine's label in `segmentation`) and
    `side_um` (offset to the right of the dendrite). Arc length and ids are those of `dendrites`.
    """
    found = attach(segmentation.centres_um, dendrites)
    near = is_beside(found, config)
    if chosen is not None:
        near &= np.isin(found.dendrite, list(chosen))
    keep = np.flatnonzero(near)
    centres, home = segmentation.centres_um[keep], found.dendrite[keep]
    every = segmentation.centres_um
    rows = spine_rows(volume, every, centres, dendrites, home, config, back)
    for row, k in zip(rows, keep, strict=True):
        row["probability"] = float(segmentation.probability[k])
        row["instance"] = int(k) + 1
    rows = [r for r in rows if sticks_out(r, config)]
    masked = set(np.flatnonzero(label_sizes(segmentation.spines)).tolist())
    for i, row in enumerate(rows, start=1):
        row["spine_id"] = i
        row["label"] = i + 1 if row["instance"] in masked else 0
    frame = SPINES.frame(rows)
    return SpineTable(frame.reindex(columns=[*SPINES.names, *EXTRA_COLUMNS]))


def _nodes_but_of(dendrite: int, dendrites: Dendrites) -> FloatArray:
    """(M, 3) nodes of all dendrites but one."""
    others = [s.points_um for s in dendrites.segments if s.id != dendrite]
    return np.concatenate(others) if others else np.zeros((0, 3))


def sticks_out(row: Mapping[str, Any], config: MeasureConfig) -> bool:
    """Is what was measured long enough to be a spine?"""
    return float(row["length_um"]) >= config.min_length_um


def spine_rows(
    volume: Volume,
    all_centres_um: FloatArray,
    centres_um: FloatArray,
    dendrites: Dendrites,
    home: IntArray,
    config: MeasureConfig,
    back: Backdrop,
) -> list[dict[str, object]]:
    """Rows of `tables.SPINES` for heads at places (K, 3) on the dendrites `home` (K,); without id,
    probability and label. Light of the other heads among `all_centres_um` (M, 3) is not theirs."""
    at = attach(centres_um, dendrites, home)
    edge = np.full(2, config.edge_um)
    within = inside(centres_um, volume.extent_um, config.edge_um)
    within &= back.imaged.holds_around(centres_um, edge)
    near = cKDTree(all_centres_um) if len(all_centres_um) else None
    crowds = {s.id: _nodes_but_of(s.id, dendrites) for s in dendrites.segments}
    session = volume.session
    rows: list[dict[str, object]] = []
    for k, centre in enumerate(centres_um):
        others = (
            all_centres_um[near.query_ball_point(centre, NEIGHBOUR_UM)] if near else centres_um[:0]
        )
        others = others[np.linalg.norm(others - centre, axis=1) > SELF_UM]
        stalk = Stalk(at.base_um[k], at.tangent[k], float(at.radius_um[k]))
        crowd = crowds.get(int(at.dendrite[k]), centres_um[:0])
        crowd = crowd[np.linalg.norm(crowd - at.base_um[k], axis=1) <= CROWD_UM]
        shape = measure_shape(volume, centre, stalk, others, back.background, crowd, back.imaged)
        width = shape.head_width_um if np.isfinite(shape.head_width_um) else UNKNOWN_WIDTH_UM
        length = float(at.reach_um[k] + width / 2)
        long_and_thin = length > FILOPODIUM_LENGTH_UM and width < FILOPODIUM_WIDTH_UM
        rows.append(
            {
                **session.columns,
                "track_id": pd.NA,
                "dendrite_id": int(at.dendrite[k]),
                **{f"{a}_um": v for a, v in zip("zyx", centre, strict=True)},
                **{f"base_{a}_um": v for a, v in zip("zyx", at.base_um[k], strict=True)},
                "arc_length_um": at.arc_um[k],
                "side_um": at.side_um[k],
                "azimuth_deg": at.azimuth_deg[k],
                "length_um": length,
                "neck_length_um": max(float(at.reach_um[k] - width / 2), 0.0),
                "head_width_um": shape.head_width_um,
                "head_volume_um3": shape.head_volume_um3,
                "strength": shape.strength,
                "kind": "filopodium" if long_and_thin else "spine",
                "touches_edge": not within[k],
                "source": "detected",
            }
        )
    return rows
