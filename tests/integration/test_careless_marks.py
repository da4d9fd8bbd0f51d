"""Annotations that lie beside what they mean: named, and not learned from."""

import logging

import numpy as np
import pandas as pd
import pytest
import tifffile

from spinenet.io.annotated import read_annotated, read_truth
from spinenet.io.labels import read_labels
from spinenet.io.write import write_stack, write_table
from spinenet.pipeline.evaluation import evaluate
from spinenet.tables import CONTESTED, SPINES
from spinenet.types import InputError
from tests.integration.drawn_folder import (
    SHAPE,
    VOXEL,
    add_session,
    scene,
    write_points,
    write_sessions,
)


def edit(path, **columns):
    pd.read_csv(path).assign(**columns).to_csv(path, index=False)


def labels_with(folder, *marks):
    """A shaft and the mask of one spine, rows 26 to 34; and marks."""
    labels = np.zeros(SHAPE, np.uint16)
    labels[12, 38:43] = 1
    labels[11:14, 26:35, 58:63] = 2
    write_stack(folder / "labels" / "stack.tif", labels, VOXEL)
    rows = [{"region": "r", "session": 0, **mark} for mark in marks]
    pd.DataFrame(rows).to_csv(folder / "spines.csv", index=False)


def test_a_trace_in_the_dark_is_named(points_folder, caplog):
    scene(points_folder)
    assert not caplog.records
    edit(points_folder / "dendrites.csv", z_um=2.0)
    edit(points_folder / "spines.csv", z_um=2.0, base_z_um=2.0)
    scene(points_folder)
    assert "stack.tif: dendrite 0 lies where the stack is dark" in caplog.text
    assert "x and y exchanged" in caplog.text


def test_a_label_image_upside_down_is_named(tmp_path, caplog):
    write_sessions(tmp_path)
    labels_with(tmp_path, {"point": "head", "z_um": 6.0, "y_um": 3.0, "x_um": 6.0})
    scene(tmp_path)
    assert not caplog.records
    labels = tifffile.imread(tmp_path / "labels" / "stack.tif")
    write_stack(tmp_path / "labels" / "stack.tif", np.roll(labels, 8, axis=0), VOXEL)
    scene(tmp_path)
    assert "the shaft (label 1) lies where the stack is dark" in caplog.text


def test_a_mark_far_from_its_dendrite_is_named_and_not_learned(points_folder, caplog):
    edit(points_folder / "spines.csv", y_um=14.5, base_y_um=14.0)
    assert scene(points_folder).labelled.wanted.tolist() == [False]
    assert "1 of 1 marks are more than 6 um from their dendrite" in caplog.text


@pytest.mark.parametrize(
    "click",
    [
        {"point": "tip", "z_um": 6.0, "y_um": 2.5, "x_um": 6.0},  # a pixel outside the mask
        {"point": "head", "z_um": 7.0, "y_um": 3.0, "x_um": 6.0},  # a slice below it
    ],
)
def test_a_click_beside_its_mask_is_no_second_spine(tmp_path, click):
    write_sessions(tmp_path)
    labels_with(tmp_path, click)
    assert scene(tmp_path).labelled.wanted.tolist() == [True]


def test_rows_of_a_session_that_is_not_listed_are_named(points_folder, caplog):
    """Sessions counted from 1: what is left over shows it."""
    for name in ("spines.csv", "dendrites.csv"):
        table = pd.read_csv(points_folder / name).assign(animal="a")
        both = pd.concat([table, table.assign(session=1)])
        both.to_csv(points_folder / name, index=False)
    assert len(read_annotated(points_folder, "tip")) == 1
    assert "spines.csv: 1 rows are of no stack" in caplog.text
    assert "counted from another number" in caplog.text


