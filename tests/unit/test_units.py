"""Lengths in and out: pixels, slices and um."""

from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree as ET

import numpy as np
import pandas as pd
import pytest
from roifile import roiread

from spinenet.io.formats.geff import _um
from spinenet.io.formats.graph import SpineGraph
from spinenet.io.formats.trackmate import write_trackmate
from spinenet.io.scanimage import voxel_of_settings
from spinenet.io.write import write_rois, write_table
from spinenet.tables import SPINES
from spinenet.types import Session


def test_pixels_longer_than_wide():
    """12.8 um of 64 lines, 6.4 um of 64 points."""
    said = {
        "SI.hStackManager.actualStackZStepSize": 0.8,
        "SI.hRoiManager.imagingFovUm": "[-3.2 -6.4;3.2 -6.4;3.2 6.4;-3.2 6.4]",
    }
    assert voxel_of_settings(said, (10, 64, 64), "a") == pytest.approx((0.8, 0.2, 0.1))


def test_the_step_that_was_made_goes_before_the_one_that_was_asked_for():
    said = {
        "SI.hStackManager.stackZStepSize": 2.0,
        "SI.hStackManager.actualStackZStepSize": 0.8,
        "SI.hRoiManager.imagingFovUm": "[-3.2 -3.2;3.2 -3.2;3.2 3.2;-3.2 3.2]",
    }
    assert voxel_of_settings(said, (10, 64, 64), "a")[0] == 0.8


def test_trackmate_is_told_radius_and_cost(tmp_path):
    rows = [
        {
            "spine_id": 1,
            "track_id": 5,
            "head_width_um": 0.5,
            "probability": 0.8,
            "session": t,
            "day": 2.0 * t,
        }
        | {"z_um": 2.0, "y_um": 4.0, "x_um": 10.0}
        for t in (0, 1)
    ]
    nodes = SPINES.frame(rows).assign(node=[0, 1], t=[0, 1])
    edges = pd.DataFrame({"source": [0], "target": [1], "p_link": [0.9], "gap": [1]})
    graph = SpineGraph(nodes, edges, tuple(Session("m1", "r1", t, 2.0 * t) for t in (0, 1)))
    root = ET.parse(write_trackmate(tmp_path / "a.xml", graph)).getroot()
    assert float(root.find(".//Spot").get("RADIUS")) == 0.25
    assert float(root.find(".//Edge").get("LINK_COST")) == pytest.approx(0.1)


def test_pixels_with_their_size_are_um():
    axis = SimpleNamespace(name="x", unit="pixel", scale=0.25, scaled_unit="micrometer")
    assert _um(Path("a.geff"), axis) == 0.25


def test_rois_lie_on_the_slice_of_their_head(tmp_path):
    """Slices 2 um apart: 6 um is the fourth."""
    row = {"spine_id": 1, "track_id": 5, "z_um": 6.0, "y_um": 1.0, "x_um": 1.0, "label": 0}
    path = write_rois(
        tmp_path / "a.zip", SPINES.frame([row]), np.zeros((6, 9, 9), np.uint16), (2.0, 0.5, 0.5)
    )
    roi = roiread(path)
    assert (roi[0] if isinstance(roi, list) else roi).position == 4


def test_places_are_written_to_the_nanometre(tmp_path):
    frame = SPINES.frame([{"spine_id": 1, "z_um": 12.345, "y_um": 123.456, "x_um": 1.0}])
    back = pd.read_csv(write_table(tmp_path, SPINES, frame))
    assert back.loc[0, ["z_um", "y_um"]].tolist() == [12.345, 123.456]
