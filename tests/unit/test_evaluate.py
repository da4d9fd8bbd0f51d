"""Detection and masks against truths small enough to count by hand, and against the scorer."""

import importlib.util
import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from spinenet.cli import main
from spinenet.commands import BAD_INPUT, DONE
from spinenet.evaluate.masks import count_masks
from spinenet.evaluate.spines import counts, detection_table, expected_calibration_error
from spinenet.io.table import read_table
from spinenet.io.write import write_stack, write_table
from spinenet.pipeline.evaluation import evaluate
from spinenet.tables import CONTESTED, COVERAGE, POINTS, SPINES, TRACES
from tests.unit.judged_spines import judged, seen, traced, true

SCORER = Path(
    os.environ.get("SPINENET_SCORER", Path(__file__).parents[2] / "../shared/accept/score.py")
)


def test_one_hit_one_miss_one_alarm():
    result = judged([true(0, 1, 0), true(0, 2, 10)], [seen(0, 1, 0.3), seen(0, 2, 20)])
    assert counts(result) == (1, 1, 1)


def test_two_detections_of_one_spine_are_a_hit_and_an_alarm():
    result = judged([true(0, 1, 0)], [seen(0, 1, 0.1), seen(0, 2, -0.1)])
    assert counts(result) == (1, 1, 0)


def test_depth_counts_less_than_the_plane():
    result = judged([true(0, 1, 0), true(0, 2, 5)], [seen(0, 1, 0, z=6.9), seen(0, 2, 5.7)])
    assert counts(result) == (1, 1, 1)


@pytest.mark.parametrize("unsure", [{"scorable": "0"}, {"bad": "1"}])
def test_what_nobody_could_score_counts_neither_way(unsure):
    result = judged([true(0, 1, 0, **unsure)], [seen(0, 1, 0)])
    assert counts(result) == (0, 0, 0)


def test_a_tip_may_be_met_anywhere_to_midway_to_its_base():
    tips = [true(0, 1, 0, point="tip"), true(0, 2, 5, point="tip")]
    result = judged(tips, [seen(0, 1, 0, y=1.4), seen(0, 2, 5, y=1.9)])
    assert counts(result)[0] == 1


def test_heads_beside_tips_are_met_as_heads():
    """Half way to the base is right for a tip alone."""
    found = [seen(0, 1, 0, y=1.2), seen(0, 2, 15)]
    for other in ("head", "tip"):
        marks = [true(0, 1, 0), true(0, 2, 15, point=other)]
        assert counts(judged(marks, found)) == (1, 1, 1)


def test_detections_off_the_annotated_dendrites_are_no_alarms():
    nodes = traced({0: 2.0, 1: 20.0})
    truth = [true(0, 1, 0, point="tip")]
    found = [seen(0, 1, 10), seen(0, 2, 10, y=-3), seen(0, 3, 10, y=19)]
    result = judged(truth, found, nodes)
    assert result.detections["alarm"].tolist() == [True, False, True]
    only = judged(truth, found, nodes, dendrites=[0])
    assert only.detections["alarm"].tolist() == [True, False, False]


def test_strata_touching_pairs_and_errors():
    truth = [true(0, 1, 0), true(0, 2, 0.8), true(0, 3, 10, z=7.0, base_z_um=4.0)]
    found = [seen(0, 1, 0.1), seen(0, 2, 0.8)]
    snr = COVERAGE.frame([{"animal": "a", "region": "r", "session": 0, "snr": 8.0}])
    table = detection_table(judged(truth, found), snr, n_draws=20)
    value = table.set_index(["figure", "stratum"])["value"]
    assert value["recall", "lateral"] == 1
    assert value["recall", "SNR 6-12"] == pytest.approx(2 / 3)
    assert value["touching pairs both found", "all"] == 1
    assert value["lateral centre error um", "all"] == pytest.approx(0.05)


def test_heads_above_one_another_are_no_pair_in_the_plane():
    beside = [true(0, 1, 0), true(0, 2, 0.8)]  # 0.8 um along x, both found
    above = [true(0, 3, 20), true(0, 4, 20, z=5.7)]  # 0.7 um deeper, one found
    found = [seen(0, 1, 0), seen(0, 2, 0.8), seen(0, 3, 20)]
    table = detection_table(judged(beside + above, found), COVERAGE.frame(), n_draws=5)
    value = table.set_index(["figure", "stratum"])["value"]
    assert value["touching pairs both found", "all"] == 0.5
    assert value["touching pairs both found", "in the plane"] == 1


def test_nothing_found_gives_nan_not_zero():
    table = detection_table(judged([], []), COVERAGE.frame(), n_draws=5)
    assert table["value"].isna().all()


