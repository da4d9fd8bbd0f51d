"""Augmentation of training patches. albumentations lives here only."""

from __future__ import annotations

import os
from dataclasses import replace

# albumentations asks the network for its newest version when it is imported; a training run on a
# cluster node without network would wait for it.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import albumentations as A
import numpy as np
import numpy.typing as npt

from spinenet.training.targets import Labelled

OUTSIDE = -1e6


class Augment:
    """In-plane symmetries, dropout, brightness and noise of a patch, with its labels and points.

    Of albumentations only transforms that were checked to keep z, shape and labels are used; its
    noise is not (several of its 3-D noises are wrong), nor its elastic deformation (it moves points
    by a pixel and loses one of two that lie above each other). `warp` adds rotation by any angle,
    scale, shear, and the stack upside down: for real stacks, of which there are few.
    """

    def __init__(self, shape: tuple[int, int, int], seed: int, *, warp: bool = False) -> None:
        deform = [
            A.Affine(rotate=(-45, 45), scale=(0.88, 1.14), shear=(-6, 6), fill_mask=0, p=0.35),
        ]
        self._pipeline = A.Compose(
            [
                *(deform if warp else []),
                A.RandomCrop3D(size=shape),
                A.D4(p=1.0),
                A.CoarseDropout3D(
                    num_holes_range=(1, 2),
                    hole_depth_range=(0.1, 0.2),
                    hole_height_range=(0.05, 0.15),
                    hole_width_range=(0.05, 0.15),
                    p=0.1,
                ),
            ],
            keypoint_params=A.KeypointParams(
                format="xyz", remove_invisible=False, label_fields=["spine"]
            ),
            additional_targets={"known": "mask3d"},
            seed=seed,
        )
        self._warp = warp
        self._rng = np.random.default_rng(seed)

    def __call__(self, patch: Labelled) -> Labelled:
        """A crop of the patch, deformed and recoloured; its image in about 0..1."""
        # the middle goes along as a point: not all transforms can bear that none is left
        middle = np.array(patch.image.shape)[None] / 2
        out = self._pipeline(
            volume=patch.image,
            mask3d=patch.labels.astype(np.int32),
            known=patch.known.astype(np.int32),
            keypoints=np.r_[patch.centres_vox, middle][:, ::-1].astype(np.float32),
            spine=np.arange(len(patch.centres_vox) + 1),
        )
        image = out["volume"]
        labels, known = out["mask3d"].astype(np.uint16), out["known"].astype(np.uint8)
        # some transforms drop points that left the patch: their voxels are no spine to learn from
        points = np.full((len(patch.centres_vox) + 1, 3), OUTSIDE)
        kept = np.asarray(out["spine"], int)
        points[kept] = np.asarray(out["keypoints"], float).reshape(-1, 3)[:, ::-1]
        points = points[:-1]
        lost = np.setdiff1d(np.arange(len(points)), kept) + 2
        if len(lost):
            gone = np.isin(labels, lost)
            labels[gone], known[gone] = 0, 0
        if self._warp and self._rng.random() < 0.5:
            image, labels, known = (np.ascontiguousarray(a[::-1]) for a in (image, labels, known))
            points = points * [-1, 1, 1] + [len(image) - 1, 0, 0]
        if self._warp and self._rng.random() < 0.2:
            image = self._noise(image)
        return replace(
            patch, image=self._brightness(image), labels=labels, known=known, centres_vox=points
        )

    def _brightness(self, image: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Another normalisation than this stack's: gain, background, gamma (noise has no sign)."""
        gain, power = np.exp(self._rng.normal(0, 0.25)), np.exp(self._rng.normal(0, 0.15))
        image = image * gain + self._rng.normal(0, 0.02)
        return (np.sign(image) * np.abs(image) ** power).astype(np.float32)

    def _noise(self, image: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Fewer photons: noise that grows with the root of the brightness, alike along x."""
        noise = self._rng.standard_normal(image.shape, dtype=np.float32)
        noise[..., 1:] = 0.8 * noise[..., 1:] + 0.6 * noise[..., :-1]
        strength = self._rng.uniform(0.02, 0.12)
        out: npt.NDArray[np.float32] = image + strength * noise * np.sqrt(np.clip(image, 0.04, 1))
        return out
