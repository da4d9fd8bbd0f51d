"""Augmentation of training patches: the list of what is allowed. albumentations lives here only."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace

# albumentations asks the network for its newest version when it is imported; a training run on a
# cluster node without network would wait for it.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import albumentations as A
import numpy as np

from spinenet.training.perturb import (
    brightness,
    elastic,
    noise,
    slice_jitter,
    upside_down,
    vessel_shadow,
    z_blur,
)
from spinenet.training.targets import Labelled

Transform = Callable[[Labelled, np.random.Generator], Labelled]
ON_REAL: tuple[tuple[Transform, float], ...] = (
    (lambda patch, rng: upside_down(patch), 0.5),
    (noise, 0.2),
    (z_blur, 0.1),
    (slice_jitter, 0.1),
    (vessel_shadow, 0.05),
)
"""What is done to a patch of a real stack, and how often; the simulator has it all already."""
ELASTIC_SHARE = 0.1


class Augment:
    """In-plane symmetries, hidden boxes and brightness of a patch, with its labels and points.

    Of albumentations only transforms that were checked to keep z, shape and labels are used; its
    noise is not (several of its 3-D noises are wrong), nor its elastic deformation (it moves points
    by a pixel and loses one of two that lie above each other): `perturb` has those. `warp`
    adds, for real stacks, of which there are few, any angle, scale, shear, and `ON_REAL`.
    """

    def __init__(self, shape: tuple[int, int, int], seed: int, *, warp: bool = False) -> None:
        turn = A.Affine(rotate=(-45, 45), scale=(0.88, 1.14), shear=(-6, 6), fill_mask=0, p=0.35)
        self._pipeline = A.Compose(
            [
                *([turn] if warp else []),
                A.RandomCrop3D(size=shape),
                A.D4(p=1.0),
                A.CoarseDropout3D(
                    num_holes_range=(1, 2),
                    hole_depth_range=(0.1, 0.2),
                    hole_height_range=(0.05, 0.15),
                    hole_width_range=(0.05, 0.15),
                    fill_mask=0,  # of `known` too: what is hidden, nobody can tell
                    p=0.1,
                ),
            ],
            keypoint_params=A.KeypointParams(format="xyz", remove_invisible=False),
            additional_targets={"known": "mask3d"},
            seed=seed,
        )
        self._warp = warp
        self._rng = np.random.default_rng(seed)

    def __call__(self, patch: Labelled) -> Labelled:
        """A crop of the patch, deformed and recoloured; its image in about 0..1."""
        if self._warp and self._rng.random() < ELASTIC_SHARE:
            patch = elastic(patch, self._rng)
        patch = self._cropped(patch)
        for transform, share in ON_REAL if self._warp else ():
            if self._rng.random() < share:
                patch = transform(patch, self._rng)
        return brightness(patch, self._rng)

    def _cropped(self, patch: Labelled) -> Labelled:
        # the middle goes along as a point: not all transforms can bear that none is left
        middle = np.array(patch.image.shape)[None] / 2
        out = self._pipeline(
            volume=patch.image,
            mask3d=patch.labels.astype(np.int32),
            known=patch.known.astype(np.int32),
            keypoints=np.r_[patch.centres_vox, middle][:, ::-1].astype(np.float32),
        )
        points = np.asarray(out["keypoints"], float).reshape(-1, 3)[:-1, ::-1]
        return replace(
            patch,
            image=out["volume"],
            labels=out["mask3d"].astype(np.uint16),
            known=out["known"].astype(np.uint8),
            centres_vox=points,
        )