def test_calibration_error_by_hand():
    p = np.array([0.95] * 10 + [0.15] * 10)
    right = np.array([True] * 9 + [False] + [True] * 2 + [False] * 8)
    assert expected_calibration_error(p, right) == pytest.approx(0.05)


def test_masks_whole_split_merged_and_missed():
    truth = np.zeros((1, 4, 60), int)
    truth[0, 0] = 1
    for k, x in enumerate((0, 10, 20, 30, 40)):
        truth[0, 1:3, x : x + 8] = k + 2
    found = truth.copy()
    found[found == 3] = (
        np.where(np.arange(60) < 14, 3, 50)[None, None, :].repeat(4, 1).repeat(1, 0)[found == 3]
    )
    found[(found == 4) | (found == 5)] = 4
    found[found == 6] = 0
    c = count_masks(truth, found, np.zeros(0, int))
    assert (c.split, c.merged, c.matched, c.missed) == (1, 2, 1, 4)
    assert c.figures()["shaft Dice"] == 1


def test_unknown_voxels_and_hidden_spines_count_neither_way():
    truth = np.array([[[1, 1, 65535, 2, 3, 0]]])
    found = np.array([[[1, 1, 1, 2, 0, 0]]])
    c = count_masks(truth, found, np.array([3]))
    assert (c.shaft, c.spine, c.matched, c.missed) == ((2, 4), (1, 2), 1, 0)


@pytest.mark.skipif(
    not SCORER.exists(), reason="the acceptance scorer is not here (SPINENET_SCORER)"
)
@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("point", ["head", "tip"])
def test_the_acceptance_scorer_agrees(tmp_path, point, named):
    spec = importlib.util.spec_from_file_location("score", SCORER)
    scorer = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(scorer)
    rng = np.random.default_rng(3)
    truth, found, nodes = [], [], []
    for s in range(3):
        for t in range(30):
            x, y = 1.5 * t, float(rng.choice([-1.0, 1.0]))
            if rng.random() < 0.8:
                row = true(s, t, x, y=y, point=point, dendrite_id=t % 2, bad=str(int(t == 7)))
                truth.append({**row, "base_y_um": 0.0})
            if rng.random() < 0.8:
                track = t if rng.random() < 0.8 else 100 + t if rng.random() < 0.7 else pd.NA
                found.append(seen(s, track, x + rng.normal(0, 0.3), y=y + rng.normal(0, 0.3)))
        nodes += [
            {
                "animal": "a",
                "region": "r",
                "session": s,
                "dendrite_id": d,
                "z_um": 5.0,
                "y_um": 0.2 * d,
                "x_um": x,
            }
            for d in (0, 1)
            for x in np.arange(0, 45, 0.5)
        ]
        found.append(seen(s, 500 + s, 20.0, y=15.0))  # far from the traces
    (tmp_path / "out").mkdir()
    points = POINTS.frame(truth)
    if not named:
        points = points.drop(columns="animal")
        sessions = {"animal": "a", "region": "r", "session": range(4), "day": range(4), "path": "x"}
        pd.DataFrame(sessions).to_csv(tmp_path / "sessions.csv", index=False)
        contested = CONTESTED.frame([{"session": 0, "session_to": 1, "track_id": 3}])
        contested.rename(columns={"track_id": "track"}).to_csv(
            tmp_path / "contested.csv", index=False
        )
    points.to_csv(tmp_path / "spines.csv", index=False)
    if point == "head":  # the scorer takes all of the field to be annotated
        (tmp_path / "labels").mkdir()
        for s in range(4):
            nothing_drawn = np.zeros((4, 40, 40), np.uint16)
            write_stack(
                tmp_path / "labels" / f"a_r_session{s}.ome.tif", nothing_drawn, (1.0, 1.0, 1.0)
            )
    lines = TRACES.frame(nodes) if named else TRACES.frame(nodes).drop(columns="animal")
    lines.to_csv(tmp_path / "dendrites.csv", index=False)
    SPINES.frame([{"spine_id": i, **f} for i, f in enumerate(found)]).to_csv(
        tmp_path / "out" / "spines.csv", index=False
    )
    kind = {"head": "centres", "tip": "tips"}[point]
    only = [1] if point == "tip" and named else []
    theirs = scorer.score(kind, tmp_path, tmp_path / "out", [str(d) for d in only])
    ours = evaluate(tmp_path, tmp_path / "out", "", only).set_index(["figure", "stratum"])["value"]
    for name in ("precision", "recall", "f1"):
        assert ours[name, "all"] == pytest.approx(theirs["detection"][name])
        for links, theirs_links in (("adjacent", "adjacent"), ("all", "all_pairs")):
            for of, key in (
                ("both detected", "links_given_both_detected"),
                ("end to end", "links_end_to_end"),
            ):
                assert ours[f"{links} links {name}", of] == pytest.approx(
                    theirs[theirs_links][key][name]
                )
    if point == "head":
        assert ours["lateral centre error um", "all"] == pytest.approx(
            theirs["median_lateral_error_um"]
        )


