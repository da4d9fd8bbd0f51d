"""Polylines and coordinates in micrometres; numpy and scipy only.

Symbols: N points of a polyline, M query points. Points are (N, 3) in z, y, x.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.spatial import cKDTree

from spinenet.types import FloatArray, IntArray, Um3


def to_voxels(points_um: npt.ArrayLike, voxel_size_um: Um3) -> FloatArray:
    """(M, 3) um from the centre of voxel (0, 0, 0) -> fractional voxel indices."""
    out: FloatArray = np.asarray(points_um, float).reshape(-1, 3) / np.asarray(voxel_size_um)
    return out


def nearest_voxels(
    points_um: npt.ArrayLike, voxel_size_um: Um3, shape: tuple[int, ...]
) -> IntArray:
    """(M, 3) indices of the nearest voxels, clipped to a stack of `shape`."""
    return np.clip(np.rint(to_voxels(points_um, voxel_size_um)).astype(int), 0, np.array(shape) - 1)


def arc_length(points_um: FloatArray) -> FloatArray:
    """(N,) distance along the polyline from its first point, um."""
    steps = np.linalg.norm(np.diff(points_um, axis=0), axis=1)
    return np.r_[0.0, np.cumsum(steps)]


def point_at(points_um: FloatArray, s_um: FloatArray, at_um: npt.ArrayLike) -> FloatArray:
    """(M, 3) points of the polyline (N, 3), parametrised by `s_um` (N,), at arc lengths (M,)."""
    at = np.atleast_1d(np.asarray(at_um, float))
    return np.stack([np.interp(at, s_um, points_um[:, i]) for i in range(3)], axis=1)


def resample(points_um: FloatArray, step_um: float) -> FloatArray:
    """The polyline with nodes every `step_um` or a little less, both ends kept."""
    s = arc_length(points_um)
    n = max(int(np.ceil(s[-1] / step_um)), 1) + 1
    return point_at(points_um, s, np.linspace(0, s[-1], n))


def smooth(points_um: FloatArray, step_um: float, sigma_um: Um3) -> FloatArray:
    """Gaussian smoothing along the polyline, per axis, ends held.

    z is usually smoothed more than y and x: slice jitter would lengthen the arc (MapManager).
    """
    out = points_um.astype(float).copy()
    for axis, sigma in enumerate(sigma_um):
        half = max(int(3 * sigma / step_um), 1)
        kernel = np.exp(-0.5 * (np.arange(-half, half + 1) * step_um / max(sigma, 1e-6)) ** 2)
        line = points_um[:, axis]
        padded = np.r_[
            2 * line[0] - line[half:0:-1], line, 2 * line[-1] - line[-2 : -half - 2 : -1]
        ]
        if len(padded) == len(line) + 2 * half:
            out[:, axis] = np.convolve(padded, kernel / kernel.sum(), mode="valid")
    return out


def tangents(points_um: FloatArray) -> FloatArray:
    """(N, 3) unit tangents of the polyline."""
    t = np.gradient(points_um, axis=0)
    return t / np.maximum(np.linalg.norm(t, axis=1, keepdims=True), 1e-12)


def side_frame(tangent: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Two unit normals (M, 3) of unit tangents (M, 3): in the image plane, and towards -z.

    The first points to the right of the direction of travel in the image (x to the right, y
    down), the second as far towards the objective as the tangent allows. Azimuth 0 lies along
    the first, 90 along the second.
    """
    t = np.atleast_2d(tangent)
    right = np.stack([np.zeros(len(t)), t[:, 2], -t[:, 1]], axis=1)
    length = np.linalg.norm(right, axis=1, keepdims=True)
    right = np.where(length > 1e-6, right / np.maximum(length, 1e-12), [0.0, 0.0, 1.0])
    up = np.cross(right, t)
    up *= np.where(up[:, :1] > 0, -1.0, 1.0)
    return right, up


def join_ends(
    lines: list[FloatArray], gap_um: float, cosine: float, n_settled: int = 0
) -> list[FloatArray]:
    """Join ends of polylines that lie close and straight ahead of each other, straightest first.

    Rows are z, y, x in um; further columns go along with them. The first `n_settled` lines are made
    longer by others and never joined to one another; the result holds them first.
    """
    joined, numbers = dict(enumerate(lines)), count(len(lines))
    ends = dict(enumerate((k, e) for k in joined for e in (0, 1)))
    places = np.reshape([line_end(joined[k], e)[0] for k, e in ends.values()], (-1, 3))

    def fit(pair: tuple[int, int]) -> float:
        (i, e), (j, f) = (ends[end] for end in pair)
        if i == j or max(i, j) < n_settled:
            return -np.inf
        (p, u), (q, v) = line_end(joined[i], e), line_end(joined[j], f)
        gap, straight = float(np.linalg.norm(q - p)), -float(u @ v)
        if gap > 1.0:
            ahead = (q - p) / gap
            straight = min(straight, float(u @ ahead), -float(v @ ahead))
        return straight - 0.1 * gap if straight >= cosine else -np.inf

    fits = {pair: fit(pair) for pair in sorted(cKDTree(places).query_pairs(gap_um))}
    while fits and max(fits.values()) > -np.inf:
        best = max(fits, key=lambda pair: fits[pair])
        (i, e), (j, f) = sorted(ends.pop(end) for end in best)
        first = joined[i] if e == 1 else joined[i][::-1]
        second = joined[j] if f == 0 else joined[j][::-1]
        whole = i if i < n_settled else next(numbers)
        del joined[j]
        if whole != i:
            del joined[i]
        joined[whole] = np.concatenate([first, second])
        # the ends that are left stay where they are, but may now point another way
        moved = {(i, 1 - e): (whole, 0), (j, 1 - f): (whole, 1)}
        free = {end for end, at in ends.items() if at in moved}
        ends |= {end: moved[ends[end]] for end in free}
        fits = {pair: old for pair, old in fits.items() if not {*pair} & {*best}}
        fits |= {pair: fit(pair) for pair in fits if free & {*pair}}
    return list(joined.values())


