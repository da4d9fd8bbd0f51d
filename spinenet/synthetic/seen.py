"""Spines as they are seen: the masks that a person would draw on the blurred stack.

A head is narrower than the blur, five times so in depth. Where it truly ends nobody can tell from
the stack, and people who annotate do not try: they mark what is bright.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from spinenet.synthetic.optics import Microscope, in_focus
from spinenet.synthetic.paint import Painted
from spinenet.types import Um3

HALF = 0.5
"""Share of a spine's brightest voxel above which its light counts as the spine."""


def seen_labels(painted: Painted, voxel_um: Um3, scope: Microscope) -> npt.NDArray[np.uint16]:
    """(Z, Y, X) 0, 1 shaft, 2.. spines: where the light of a spine alone is at least half of its
    brightest. Of two spines the brighter has a voxel, the shaft keeps what is inside it."""
    fwhm_um = np.array([scope.axial_fwhm_um, scope.lateral_fwhm_um, scope.lateral_fwhm_um])
    pad = np.ceil(fwhm_um / np.array(voxel_um)).astype(int)
    fold = painted.fold
    out = np.where(painted.labels == 1, 1, 0).astype(np.uint16)
    brightest = np.zeros(out.shape, np.float32)
    for label, window in enumerate(
        ndimage.find_objects(painted.fine_labels.astype(np.int32)), start=1
    ):
        if window is None or label == 1:
            continue
        z, y, x = (
            slice(max(w.start // f - n, 0), min(-(-w.stop // f) + n, size))
            for w, f, n, size in zip(window, (fold, 1, 1), pad, out.shape, strict=True)
        )
        fine = (slice(z.start * fold, z.stop * fold), y, x)
        own = painted.density[fine] * (painted.fine_labels[fine] == label)
        light = in_focus(own, fold, voxel_um, scope)
        mine = (light >= HALF * light.max()) & (light > brightest[z, y, x]) & (out[z, y, x] != 1)
        out[z, y, x][mine] = label
        brightest[z, y, x][mine] = light[mine]
    return out
