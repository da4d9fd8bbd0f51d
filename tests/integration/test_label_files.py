"""Which label TIFF is of which stack, and that each number in it is one spine."""

import numpy as np
import pandas as pd
import pytest
import tifffile

from spinenet.io.annotated import read_annotated, read_truth
from spinenet.io.labels import check_singles
from spinenet.types import InputError
from tests.integration.test_annotated import (
    SHAPE,
    VOXEL,
    picture,
    scene,
    write_points,
    write_sessions,
)

SHAFT = np.s_[12, 38:43]


def write_labels(folder, *spines, name="stack.tif"):
    """A shaft, and at these places (rows, columns) spines of these numbers."""
    labels = np.zeros(SHAPE, np.uint16)
    labels[SHAFT] = 1
    for number, rows, columns in spines:
        labels[11:14, rows, columns] = number
    (folder / "labels").mkdir(exist_ok=True)
    tifffile.imwrite(folder / "labels" / name, labels)


def at(column):
    return slice(28, 34), slice(column, column + 6)


@pytest.mark.parametrize("columns", [(20, 80, 140), (20, 70)], ids=["three", "two"])
def test_one_number_for_all_spines_is_refused(tmp_path, columns):
    """Its middle lies in the tissue between them, where no head is."""
    write_sessions(tmp_path)
    write_labels(tmp_path, *((2, *at(column)) for column in columns))
    with pytest.raises(InputError, match=r"stack.tif: label 2 reaches over .* from 5.5, 2.8, 2.0"):
        scene(tmp_path)


def test_a_thresholded_mask_of_many_specks_is_refused_at_once():
    """All distances of its parts would not fit into memory."""
    mask = np.zeros((4, 400, 400), np.uint16)
    mask[::2, ::2, ::2] = 255
    with pytest.raises(InputError, match="label 255 reaches over"):
        check_singles(mask, VOXEL, "mask.tif")


def test_one_number_for_spines_above_each_other_is_refused():
    mask = np.zeros((40, 20, 20), np.uint16)
    mask[[2, 36], 8:12, 8:12] = 2
    with pytest.raises(InputError, match="label 2 reaches over 17.5"):
        check_singles(mask, VOXEL, "mask.tif")


def test_one_spine_is_one_though_long_in_near_parts_or_with_a_stray_voxel():
    mask = np.zeros((10, 300, 300), np.uint16)
    mask[5, 10:12, 10:130] = 2  # a filopodium of 12 um
    mask[5, 40:44, 10:14] = mask[5, 40:44, 20:24] = 3
    mask[5, 60:70, 10:20] = mask[5, 60, 90] = 4
    check_singles(mask, VOXEL, "mask.tif")


@pytest.fixture
def two_animals(tmp_path):
    """Stacks of one name in two folders."""
    rows = []
    for animal in ("m1", "m2"):
        (tmp_path / animal).mkdir()
        tifffile.imwrite(tmp_path / animal / "day0.tif", picture())
        who = {"animal": animal, "region": "r", "session": 0, "day": 0.0}
        rows.append({**who, "path": f"{animal}/day0.tif"})
    size = {"voxel_z_um": 0.5, "voxel_y_um": 0.1, "voxel_x_um": 0.1}
    pd.DataFrame(rows).assign(**size).to_csv(tmp_path / "sessions.csv", index=False)
    return tmp_path


def test_labels_named_as_two_stacks_are_refused(two_animals):
    write_labels(two_animals, (2, *at(20)), name="day0.tif")
    with pytest.raises(InputError, match="may be of 2 stacks .* Call it m1_r_session0.ome.tif"):
        read_annotated(two_animals)


def test_labels_named_as_results_name_them_are_of_one_session(two_animals):
    write_labels(two_animals, (2, *at(20)), name="m2_r_session0.ome.tif")
    (found,) = read_annotated(two_animals)
    assert found.file.session.animal == "m2"


def test_labels_of_no_stack_are_named(tmp_path, caplog):
    caplog.set_level("WARNING")
    write_sessions(tmp_path)
    write_labels(tmp_path, (2, *at(20)))
    write_labels(tmp_path, (2, *at(20)), name="stack.tiff")
    assert len(read_annotated(tmp_path)) == 1
    assert "labels/stack.tiff is named as no usable stack" in caplog.text


@pytest.mark.parametrize(("column", "word"), [("bad", "x"), ("bad", "2"), ("scorable", "n")])
def test_a_word_for_neither_yes_nor_no_is_refused(tmp_path, column, word):
    """It would count as sure."""
    write_sessions(tmp_path)
    write_points(tmp_path, point="tip", **{column: word})
    with pytest.raises(InputError, match=f"column {column}, line 2: '{word}'; 1 for yes and 0"):
        read_truth(tmp_path)


@pytest.mark.parametrize("point", ["tip", "head"])
def test_a_mark_beyond_the_border_teaches_nothing(tmp_path, point):
    """What lies outside the field nobody sees: at the border is no head."""
    write_sessions(tmp_path)
    write_points(tmp_path, point=point)
    spines = pd.read_csv(tmp_path / "spines.csv")
    outside = spines.assign(track=2, y_um=16.9, base_y_um=15.0, x_um=12.0, base_x_um=12.0)
    pd.concat([spines, outside]).to_csv(tmp_path / "spines.csv", index=False)
    assert scene(tmp_path).labelled.wanted.tolist() == [True, False]
