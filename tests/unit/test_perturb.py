"""Each transform on a patch with three drawn spines: shape, labels, points and z stay together."""

import numpy as np
import pytest

from spinenet.training import perturb
from spinenet.training.targets import Labelled

SHAPE, VOXEL = (8, 60, 60), (0.5, 0.1, 0.1)
POINTS = np.array([[2, 20, 15], [4, 30, 45], [6, 44, 30]])


@pytest.fixture
def patch():
    labels = np.zeros(SHAPE, np.uint16)
    for k, (z, y, x) in enumerate(POINTS):
        labels[z, y - 2 : y + 3, x - 2 : x + 3] = k + 2
    known = np.full(SHAPE, 7, np.uint8)
    image = (labels > 0).astype(np.float32)
    return Labelled(image, labels, known, POINTS.astype(float), np.ones(3, bool), VOXEL)


ON_IMAGE = (
    perturb.noise,
    perturb.z_blur,
    perturb.slice_jitter,
    perturb.vessel_shadow,
    perturb.brightness,
)


@pytest.mark.parametrize("transform", ON_IMAGE, ids=lambda f: f.__name__)
def test_those_of_the_image_leave_labels_and_points(patch, transform):
    before = patch.image.copy()
    out = transform(patch, np.random.default_rng(1))
    assert out.image.shape == SHAPE
    assert out.image.dtype == np.float32
    assert not np.array_equal(out.image, before)
    assert np.array_equal(patch.image, before)
    assert out.labels is patch.labels
    assert out.centres_vox is patch.centres_vox
    for k, (z, _, _) in enumerate(POINTS):  # the light stays where the label is
        light = (out.image * (patch.labels == k + 2)).sum(axis=(1, 2))
        assert light.argmax() == z


@pytest.mark.parametrize("seed", range(5))
def test_bent_tissue_keeps_points_in_their_spines(patch, seed):
    out = perturb.elastic(patch, np.random.default_rng(seed))
    assert out.image.shape == out.labels.shape == out.known.shape == SHAPE
    for k, p in enumerate(out.centres_vox):
        there = np.argwhere(out.labels == k + 2)
        assert np.abs(there.mean(axis=0) - p).max() < 0.6
        assert (there[:, 0] == POINTS[k, 0]).all()
    assert np.abs(out.centres_vox - POINTS).max() > 0.3


def test_what_comes_in_from_outside_is_unknown(patch):
    bent = [perturb.elastic(patch, np.random.default_rng(s)) for s in range(10)]
    assert any((b.known == 0).any() for b in bent)


def test_upside_down_twice_is_as_before(patch):
    once = perturb.upside_down(patch)
    assert once.labels[tuple(once.centres_vox[0].astype(int))] == 2
    twice = perturb.upside_down(once)
    assert np.array_equal(twice.image, patch.image)
    assert np.array_equal(twice.centres_vox, patch.centres_vox)


def test_every_second_slice_keeps_places_in_um(patch):
    out = perturb.decimate_z(patch, 2)
    assert out.image.shape == (4, 60, 60)
    assert out.voxel_um == (1.0, 0.1, 0.1)
    assert np.allclose(out.centres_vox * out.voxel_um, patch.centres_vox * VOXEL)
    assert out.labels[tuple(np.rint(out.centres_vox[0]).astype(int))] == 2
    assert perturb.decimate_z(patch, 1).voxel_um == VOXEL
