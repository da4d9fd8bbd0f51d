"""Label images against true ones: Dice of shaft and spines, panoptic quality, splits and merges."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spinenet.evaluate.spines import ratio
from spinenet.geometry import label_sizes
from spinenet.types import FloatArray

IGNORE = 65535
"""Label of voxels of which nobody said what they are."""
HALF = 0.5
NONE = np.zeros(0, np.int64)


@dataclass(frozen=True)
class MaskCounts:
    """Counts of one or many stacks; ratios are taken of the sums."""

    shaft: tuple[int, int] = (0, 0)
    """Voxels in both, and voxels in the one plus voxels in the other."""
    spine: tuple[int, int] = (0, 0)
    matched_iou: float = 0.0
    """Sum of the overlaps of matched spines (intersection over union above one half)."""
    matched: int = 0
    false: int = 0
    missed: int = 0
    split: int = 0
    """True spines covered by two or more labels."""
    merged: int = 0
    """True spines that share their label with another one."""

    def __add__(self, other: MaskCounts) -> MaskCounts:
        return MaskCounts(
            (self.shaft[0] + other.shaft[0], self.shaft[1] + other.shaft[1]),
            (self.spine[0] + other.spine[0], self.spine[1] + other.spine[1]),
            self.matched_iou + other.matched_iou,
            self.matched + other.matched,
            self.false + other.false,
            self.missed + other.missed,
            self.split + other.split,
            self.merged + other.merged,
        )

    def figures(self) -> dict[str, float]:
        """Dice, panoptic quality (Kirillov 2019, eq. 1), AP50 as of cell segmentation (matched /
        (matched + false + missed), Caicedo 2019), share of spines split or merged."""
        known = self.matched + self.missed
        return {
            "shaft Dice": ratio(2 * self.shaft[0], self.shaft[1]),
            "spine Dice": ratio(2 * self.spine[0], self.spine[1]),
            "panoptic quality": ratio(
                self.matched_iou, self.matched + 0.5 * (self.false + self.missed)
            ),
            "AP50": ratio(self.matched, self.matched + self.false + self.missed),
            "split": ratio(self.split, known),
            "merged": ratio(self.merged, known),
        }


def count_masks(
    truth: npt.NDArray[np.integer],
    found: npt.NDArray[np.integer],
    not_scorable: npt.NDArray[np.integer],
    undrawn: npt.NDArray[np.integer] = NONE,
) -> MaskCounts:
    """Compare two label images (Z, Y, X): 0 background, 1 shaft, 2.. spines.

    Parameters
    ----------
    truth: 65535 where nothing is known
    not_scorable: labels of true spines that nobody could score; their voxels count neither way
    undrawn: found labels of spines that are true and were not drawn; they count neither way
    """
    drawn, every = label_sizes(truth), label_sizes(found)
    uncounted = np.isin(np.arange(len(drawn)), [IGNORE, *not_scorable])
    # a label that lies mostly there counts neither way, its rim included (Kirillov 2019, 4.2)
    gone = np.zeros_like(every)
    for true, seen in zip(truth, found, strict=True):
        gone += np.bincount(seen[uncounted[true]], minlength=len(every))
    hidden = (gone > HALF * every) & (np.arange(len(every)) > 1)
    hidden |= np.isin(np.arange(len(every)), undrawn)
    highest = int(np.flatnonzero(~uncounted & (drawn > 0)).max(initial=1))
    shape = highest + 1, max(len(every), 2)
    table = np.zeros(shape, np.int64)
    for true, seen in zip(truth, found, strict=True):
        out = uncounted[true]
        table += _overlaps(np.where(out, 0, true), np.where(out | hidden[seen], 0, seen), shape)
    size_true, size_found = table.sum(axis=1), table.sum(axis=0)
    spines = table[2:, 2:]
    union = size_true[2:, None] + size_found[None, 2:] - spines
    iou: FloatArray = spines / np.maximum(union, 1)
    pairs = iou > HALF  # at most one partner each
    there, seen = size_true[2:] > 0, size_found[2:] > 0
    covers = spines >= HALF * np.minimum(size_true[2:, None], size_found[None, 2:])
    covers &= spines > 0
    crowded = covers.sum(axis=0) > 1
    only_spines = not drawn[1:2].any() and drawn[2:IGNORE].any()  # of shafts nobody said anything
    shaft = (0, 0) if only_spines else (int(table[1, 1]), int(size_true[1] + size_found[1]))
    return MaskCounts(
        shaft,
        (int(spines.sum()), int(size_true[2:].sum() + size_found[2:].sum())),
        float(iou[pairs].sum()),
        int(pairs.sum()),
        int(seen.sum() - pairs.sum()),
        int(there.sum() - pairs.sum()),
        int((covers.sum(axis=1) > 1).sum()),
        int((covers[:, crowded].any(axis=1)).sum()) if crowded.any() else 0,
    )


def _overlaps(
    truth: npt.NDArray[np.integer], found: npt.NDArray[np.integer], shape: tuple[int, int]
) -> npt.NDArray[np.int64]:
    """(T, F) voxels with true label t and found label f, of one plane."""
    flat = truth.astype(np.int64).ravel() * shape[1] + found.ravel()
    return np.bincount(flat, minlength=shape[0] * shape[1]).reshape(shape)
