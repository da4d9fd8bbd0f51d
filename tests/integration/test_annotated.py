"""A lab's annotations, drawn small: what is known of them, what is not, and that a net trains."""

import shutil
from dataclasses import replace
from itertools import islice

import numpy as np
import pandas as pd
import pytest
import tifffile

from spinenet.cli import main
from spinenet.commands import BAD_INPUT, DONE
from spinenet.config import AnnotatedConfig, MorphologyConfig, OpticsConfig, TrainSegmentConfig
from spinenet.io.annotated import read_annotated
from spinenet.training.annotated_data import head_of_tip, read_scenes
from spinenet.training.annotated_scene import cut
from spinenet.training.implant import dendrite_of, implant
from spinenet.training.segment_data import TrainingPatches
from spinenet.training.targets import KNOWN_CENTRE, KNOWN_SHAFT, KNOWN_SPINE
from spinenet.training.underlay import find_ground, underlay
from spinenet.types import InputError
from tests.integration.drawn_folder import (
    HEAD,
    SHAPE,
    VOXEL,
    add_session,
    known,
    known_at,
    picture,
    scene,
    write_points,
    write_sessions,
)


@pytest.mark.parametrize("click", [(12, 25, 60), (14, 25, 60), (10, 27, 61), (13, 23, 59)])
def test_a_stray_click_is_brought_into_the_head(click):
    image = picture().astype(np.float32)
    found = head_of_tip(image, np.array(click, float), np.array([12.0, 40, 60]), VOXEL)
    assert np.abs((found - HEAD) * VOXEL).max() <= 0.25
    assert image[tuple(found.astype(int))] > 100


def test_a_tip_is_not_moved_into_the_shaft():
    """A stub: the shaft beside it is brighter than its head."""
    image = picture().astype(np.float32)
    tip, base = np.array([12.0, 32, 150]), np.array([12.0, 40, 150])
    assert head_of_tip(image, tip, base, VOXEL)[1] <= 32 + 0.45 * 8


def test_another_spacing_gives_the_same_places_in_um(tmp_path):
    """Pixels half as wide: resampled to the net's grid, the head must lie where it lay."""
    write_sessions(
        tmp_path, np.repeat(np.repeat(picture(), 2, axis=1), 2, axis=2), (0.5, 0.05, 0.05)
    )
    write_points(tmp_path, shift_um=0.025)
    taught = scene(tmp_path).labelled
    assert taught.image.shape == SHAPE
    assert np.abs((taught.centres_vox[0] - HEAD) * VOXEL).max() <= 0.25
    assert taught.labels[12, 40, 100] == 1


def test_spines_are_known_along_the_traces_and_nowhere_else(points_folder):
    taught = scene(points_folder)
    assert known(taught, KNOWN_CENTRE)[12, 45, 100]
    assert known(taught, KNOWN_CENTRE)[12, 115, 100]
    assert not known(taught, KNOWN_CENTRE)[12, 80, 100]


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
    crops = [cut(taught, (32, 64, 64), rng)[0] for _ in range(10)]
    assert all(c.image.shape == c.labels.shape == c.known.shape == (32, 64, 64) for c in crops)
    assert all((c.known[24:] == 0).all() for c in crops)
    assert all((c.labels == 1).any() for c in crops)


def test_simulated_spines_grow_on_a_traced_dendrite(points_folder):
    """They add light where they are and only there, their places are known, the marked one stays."""
    taught = scene(points_folder)
    line = taught.lines[0]
    assert line.radius_um == pytest.approx(0.55, abs=0.15)
    patch = taught.labelled
    dendrite = dendrite_of(line, patch, np.zeros(3))
    few = MorphologyConfig(head_volume_um3=0.2, filopodia_share=0.0)
    draws = [
        implant(patch, dendrite, few, OpticsConfig(), np.random.default_rng(s)) for s in range(8)
    ]
    grown = max(draws, key=lambda g: int(g.wanted.sum()))
    assert grown.wanted.sum() > 2
    assert np.array_equal(grown.centres_vox[0], patch.centres_vox[0])
    assert grown.labels[HEAD] == 2
    more, inside = grown.image - patch.image, 0
    for k in np.flatnonzero(grown.wanted)[1:]:
        at = tuple(np.rint(grown.centres_vox[k]).astype(int))
        if all(0 <= a < n for a, n in zip(at, SHAPE, strict=True)):
            assert grown.labels[at] == k + 2
            assert known_at(grown, KNOWN_CENTRE)[at]
            assert more[at] > 0.1
            apart = np.linalg.norm((grown.centres_vox[k] - HEAD) * VOXEL)
            assert apart > 1.0
            inside += 1
    assert inside > 1
    assert np.abs(more[:, 100:]).max() < 0.05  # the other dendrite is left alone


