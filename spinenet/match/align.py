"""Sessions of one region onto its reference session: shift, small rotation, then affine.

The first two, and whether it is one field at all, are told by small, compressed pictures of the
whole stack; the affine by its shafts, which stay where spines come and go. What comes out moves
points, never measured intensities. Every session is registered to the reference directly, never in
a chain.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from scipy import fft, ndimage

from spinenet.config import MatchConfig
from spinenet.geometry import affine_apply, affine_inverse
from spinenet.types import FloatArray, IntArray, Um3, Volume

THUMB_UM: Um3 = (1.0, 0.4, 0.4)
ROTATION_STEP_DEG = 1.5
LEAST_OVERLAP = 0.15
CALM_UM = np.array([2.0, 1.2, 1.2])
"""Pictures are compared so smooth: what moves half a micrometre makes no other field."""
NEAR_WHOLE = 1e-6
LARGEST_STRETCH = 1.25
"""No tissue grows or shrinks by more between sessions; an affine that does fits noise."""


@dataclass(frozen=True)
class Thumb:
    """A stack shrunk to about 1 x 0.4 x 0.4 um: its light, dark at the background and with bright
    ends compressed, and its shafts."""

    picture: npt.NDArray[np.float32]
    shaft: npt.NDArray[np.float32]
    """Mean probability of shaft, smoothed a little."""
    step_um: FloatArray
    origin_um: FloatArray

    @property
    def of_shafts(self) -> Thumb:
        """The same with its shafts for a picture."""
        return replace(self, picture=self.shaft)


@dataclass(frozen=True)
class Alignment:
    """(3, 4) affine from a session's um to the reference's, the agreement that it reaches (at most
    1), and whether that is enough for both to show the same field."""

    affine: FloatArray
    score: float
    same_field: bool


IDENTITY = Alignment(np.eye(3, 4), 1.0, True)


def make_thumb(volume: Volume, shaft_probability: npt.NDArray[np.uint8]) -> Thumb:
    """Block means of a stack, background removed and square root taken, and of its shafts (Z, Y, X;
    255 for sure)."""
    voxel = np.array(volume.voxel_size_um)
    fold = np.minimum(np.maximum(np.rint(np.array(THUMB_UM) / voxel), 1), volume.data.shape).astype(
        int
    )
    light = _block_means(volume.data, fold)
    light = np.sqrt(np.clip(light - np.percentile(light, 60), 0, None))
    shaft = _block_means(shaft_probability, fold) / np.float32(255)
    calm = [ndimage.gaussian_filter(map_, (0.7, 1, 1)) for map_ in (light, shaft)]
    return Thumb(calm[0], calm[1], voxel * fold, (fold - 1) / 2 * voxel)


def _block_means(stack: npt.NDArray[Any], fold: IntArray) -> npt.NDArray[np.float32]:
    z, y, x = (np.array(stack.shape) // fold) * fold
    out = np.empty((z // fold[0], y // fold[1], x // fold[2]), np.float32)
    for i in range(len(out)):
        slab = stack[i * fold[0] : (i + 1) * fold[0], :y, :x].astype(np.float32).mean(axis=0)
        out[i] = slab.reshape(y // fold[1], fold[1], x // fold[2], fold[2]).mean(axis=(1, 3))
    return out


def align(moving: Thumb, reference: Thumb, config: MatchConfig) -> Alignment:
    """Where the moving session's points lie in the reference session."""
    start = _coarse(moving, reference, config)
    shafts = moving.of_shafts, reference.of_shafts
    affine = _refine(*shafts, start)
    stretch = np.linalg.svd(affine[:, :3])[1]
    plausible = stretch.max() < LARGEST_STRETCH and stretch.min() > 1 / LARGEST_STRETCH
    better = plausible and _score(*shafts, affine) > _score(*shafts, start)
    best = affine if better else start
    score = _score(_calm(moving), _calm(reference), best)
    return Alignment(best, score, score >= config.same_field)


def _coarse(moving: Thumb, reference: Thumb, config: MatchConfig) -> FloatArray:
    """The best shift by Fourier cross-correlation, over rotations about z."""
    step = reference.step_um
    moved, origin = _onto_grid(moving, reference)
    shape = [
        fft.next_fast_len(a + b) for a, b in zip(moved.shape, reference.picture.shape, strict=True)
    ]
    ref = reference.picture - reference.picture.mean()
    ref_f = np.conj(fft.rfftn(ref, shape, workers=2))
    limit = np.array([config.max_shift_um] * 3) / step
    best: tuple[float, FloatArray] | None = None
    n = int(config.max_rotation_deg / ROTATION_STEP_DEG)
    for angle in np.arange(-n, n + 1) * ROTATION_STEP_DEG:
        turned = ndimage.rotate(moved, angle, axes=(1, 2), reshape=False, order=1, mode="nearest")
        turned -= turned.mean()
        power = fft.irfftn(fft.rfftn(turned, shape, workers=2) * ref_f, shape, workers=2)
        lags = [np.fft.fftfreq(s, 1 / s) for s in shape]
        near = [np.abs(lag) <= m for lag, m in zip(lags, limit, strict=True)]
        window = power[np.ix_(*near)]
        at = np.unravel_index(window.argmax(), window.shape)
        shift = -np.array([lag[k][i] for lag, k, i in zip(lags, near, at, strict=True)]) * step
        if best is None or window.max() > best[0] * (1 + 1e-9):
            shift += reference.origin_um - origin
            best = (float(window.max()), _about(moved.shape, step, origin, angle, shift))
    assert best is not None
    return best[1]


