"""Marks and masks of one truth: each spine counts once, and what nobody looked at counts not."""

import numpy as np
import pandas as pd
import pytest

from spinenet.io.table import read_table
from spinenet.io.write import write_stack, write_table
from spinenet.pipeline.evaluation import evaluate
from spinenet.tables import POINTS, SPINES, TRACKS, TRUE_TRACKS
from spinenet.types import InputError
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


@pytest.mark.parametrize("off", [{"y_um": 0.4}, {"z_um": 1.6}, {"y_um": 0.4, "point": "tip"}])
def test_a_mark_beside_its_mask_is_the_same_spine(folders, off):
    """Clicked beside its mask, as far off as a detection may be."""
    moved = [
        {**m, **{k: m[k] + v if k in m else v for k, v in off.items()}} for m in places(2, 3, 4)
    ]
    assert recall(*folders, *moved) == (pytest.approx(2 / 3), 3)


def test_a_mask_that_the_border_cuts_off_counts_neither_way(folders):
    truth, results = folders
    cut = labels_of(2, 3)
    cut[2:4, :4, 30:34] = 4
    write_stack(truth / "labels" / "a_r_session0.ome.tif", cut, VOXEL)
    value = evaluate(truth, results).set_index(["figure", "stratum"])["value"]
    assert value["recall", "all"] == value["AP50", "all"] == 1


def test_of_shafts_that_were_not_drawn_nothing_is_said(folders):
    value = evaluate(*folders).set_index(["figure", "stratum"])["value"]
    assert np.isnan(value["shaft Dice", "all"])
    assert value["spine Dice", "all"] > 0


def test_spines_numbered_from_1_are_refused(folders):
    truth, results = folders
    labels = labels_of(2, 3, 4)
    write_stack(
        truth / "labels" / "a_r_session0.ome.tif", labels - (labels > 0).astype(np.uint16), VOXEL
    )
    with pytest.raises(InputError, match="it is the shaft's number"):
        evaluate(truth, results)


def test_drawn_spines_of_a_session_without_results_are_missed(folders):
    truth, results = folders
    (results / "labels" / "a_r_session0.ome.tif").unlink()
    found = read_table(results / SPINES.file, SPINES)
    assert recall(truth, results) == (pytest.approx(2 / 3), 3)
    write_table(results, SPINES, found.iloc[:0])
    table = evaluate(truth, results).set_index(["figure", "stratum"])
    assert table.loc[("recall", "all"), "value"] == 0
    assert "AP50" not in table.index.get_level_values("figure")


def test_a_drawn_spine_that_was_met_from_unknown_ground_was_met(folders):
    """Nobody looked beside the masks; the detections lie there, near enough."""
    truth, results = folders
    labels = labels_of(2, 3)
    write_stack(
        truth / "labels" / "a_r_session0.ome.tif",
        np.where(labels == 0, np.uint16(65535), labels),
        VOXEL,
    )
    aside = [{**m, "y_um": m["y_um"] + 0.5, "spine_id": k} for k, m in enumerate(places(2, 3, 4))]
    write_table(results, SPINES, SPINES.frame(aside))
    value = evaluate(truth, results).set_index(["figure", "stratum"])["value"]
    assert value["precision", "all"] == value["recall", "all"] == 1


def test_what_was_painted_over_in_a_copy_of_results_is_a_false_alarm(folders, caplog):
    """The machine's table, one of its spines erased from the image: recall is of the other."""
    truth, results = folders
    mine = read_table(results / SPINES.file, SPINES).assign(source="detected")
    write_table(truth, SPINES, mine)
    write_stack(truth / "labels" / "a_r_session0.ome.tif", labels_of(2), VOXEL)
    value = evaluate(truth, results).set_index(["figure", "stratum"])["value"]
    assert (value["precision", "all"], value["recall", "all"]) == (0.5, 1)
    assert value["AP50", "all"] == 0.5
    write_stack(truth / "labels" / "a_r_session0.ome.tif", labels_of(2, 3, 4), VOXEL)
    evaluate(truth, results)
    assert "1 labels have no row in spines.csv" in caplog.text
    # of simulated spines without a voxel of their own nobody can tell
    write_table(truth, SPINES, mine.assign(source="simulated"))
    write_stack(truth / "labels" / "a_r_session0.ome.tif", labels_of(2), VOXEL)
    value = evaluate(truth, results).set_index(["figure", "stratum"])["value"]
    assert (value["precision", "all"], value["recall", "all"]) == (1, 1)


def test_marks_without_a_trace_of_their_session_are_named(folders, caplog):
    truth, results = folders
    (truth / "labels" / "a_r_session0.ome.tif").unlink()
    write_table(truth, POINTS, POINTS.frame([{"point": "head", **m} for m in places(2, 3)]))
    nodes = [{**WHO, "dendrite_id": 0, "z_um": 3.0, "y_um": 4.0, "x_um": x} for x in (0.0, 8.0)]
    later = [{**n, "session": 1} for n in nodes]
    pd.DataFrame(nodes + later).to_csv(truth / "dendrites.csv", index=False)
    evaluate(truth, results)
    assert "no trace" not in caplog.text
    both = [{"point": "head", **m, "session": s} for s in (0, 1) for m in places(2, 3)]
    write_table(truth, POINTS, POINTS.frame(both))
    pd.DataFrame(nodes).to_csv(truth / "dendrites.csv", index=False)
    pd.DataFrame([{**WHO, "session": s, "day": s, "path": f"{s}.tif"} for s in (0, 1)]).to_csv(
        truth / "sessions.csv", index=False
    )
    evaluate(truth, results)
    assert "1 of 2 sessions have marks but no trace" in caplog.text
    pd.DataFrame([{**n, "session": 2} for n in nodes]).to_csv(truth / "dendrites.csv", index=False)
    with pytest.raises(InputError, match="no session has both marks in spines.csv and a trace"):
        evaluate(truth, results)


@pytest.mark.parametrize(
    ("edit", "text"),
    [({"x_um": np.nan}, "line 3: the spine has no place"), ({"track_id": 7}, "track 7 is in one")],
)
def test_edited_results_are_refused(folders, edit, text):
    truth, results = folders
    found = read_table(results / SPINES.file, SPINES).assign(track_id=[7, 8])
    for column, value in edit.items():
        found.loc[1, column] = value
    write_table(results, SPINES, found)
    with pytest.raises(InputError, match=text):
        evaluate(truth, results)


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