def test_simulated_dendrites_lie_over_the_empty_parts_only(points_folder):
    """Between the shafts in rows 40 and 120 there is room; what is painted there is all known."""
    shape = (8, 32, 32)
    taught = scene(points_folder, hold_out=(1,)).labelled
    ground = find_ground(taught, shape)
    rows = ground.corners_vox[:, 1]
    beside = (rows + shape[1] <= 40) | (rows > 40)
    above = ground.corners_vox[:, 0] + shape[0] <= 12  # the shafts lie at a depth of 12
    below = ground.corners_vox[:, 0] > 12
    assert (beside | above | below).all()
    spiny = MorphologyConfig(spines_per_um=(1.0, 1.0))
    draws = [underlay(ground, spiny, OpticsConfig(), np.random.default_rng(s)) for s in range(6)]
    assert all((d.known & KNOWN_SHAFT > 0).all() for d in draws)
    assert any((d.labels == 1).sum() > 50 for d in draws)
    for drawn in draws:
        shaft, elsewhere = drawn.labels == 1, drawn.labels == 0
        if shaft.sum() > 50:
            assert np.median(drawn.image[shaft]) > np.median(drawn.image[elsewhere])
    assert max(d.image.max() for d in draws) <= taught.image.max() + 1e-3  # it saturates alike


def test_what_a_label_image_calls_unknown_is_no_ground(tmp_path):
    labels = np.zeros(SHAPE, np.uint16)
    labels[12, 38:43] = 1
    labels[:, 80:] = 65535
    taught = scene(with_labels(tmp_path, labels))
    ground = find_ground(taught.labelled, (8, 32, 32), taught.hidden)
    assert (ground.corners_vox[:, 1] + 32 <= 80).all()


def test_of_a_thin_stack_all_slices_are_shown(tmp_path):
    """20 slices, labelled throughout, and patches of 16: none reaches beyond the stack."""
    (tmp_path / "labels").mkdir()
    labels = np.zeros((20, *SHAPE[1:]), np.uint16)
    labels[10, 38:43] = 1
    tifffile.imwrite(tmp_path / "labels" / "stack.tif", labels)
    write_sessions(tmp_path, picture()[2:22], voxel_um=(1.5, 0.1, 0.1))
    scenes = read_scenes(read_annotated(tmp_path), AnnotatedConfig())
    only = AnnotatedConfig(share=1.0)
    patches = TrainingPatches(TrainSegmentConfig(patch=(16, 32, 32), annotated=only), scenes)
    assert [ground.shape for ground in patches.grounds] == [(20, 64, 64)]
    for _, _, known_ in islice(patches, 8):
        assert known_[2].any(dim=2).any(dim=1).all()


def test_a_stack_without_room_or_without_a_shaft_is_no_ground(points_folder):
    taught = scene(points_folder).labelled
    assert find_ground(taught, (24, 160, 200)) is None
    assert find_ground(replace(taught, labels=np.zeros_like(taught.labels)), (8, 32, 32)) is None


def test_a_crop_without_a_dendrite_stays_as_it_is(points_folder):
    taught = scene(points_folder)
    assert dendrite_of(taught.lines[0], taught.labelled, np.array([0.0, 90, 0])) is None


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


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"z_um": None}, "the spine has no place"),
        ({"y_um": 250.0}, "pixels and slices in their place"),
        ({"point": "middle"}, "tip or head was expected"),
    ],
)
def test_a_spine_with_a_wrong_place_is_refused(tmp_path, more, message):
    write_sessions(tmp_path)
    write_points(tmp_path, **more)
    with pytest.raises(InputError, match=message):
        scene(tmp_path)


def test_a_spine_of_an_untraced_dendrite_is_no_background(tmp_path):
    write_sessions(tmp_path)
    write_points(tmp_path, dendrite=5)
    taught = scene(tmp_path)
    assert not taught.labelled.wanted.any()
    assert not known(taught, KNOWN_CENTRE)[HEAD]


