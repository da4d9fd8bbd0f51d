"""One map of dendrites for all sessions, and a smooth map of arc length along each of them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.spatial import cKDTree

from spinenet.geometry import (
    affine_apply,
    affine_inverse,
    arc_length,
    join_ends,
    tangents,
)
from spinenet.match.score import PLACE_SD_UM
from spinenet.types import Dendrites, FloatArray, Segment

KNOWN_UM = np.array([4.0, 2.5, 2.5])
"""A centreline this near (scaled, z y x) to the map is on it already; depth is seen worst."""
ON_TRACE_UM = np.array([3.0, 1.8, 1.8])
"""A centreline this near (scaled) to a person's trace is the dendrite that was traced."""
JOIN_GAP_UM = 5.0
JOIN_COSINE = 0.7
NODE_UM = 0.5
FOLLOW_UM = 2.5
SMOOTH_ALONG_UM = 6.0
KNOT_UM = 2.0
SLIP_SHARE = 0.01
"""An alignment shifted by one spacing that is so likely, beside the likeliest, is not ruled out."""
WARP_LENGTH_UM = 12.0
START_WEIGHT = 0.5
BESIDE_PAIRS = 4
"""So many matched spines weigh as much as the expectation that heads lie where they lay."""
ROLL_SD_RAD = np.deg2rad(10.0)
"""Of a dendrite about its axis between two sessions, as it is expected."""
NO_STRETCH_WEIGHT = 100.0
"""Square of the scatter of a spine (0.3 um) over that of the stretch (3 %)."""


def make_map(
    sessions: list[Dendrites],
    affines: list[FloatArray],
    min_um: float,
    traced: Dendrites | None = None,
) -> Dendrites:
    """Dendrites of a region in the reference frame.

    What a person traced (in the reference frame) keeps its ids and its ends, and comes first.

    The first session's (the reference's), then every stretch of the others that lies off the map.
    A stretch that goes on where a dendrite of the map ends makes it longer; alone it counts if it
    is at least `min_um` long.
    """
    fixed = traced.segments if traced else ()
    lines: list[FloatArray] = []  # rows of z, y, x, radius
    for dendrites, affine in zip(sessions, affines, strict=True):
        trees = [
            (cKDTree(np.concatenate(there) / reach), reach)
            for there, reach in (
                ([s.points_um for s in fixed], ON_TRACE_UM),
                ([line[:, :3] for line in lines], KNOWN_UM),
            )
            if there
        ]
        found = []
        for segment in dendrites.segments:
            points = affine_apply(affine, segment.points_um)
            new = np.ones(len(points), bool)
            for tree, reach in trees:
                new &= tree.query(points / reach)[0] > 1
            found += [np.c_[points, segment.radius_um][stretch] for stretch in _runs(new)]
        joined = join_ends(lines + found, JOIN_GAP_UM, JOIN_COSINE, len(lines)) if lines else found
        lines = [line for line in joined if arc_length(line[:, :3])[-1] >= min_um]
    first = max((s.id for s in fixed), default=-1) + 1
    return Dendrites((*fixed, *(_segment(first + i, line) for i, line in enumerate(lines))))


def _segment(number: int, line: FloatArray) -> Segment:
    """A dendrite of the map from rows of z, y, x, radius; gaps that were joined get nodes."""
    line = line if line[0, 2] <= line[-1, 2] else line[::-1]
    s = arc_length(line[:, :3])
    at = np.linspace(0, s[-1], max(round(s[-1] / NODE_UM), 1) + 1)
    full = np.stack([np.interp(at, s, line[:, i]) for i in range(4)], axis=1)
    return Segment(number, full[:, :3], full[:, 3], arc_length(full[:, :3]))


def _runs(flags: np.ndarray) -> list[slice]:
    """Slices of consecutive true flags, at least two long."""
    edges = np.flatnonzero(np.diff(np.r_[0, flags.astype(int), 0]))
    return [slice(a, b) for a, b in zip(edges[::2], edges[1::2], strict=True) if b - a > 1]


def place_map(region: Dendrites, own: Dendrites, affine: FloatArray) -> Dendrites:
    """The region's dendrites in one session: moved by the alignment, then drawn sideways onto the
    session's own centrelines, each of whose points draws the one dendrite that it is nearest to.
    Ids and arc lengths stay those of the map.
    """
    back = affine_inverse(affine)
    moved = [affine_apply(back, s.points_um) for s in region.segments]
    if not moved or not own.segments:
        points, radii, whose = np.zeros((0, 3)), np.zeros(0), np.zeros(0, int)
    else:
        points = np.concatenate([s.points_um for s in own.segments])
        radii = np.concatenate([s.radius_um for s in own.segments])
        which = np.repeat(np.arange(len(moved)), [len(m) for m in moved])
        whose = which[cKDTree(np.concatenate(moved)).query(points)[1]]
    placed = []
    for i, (segment, line) in enumerate(zip(region.segments, moved, strict=True)):
        radius = segment.radius_um
        mine = whose == i
        if mine.any():
            d, near = cKDTree(points[mine]).query(line)
            seen = d <= FOLLOW_UM
            pull = points[mine][near] - line
            t = tangents(line)
            pull -= (pull * t).sum(1, keepdims=True) * t
            line = line + _follow(pull, seen, segment.arc_length_um)
            radius = np.where(seen, radii[mine][near], radius)
        placed.append(Segment(segment.id, line, radius, segment.arc_length_um))
    return Dendrites(tuple(placed))