def label_sizes(labels: npt.NDArray[np.integer]) -> IntArray:
    """(L + 1,) how many voxels of a label image (Z, Y, X) bear each number, 0 to the highest; plane
    by plane, as counting turns what it counts into 64 bits."""
    sizes = np.zeros(int(labels.max(initial=0)) + 1, np.int64)
    for plane in labels:
        sizes += np.bincount(plane.ravel(), minlength=len(sizes))
    return sizes


def label_middles(labels: npt.NDArray[np.integer], numbers: Iterable[int]) -> FloatArray:
    """(N, 3) middles of the masks with these numbers, voxels; each must be in the image."""
    boxes = ndimage.find_objects(labels)
    middles = []
    for n in numbers:
        low = [side.start for side in boxes[n - 1]]
        middles.append(np.argwhere(labels[boxes[n - 1]] == n).mean(axis=0) + low)
    return np.reshape(middles, (-1, 3))


def line_end(line: FloatArray, end: int) -> tuple[FloatArray, FloatArray]:
    """An end point (3,) of a polyline (0 first, 1 last) and the direction in which it leaves."""
    line = line[:, :3] if end == 1 else line[::-1, :3]
    back = line[max(len(line) - 10, 0)]
    out = line[-1] - back
    return line[-1], out / max(float(np.linalg.norm(out)), 1e-9)


def project(
    points_um: npt.ArrayLike, line_um: FloatArray, s_um: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Nearest places of the polyline to (M, 3) points.

    Returns
    -------
    distance (M,), arc length (M,) in the frame of `s_um`, and foot points (M, 3), in um.
    """
    p = np.asarray(points_um, float).reshape(-1, 1, 3)
    a, b = line_um[None, :-1], line_um[None, 1:]
    ab = b - a
    h = ((p - a) * ab).sum(-1) / np.maximum((ab**2).sum(-1), 1e-12)
    h = np.clip(h, 0, 1)
    foot = a + h[..., None] * ab
    d = np.linalg.norm(p - foot, axis=-1)
    best = d.argmin(axis=1)
    rows = np.arange(len(p))
    h_best = h[rows, best]
    s = s_um[best] + h_best * (s_um[best + 1] - s_um[best])
    return d[rows, best], s, foot[rows, best]


def inside(
    points_um: npt.ArrayLike, extent_um: FloatArray, margin_um: float | FloatArray
) -> npt.NDArray[np.bool_]:
    """(M,) which points lie at least `margin_um` (one, or one each for z, y, x) inside a stack that
    spans `extent_um`."""
    p = np.asarray(points_um, float).reshape(-1, 3)
    return np.all((p >= margin_um) & (p <= extent_um - margin_um), axis=1)


def merge_close(points_um: FloatArray, rank: FloatArray, gap_um: Um3) -> IntArray:
    """Indices of the points to keep: of any two closer than `gap_um` (scaled), the higher rank."""
    if not len(points_um):
        return np.zeros(0, int)
    near = cKDTree(points_um / np.asarray(gap_um)).query_ball_point(
        points_um / np.asarray(gap_um), 1
    )
    dropped = np.zeros(len(points_um), bool)
    for i in np.argsort(-rank, kind="stable"):
        if not dropped[i]:
            for j in near[i]:
                dropped[j] |= j != i
    return np.flatnonzero(~dropped)


def affine_apply(affine: FloatArray, points_um: FloatArray) -> FloatArray:
    """(M, 3) points through a (3, 4) affine map in um."""
    return points_um @ affine[:, :3].T + affine[:, 3]


def affine_inverse(affine: FloatArray) -> FloatArray:
    """The (3, 4) map that undoes `affine`."""
    back = np.linalg.inv(affine[:, :3])
    return np.c_[back, -back @ affine[:, 3]]


def axes_at(line_um: FloatArray, s_um: FloatArray, at_um: FloatArray) -> FloatArray:
    """(M, 3, 3) unit vectors at arc lengths (M,) of a polyline: along, sideways, upward."""
    t = point_at(tangents(line_um), s_um, at_um)
    t /= np.maximum(np.linalg.norm(t, axis=1, keepdims=True), 1e-12)
    return np.stack([t, *side_frame(t)], axis=1)


def to_line_frame(
    points_um: FloatArray, s_at_um: FloatArray, line_um: FloatArray, s_um: FloatArray
) -> FloatArray:
    """(M, 3) points as arc length, sideways and upward offset (um) from places of a polyline.

    `s_at_um` (M,) are the points' places along the line; sideways and up as in `side_frame`.
    """
    axes = axes_at(line_um, s_um, s_at_um)
    out = np.einsum("mc,mkc->mk", points_um - point_at(line_um, s_um, s_at_um), axes)
    out[:, 0] += s_at_um  # what lies beyond an end is farther along than the end
    return out


def from_line_frame(frame_um: FloatArray, line_um: FloatArray, s_um: FloatArray) -> FloatArray:
    """The inverse of `to_line_frame`: (M, 3) points in z, y, x. Beyond its ends the line goes on
    straight."""
    s = frame_um[:, 0]
    axes = axes_at(line_um, s_um, s)
    beyond = s - np.clip(s, s_um[0], s_um[-1])
    along = np.stack([beyond, frame_um[:, 1], frame_um[:, 2]], axis=1)
    return point_at(line_um, s_um, s) + np.einsum("mk,mkc->mc", along, axes)
