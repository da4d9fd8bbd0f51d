"""Shaft probability to centrelines with arc length: coarse skeleton, spurs cut, untangled."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import skan
from scipy import ndimage
from scipy.spatial import cKDTree
from skimage.morphology import skeletonize

from spinenet.config import MeasureConfig
from spinenet.geometry import (
    arc_length,
    label_sizes,
    line_end,
    nearest_voxels,
    resample,
    smooth,
    tangents,
)
from spinenet.measure.untangle import untangled
from spinenet.types import Dendrites, FloatArray, IntArray, Segment, Segmentation, Um3

COARSE_UM: Um3 = (0.5, 0.3, 0.3)
SMOOTH_UM: Um3 = (1.5, 0.5, 0.5)
HALF_SHARE = 0.35
CENTRE_REACH_UM: Um3 = (1.5, 0.9, 0.9)
REACHES_UM = (2.5, 5.0, 10.0)
"""How far the edge of a shaft is sought; trunks and cell bodies are thicker than dendrites."""
MIN_RADIUS_UM = 0.15
BENT_END_UM = 1.0
LONGEST_END_UM = 5.0
BRANCH_POINT_UM = 1.5
_SPUR = 1  # skan's branch type: junction to endpoint


@dataclass(frozen=True)
class _Coarse:
    """Shaft mask on a coarse grid, nearly isotropic, so that a skeleton costs little."""

    mask: npt.NDArray[np.bool_]
    step_um: FloatArray
    origin_um: FloatArray


def find_dendrites(segmentation: Segmentation, config: MeasureConfig) -> Dendrites:
    """Centrelines of the shafts, longest first, ids from 0.

    Thinning takes some of each end before ends up to 4 um apart are joined, so that 2 um of dark
    shaft are bridged and more seldom.
    """
    coarse = _coarse_mask(segmentation)
    lines = untangled([line for line in _branches(coarse, config.spur_um) if len(line) > 1])
    lines = [line for line in lines if arc_length(line)[-1] >= config.min_dendrite_um]
    lines.sort(key=lambda line: -arc_length(line)[-1])
    segments = []
    for i, line in enumerate(lines):
        others = [other for other in lines if other is not line]
        line = _to_the_ends(segmentation, resample(line, config.node_um), others, config.node_um)
        points = _centred(segmentation, line, config.node_um)
        points = smooth(points, config.node_um, SMOOTH_UM)
        points = points if points[0, 2] <= points[-1, 2] else points[::-1]
        radius = _radius(segmentation, points)
        segments.append(Segment(i, points, radius, arc_length(points)))
    return Dendrites(tuple(segments))


def _coarse_mask(segmentation: Segmentation) -> _Coarse:
    voxel = np.array(segmentation.voxel_size_um)
    fold = np.maximum(np.rint(np.array(COARSE_UM) / voxel).astype(int), 1)
    p = segmentation.shaft.view(np.uint8)
    z, y, x = (np.array(p.shape) // fold) * fold
    if min(z, y, x) == 0:
        fold = np.ones(3, int)
        z, y, x = p.shape
    small = np.add.reduceat(p[:z, :y, :x], np.arange(0, z, fold[0]), axis=0, dtype=np.uint16)
    small = small.reshape(len(small), y // fold[1], fold[1], x // fold[2], fold[2])
    lit = small.sum(axis=(2, 4), dtype=np.uint32)
    step = voxel * fold
    origin = (fold - 1) / 2 * voxel
    solid = lit >= HALF_SHARE * float(np.prod(fold))
    mask = ndimage.binary_closing(solid, ndimage.generate_binary_structure(3, 1)) | solid
    cube = int(4.0 / float(np.prod(step)))  # 4 um3: a stretch of thin shaft
    parts, _ = ndimage.label(mask, ndimage.generate_binary_structure(3, 3))
    large = label_sizes(parts) >= cube
    large[0] = False
    return _Coarse(_odd_in_z(large[parts]), step * [0.5, 1, 1], origin)


def _odd_in_z(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Twice as many planes, the new ones set where both neighbours are.

    Everything is then an odd number of planes thick: skimage's 3-D thinning leaves nothing of a
    shaft whose section is even both ways.
    """
    out = np.zeros((2 * len(mask) - 1, *mask.shape[1:]), bool)
    out[::2] = mask
    out[1::2] = mask[:-1] & mask[1:]
    return out


