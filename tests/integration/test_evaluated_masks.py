"""Marks and masks of one truth: each spine counts once, and what nobody looked at counts not."""

import numpy as np
import pandas as pd
import pytest

from spinenet.io.table import read_table
from spinenet.io.write import write_stack, write_table
from spinenet.pipeline.evaluation import evaluate
from spinenet.tables import POINTS, SPINES, TRACKS, TRUE_TRACKS
from tests.conftest import tracks_of

VOXEL = (1.0, 0.1, 0.1)
HEADS_UM = {2: (3.0, 2.0, 2.0), 3: (3.0, 2.0, 6.0), 4: (3.0, 6.0, 4.0)}
WHO = {"animal": "a", "region": "r", "session": 0}


def labels_of(*numbers):
    labels = np.zeros((6, 80, 80), np.uint16)
    for number in numbers:
        z, y, x = (round(p / v) for p, v in zip(HEADS_UM[number], VOXEL, strict=True))
        labels[z, y - 2 : y + 3, x - 2 : x + 3] = number
    return labels


def places(*numbers, **more):
    return [
        {**WHO, **dict(zip(("z_um", "y_um", "x_um"), HEADS_UM[k], strict=True)), **more}
        for k in numbers
    ]


@pytest.fixture
def folders(tmp_path):
    """Three masks and no table; the results found the first two and have their masks."""
    truth, results = tmp_path / "truth", tmp_path / "results"
    truth.mkdir()
    write_stack(truth / "labels" / "a_r_session0.ome.tif", labels_of(2, 3, 4), VOXEL)
    pd.DataFrame([{**WHO, "day": 0.0, "path": "a.tif"}]).to_csv(truth / "sessions.csv", index=False)
    write_stack(results / "labels" / "a_r_session0.ome.tif", labels_of(2, 3), VOXEL)
    found = [
        {"spine_id": k, "label": k, **row} for k, row in zip((2, 3), places(2, 3), strict=True)
    ]
    write_table(results, SPINES, SPINES.frame(found))
    return truth, results


def recall(truth, results, *marks):
    if marks:
        write_table(truth, POINTS, POINTS.frame([{"point": "head", **mark} for mark in marks]))
    table = evaluate(truth, results).set_index(["figure", "stratum"])
    return table.loc[("recall", "all"), "value"], table.loc[("recall", "all"), "n"]


def test_masks_alone(folders):
    assert recall(*folders) == (pytest.approx(2 / 3), 3)


def test_a_mark_without_a_label_is_of_the_mask_it_lies_in(folders):
    """Not one spine more beside it."""
    assert recall(*folders, *places(2, 3, 4)) == (pytest.approx(2 / 3), 3)


def test_a_mask_that_a_mark_calls_not_scorable_counts_neither_way(folders):
    assert recall(*folders, *places(4, scorable="0")) == (1.0, 2)


def test_a_mark_whose_label_was_painted_over_counts_neither_way(folders):
    gone = {**WHO, "z_um": 3.0, "y_um": 6.0, "x_um": 7.0, "label": 9}
    assert recall(*folders, *places(2, 3, 4), gone) == (pytest.approx(2 / 3), 3)


def test_clusters_of_dendrites_that_nobody_annotated_are_not_invented(tmp_path, small_experiment):
    """Results equal to the truth of two dendrites, of which one was annotated."""
    lives = {1: "11", 2: "01", 3: "11"}
    clustered = {11: "11", 12: "01", 13: "01", 14: "11"}
    arcs = {k: 3.0 * (k % 10) for k in (*lives, *clustered)}
    frames = [
        tracks_of(of, animal="a", region="r", arcs=arcs, dendrite_id=d).frame
        for d, of in enumerate((lives, clustered))
    ]
    tracks = pd.concat(frames, ignore_index=True)
    present = tracks[tracks["presence"] == "present"].copy()
    present["spine_id"] = present["track_id"]
    tracks.loc[present.index, "spine_id"] = present["track_id"]
    spines = [
        {
            **{k: r[k] for k in ("animal", "region", "session", "dendrite_id", "track_id")},
            "spine_id": r["track_id"],
            "z_um": 3.0,
            "y_um": 5.0 + 10 * r["dendrite_id"],
            "x_um": r["arc_length_um"],
        }
        for r in present.to_dict("records")
    ]
    truth, results = tmp_path / "truth", tmp_path / "results"
    write_table(results, SPINES, SPINES.frame(spines))
    write_table(results, TRACKS, TRACKS.frame(tracks.to_dict("records")))
    mine = [{**s, "point": "head"} for s in spines if s["dendrite_id"] == 0]
    write_table(truth, POINTS, POINTS.frame(mine))
    nodes = [
        {"animal": "a", "region": "r", "session": t, "dendrite_id": 0}
        | {"z_um": 3.0, "y_um": 4.0, "x_um": x}
        for t in (0, 1)
        for x in np.arange(0.0, 12.0)
    ]
    pd.DataFrame(nodes).to_csv(truth / "dendrites.csv", index=False)
    own = tracks[tracks["dendrite_id"] == 0]
    write_table(truth, TRUE_TRACKS, TRUE_TRACKS.frame(own.to_dict("records")))
    value = evaluate(truth, results).set_index(["figure", "stratum"])["value"]
    assert value["clustered_fraction_true", "all"] == 0
    assert value["clustered_inflation_points", "all"] == 0
    assert len(read_table(results / TRACKS.file, TRACKS)) == len(tracks)
