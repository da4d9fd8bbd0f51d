import numpy as np
import pytest
from roifile import ROI_TYPE, roiread

from spinenet.io.atomic import sweep
from spinenet.io.write import write_rois, write_swc
from spinenet.tables import DENDRITES, SPINES

VOXEL = (1.0, 0.1, 0.1)


def test_rois_outline_masks_and_mark_what_has_none(tmp_path):
    labels = np.zeros((4, 40, 60), np.uint16)
    labels[1:3, 10:16, 20:30] = 2
    rows = [
        {"spine_id": 1, "track_id": 5, "z_um": 1.4, "y_um": 1.25, "x_um": 2.45, "label": 2},
        {"spine_id": 2, "track_id": 6, "z_um": 3.0, "y_um": 3.0, "x_um": 5.0, "label": 0},
    ]
    path = write_rois(tmp_path / "a.zip", SPINES.frame(rows), labels, VOXEL)
    mask, point = roiread(path)
    assert mask.name == "track5_spine1"
    assert (mask.roitype, point.roitype) == (ROI_TYPE.POLYGON, ROI_TYPE.POINT)
    assert mask.position == 2
    # the outline runs through the middle of the border pixels' outer sides
    assert mask.coordinates().min(axis=0) == pytest.approx([20, 10], abs=0.01)
    assert mask.coordinates().max(axis=0) == pytest.approx([30, 16], abs=0.01)
    assert point.coordinates()[0] == pytest.approx([50.5, 30.5], abs=0.01)


def test_the_same_rois_are_the_same_bytes(tmp_path):
    labels = np.zeros((2, 9, 9), np.uint16)
    rows = [{"spine_id": 1, "track_id": 5, "z_um": 0, "y_um": 0.3, "x_um": 0.3, "label": 2}]
    one, two = (
        write_rois(tmp_path / n, SPINES.frame(rows), labels, VOXEL).read_bytes() for n in "ab"
    )
    assert one == two


def test_a_gap_in_a_trace_is_no_cable(tmp_path):
    rows = [
        {
            "dendrite_id": 0,
            "node": n,
            "parent_node": p,
            "z_um": 0,
            "y_um": 0,
            "x_um": n,
            "radius_um": 1,
        }
        for n, p in ((0, -1), (1, 0), (50, -1), (51, 50))
    ]
    lines = write_swc(tmp_path / "a.swc", DENDRITES.frame(rows)).read_text().splitlines()[1:]
    assert [int(line.split()[-1]) for line in lines] == [-1, 1, -1, 3]


def test_what_a_killed_run_left_aside_is_swept(tmp_path):
    aside = tmp_path / ".stacks" / f".{'a1' * 16}.tmp"
    aside.mkdir(parents=True)
    (aside / "shaft.npy").write_bytes(b"half")
    (tmp_path / f".{'b2' * 16}.tmp.csv").write_text("half")
    (tmp_path / "spines.csv").write_text("whole")
    (tmp_path / ".lab.tmpl").write_text("a person's own")
    sweep(tmp_path)
    left = [p.name for p in sorted(tmp_path.rglob("*"))]
    assert left == [".lab.tmpl", ".stacks", "spines.csv"]
