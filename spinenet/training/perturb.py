"""What a microscope may do to a patch: what albumentations lacks, or gets wrong on volumes.

Each takes and returns a `Labelled` and keeps its shape, and z where it is; those of the image alone
leave labels and points as they are.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import ndimage

from spinenet.training.targets import Labelled
from spinenet.types import Um3

ELASTIC_UM, ELASTIC_WIDTH_UM = 0.25, 1.5
JITTER_UM = 0.1
Z_BLUR_UM = (0.2, 0.8)
NOISE = (0.02, 0.12)
NOISE_ALONG_X = 0.8
SHADOW = (0.3, 0.8)
SHADOW_WIDTH_UM = (1.0, 4.0)
COARSEST_Z_UM = 1.5


def upside_down(patch: Labelled) -> Labelled:
    """The stack as seen from below."""
    last = len(patch.image) - 1
    return replace(
        patch,
        image=np.ascontiguousarray(patch.image[::-1]),
        labels=np.ascontiguousarray(patch.labels[::-1]),
        known=np.ascontiguousarray(patch.known[::-1]),
        centres_vox=patch.centres_vox * [-1, 1, 1] + [last, 0, 0],
    )


def elastic(patch: Labelled, rng: np.random.Generator) -> Labelled:
    """Every slice bent alike, by about a quarter of a micrometre over a few: tissue moves."""
    _, ny, nx = patch.image.shape
    width = ELASTIC_WIDTH_UM / patch.voxel_um[2]
    field = ndimage.gaussian_filter(rng.normal(0, 1, (2, ny, nx)), (0, width, width))
    field *= ELASTIC_UM / patch.voxel_um[2] / max(float(field.std()), 1e-9)
    at = np.indices((ny, nx)) + field
    nearest = np.rint(at).astype(int)
    inside = ((nearest >= 0) & (nearest < np.array([ny, nx])[:, None, None])).all(axis=0)
    y, x = (np.clip(n, 0, size - 1) for n, size in zip(nearest, (ny, nx), strict=True))
    image = np.stack(
        [ndimage.map_coordinates(plane, at, order=1, mode="nearest") for plane in patch.image]
    )
    # a point p of the new patch shows what lay at p + field(p): a point q moves to where that is q
    points = patch.centres_vox.copy()
    for _ in range(5):
        moved = [
            ndimage.map_coordinates(f, points[:, 1:].T, order=1, mode="nearest") for f in field
        ]
        points[:, 1:] = patch.centres_vox[:, 1:] - np.stack(moved, axis=1)
    return replace(
        patch,
        image=image.astype(np.float32),
        labels=np.where(inside, patch.labels[:, y, x], 0).astype(patch.labels.dtype),
        known=np.where(inside, patch.known[:, y, x], 0).astype(patch.known.dtype),
        centres_vox=points,
    )


def decimate_z(patch: Labelled, factor: int) -> Labelled:
    """Every `factor`-th slice, as if z had been stepped more coarsely."""
    z, y, x = patch.voxel_um
    voxel: Um3 = (z * factor, y, x)
    return replace(
        patch,
        image=patch.image[::factor],
        labels=patch.labels[::factor],
        known=patch.known[::factor],
        centres_vox=patch.centres_vox / [factor, 1, 1],
        voxel_um=voxel,
    )


def noise(patch: Labelled, rng: np.random.Generator) -> Labelled:
    """Fewer photons: noise that grows with the root of the brightness, alike along x."""
    grain = rng.standard_normal(patch.image.shape, dtype=np.float32)
    across = np.sqrt(1 - NOISE_ALONG_X**2)
    grain[..., 1:] = NOISE_ALONG_X * grain[..., 1:] + across * grain[..., :-1]
    strength = np.float32(rng.uniform(*NOISE))
    return replace(
        patch, image=patch.image + strength * grain * np.sqrt(np.clip(patch.image, 0.04, 1))
    )


def z_blur(patch: Labelled, rng: np.random.Generator) -> Labelled:
    """A longer focus."""
    sigma = rng.uniform(*Z_BLUR_UM) / patch.voxel_um[0]
    return replace(patch, image=ndimage.gaussian_filter1d(patch.image, sigma, axis=0))


def slice_jitter(patch: Labelled, rng: np.random.Generator) -> Labelled:
    """Motion between slices, less than what the labels can tell."""
    pixels = JITTER_UM / patch.voxel_um[2]
    image = np.stack(
        [
            ndimage.shift(plane, rng.normal(0, pixels, 2), order=1, mode="nearest")
            for plane in patch.image
        ]
    )
    return replace(patch, image=image)


def vessel_shadow(patch: Labelled, rng: np.random.Generator) -> Labelled:
    """A dark band across the field."""
    _, ny, nx = patch.image.shape
    angle = rng.uniform(0, np.pi)
    y, x = np.indices((ny, nx)) - np.array([rng.uniform(0, ny), rng.uniform(0, nx)])[:, None, None]
    across_um = (np.cos(angle) * y + np.sin(angle) * x) * patch.voxel_um[2]
    depth, width = rng.uniform(*SHADOW), rng.uniform(*SHADOW_WIDTH_UM)
    shade = 1 - depth * np.exp(-0.5 * (across_um / width) ** 2)
    return replace(patch, image=(patch.image * shade).astype(np.float32))


def brightness(patch: Labelled, rng: np.random.Generator) -> Labelled:
    """Another normalisation than this stack's: gain, background, gamma (noise has no sign)."""
    gain, power = np.exp(rng.normal(0, 0.25)), np.exp(rng.normal(0, 0.15))
    image = patch.image * gain + rng.normal(0, 0.02)
    return replace(patch, image=(np.sign(image) * np.abs(image) ** power).astype(np.float32))