def _about(
    shape: tuple[int, ...],
    step: FloatArray,
    origin: FloatArray,
    angle_deg: float,
    shift: FloatArray,
) -> FloatArray:
    """The affine of a picture rotated about its middle, as ndimage does it, then shifted."""
    a = np.deg2rad(angle_deg)
    turn = np.eye(3)
    turn[1:, 1:] = [[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]]
    middle = (np.array(shape) - 1) / 2 * step + origin
    return np.c_[turn, middle - turn @ middle + shift]


def _onto_grid(moving: Thumb, reference: Thumb) -> tuple[npt.NDArray[np.float32], FloatArray]:
    """A picture in steps of another one's, its voxels a whole number of them from that one's, and
    the place of its first voxel, um."""
    step, own = reference.step_um, np.array(moving.picture.shape) - 1
    first = (reference.origin_um - moving.origin_um) % step
    beyond = (first > own * moving.step_um) | np.isclose(first, step)
    first = np.where(beyond, 0.0, first)
    n = np.floor((own * moving.step_um - first) / step + NEAR_WHOLE).astype(int) + 1
    if np.allclose(step, moving.step_um) and not first.any():
        return moving.picture, moving.origin_um
    at = [
        (f + np.arange(k) * s) / o
        for f, k, s, o in zip(first, n, step, moving.step_um, strict=True)
    ]
    out: npt.NDArray[np.float32] = ndimage.map_coordinates(
        moving.picture, np.meshgrid(*at, indexing="ij"), order=1, mode="nearest"
    )
    return out, moving.origin_um + first


def _image(thumb: Thumb) -> sitk.Image:
    image = sitk.GetImageFromArray(thumb.picture)
    image.SetSpacing(thumb.step_um[::-1].tolist())
    image.SetOrigin(thumb.origin_um[::-1].tolist())
    return image


def _refine(moving: Thumb, reference: Thumb, start: FloatArray) -> FloatArray:
    """Affine by correlation on every second voxel; one thread, so the same bytes on every run."""
    method = sitk.ImageRegistrationMethod()
    method.SetNumberOfThreads(1)
    method.SetMetricAsCorrelation()
    method.SetMetricSamplingStrategy(method.NONE)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=0.5, minStep=2e-3, numberOfIterations=50, gradientMagnitudeTolerance=1e-8
    )
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel([2])
    method.SetSmoothingSigmasPerLevel([1.0])
    # sitk maps the fixed (reference) frame to the moving one, x first
    back = affine_inverse(start)
    transform = sitk.AffineTransform(3)
    transform.SetMatrix(back[::-1, 2::-1].ravel().tolist())
    transform.SetTranslation(back[::-1, 3].tolist())
    method.SetInitialTransform(transform, inPlace=True)
    try:
        method.Execute(_image(reference), _image(moving))
    except RuntimeError:  # nothing overlaps, or nothing is there: the coarse alignment stands
        return start
    matrix = np.array(transform.GetMatrix()).reshape(3, 3)[::-1, ::-1]
    centre = np.array(transform.GetCenter())[::-1]
    shift = np.array(transform.GetTranslation())[::-1] + centre - matrix @ centre
    return affine_inverse(np.c_[matrix, shift])


def _calm(thumb: Thumb) -> Thumb:
    """Its light without what noise and half a micrometre of deformation move."""
    return replace(thumb, picture=ndimage.gaussian_filter(thumb.picture, CALM_UM / thumb.step_um))


def _score(moving: Thumb, reference: Thumb, affine: FloatArray) -> float:
    """Correlation of the pictures where they overlap, times the root of the share of the smaller
    one that does: of many places a small piece fits somewhere by chance. -1 where too little does.

    A voxel overlaps where its middle lies in the other picture, to the outer faces of that one's
    voxels: a tilt of a hundredth of a degree would else cost a thin stack two of its planes.
    """
    grid = np.stack(
        np.meshgrid(*[np.arange(n) for n in reference.picture.shape], indexing="ij"), -1
    ).reshape(-1, 3)
    there = affine_apply(affine_inverse(affine), grid * reference.step_um + reference.origin_um)
    there = (there - moving.origin_um) / moving.step_um
    seen = np.all((there >= -0.5) & (there <= np.array(moving.picture.shape) - 0.5), axis=1)
    voxels = [t.picture.size * float(np.prod(t.step_um)) for t in (moving, reference)]
    share = min(seen.mean() * voxels[1] / min(voxels), 1.0)
    if share < LEAST_OVERLAP:
        return -1.0
    a = reference.picture.ravel()[seen]
    b = ndimage.map_coordinates(moving.picture, there[seen].T, order=1, mode="nearest")
    if not a.std() or not b.std():
        return -1.0
    return float(np.corrcoef(a, b)[0, 1] * share**0.5)