def test_what_lies_mostly_on_a_hidden_spine_is_no_false_one():
    truth, found = np.zeros((1, 6, 6), int), np.zeros((1, 6, 6), int)
    truth[0, 1:5, 1:4] = 2
    found[0, 1:5, 1:5] = 2
    c = count_masks(truth, found, np.array([2]))
    assert (c.matched, c.false, c.missed) == (0, 0, 0)


def test_a_dendrite_that_was_not_traced_is_refused(tmp_path, capsys):
    POINTS.frame([true(0, 1, 0)]).to_csv(tmp_path / "spines.csv", index=False)
    (tmp_path / "out").mkdir()
    found = SPINES.frame([{"spine_id": 0, **seen(0, 1, 0)}])
    found.to_csv(tmp_path / "out" / "spines.csv", index=False)
    assert (
        main(["evaluate", str(tmp_path), str(tmp_path / "out"), "--dendrites", "[9]"]) == BAD_INPUT
    )
    assert "dendrite 9 is not traced" in capsys.readouterr().err


def test_a_folder_without_annotations_is_refused(tmp_path, capsys):
    SPINES.frame([{"spine_id": 0, **seen(0, 1, 0)}]).to_csv(tmp_path / "spines.csv", index=False)
    assert main(["evaluate", str(tmp_path / "nowhere"), str(tmp_path)]) == BAD_INPUT
    assert "holds no annotations" in capsys.readouterr().err


def test_label_images_alone_are_truth_and_their_unknown_voxels_are_left_out(tmp_path):
    labels = np.zeros((4, 40, 60), np.uint16)
    labels[1:3, 8:12, 8:12], labels[1:3, 8:12, 28:32], labels[:, :, 45:] = 2, 3, 65535
    voxel = (1.0, 0.2, 0.2)
    (tmp_path / "truth").mkdir()
    write_stack(tmp_path / "truth" / "labels" / "a_r_session0.ome.tif", labels, voxel)
    row = {"animal": "a", "region": "r", "session": 0, "day": 0.0, "path": "a.tif"}
    pd.DataFrame([row]).to_csv(tmp_path / "truth" / "sessions.csv", index=False)
    out = tmp_path / "out"
    write_stack(
        out / "labels" / "a_r_session0.ome.tif",
        np.where(labels == 2, 2, 0).astype(np.uint16),
        voxel,
    )
    found = [seen(0, 1, 1.9, y=1.9, z=1.5), seen(0, 2, 11.0, y=2.0, z=1.5)]  # the second: unknown
    write_table(out, SPINES, SPINES.frame([{"spine_id": i, **f} for i, f in enumerate(found)]))
    value = evaluate(tmp_path / "truth", out).set_index(["figure", "stratum"])["value"]
    assert value["precision", "all"] == 1
    assert value["recall", "all"] == 0.5
    assert value["AP50", "all"] == 0.5
    # of spines that a person marked there are no masks, and nothing is said of them
    by_hand = SPINES.frame([{"spine_id": i, "source": "person", **f} for i, f in enumerate(found)])
    write_table(out, SPINES, by_hand)
    figures = evaluate(tmp_path / "truth", out)["figure"]
    assert "recall" in set(figures)
    assert "AP50" not in set(figures)


@pytest.mark.parametrize("traced", [False, True])
def test_listed_sessions_that_nobody_annotated_count_neither_way(tmp_path, caplog, traced):
    """Heads of session 0 only; the machine found the same two spines in all three sessions."""
    marks = [true(0, k, 10.0 * k) for k in (1, 2)]
    POINTS.frame(marks).to_csv(tmp_path / "spines.csv", index=False)
    listed = [
        {"animal": "a", "region": "r", "session": t, "day": float(t), "path": f"{t}.tif"}
        for t in (0, 1, 2)
    ]
    pd.DataFrame(listed).to_csv(tmp_path / "sessions.csv", index=False)
    if traced:
        where = {"animal": "a", "region": "r", "session": 0, "dendrite_id": 0, "z_um": 5, "y_um": 2}
        nodes = TRACES.frame([{**where, "x_um": x} for x in (0, 40)])
        nodes.to_csv(tmp_path / "dendrites.csv", index=False)
    found = [seen(t, k, 10.0 * k) for t in (0, 1, 2) for k in (1, 2)]
    write_table(
        tmp_path / "out", SPINES, SPINES.frame([{"spine_id": i, **f} for i, f in enumerate(found)])
    )
    with caplog.at_level("WARNING"):
        value = evaluate(tmp_path, tmp_path / "out").set_index(["figure", "stratum"])["value"]
    assert value["precision", "all"] == value["recall", "all"] == 1
    assert np.isnan(value["turnover_bias_points", "all"])
    assert "2 of 3 sessions have neither a mark, a trace nor a label image" in caplog.text


