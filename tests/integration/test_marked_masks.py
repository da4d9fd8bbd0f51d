"""Marks beside a label image: of a mask, without one, or painted over."""

import numpy as np
import pandas as pd
import tifffile

from spinenet.training.targets import KNOWN_CENTRE, KNOWN_SPINE
from tests.integration.test_annotated import HEAD, SHAPE, VOXEL, known, scene, write_sessions


def labels_folder(folder, *marks):
    """One mask, of the spine of dendrite 0; and a table of marks."""
    write_sessions(folder)
    labels = np.zeros(SHAPE, np.uint16)
    labels[12, 38:43] = 1
    labels[11:14, 28:33, 58:63] = 7
    (folder / "labels").mkdir()
    tifffile.imwrite(folder / "labels" / "stack.tif", labels)
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
