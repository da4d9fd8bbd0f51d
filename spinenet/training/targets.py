"""What the net should answer for a patch, and where that is known."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage
from torch import Tensor

from spinenet.models.losses import PLATEAU_HEAT, PLATEAU_REACH_VOX
from spinenet.models.unet3d import CENTRE, N_OUTPUTS, OFFSET, SHAFT, SPINE
from spinenet.types import FloatArray, Um3

HEAT_SIGMA_UM = (0.6, 0.16, 0.16)
"""Width of a centre's target: as precisely as each axis can be seen."""
KNOWN_SHAFT, KNOWN_SPINE, KNOWN_CENTRE = 1, 2, 4
"""Bits of `Labelled.known`."""
KNOWN_ALL = KNOWN_SHAFT | KNOWN_SPINE | KNOWN_CENTRE

Patch = tuple[Tensor, Tensor, Tensor]


@dataclass(frozen=True)
class Labelled:
    """A normalised image and everything that is known about it; K spines, some to be found."""

    image: npt.NDArray[np.float32]
    labels: npt.NDArray[np.uint16]
    """(Z, Y, X) 0 background, 1 shaft, k + 2 spine k."""
    known: npt.NDArray[np.uint8]
    """(Z, Y, X) for which answers the labels and centres are to be believed (bits)."""
    centres_vox: FloatArray
    """(K, 3) head centres, z, y, x."""
    wanted: npt.NDArray[np.bool_]
    """(K,) spines to be found. Of the others nobody could tell; they are no background either."""
    voxel_um: Um3
    slack_um: Um3 = (0.0, 0.0, 0.0)
    """How far the centres may be from the true ones."""

    @property
    def shape(self) -> tuple[int, int, int]:
        z, y, x = self.image.shape
        return z, y, x


def forget(labelled: Labelled) -> Labelled:
    """The spines that are not wanted, their voxels and the places of their heads, made unknown."""
    known = labelled.known.copy()
    for k in np.flatnonzero(~labelled.wanted):
        window, heat = heat_at(
            labelled.centres_vox[k], labelled.voxel_um, known.shape, labelled.slack_um
        )
        known[window][heat > 0.1] &= KNOWN_SHAFT
    hidden = np.flatnonzero(~labelled.wanted) + 2
    if len(hidden):
        known[np.isin(labelled.labels, hidden)] &= KNOWN_SHAFT
    return replace(labelled, known=known)


def make_patch(crop: Labelled) -> Patch:
    """(1, Z, Y, X) image, (6, Z, Y, X) target and (3, Z, Y, X) known, as `segment_loss` has it."""
    labels = crop.labels
    target = np.zeros((N_OUTPUTS, *labels.shape), np.float32)
    target[SHAFT] = labels == 1
    target[SPINE] = labels > 1
    crowded = _crowded(crop)
    for k in np.flatnonzero(crop.wanted & _in_reach(crop)):
        slack = (0.0, 0.0, 0.0) if crowded[k] else crop.slack_um
        window, heat = heat_at(crop.centres_vox[k], crop.voxel_um, labels.shape, slack)
        if heat.size:
            np.maximum(target[CENTRE][window], heat, out=target[CENTRE][window])
    target[OFFSET] = offsets(labels, crop.centres_vox, crop.voxel_um)
    bits = np.array([KNOWN_SHAFT, KNOWN_SPINE, KNOWN_CENTRE], np.uint8)[:, None, None, None]
    known = ((crop.known[None] & bits) > 0).astype(np.float32)
    return torch.from_numpy(crop.image[None]), torch.from_numpy(target), torch.from_numpy(known)


def _in_reach(crop: Labelled) -> npt.NDArray[np.bool_]:
    """(K,) centres whose heat can reach into the crop: of a whole stack's few do."""
    reach = 1.5 + (3 * np.array(HEAT_SIGMA_UM) + crop.slack_um) / np.array(crop.voxel_um)
    beyond = np.maximum(-crop.centres_vox, crop.centres_vox - np.array(crop.shape) + 1)
    near: npt.NDArray[np.bool_] = np.all(beyond <= reach, axis=1)
    return near


def _crowded(crop: Labelled) -> npt.NDArray[np.bool_]:
    """(K,) centres with another one so near that one answer could serve both."""
    if not any(crop.slack_um) or len(crop.centres_vox) < 2:
        return np.zeros(len(crop.centres_vox), bool)
    scaled = crop.centres_vox * np.array(crop.voxel_um) / (2.5 * np.array(crop.slack_um))
    apart = np.linalg.norm(scaled[:, None] - scaled[None], axis=-1)
    np.fill_diagonal(apart, np.inf)
    near: npt.NDArray[np.bool_] = apart.min(axis=1) < 1
    return near


def heat_at(
    point_vox: FloatArray,
    voxel_um: Um3,
    shape: tuple[int, ...],
    slack_um: Um3 = (0.0, 0.0, 0.0),
) -> tuple[tuple[slice, ...], npt.NDArray[np.float32]]:
    """A Gaussian around a point in its box; exactly 1 at the nearest voxel.

    Within `slack_um` of the point, and within as many voxels as the loss looks around it, it is a
    plateau of `PLATEAU_HEAT`, see `losses.heat_loss`.
    """
    sigma = np.array(HEAT_SIGMA_UM) / np.array(voxel_um)
    slack = np.minimum(np.array(slack_um) / np.array(voxel_um), PLATEAU_REACH_VOX)
    nearest = np.rint(point_vox)
    reach = np.ceil(3 * sigma + slack)
    low = np.clip(nearest - reach, 0, shape).astype(int)
    high = np.clip(nearest + reach + 1, 0, shape).astype(int)
    apart = [np.abs(np.arange(a, b) - n) for a, b, n in zip(low, high, nearest, strict=True)]
    beyond = [np.maximum(d - s, 0) / g for d, s, g in zip(apart, slack, sigma, strict=True)]
    axes = [np.exp(-0.5 * d**2) for d in beyond]
    heat = axes[0][:, None, None] * axes[1][None, :, None] * axes[2][None, None]
    if any(slack_um):
        here = [d == 0 for d in apart]
        middle = here[0][:, None, None] & here[1][None, :, None] & here[2][None, None]
        heat = np.where(middle, 1.0, PLATEAU_HEAT * heat)
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
