"""A lab's annotations, drawn small: what is known of them, what is not, and that a net trains."""

import numpy as np
import pandas as pd
import pytest
import tifffile

from spinenet.cli import BAD_INPUT, DONE, main
from spinenet.config import AnnotatedConfig
from spinenet.io.annotated import read_annotated
from spinenet.training.annotated_data import cut, head_of_tip, read_scene
from spinenet.training.targets import KNOWN_CENTRE, KNOWN_SHAFT, KNOWN_SPINE
from spinenet.types import InputError

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


def write_sessions(folder):
    tifffile.imwrite(folder / "stack.tif", picture())
    row = {"animal": "a", "region": "r", "session": 0, "day": 0.0, "path": "stack.tif"}
    size = {f"voxel_{a}_um": v for a, v in zip("zyx", VOXEL, strict=True)}
    pd.DataFrame([{**row, **size}]).to_csv(folder / "sessions.csv", index=False)


def write_points(folder, **more):
    place = {
        "z_um": 6.0,
        "y_um": 2.5,
        "x_um": 6.0,
        "base_z_um": 6.0,
        "base_y_um": 4.0,
        "base_x_um": 6.0,
    }
    rows = [{"region": "r", "session": 0, "track": 1, "dendrite": 0, **place, **more}]
    pd.DataFrame(rows).to_csv(folder / "spines.csv", index=False)
    nodes = [
        {"region": "r", "session": 0, "dendrite": d, "z_um": 6.0, "y_um": 0.1 * row, "x_um": x}
        for d, row in DENDRITE_Y.items()
        for x in np.arange(0, 20, 0.5)
    ]
    pd.DataFrame(nodes).to_csv(folder / "dendrites.csv", index=False)


@pytest.fixture
def points_folder(tmp_path):
    write_sessions(tmp_path)
    write_points(tmp_path)
    return tmp_path


def scene(folder, **settings):
    config = AnnotatedConfig(point="tip", **settings)
    return read_scene(read_annotated(folder, "tip")[0], config)


def known(scene, bit):
    return scene.labelled.known & bit > 0


def test_a_tip_is_moved_into_its_head(points_folder):
    found = scene(points_folder).labelled.centres_vox[0]
    assert np.abs((found - HEAD) * VOXEL).max() <= 0.15


def test_a_click_two_slices_off_is_brought_back():
    image = picture().astype(np.float32)
    tip, base = np.array([14.0, 25, 60]), np.array([12.0, 40, 60])
    assert head_of_tip(image, tip, base, VOXEL)[0] == pytest.approx(12, abs=1)


def test_spines_are_known_along_the_traces_and_nowhere_else(points_folder):
    taught = scene(points_folder)
    assert known(taught, KNOWN_CENTRE)[12, 45, 100]
    assert known(taught, KNOWN_CENTRE)[12, 115, 100]
    assert not known(taught, KNOWN_CENTRE)[12, 80, 100]


def test_a_held_out_dendrite_is_unknown(points_folder):
    taught = scene(points_folder, hold_out=(1,))
    assert known(taught, KNOWN_CENTRE)[12, 45, 100]
    assert not taught.labelled.known[12, 112:128].any()
    assert scene(points_folder, hold_out=(0,)).labelled.centres_vox.shape == (0, 3)


def test_the_shaft_is_sure_on_the_trace_only_and_a_spine_at_its_head_only(points_folder):
    taught = scene(points_folder)
    shaft = known(taught, KNOWN_SHAFT)
    assert shaft[12, 40, 100]
    assert taught.labelled.labels[12, 40, 100] == 1
    assert not shaft[12, 47, 100]  # 0.7 um from the trace: the shaft's edge may lie here
    assert shaft[12, 60, 100]
    spine = known(taught, KNOWN_SPINE)
    assert spine[HEAD]
    assert taught.labelled.labels[HEAD] == 2
    assert not spine[12, 36, 60]  # neck or flank: nobody drew it
    assert spine[12, 48, 100]


def test_an_unsure_spine_is_neither_spine_nor_background(tmp_path):
    write_sessions(tmp_path)
    write_points(tmp_path, bad=1)
    taught = scene(tmp_path)
    assert not taught.labelled.wanted[0]
    assert not known(taught, KNOWN_CENTRE)[HEAD]


def test_a_label_image_is_believed_but_for_its_unknown_voxels(tmp_path):
    write_sessions(tmp_path)
    labels = np.zeros(SHAPE, np.uint16)
    labels[12, 38:43] = 1
    labels[11:14, 28:33, 58:63] = 7
    labels[:, 100:] = 65535
    (tmp_path / "labels").mkdir()
    tifffile.imwrite(tmp_path / "labels" / "stack.tif", labels)
    taught = scene(tmp_path).labelled
    assert taught.labels[HEAD] == 2
    assert np.abs((taught.centres_vox[0] - HEAD) * VOXEL).max() < 0.1
    assert (taught.known[:, 100:] == 0).all()
    assert (taught.known[:, :100] == 7).all()


def test_crops_hold_a_dendrite_and_pad_a_thin_stack(points_folder):
    rng = np.random.default_rng(0)
    taught = scene(points_folder)
    crops = [cut(taught, (32, 64, 64), rng) for _ in range(10)]
    assert all(c.image.shape == c.labels.shape == c.known.shape == (32, 64, 64) for c in crops)
    assert all((c.known[24:] == 0).all() for c in crops)
    assert all((c.labels == 1).any() for c in crops)


def test_a_net_trains_on_points(points_folder, tmp_path):
    arguments = ["--steps", "2", "--batch", "2", "--patch", "[8,32,32]", "--workers", "0"]
    arguments += ["--net.channels", "[4,4,4,4]", "--validation_stacks", "1", "--device", "cpu"]
    arguments += ["--data", str(points_folder), "--annotated.point", "tip", "--quiet"]
    assert main(["train", "segment", "--out", str(tmp_path / "run"), *arguments]) == DONE
    assert (tmp_path / "run" / "unet.safetensors").exists()


def test_points_without_traces_say_where_nothing_was_looked_for(points_folder):
    (points_folder / "dendrites.csv").unlink()
    with pytest.raises(InputError, match="Points alone do not say"):
        read_annotated(points_folder, "tip")


def test_points_of_unnamed_kind_are_refused(points_folder, capsys):
    assert main(["train", "segment", "--data", str(points_folder), "--steps", "1"]) == BAD_INPUT
    assert "tip" in capsys.readouterr().err


def test_holding_out_everything_is_refused(points_folder):
    with pytest.raises(InputError, match="nothing is left to train on"):
        scene(points_folder, hold_out=(0, 1))


def test_labels_on_another_grid_are_refused(tmp_path):
    write_sessions(tmp_path)
    (tmp_path / "labels").mkdir()
    tifffile.imwrite(tmp_path / "labels" / "stack.tif", np.zeros((6, 7, 8), np.uint16))
    with pytest.raises(InputError, match="without scaling or cropping"):
        scene(tmp_path)
