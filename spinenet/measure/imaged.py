"""Where a stack holds light at all: registration leaves its borders blank."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spinenet.geometry import nearest_voxels
from spinenet.types import BoolArray, FloatArray, IntArray, Um3, Volume

SURELY = 10.0
"""A run of voxels is blank if so many of other values would be expected in it: a detector that cuts
off the background leaves short dark runs everywhere."""
DARK_QUANTILE = 0.1
MOST_BLANK = 0.5
"""Where more is dark, it is the background."""


@dataclass(frozen=True)
class Imaged:
    """The part of every line and column of a stack that is not blank at its ends."""

    x_from: IntArray
    """(Z, Y) first voxel of a line, and in `x_to` the one after its last."""
    x_to: IntArray
    y_from: IntArray
    """(Z, X) the same of a column."""
    y_to: IntArray
    voxel_um: Um3

    def holds(self, points_um: FloatArray) -> BoolArray:
        """(N,) which points (N, 3) lie where the microscope looked; beyond the stack as at its
        border."""
        shape = (*self.x_from.shape, self.y_from.shape[1])
        z, y, x = nearest_voxels(points_um, self.voxel_um, shape).T
        held: BoolArray = (self.x_from[z, y] <= x) & (x < self.x_to[z, y])
        held &= (self.y_from[z, x] <= y) & (y < self.y_to[z, x])
        return held

    def holds_around(self, points_um: FloatArray, aside_um: FloatArray) -> BoolArray:
        """(N,) which points lie so far (y, x) within it."""
        (up, right), held = aside_um, self.holds(points_um)
        for aside in ([0, -up, 0], [0, up, 0], [0, 0, -right], [0, 0, right]):
            held &= self.holds(points_um + np.array(aside))
        return held

    def blank(self, window: tuple[slice, slice, slice]) -> BoolArray:
        """(Z, Y, X) the voxels of a window that were not imaged."""
        z, y, x = window
        at_y, at_x = np.r_[y][:, None], np.r_[x]
        out: BoolArray = (at_x < self.x_from[z, y, None]) | (at_x >= self.x_to[z, y, None])
        out |= (at_y < self.y_from[z, None, x]) | (at_y >= self.y_to[z, None, x])
        return out

    @property
    def blank_share(self) -> float:
        """Share of its planes that is blank, those left aside that are so altogether; blank ends of
        lines or of columns, whichever are more."""
        along_x, along_y = self.x_to - self.x_from, self.y_to - self.y_from
        some = along_x.any(axis=1)
        if not some.any():
            return 0.0
        n_x, n_y = along_y.shape[1], along_x.shape[1]
        return 1 - min(float(along_x[some].mean()) / n_x, float(along_y[some].mean()) / n_y)


def find_imaged(volume: Volume) -> Imaged:
    """Lines and columns without the runs at their ends that hold nothing but one value, also where
    the field was turned and they are of unlike length. The value is the lowest, or the commonest of
    the stack's borders (0, where the background goes below it), whichever leaves more blank."""
    edges = [volume.data[:, [0, -1]].ravel(), volume.data[:, :, [0, -1]].ravel()]
    values, counts = np.unique(np.concatenate(edges), return_counts=True)
    fills = {volume.data.min(), values[counts.argmax()]}
    return max((_without(volume, fill) for fill in sorted(fills)), key=lambda i: i.blank_share)


def _without(volume: Volume, fill: np.generic) -> Imaged:
    n_z, n_y, n_x = volume.data.shape
    by_line, by_column = np.zeros((n_z, n_y, 2), int), np.zeros((n_z, n_x, 2), int)
    shares = []
    for z, plane in enumerate(volume.data):
        lit: BoolArray = plane != fill
        by_line[z], of_lines = _dark_ends(lit)
        by_column[z], of_columns = _dark_ends(lit.T)
        shares += [of_lines, of_columns]
    between = np.concatenate(shares)
    lit_share = float(np.quantile(between, DARK_QUANTILE)) if len(between) else 0.0
    least = SURELY / lit_share if lit_share else np.inf

    def without_ends(least: float) -> Imaged:
        spans = *_spans(by_line, least, n_x), *_spans(by_column, least, n_y)
        return Imaged(*spans, volume.voxel_size_um)

    found = without_ends(least)
    return found if found.blank_share <= MOST_BLANK else without_ends(np.inf)


def _dark_ends(lit: BoolArray) -> tuple[IntArray, FloatArray]:
    """How many voxels in each row of a picture (N, M) are dark before the first that is lit and
    after the last (N, 2); and, of rows between others that have any, the share that is lit between
    these ends. Dark rows at the border are so from end to end; between others they are background.
    """
    n = lit.shape[1]
    some: BoolArray = np.any(lit, axis=1)
    ends = np.stack([lit.argmax(axis=1), lit[:, ::-1].argmax(axis=1)], axis=1)
    from_first: BoolArray = np.maximum.accumulate(some)
    to_last: BoolArray = np.maximum.accumulate(some[::-1])
    within = from_first & to_last[::-1]
    ends[~some] = np.where(within, 0, n)[~some, None]
    share: FloatArray = lit[within].sum(axis=1) / (n - ends[within].sum(axis=1))
    return ends, share


def _spans(ends: IntArray, least: float, n: int) -> tuple[IntArray, IntArray]:
    """First voxel and the one after the last of rows of n, dark ends (..., 2) of at least so many
    voxels left out."""
    blank = np.where(ends >= least, ends, 0)
    first: IntArray = blank[..., 0]
    return first, np.maximum(n - blank[..., 1], first)