def test_tips_without_traces_are_refused(tmp_path, capsys):
    POINTS.frame([true(0, 1, 0, point="tip")]).to_csv(tmp_path / "spines.csv", index=False)
    out = tmp_path / "out"
    out.mkdir()
    SPINES.frame([{"spine_id": 0, **seen(0, 1, 0)}]).to_csv(out / "spines.csv", index=False)
    assert main(["evaluate", str(tmp_path), str(out)]) == BAD_INPUT
    assert "nothing says where nothing was found" in capsys.readouterr().err


def test_points_that_are_neither_tip_nor_head_are_refused(tmp_path, capsys):
    rows, out = POINTS.frame([true(0, 1, 0, point="")]), tmp_path / "out"
    out.mkdir()
    SPINES.frame([{"spine_id": 0, **seen(0, 1, 0)}]).to_csv(out / "spines.csv", index=False)
    rows.to_csv(tmp_path / "spines.csv", index=False)
    assert main(["evaluate", str(tmp_path), str(out)]) == BAD_INPUT
    assert "give --point" in capsys.readouterr().err
    rows.assign(point="middle").to_csv(tmp_path / "spines.csv", index=False)
    assert main(["evaluate", str(tmp_path), str(out)]) == BAD_INPUT
    assert "tip or head was expected" in capsys.readouterr().err


def test_folders_of_different_animals_are_refused(tmp_path, capsys):
    (tmp_path / "out").mkdir()
    POINTS.frame([true(0, 1, 0)]).to_csv(tmp_path / "spines.csv", index=False)
    SPINES.frame([{"spine_id": 0, **seen(0, 1, 0), "animal": "b"}]).to_csv(
        tmp_path / "out" / "spines.csv", index=False
    )
    assert main(["evaluate", str(tmp_path), str(tmp_path / "out")]) == BAD_INPUT
    assert "no session in common" in capsys.readouterr().err


def test_the_table_can_be_written(tmp_path):
    POINTS.frame([true(0, 1, 0)]).to_csv(tmp_path / "spines.csv", index=False)
    out = tmp_path / "out"
    out.mkdir()
    SPINES.frame([{"spine_id": 0, **seen(0, 1, 0)}]).to_csv(out / "spines.csv", index=False)
    assert main(["evaluate", str(tmp_path), str(out), "--out", str(tmp_path / "e.csv")]) == DONE
    assert (
        json.loads(
            pd.read_csv(tmp_path / "e.csv")
            .query("figure == 'f1' and stratum == 'all'")
            .to_json(orient="records")
        )[0]["value"]
        == 1
    )
    assert read_table(out / "spines.csv", SPINES).shape[0] == 1


def test_figures_overwrite_nothing_else(tmp_path, capsys):
    POINTS.frame([true(0, 1, 0)]).to_csv(tmp_path / "spines.csv", index=False)
    out = tmp_path / "out"
    out.mkdir()
    found = out / "spines.csv"
    SPINES.frame([{"spine_id": 0, **seen(0, 1, 0)}]).to_csv(found, index=False)
    before = found.read_bytes()
    assert main(["evaluate", str(tmp_path), str(out), "--out", str(found)]) == BAD_INPUT
    assert "it was not overwritten" in capsys.readouterr().err
    assert found.read_bytes() == before
    assert main(["evaluate", str(tmp_path), str(out), "--out", str(out)]) == BAD_INPUT
    assert "is a folder" in capsys.readouterr().err
    for _ in range(2):
        assert main(["evaluate", str(tmp_path), str(out), "--out", str(out / "e.csv")]) == DONE


def test_contested_lines_are_read_either_way_and_lost_ones_named(tmp_path, caplog):
    """The later session first; and a track that is not there."""
    marks = [true(s, t, 10.0 * t) for s in (0, 1) for t in (1, 2)]
    POINTS.frame(marks).to_csv(tmp_path / "spines.csv", index=False)
    found = [seen(0, 1, 10.0), seen(1, 7, 10.0), seen(0, 2, 20.0), seen(1, 2, 20.0)]
    write_table(
        tmp_path / "out", SPINES, SPINES.frame([{"spine_id": i, **f} for i, f in enumerate(found)])
    )
    lines = [{"session": 1, "session_to": 0, "track_id": k} for k in (1, 9)]
    CONTESTED.frame(lines).to_csv(tmp_path / "contested.csv", index=False)
    value = evaluate(tmp_path, tmp_path / "out").set_index(["figure", "stratum"])["value"]
    assert value["adjacent links recall", "both detected"] == 1
    assert "contested.csv: line 3 (1 such lines) is about a track" in caplog.text