def test_a_run_does_not_go_on_with_other_marks_or_stacks(points_folder, tmp_path, capsys):
    arguments = ["--batch", "1", "--patch", "[8,32,32]", "--workers", "0", "--save_every", "1"]
    arguments += ["--net.channels", "[4,4,4,4]", "--validation_stacks", "1", "--device", "cpu"]
    arguments += ["--data", str(points_folder), "--annotated.point", "tip", "--quiet"]
    run = ["train", "segment", "--out", str(tmp_path / "run"), *arguments]
    assert main([*run, "--steps", "1"]) == DONE
    assert main([*run, "--steps", "2", "--annotated.hold_out", "[1]"]) == BAD_INPUT
    assert "begun with other annotated" in capsys.readouterr().err
    assert main([*run, "--steps", "2"]) == DONE
    write_sessions(points_folder, voxel_um=(0.6, 0.1, 0.1))
    assert main([*run, "--steps", "3"]) == BAD_INPUT
    assert "begun with other stacks" in capsys.readouterr().err
    write_sessions(points_folder, picture() + 1)
    assert main([*run, "--steps", "3"]) == BAD_INPUT
    assert "begun with other stacks" in capsys.readouterr().err


def test_a_blank_region_that_fits_two_fields_is_refused(points_folder):
    table = pd.read_csv(points_folder / "sessions.csv")
    shutil.copy(points_folder / "stack.tif", points_folder / "other.tif")
    pd.concat([table, table.assign(region="r2", path="other.tif")]).to_csv(
        points_folder / "sessions.csv", index=False
    )
    spines = pd.read_csv(points_folder / "spines.csv").assign(region=None)
    spines.to_csv(points_folder / "spines.csv", index=False)
    with pytest.raises(InputError, match="fit 2 fields of view"):
        read_annotated(points_folder, "tip")


def test_marks_of_a_session_that_no_stack_has_are_refused(points_folder):
    """Sessions counted from 1 in one table and from 0 in the other."""
    spines = pd.read_csv(points_folder / "spines.csv").assign(region=None, session=7)
    spines.to_csv(points_folder / "spines.csv", index=False)
    with pytest.raises(InputError, match="session 7 are of no known stack; known are a, r, 0"):
        read_annotated(points_folder, "tip")


def with_labels(folder, labels):
    write_sessions(folder)
    (folder / "labels").mkdir()
    tifffile.imwrite(folder / "labels" / "stack.tif", labels)
    return folder


def test_where_only_spines_were_drawn_nothing_is_learned_of_shafts(tmp_path, caplog):
    labels = np.zeros(SHAPE, np.uint16)
    labels[11:14, 28:33, 58:63] = 2
    with caplog.at_level("WARNING"):
        taught = scene(with_labels(tmp_path, labels))
    assert "holds no shaft (label 1)" in caplog.text
    assert not known(taught, KNOWN_SHAFT).any()
    assert known(taught, KNOWN_SPINE).all()
    assert np.abs(taught.anchors_vox - HEAD).max() <= 2


def test_an_empty_label_image_is_believed_with_a_word(tmp_path, caplog):
    with caplog.at_level("WARNING"):
        taught = scene(with_labels(tmp_path, np.zeros(SHAPE, np.uint16)))
    assert "holds no label" in caplog.text
    assert (taught.labelled.known == 7).all()


def test_spines_numbered_from_1_are_refused(tmp_path):
    labels = np.zeros(SHAPE, np.uint16)
    labels[11:14, 28:33, 58:63] = 1
    labels[11:14, 28:33, 158:163] = 2
    with pytest.raises(InputError, match="Spines numbered from 1 on are the usual cause"):
        scene(with_labels(tmp_path, labels))


def test_labels_that_do_not_fit_16_bits_are_refused(tmp_path):
    write_sessions(tmp_path)
    (tmp_path / "labels").mkdir()
    tifffile.imwrite(tmp_path / "labels" / "stack.tif", np.full(SHAPE, 70_000, np.int32))
    with pytest.raises(InputError, match="Number the spines anew"):
        scene(tmp_path)


def test_labels_on_another_grid_are_refused(tmp_path):
    write_sessions(tmp_path)
    (tmp_path / "labels").mkdir()
    tifffile.imwrite(tmp_path / "labels" / "stack.tif", np.zeros((6, 7, 8), np.uint16))
    with pytest.raises(InputError, match="without scaling or cropping"):
        scene(tmp_path)


def test_marks_of_a_session_without_a_trace_are_left_out_with_a_word(tmp_path, caplog):
    write_sessions(tmp_path)
    write_points(tmp_path)
    add_session(tmp_path)
    marks = pd.read_csv(tmp_path / "spines.csv")
    pd.concat([marks, marks.assign(session=1)]).to_csv(tmp_path / "spines.csv", index=False)
    with caplog.at_level("WARNING"):
        assert len(read_annotated(tmp_path, "tip")) == 1
    assert "later.tif has marked spines but no trace" in caplog.text
