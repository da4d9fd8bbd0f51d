"""Marks beside a label image: of a mask, without one, or painted over."""

import json

import numpy as np
import pandas as pd
import pytest

from spinenet.io.labels import known_labels
from spinenet.io.write import write_stack, write_table
from spinenet.pipeline.evaluation import evaluate
from spinenet.tables import SPINES
from spinenet.training.targets import KNOWN_CENTRE, KNOWN_SPINE
from spinenet.types import Segment
from tests.integration.test_annotated import (
    HEAD,
    SHAPE,
    VOXEL,
    known,
    scene,
    write_points,
    write_sessions,
)


def labels_folder(folder, *marks):
    """Both shafts, one mask, of the spine of dendrite 0; and a table of marks."""
    write_sessions(folder)
    labels = np.zeros(SHAPE, np.uint16)
    labels[12, 38:43] = 1
    labels[12, 118:123] = 1
    labels[11:14, 28:33, 58:63] = 7
    (folder / "labels").mkdir()
    write_stack(folder / "labels" / "stack.tif", labels, VOXEL)
    rows = [{"region": "r", "session": 0, "point": "head", **mark} for mark in marks]
    pd.DataFrame(rows).to_csv(folder / "spines.csv", index=False)
    return scene(folder)


IN_THE_MASK = {"z_um": 6.0, "y_um": 3.0, "x_um": 6.0}
BESIDE_IT = {"z_um": 6.0, "y_um": 11.0, "x_um": 12.0}


def test_a_mark_without_a_label_is_of_the_mask_it_lies_in(tmp_path):
    taught = labels_folder(tmp_path, IN_THE_MASK)
    assert taught.labelled.wanted.tolist() == [True]
    assert known(taught, KNOWN_CENTRE)[HEAD]


def test_a_spine_that_a_person_added_is_one_though_it_has_no_mask(tmp_path):
    taught = labels_folder(tmp_path, IN_THE_MASK, BESIDE_IT, {**IN_THE_MASK, "x_um": 6.1, "bad": 1})
    assert taught.labelled.wanted.tolist() == [True, True, False]
    added = (12, 110, 120)
    assert known(taught, KNOWN_CENTRE)[added]
    assert not known(taught, KNOWN_SPINE)[added]  # what its voxels are nobody said


def test_two_marks_in_one_mask_are_two_spines(tmp_path):
    """The net had drawn two spines as one; the person added the second in its mask."""
    first = {**IN_THE_MASK, "label": 7}
    taught = labels_folder(tmp_path, {**IN_THE_MASK, "x_um": 6.2}, first).labelled
    assert taught.wanted.tolist() == [True, True]
    assert np.abs(taught.centres_vox * VOXEL - [(6, 3, 6), (6, 3, 6.2)]).max() < 0.01


def test_what_looking_back_added_teaches_nothing(tmp_path):
    taught = labels_folder(tmp_path, {**BESIDE_IT, "label": 0, "source": "lookback"})
    assert taught.labelled.wanted.tolist() == [True, False]


def test_a_spine_that_was_painted_over_is_neither_spine_nor_background(tmp_path):
    taught = labels_folder(tmp_path, {**BESIDE_IT, "label": 9})
    assert taught.labelled.wanted.tolist() == [True, False]
    assert not known(taught, KNOWN_CENTRE)[12, 110, 120]


@pytest.mark.parametrize("traces", [None, {"path": "mine.swc", "sha256": "0"}])
def test_a_run_with_dendrites_says_nothing_of_the_others(tmp_path, traces):
    """Its label image shows both shafts, but spines of the traced one alone."""
    write_points(tmp_path)  # traces both; dendrite 1 was not given to the run
    nodes = pd.read_csv(tmp_path / "dendrites.csv")
    nodes[nodes["dendrite"] == 0].to_csv(tmp_path / "dendrites.csv", index=False)
    (tmp_path / "run.json").write_text(json.dumps({"traces": traces}))
    taught = labels_folder(tmp_path, IN_THE_MASK)
    seen = known(taught, KNOWN_SPINE)
    assert seen[HEAD]
    assert seen[12, 40, 20]  # on the traced shaft
    beside_the_other, between_nearer_to_it = (12, 100, 60), (12, 84, 60)
    assert seen[beside_the_other] == seen[between_nearer_to_it] == (traces is None)


def test_a_thick_shaft_is_its_own_and_a_session_without_trace_says_nothing():
    labels = np.zeros((9, 80, 80), np.uint16)
    labels[:, 20:60] = 1  # 2 um to either side of its line
    labels[4, 66:70, 40:44] = 5
    line = np.array([[2.0, 4.0, x] for x in np.arange(0, 8, 0.5)])
    trunk = Segment(0, line, np.full(len(line), 2.0), line[:, 2])
    assert (known_labels(labels, VOXEL, [trunk]) == labels).all()
    alone = known_labels(labels, VOXEL, [])
    assert set(np.unique(alone)) == {5, 65535}


def test_results_of_the_traced_dendrite_alone_are_judged_along_it(tmp_path):
    """The run found the traced dendrite's spine, another run one of the other dendrite too."""
    folder, results = tmp_path / "lab", tmp_path / "results"
    folder.mkdir()
    write_points(folder)
    nodes = pd.read_csv(folder / "dendrites.csv")
    nodes[nodes["dendrite"] == 0].to_csv(folder / "dendrites.csv", index=False)
    labels_folder(folder, IN_THE_MASK)
    spines = SPINES.frame(
        [
            {"animal": "a", "region": "r", "session": 0, "spine_id": k, "label": k + 6, **at}
            for k, at in ((1, IN_THE_MASK), (2, BESIDE_IT))
        ]
    )
    write_table(results, SPINES, spines)

    def precision():
        table = evaluate(folder, results).set_index(["figure", "stratum"])["value"]
        return table["precision", "all"]

    assert precision() == 0.5
    (folder / "run.json").write_text(json.dumps({"traces": {"path": "mine.swc"}}))
    assert precision() == 1.0
