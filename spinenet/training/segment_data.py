"""Training patches for the segmentation net, simulated as they are needed."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from spinenet.config import TrainSegmentConfig
from spinenet.models.inputs import measure_brightness, normalise
from spinenet.models.unet3d import CENTRE, N_OUTPUTS, OFFSET, SHAFT, SPINE
from spinenet.synthetic.patches import Example, draw_example
from spinenet.training.augment import Augment
from spinenet.types import FloatArray, Um3

HEAT_SIGMA_UM = (0.6, 0.16, 0.16)
"""Width of a centre's target: as precisely as each axis can be seen."""
SCENE_MARGIN = (8, 32, 32)
POOL = 24
"""Patches that wait to be drawn, so that one batch does not come from one scene."""


class SimulatedPatches(IterableDataset[tuple[Tensor, Tensor, Tensor]]):
    """Endless (image, target, valid) as `segment_loss` takes them; each worker its own stream.

    `start` is the step training goes on from, so that a resumed run sees fresh patches.
    """

    def __init__(self, config: TrainSegmentConfig, start: int = 0) -> None:
        self.config = config
        self.start = start

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        worker = get_worker_info()
        stream = worker.id if worker else 0
        rng = np.random.default_rng([self.config.seed, self.start, stream])
        c = self.config
        augment = Augment(c.patch, int(rng.integers(2**31)))
        pool: list[tuple[Tensor, Tensor, Tensor]] = []
        shape = tuple(p + m for p, m in zip(c.patch, SCENE_MARGIN, strict=True))
        while True:
            example = draw_example(rng, shape, c.optics, c.morphology)  # type: ignore[arg-type]
            image = normalise(example.image, measure_brightness(example.image, example.voxel_um))
            points = example.centres_um / np.array(example.voxel_um)
            for _ in range(c.crops_per_scene):
                pool.append(make_patch(*augment(image, example.labels, points), example))
            while len(pool) > POOL:
                yield pool.pop(int(rng.integers(len(pool))))


def make_patch(
    image: npt.NDArray[np.float32],
    labels: npt.NDArray[np.uint16],
    points_vox: FloatArray,
    example: Example,
) -> tuple[Tensor, Tensor, Tensor]:
    """(1, Z, Y, X) image, (6, Z, Y, X) target and (2, Z, Y, X) valid of an augmented crop.

    Spines that nobody could score (hidden above or below the shaft) are unknown, not background.
    """
    target = np.zeros((N_OUTPUTS, *labels.shape), np.float32)
    valid = np.ones((2, *labels.shape), np.float32)
    target[SHAFT] = labels == 1
    target[SPINE] = labels > 1
    for k, scorable in enumerate(example.scorable):
        window, heat = heat_at(points_vox[k], example.voxel_um, labels.shape)
        if heat.size == 0:
            continue
        if scorable:
            np.maximum(target[CENTRE][window], heat, out=target[CENTRE][window])
        else:
            valid[1][window][heat > 0.1] = 0
    hidden = np.flatnonzero(~example.scorable) + 2
    if len(hidden):
        valid[1][np.isin(labels, hidden)] = 0
    target[OFFSET] = offsets(labels, points_vox, example.voxel_um)
    return torch.from_numpy(image[None]), torch.from_numpy(target), torch.from_numpy(valid)


def heat_at(
    point_vox: FloatArray, voxel_um: Um3, shape: tuple[int, ...]
) -> tuple[tuple[slice, ...], npt.NDArray[np.float32]]:
    """A Gaussian around a point in its box; exactly 1 at the nearest voxel."""
    sigma = np.array(HEAT_SIGMA_UM) / np.array(voxel_um)
    nearest = np.rint(point_vox)
    low = np.clip(nearest - np.ceil(3 * sigma), 0, shape).astype(int)
    high = np.clip(nearest + np.ceil(3 * sigma) + 1, 0, shape).astype(int)
    axes = [
        np.exp(-0.5 * ((np.arange(a, b) - n) / s) ** 2)
        for a, b, n, s in zip(low, high, nearest, sigma, strict=True)
    ]
    heat = axes[0][:, None, None] * axes[1][None, :, None] * axes[2][None, None]
    return tuple(slice(a, b) for a, b in zip(low, high, strict=True)), heat.astype(np.float32)


def offsets(
    labels: npt.NDArray[np.uint16], points_vox: FloatArray, voxel_um: Um3
) -> npt.NDArray[np.float32]:
    """(3, Z, Y, X) um from each voxel of a spine to its head centre, 0 elsewhere."""
    out = np.zeros((3, *labels.shape), np.float32)
    for k, window in enumerate(ndimage.find_objects(labels.astype(np.int32))[1:]):
        if window is None or k >= len(points_vox):
            continue
        mask = labels[window] == k + 2
        grid = np.stack(np.meshgrid(*[np.arange(w.start, w.stop) for w in window], indexing="ij"))
        apart = (points_vox[k][:, None, None, None] - grid) * np.array(voxel_um)[
            :, None, None, None
        ]
        out[(slice(None), *window)][:, mask] = apart[:, mask]
    return out
