"""Spines of one region as a table with MapManager's column names, places in pixels and slices.

Who is who is said by equal `spineID` at several `t`. MapManager knows neither probabilities nor
spines that could not be scored: those stay in `tracks.csv`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from spinenet.io.atomic import published
from spinenet.io.formats.graph import SpineGraph
from spinenet.types import Um3


def write_mapmanager(path: Path, graph: SpineGraph, voxel_um: dict[int, Um3]) -> Path:
    """One CSV per region.

    Parameters
    ----------
    voxel_um: z, y, x by session
    """
    nodes = graph.nodes
    size = np.array([voxel_um[int(s)] for s in nodes["session"]]).reshape(-1, 3)
    point = nodes[["z_um", "y_um", "x_um"]].to_numpy(float) / size
    anchor = nodes[["base_z_um", "base_y_um", "base_x_um"]].to_numpy(float) / size
    alone = nodes["track_id"].max() + 1 + nodes["node"]  # in no track: a number of its own
    frame = pd.DataFrame(
        {
            "spineID": nodes["track_id"].fillna(alone).astype("int64"),
            "t": nodes["t"],
            "segmentID": nodes["dendrite_id"],
            "x": point[:, 2],
            "y": point[:, 1],
            "z": np.rint(point[:, 0]).astype(int),
            "anchorX": anchor[:, 2],
            "anchorY": anchor[:, 1],
            "anchorZ": np.rint(anchor[:, 0]).astype(int),
            "accept": True,
            "userType": 0,
            "note": nodes["kind"],
        }
    )
    with published(path) as aside:
        frame.sort_values(["spineID", "t"]).to_csv(
            aside, index=False, float_format="%.3f", lineterminator="\n"
        )
    return path
