"""An annotated folder, drawn small: two shafts, and one spine of the first."""

import numpy as np
import pandas as pd
import tifffile

from spinenet.config import AnnotatedConfig
from spinenet.io.annotated import read_annotated
from spinenet.training.annotated_data import read_scenes

VOXEL = (0.5, 0.1, 0.1)
SHAPE = (24, 160, 200)
DENDRITE_Y = {0: 40, 1: 120}
HEAD = (12, 30, 60)
"""Spine of dendrite 0: head in row 30, tip 5 rows above it, base in the shaft's row 40."""


def picture():
    """Two horizontal shafts, and one spine upwards from the first."""
    image = np.random.default_rng(0).poisson(2, SHAPE).astype(np.uint16)
    z, y, x = np.indices(SHAPE)
    for row in DENDRITE_Y.values():
        image[((z - 12) * 5) ** 2 + (y - row) ** 2 < 25] += 100
    image[((z - 12) * 5) ** 2 + (y - 30) ** 2 + (x - 60) ** 2 < 20] += 120
    return image


def write_sessions(folder, stack=None, voxel_um=VOXEL):
    tifffile.imwrite(folder / "stack.tif", picture() if stack is None else stack)
    row = {"animal": "a", "region": "r", "session": 0, "day": 0.0, "path": "stack.tif"}
    size = {f"voxel_{a}_um": v for a, v in zip("zyx", voxel_um, strict=True)}
    pd.DataFrame([{**row, **size}]).to_csv(folder / "sessions.csv", index=False)


def add_session(folder):
    sessions = pd.read_csv(folder / "sessions.csv")
    tifffile.imwrite(folder / "later.tif", picture())
    later = sessions.assign(session=1, day=4.0, path="later.tif")
    pd.concat([sessions, later]).to_csv(folder / "sessions.csv", index=False)


def write_points(folder, shift_um=0.0, **more):
    head = {"z_um": 6.0, "y_um": 2.5 + shift_um, "x_um": 6.0 + shift_um}
    base = {"base_z_um": 6.0, "base_y_um": 4.0 + shift_um, "base_x_um": 6.0 + shift_um}
    rows = [{"region": "r", "session": 0, "track": 1, "dendrite": 0, **head, **base, **more}]
    pd.DataFrame(rows).to_csv(folder / "spines.csv", index=False)
    nodes = [
        {
            "region": "r",
            "session": 0,
            "dendrite": d,
            "z_um": 6.0,
            "y_um": 0.1 * row + shift_um,
            "x_um": x,
        }
        for d, row in DENDRITE_Y.items()
        for x in np.arange(0, 20, 0.5)
    ]
    pd.DataFrame(nodes).to_csv(folder / "dendrites.csv", index=False)


def scene(folder, **settings):
    config = AnnotatedConfig(point="tip", **settings)
    return read_scenes(read_annotated(folder, "tip"), config)[0]


def known(scene, bit):
    return known_at(scene.labelled, bit)


def known_at(labelled, bit):
    return labelled.known & bit > 0