def _follow(pull: FloatArray, seen: np.ndarray, s: FloatArray) -> FloatArray:
    """Sideways pull (N, 3), smooth along the dendrite, carried over stretches not seen."""
    if not seen.any():
        return np.zeros_like(pull)
    step = float(np.median(np.diff(s)))
    weight = gaussian_filter1d(seen.astype(float), SMOOTH_ALONG_UM / 2 / step, mode="nearest")
    sum_ = gaussian_filter1d(
        pull * seen[:, None], SMOOTH_ALONG_UM / 2 / step, axis=0, mode="nearest"
    )
    far = np.interp(s, s[seen], np.arange(seen.sum())).round().astype(int)
    carried = pull[seen][far]
    soft = sum_ / np.maximum(weight, 1e-9)[:, None]
    return np.where(weight[:, None] > 0.05, soft, carried)


@dataclass(frozen=True)
class ArcWarp:
    """One dendrite from a session to the reference: how far arc length is shifted (um, at knots
    along it), how far the dendrite has rolled about its axis (from sideways to upward), and how far
    heads lie off sideways and upward after that, all along it."""

    knots_um: FloatArray
    shift_um: FloatArray
    roll_rad: float = 0.0
    beside_um: tuple[float, float] = (0.0, 0.0)
    rms_um: float = float("nan")
    slip_share: float = 0.0
    """How likely another alignment is that is shifted by a spine's spacing, beside this one."""

    @property
    def slip_ambiguous(self) -> bool:
        """Could the dendrite as well be shifted by one spine spacing?"""
        return self.slip_share > SLIP_SHARE

    def __call__(self, s_um: FloatArray) -> FloatArray:
        return s_um + np.interp(s_um, self.knots_um, self.shift_um)

    def place(self, frame_um: FloatArray) -> FloatArray:
        """(M, 3) arc length, sideways and upward offset -> the same in the reference."""
        return np.c_[self(frame_um[:, 0]), frame_um[:, 1:] @ self._turn + self.beside_um]

    def back(self, place_um: FloatArray, s_um: FloatArray) -> FloatArray:
        """The inverse of `place` for one place (3,) of a dendrite with nodes at `s_um`."""
        there = np.maximum.accumulate(self(s_um))
        beyond = place_um[0] - np.clip(place_um[0], there[0], there[-1])
        s = np.interp(place_um[0], there, s_um) + beyond
        return np.r_[s, self._turn @ (place_um[1:] - self.beside_um)]

    @property
    def _turn(self) -> FloatArray:
        """(2, 2) the roll, for rows of sideways and upward offset."""
        c, s = np.cos(self.roll_rad), np.sin(self.roll_rad)
        return np.array([[c, s], [-s, c]])


Warps = dict[tuple[int, int], ArcWarp]
"""By session position and dendrite, onto the reference."""


def unwarped(length_um: float) -> ArcWarp:
    """No shift, at knots `KNOT_UM` apart over a dendrite of that length."""
    length = max(length_um, 1e-3)
    knots = np.linspace(0, length, max(int(length / KNOT_UM), 1) + 1)
    return ArcWarp(knots, np.zeros(len(knots)))


def fit_warp(moving: FloatArray, reference: FloatArray, start: ArcWarp) -> ArcWarp:
    """A smooth shift along the dendrite, and one beside it, from P matched spines.

    Parameters
    ----------
    moving, reference: (P, 3) arc length, sideways and upward offset of the same heads, um

    All of it is what is left over `start`; where matches are few it is drawn towards nothing.
    Along: local linear regression with a length of 12 um. Roll and offset beside: least squares
    and median.
    """
    s_um, left = moving[:, 0], reference[:, 0] - start(moving[:, 0])
    x = s_um[None] - start.knots_um[:, None]
    weight = np.exp(-0.5 * (x / WARP_LENGTH_UM) ** 2)
    w0 = weight.sum(axis=1) + START_WEIGHT
    w1 = (weight * x).sum(axis=1)
    w2 = (weight * x**2).sum(axis=1) + NO_STRETCH_WEIGHT
    y0, y1 = weight @ left, (weight * x) @ left
    shift = start.shift_um + (w2 * y0 - w1 * y1) / (w0 * w2 - w1**2)
    warp = replace(start, shift_um=shift)
    if len(moving):
        warp = replace(warp, roll_rad=start.roll_rad + _roll(warp.place(moving), reference))
        trust = len(moving) / (len(moving) + BESIDE_PAIRS)
        off = trust * np.median((reference - warp.place(moving))[:, 1:], axis=0)
        side, up = start.beside_um + off
        warp = replace(warp, beside_um=(float(side), float(up)))
    left = reference[:, 0] - warp(s_um)
    rms = float(np.sqrt(np.mean(left**2))) if len(left) else float("nan")
    return replace(warp, rms_um=rms)


def _roll(moving: FloatArray, reference: FloatArray) -> float:
    """The roll about the dendrite's axis (radians) of P matched spines: least squares for small
    angles beside any offset, depth counting less."""
    turning = moving[:, :0:-1] * [-1, 1]
    turning, off = (
        (x - x.mean(axis=0)) / PLACE_SD_UM[1:] for x in (turning, (reference - moving)[:, 1:])
    )
    return float((turning * off).sum() / ((turning**2).sum() + 1 / ROLL_SD_RAD**2))
