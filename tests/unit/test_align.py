"""Fields of view are brought onto each other, and foreign ones noticed."""

import numpy as np
import pytest
from scipy import ndimage

from spinenet.config import MatchConfig
from spinenet.geometry import affine_apply
from spinenet.match.align import THUMB_UM, Thumb, _score, align, make_thumb
from spinenet.types import Session, Volume


def picture(seed=0, shape=(24, 90, 120)):
    rng = np.random.default_rng(seed)
    field = np.zeros(shape)
    at = (rng.uniform(0, 1, (60, 3)) * shape).astype(int)
    field[tuple(at.T)] = 50
    return (ndimage.gaussian_filter(field, 1.5) ** 0.5).astype(np.float32)


def thumb(picture, shaft=None):
    return Thumb(picture, picture if shaft is None else shaft, np.array(THUMB_UM), np.zeros(3))


def test_a_shifted_field_is_brought_back():
    still = picture()
    moved = ndimage.shift(still, (1.0, 6.0, -4.0), order=1)
    found = align(thumb(moved), thumb(still), MatchConfig())
    points = np.array([[12.0, 18, 24]])
    moved_um = points + np.array([1.0, 6.0, -4.0]) * THUMB_UM
    assert affine_apply(found.affine, moved_um)[0] == pytest.approx(points[0], abs=0.15)
    assert found.same_field


def test_a_turned_field_is_brought_back():
    still = picture()
    turned = ndimage.rotate(still, 4, axes=(1, 2), reshape=False, order=1)
    found = align(thumb(turned), thumb(still), MatchConfig())
    assert found.score > 0.85


def test_alignment_is_the_same_on_every_run():
    a, b = picture(), ndimage.shift(picture(), (0, 2.5, 1.5), order=1)
    one, two = (align(thumb(b), thumb(a), MatchConfig()).affine for _ in range(2))
    assert np.array_equal(one, two)


def test_another_field_is_noticed():
    assert not align(thumb(picture(1)), thumb(picture(2)), MatchConfig()).same_field


def test_shafts_tell_the_last_of_it_where_other_things_moved():
    shaft, others = picture(3), 2 * picture(4)
    still, moved = shaft + others, shaft + ndimage.shift(others, (0, 1.0, 0))
    point = np.array([[12.0, 18, 24]])
    by_shafts = align(thumb(moved, shaft), thumb(still, shaft), MatchConfig())
    assert affine_apply(by_shafts.affine, point)[0] == pytest.approx(point[0], abs=0.02)
    by_light = align(thumb(moved), thumb(still), MatchConfig())
    assert affine_apply(by_light.affine, point)[0, 1] < point[0, 1] - 0.1


def test_where_no_shaft_was_seen_the_light_alone_brings_it_back():
    still, none = picture(), np.zeros((24, 90, 120), np.float32)
    moved = ndimage.shift(still, (1.0, 6.0, -4.0), order=1)
    found = align(thumb(moved, none), thumb(still, none), MatchConfig())
    points = np.array([[12.0, 18, 24]])
    moved_um = points + np.array([1.0, 6.0, -4.0]) * THUMB_UM
    assert affine_apply(found.affine, moved_um)[0] == pytest.approx(points[0], abs=0.4)


def test_a_thumb_is_small_and_dark_outside():
    data = np.full((20, 80, 80), 100, np.uint16)
    data[10, 40, :] = 4000
    shaft = np.zeros(data.shape, np.uint8)
    shaft[10, 40, :] = 255
    made = make_thumb(Volume(data, (0.5, 0.1, 0.1), Session("m", "r", 0)), shaft)
    assert made.picture.shape == made.shaft.shape == (10, 20, 20)
    assert made.picture[0, 0, 0] == 0
    assert made.shaft.argmax(axis=1)[5, 10] == 10


def test_a_hundredth_of_a_micrometre_costs_a_thin_stack_no_plane():
    """A refined alignment would lose to one in whole voxels, which keeps both edge planes."""
    thin = thumb(picture(5, (8, 90, 120)))
    barely = np.c_[np.eye(3), [0.01, 0, 0]]
    assert _score(thin, thin, barely) == pytest.approx(1, abs=0.005)


def test_sessions_with_other_steps_in_depth_are_laid_over_each_other():
    """Planes 1 um apart, and every second of the same: where no shaft tells the rest, the coarse
    shift alone is right."""
    still, none = picture(6), np.zeros((24, 90, 120), np.float32)
    fine = Thumb(still, none, np.array(THUMB_UM), np.zeros(3))
    coarse = Thumb(still[1::2], none[1::2], np.array(THUMB_UM) * [2, 1, 1], np.array([1.0, 0, 0]))
    for moving, reference in ((coarse, fine), (fine, coarse)):
        found = align(moving, reference, MatchConfig())
        points = np.array([[12.0, 18, 24]])
        assert affine_apply(found.affine, points)[0] == pytest.approx(points[0], abs=0.55)