def test_rows_of_a_stack_that_is_left_out_are_no_matter(points_folder, caplog):
    """Its row of sessions.csv says so."""
    add_session(points_folder)
    sessions = pd.read_csv(points_folder / "sessions.csv").assign(usable=[1, 0])
    sessions.to_csv(points_folder / "sessions.csv", index=False)
    for name in ("spines.csv", "dendrites.csv"):
        table = pd.read_csv(points_folder / name)
        pd.concat([table, table.assign(session=1)]).to_csv(points_folder / name, index=False)
    assert len(read_annotated(points_folder, "tip")) == 1
    assert not caplog.records
    sessions.assign(usable=0).to_csv(points_folder / "sessions.csv", index=False)
    with pytest.raises(InputError, match="no usable stack of"):
        read_annotated(points_folder, "tip")


def test_links_that_nobody_believes_are_known_where_they_end(points_folder):
    table = pd.read_csv(points_folder / "spines.csv")
    write_table(
        points_folder,
        CONTESTED,
        CONTESTED.frame([{"session": 0, "session_to": 3, "track_id": int(table["track"][0])}]),
    )
    (stack,) = read_annotated(points_folder, "tip")
    assert stack.contested == {int(table["track"][0])}


def test_a_traced_session_without_a_mark_was_looked_at(points_folder):
    nodes = pd.read_csv(points_folder / "dendrites.csv").assign(animal="a")
    pd.concat([nodes, nodes.assign(session=1)]).to_csv(points_folder / "dendrites.csv", index=False)
    (points_folder / "sessions.csv").unlink()
    seen = pd.DataFrame({"animal": ["a", "a"], "region": ["r", "r"], "session": [0, 1]})
    assert read_truth(points_folder, "tip", seen).sessions["session"].tolist() == [0, 1]
    write_sessions(points_folder)  # which lists the first alone
    assert read_truth(points_folder, "tip").sessions["session"].tolist() == [0]


def test_a_column_of_the_labs_own_beside_the_one_that_is_read_is_kept(points_folder):
    spines = pd.read_csv(points_folder / "spines.csv").rename(columns={"dendrite": "dendrite_id"})
    spines.assign(Dendrite="basal").to_csv(points_folder / "spines.csv", index=False)
    assert read_truth(points_folder, "tip").spines["Dendrite"].tolist() == ["basal"]


@pytest.mark.parametrize(("column", "meant"), [("Bad", "bad"), ("Track ", "track")])
def test_a_misspelt_column_is_refused(points_folder, column, meant):
    spines = pd.read_csv(points_folder / "spines.csv").drop(columns=[meant], errors="ignore")
    spines.assign(**{column: 1}).to_csv(points_folder / "spines.csv", index=False)
    with pytest.raises(InputError, match=f"the column {column!r} would not be read; '{meant}'"):
        read_truth(points_folder, "tip")


def test_unknown_of_eight_bits_is_refused(tmp_path):
    labels = np.zeros(SHAPE, np.uint8)
    labels[12, 38:43], labels[0] = 1, 255
    tifffile.imwrite(tmp_path / "labels.tif", labels)
    with pytest.raises(InputError, match="has 8 bits and holds the label 255"):
        read_labels(tmp_path / "labels.tif", SHAPE, "stack.tif")


def test_labels_that_cannot_be_used_call_nothing_a_false_alarm(tmp_path, caplog):
    """Its voxels are of no known size, and the results hold no image to tell it."""
    folder, results = tmp_path / "lab", tmp_path / "results"
    folder.mkdir()
    write_sessions(folder)
    labels_with(folder, {"point": "head", "z_um": 6.0, "y_um": 3.0, "x_um": 6.0})
    labels = tifffile.imread(folder / "labels" / "stack.tif")
    tifffile.imwrite(folder / "labels" / "stack.tif", labels)
    write_points(folder)
    at = {"animal": "a", "region": "r", "session": 0}
    places = ({"z_um": 6.0, "y_um": 2.5, "x_um": 6.0}, {"z_um": 6.0, "y_um": 8.0, "x_um": 15.0})
    rows = [at | {"spine_id": k, **place} for k, place in enumerate(places)]
    write_table(results, SPINES, SPINES.frame(rows))
    with caplog.at_level(logging.WARNING):
        table = evaluate(folder, results, "tip").set_index(["figure", "stratum"])["value"]
    assert "nothing of it is counted but what spines.csv marks" in caplog.text
    assert table["precision", "all"] == 1
