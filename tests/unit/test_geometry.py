import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spinenet.geometry import (
    affine_apply,
    affine_inverse,
    arc_length,
    from_line_frame,
    inside,
    merge_close,
    nearest_voxels,
    point_at,
    project,
    resample,
    side_frame,
    smooth,
    to_line_frame,
)

CORNER = np.array([[0.0, 0, 0], [0, 0, 3], [0, 4, 3]])


def test_arc_length_of_a_corner():
    assert arc_length(CORNER).tolist() == [0, 3, 7]


def test_doubling_the_size_doubles_the_arc():
    assert np.allclose(arc_length(2 * CORNER), 2 * arc_length(CORNER))


def test_resample_keeps_ends_and_step():
    line = resample(CORNER, 0.5)
    assert np.allclose(line[[0, -1]], CORNER[[0, -1]])
    assert np.diff(arc_length(line)).max() <= 0.5 + 1e-9


def test_smooth_leaves_a_straight_line_alone():
    line = np.linspace([0, 0, 0], [0, 0, 20], 41)
    assert np.allclose(smooth(line, 0.5, (1.5, 0.5, 0.5)), line, atol=1e-6)


def test_smooth_takes_out_slice_jitter():
    line = np.linspace([0, 0, 0], [0, 0, 20], 41)
    rough = line + np.random.default_rng(0).normal(0, 0.5, line.shape) * [1, 0, 0]
    assert arc_length(smooth(rough, 0.5, (1.5, 0.5, 0.5)))[-1] < 0.9 * arc_length(rough)[-1]


def test_project_onto_the_nearer_leg():
    d, s, foot = project([[0, 2, 4]], CORNER, arc_length(CORNER))
    assert (d[0], s[0]) == (1, 5)
    assert foot[0].tolist() == [0, 2, 3]


def test_right_is_right_and_up_is_towards_the_objective():
    right, up = side_frame(np.array([[0.0, 0, 1]]))
    assert right[0].tolist() == [0, 1, 0]
    assert up[0].tolist() == [-1, 0, 0]


@given(st.floats(0.5, 6.5), st.floats(-3, 3), st.floats(-3, 3), st.floats(-0.5, 0.5))
def test_line_frame_round_trip(s, side, up, slope):
    line = np.linspace([0, 0, 0], [7 * slope, 1, 7], 30)
    arc = arc_length(line)
    frame = np.array([[s, side, up]])
    point = from_line_frame(frame, line, arc)
    assert np.allclose(to_line_frame(point, frame[:, 0], line, arc), frame, atol=1e-9)


def test_merge_close_keeps_the_surer_one():
    points = np.array([[0, 0, 0], [0, 0, 0.3], [0, 0, 2]], float)
    assert merge_close(points, np.array([0.5, 0.9, 0.1]), (1, 1, 1)).tolist() == [1, 2]


def test_merge_close_of_nothing():
    assert merge_close(np.zeros((0, 3)), np.zeros(0), (1, 1, 1)).size == 0


def test_voxels_are_clipped_to_the_stack():
    assert nearest_voxels([[99, -1, 0.26]], (1, 0.1, 0.1), (5, 5, 5)).tolist() == [[4, 0, 3]]


def test_inside_needs_the_margin():
    extent = np.array([5.0, 5, 5])
    assert inside([[1, 1, 1], [0.5, 2, 2]], extent, 1.0).tolist() == [True, False]


@given(st.floats(-0.3, 0.3), st.floats(-9, 9))
def test_affine_there_and_back(turn, shift):
    affine = np.c_[np.eye(3) + turn * np.array([[0, 0, 0], [0, 0, 1], [0, -1, 0]]), [shift, 1, 2]]
    assert np.allclose(
        affine_apply(affine_inverse(affine), affine_apply(affine, np.eye(3))), np.eye(3)
    )
    assert np.allclose(affine_apply(affine_inverse(affine), affine_apply(affine, CORNER)), CORNER)


def test_point_at_the_middle_of_a_leg():
    assert point_at(CORNER, arc_length(CORNER), 1.5)[0] == pytest.approx([0, 0, 1.5])
