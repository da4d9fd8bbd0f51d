"""Augmentation of training patches. albumentations lives here only."""

from __future__ import annotations

import os

# albumentations asks the network for its newest version when it is imported; a training run on a
# cluster node without network would wait for it.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import albumentations as A
import numpy as np
import numpy.typing as npt

from spinenet.types import FloatArray


class Augment:
    """In-plane symmetries, dropout and brightness of a patch, with its labels and points.

    Of albumentations only transforms that were checked to keep z, shape and labels are used; its
    noise is not (the simulator makes photon noise, and several of its 3-D noises are wrong).
    """

    def __init__(self, shape: tuple[int, int, int], seed: int) -> None:
        self._pipeline = A.Compose(
            [
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
            keypoint_params=A.KeypointParams(format="xyz", remove_invisible=False),
            seed=seed,
        )
        self._rng = np.random.default_rng(seed)

    def __call__(
        self,
        image: npt.NDArray[np.float32],
        labels: npt.NDArray[np.uint16],
        points_vox: FloatArray,
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint16], FloatArray]:
        """(Z, Y, X) image in about 0..1, labels and (K, 3) points in voxels z, y, x: a crop."""
        out = self._pipeline(
            volume=image,
            mask3d=labels.astype(np.int32),
            keypoints=points_vox[:, ::-1].astype(np.float32),
        )
        points = np.asarray(out["keypoints"], float).reshape(-1, 3)[:, ::-1]
        return self._brightness(out["volume"]), out["mask3d"].astype(np.uint16), points

    def _brightness(self, image: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Another normalisation than this stack's: gain, background, gamma (noise has no sign)."""
        gain, power = np.exp(self._rng.normal(0, 0.25)), np.exp(self._rng.normal(0, 0.15))
        image = image * gain + self._rng.normal(0, 0.02)
        return (np.sign(image) * np.abs(image) ** power).astype(np.float32)