def _thinned(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """The skeleton of every part: a straight one of which thinning leaves nothing is narrowed by a
    voxel, in y, in x or both, and thinned again."""
    skeleton: npt.NDArray[np.bool_] = skeletonize(mask).astype(bool)
    parts, n = ndimage.label(mask, ndimage.generate_binary_structure(3, 3))
    for axes in ((1,), (2,), (1, 2)):
        left = np.bincount(parts[skeleton], minlength=n + 1) > 1
        left[0] = True
        lost = ~left[parts]
        if not lost.any():
            break
        for axis in axes:
            first = [slice(None)] * 3
            first[axis] = slice(0, 1)
            beside = np.roll(lost, 1, axis)
            beside[tuple(first)] = False
            lost &= beside
        skeleton |= skeletonize(lost).astype(bool)
    return skeleton


def _branches(coarse: _Coarse, spur_um: float) -> list[FloatArray]:
    """Unbranched stretches of skeleton in um, spurs cut until none is left (three rounds)."""
    skeleton = _thinned(coarse.mask)
    for _ in range(3):
        graph = _graph(skeleton, coarse)
        if graph is None:
            return []
        table = skan.summarize(graph, separator="_")
        spurs = table.index[(table["branch_type"] == _SPUR) & (table["branch_distance"] < spur_um)]
        if not len(spurs):
            break
        framed = np.pad(skeleton, 1)  # so that every voxel has 26 neighbours
        for i in spurs:
            path = graph.path_coordinates(i).astype(int)
            around = [framed[z : z + 3, y : y + 3, x : x + 3].sum() - 1 for z, y, x in path]
            framed[tuple(path[np.array(around) <= 2].T + 1)] = False
        skeleton = skeletonize(framed[1:-1, 1:-1, 1:-1]).astype(bool)
    graph = _graph(skeleton, coarse)
    if graph is None:
        return []
    return [
        graph.path_coordinates(i) * coarse.step_um + coarse.origin_um for i in range(graph.n_paths)
    ]


def _graph(skeleton: npt.NDArray[np.bool_], coarse: _Coarse) -> skan.Skeleton | None:
    lonely = ndimage.convolve(
        skeleton.view(np.uint8), np.ones((3, 3, 3), np.uint8), mode="constant"
    )
    skeleton = skeleton & (lonely > 1)
    return skan.Skeleton(skeleton, spacing=coarse.step_um) if skeleton.any() else None


def _to_the_ends(
    segmentation: Segmentation, line: FloatArray, others: list[FloatArray], node_um: float
) -> FloatArray:
    """The line drawn on through the shaft mask: thinning eats ends by about the shaft's radius.

    Its last micrometre, often bent into a corner of the mask, is given up first. Ends at another
    line (branch points) stay.
    """
    voxel = np.array(segmentation.voxel_size_um)
    limit = (np.array(segmentation.shaft.shape) - 1) * voxel
    half = np.maximum(np.rint(np.array(COARSE_UM) / voxel).astype(int), 1)
    tree = cKDTree(np.concatenate(others)) if others else None
    bent = round(BENT_END_UM / node_um)
    for _ in range(2):
        line = line[::-1]
        if tree is not None and tree.query(line[-1])[0] < BRANCH_POINT_UM:
            continue
        if 0 < 4 * bent < len(line):
            line = line[:-bent]
        end, ahead = line_end(line, 1)
        more = []
        for k in range(1, int(LONGEST_END_UM / node_um) + 1):
            point = end + k * node_um * ahead
            if np.any(point < 0) or np.any(point > limit):
                break
            at = np.rint(point / voxel).astype(int)
            box = [
                slice(a, b) for a, b in zip(np.maximum(at - half, 0), at + half + 1, strict=True)
            ]
            if not segmentation.shaft[tuple(box)].any():
                break
            more.append(point)
        line = np.concatenate([line, more]) if more else line
    return line


def _centred(segmentation: Segmentation, points_um: FloatArray, node_um: float) -> FloatArray:
    """The points drawn sideways to the middle of the shaft: thinning is off by up to a voxel."""
    voxel = np.array(segmentation.voxel_size_um)
    reach = np.maximum(np.rint(np.array(CENTRE_REACH_UM) / voxel).astype(int), 1)
    along = tangents(smooth(points_um, node_um, SMOOTH_UM))
    out = points_um.copy()
    at = nearest_voxels(points_um, segmentation.voxel_size_um, segmentation.shaft.shape)
    for i, place in enumerate(at):
        low = np.maximum(place - reach, 0)
        box = segmentation.shaft[
            tuple(slice(a, b) for a, b in zip(low, place + reach + 1, strict=True))
        ]
        if box.any():
            pull = (np.argwhere(box).mean(axis=0) + low) * voxel - points_um[i]
            out[i] += pull - (pull @ along[i]) * along[i]
    return out


def _depth_near(segmentation: Segmentation, place: IntArray, reach_um: float) -> float:
    """Largest in-plane distance from within the shaft to its edge, within four pixels of a place;
    inf if no edge is within reach. Where the stack's side is nearer than that, an edge may lie
    beyond it, as where a shaft runs along the border; unless it does so all around, as where one
    leaves the stack."""
    z, y, x = place
    half = round(reach_um / segmentation.voxel_size_um[1])
    y0, x0 = max(y - half, 0), max(x - half, 0)
    window = segmentation.shaft[max(z - 1, 0) : z + 2, y0 : y + half + 1, x0 : x + half + 1]
    mask = window.any(axis=0)
    if mask.all():
        return float("inf")
    depth = ndimage.distance_transform_edt(mask, sampling=segmentation.voxel_size_um[1:])
    near = slice(max(y - y0 - 4, 0), y - y0 + 5), slice(max(x - x0 - 4, 0), x - x0 + 5)
    _, n_y, n_x = segmentation.shaft.shape
    _, y_um, x_um = segmentation.voxel_size_um
    at_y, at_x = (first + np.arange(n) for first, n in zip((y0, x0), mask.shape, strict=True))
    to_side = np.minimum.outer(
        np.minimum(at_y + 1, n_y - at_y) * y_um, np.minimum(at_x + 1, n_x - at_x) * x_um
    )
    told = depth[near] <= to_side[near]
    return float(depth[near][told].max() if told.any() else depth[near].max())


def _radius(segmentation: Segmentation, points_um: FloatArray) -> FloatArray:
    """(N,) radius of the shaft: the largest in-plane distance to its edge near each point, um."""
    voxel = segmentation.voxel_size_um
    out = np.full(len(points_um), np.nan)
    for i, place in enumerate(nearest_voxels(points_um, voxel, segmentation.shaft.shape)):
        for reach_um in REACHES_UM:
            depth = _depth_near(segmentation, place, reach_um)
            # an edge beyond the window would be nearer than what was found in it
            if depth <= reach_um:
                # the nearest pixel centre outside lies some quarter of a pixel beyond the edge
                out[i] = depth - voxel[1] / 4 if depth > 0 else np.nan
                break
    typical = np.nanmedian(out) if np.isfinite(out).any() else MIN_RADIUS_UM
    out = np.where(np.isfinite(out), out, typical)
    return np.maximum(ndimage.median_filter(out, 9, mode="nearest"), MIN_RADIUS_UM)
