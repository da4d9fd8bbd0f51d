"""Probabilities to instances: peaks of the centre map, and the voxels that vote for them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.spatial import cKDTree

from spinenet.geometry import merge_close
from spinenet.segment.predict import Prediction
from spinenet.types import FloatArray, Segmentation, Um3

PEAK_GAP_UM: Um3 = (1.5, 0.35, 0.35)
"""Two centres closer than this (scaled) are one: the blur of a two-photon microscope."""
CENTROID_VOX = np.array([1, 2, 2])
"""So many voxels to either side of a peak tell where its centre lies."""
VOTE_REACH_UM: Um3 = (1.5, 0.6, 0.6)
"""A vote this far from every centre (scaled) belongs to none."""


def label(prediction: Prediction, *, shaft: float, spine: float, centre: float) -> Segmentation:
    """Instances from probabilities at the given thresholds."""
    voxel = prediction.voxel_size_um
    centres, heights = find_peaks(prediction.centre, voxel, centre)
    shaft_mask = prediction.shaft >= round(shaft * 255)
    labels = group_votes(prediction, centres, shaft_mask, spine)
    return Segmentation(
        shaft=shaft_mask,
        spines=labels,
        centres_um=centres,
        probability=heights,
        shaft_probability=prediction.shaft,
        spine_probability=prediction.spine,
        centre_probability=prediction.centre,
        voxel_size_um=voxel,
    )


def find_peaks(
    heat: npt.NDArray[np.uint8], voxel_um: Um3, threshold: float
) -> tuple[FloatArray, FloatArray]:
    """Centres (K, 3) in um, to a fraction of a voxel, and their heights (K,) in 0..1.

    A peak is the highest voxel of its neighbourhood, and that is not flat; of two within
    `PEAK_GAP_UM` the higher stays.
    """
    size = [max(2 * round(0.5 * g / v) + 1, 3) for g, v in zip(PEAK_GAP_UM, voxel_um, strict=True)]
    low = max(round(threshold * 255), 1)
    top = ndimage.maximum_filter(heat, size, mode="constant")
    where = np.argwhere((heat == top) & (heat >= low))
    where = where[_stand_out(heat, where, size)]
    if not len(where):
        return np.zeros((0, 3)), np.zeros(0)
    heights = heat[tuple(where.T)] / 255.0
    centres = np.array([_centroid(heat, w) for w in where]) * np.array(voxel_um)
    keep = merge_close(centres, heights, PEAK_GAP_UM)
    return centres[keep], heights[keep]


def _stand_out(
    heat: npt.NDArray[np.uint8], where: npt.NDArray[np.integer], size: list[int]
) -> npt.NDArray[np.bool_]:
    """(N,) higher than some voxel at the edge of the neighbourhood: in the flat map of a net that
    has learned nothing every voxel is as high as its neighbours."""
    here, out = heat[tuple(where.T)], np.zeros(len(where), bool)
    for axis, n in enumerate(size):
        for step in (-(n // 2), n // 2):
            there = where.copy()
            there[:, axis] = np.clip(there[:, axis] + step, 0, heat.shape[axis] - 1)
            out |= heat[tuple(there.T)] < here
    return out


def _centroid(heat: npt.NDArray[np.uint8], peak: npt.NDArray[np.integer]) -> FloatArray:
    """Centre of the squared heat in the 3 x 5 x 5 voxels around a peak, in voxels."""
    low = np.maximum(peak - CENTROID_VOX, 0)
    high = np.minimum(peak + CENTROID_VOX + 1, heat.shape)
    window = heat[low[0] : high[0], low[1] : high[1], low[2] : high[2]].astype(float) ** 2
    at: FloatArray = low + np.array(ndimage.center_of_mass(window))
    return at


def group_votes(
    prediction: Prediction,
    centres_um: FloatArray,
    shaft: npt.NDArray[np.bool_],
    threshold: float,
) -> npt.NDArray[np.uint16]:
    """(Z, Y, X) labels: a likely spine voxel outside the shaft goes to the centre it votes for."""
    labels = np.zeros(shaft.shape, np.uint16)
    if not len(centres_um):
        return labels
    at = tuple(prediction.voters.T)
    sure = (prediction.spine[at] >= round(threshold * 255)) & ~shaft[at]
    scale = np.array(VOTE_REACH_UM)
    far, nearest = cKDTree(centres_um / scale).query(prediction.votes_um[sure] / scale)
    voters = prediction.voters[sure][far < 1]
    labels[tuple(voters.T)] = nearest[far < 1] + 1
    return labels


def peaks_around(
    heat: npt.NDArray[np.uint8],
    voxel_um: Um3,
    place_um: FloatArray,
    reach_um: FloatArray,
    threshold: float,
) -> tuple[FloatArray, FloatArray]:
    """Peaks as near (z, y, x) to a place (3,): heights (P,) and centres (P, 3), um."""
    voxel = np.array(voxel_um)
    # so far around a highest voxel decides whether it is a peak, and where its centre lies
    around = np.maximum(np.rint(np.array(PEAK_GAP_UM) / voxel).astype(int), 1) + CENTROID_VOX + 1
    box, low = _box_at(heat, place_um / voxel, np.ceil(reach_um / voxel).astype(int) + around)
    if not box.size or box.max() < round(threshold * 255):  # as nearly everywhere
        return np.zeros(0), np.zeros((0, 3))
    centres, heights = find_peaks(box, voxel_um, threshold)
    centres = centres + low * voxel
    near = np.linalg.norm((centres - place_um) / reach_um, axis=1) <= 1
    return heights[near], centres[near]


def peak_near(
    heat: npt.NDArray[np.uint8], voxel_um: Um3, points_um: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """The highest centre probability (K,) near places (K, 3), and where it is, um."""
    reach = np.maximum(np.rint(np.array(PEAK_GAP_UM) / np.array(voxel_um)), 1).astype(int)
    heights, centres = np.zeros(len(points_um)), points_um.astype(float).copy()
    for k, point in enumerate(points_um):
        box, low = _box_at(heat, point / np.array(voxel_um), reach)
        if box.size and box.max() > 0:
            best = np.array(np.unravel_index(box.argmax(), box.shape)) + low
            heights[k] = heat[tuple(best)] / 255.0
            centres[k] = _centroid(heat, best) * np.array(voxel_um)
    return heights, centres


def _box_at(
    heat: npt.NDArray[np.uint8], place: FloatArray, reach: npt.NDArray[np.integer]
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.integer]]:
    """The part of a map that lies within so many voxels of a place (in voxels), and its corner."""
    at = np.rint(place).astype(int)
    low, high = np.clip(at - reach, 0, heat.shape), np.clip(at + reach + 1, 0, heat.shape)
    return np.asarray(heat[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]), low
