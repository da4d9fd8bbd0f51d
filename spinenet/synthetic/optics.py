"""A two-photon microscope: blur, haze, shadows, motion, photons and a detector.

The point spread function is a Gaussian core with a wider Gaussian tail (Lorentzian-like wings and
out-of-focus haze); two Gaussians are separable, so a stack costs a fraction of a second.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from spinenet.config import OpticsConfig
from spinenet.synthetic.paint import Painted
from spinenet.types import FloatArray, Um3

SIGMA_PER_FWHM = 1 / 2.3548
TRUNCATE = 2.5
"""Standard deviations at which Gaussians end."""


@dataclass(frozen=True)
class Microscope:
    """The settings of one session, drawn from `OpticsConfig`."""

    lateral_fwhm_um: float
    axial_fwhm_um: float
    halo_share: float
    halo_widths: tuple[float, float]
    """Lateral and axial width of the tail over those of the core."""
    photons: float
    background_photons: float
    read_noise: float
    line_noise: float
    smoothing_px: float
    shading: float
    shadow: bool
    jitter_um: float
    gain: float
    """Detector counts per photon."""
    offset: float
    bits: int


def draw_microscope(rng: np.random.Generator, config: OpticsConfig) -> Microscope:
    """One session's microscope; photons are drawn evenly in log."""
    photons = float(np.exp(rng.uniform(*np.log(config.photons))))
    clipped = rng.random() < config.clip_8bit_chance
    top = rng.uniform(0.5, 2.0)
    return Microscope(
        lateral_fwhm_um=rng.uniform(*config.lateral_fwhm_um),
        axial_fwhm_um=rng.uniform(*config.axial_fwhm_um),
        halo_share=rng.uniform(*config.halo_share),
        halo_widths=(rng.uniform(2.0, 5.0), rng.uniform(1.5, 3.0)),
        photons=photons,
        background_photons=rng.uniform(*config.background_photons),
        read_noise=rng.uniform(*config.read_noise),
        line_noise=rng.uniform(*config.line_noise),
        smoothing_px=rng.uniform(*config.smoothing_px) if max(config.smoothing_px) else 0.0,
        shading=config.shading * rng.random(),
        shadow=rng.random() < config.shadow_chance,
        jitter_um=rng.uniform(*config.jitter_um),
        gain=255 / photons * top if clipped else float(np.exp(rng.uniform(1.5, 4.0))),
        offset=-rng.uniform(0.0, 1.0) if clipped else rng.uniform(0, 300),
        bits=8 if clipped else 16,
    )


def image(
    rng: np.random.Generator, painted: Painted, voxel_um: Um3, scope: Microscope
) -> npt.NDArray[np.uint8] | npt.NDArray[np.uint16]:
    """(Z, Y, X) stack, as the detector stores it."""
    light = blur(painted.density, painted.fold, voxel_um, scope)
    light *= _shading(rng, light.shape, voxel_um, scope)
    if scope.jitter_um > 0:
        _shake(rng, light, scope.jitter_um / np.array(voxel_um[1:]))
    # scaled by the shaft's own blurred brightness, so that `photons` is the peak shaft count
    shaft = light[painted.labels == 1]
    peak = float(np.percentile(shaft, 98)) if len(shaft) > 20 else 1.0
    mean = light * np.float32(scope.photons / max(peak, 0.05)) + np.float32(
        scope.background_photons
    )
    return _detect(rng, mean, scope)


def blur(
    density: npt.NDArray[np.float32], fold: int, voxel_um: Um3, scope: Microscope
) -> npt.NDArray[np.float32]:
    """(Z, Y, X) light from (Z * fold, Y, X) density, through the microscope's optics alone."""
    sharp = in_focus(density, fold, voxel_um, scope)
    z, y, x = sharp.shape
    coarse = density[:, : y // 4 * 4, : x // 4 * 4]
    coarse = coarse.reshape(z * fold, y // 4, 4, x // 4, 4).mean(axis=(2, 4))
    deep, *flat = _sigma(fold, voxel_um, scope)
    lateral, axial = scope.halo_widths
    halo = _blur_plane(_into_slices(coarse, deep * axial, fold), [s * lateral / 4 for s in flat])
    halo = np.repeat(np.repeat(halo, 4, axis=1), 4, axis=2)
    halo = np.pad(halo, [(0, 0), (0, y % 4), (0, x % 4)], mode="edge")
    halo = ndimage.uniform_filter(halo, (1, 5, 5), mode="nearest")
    out: npt.NDArray[np.float32] = (1 - scope.halo_share) * sharp + scope.halo_share * halo
    return out.astype(np.float32)


def in_focus(
    density: npt.NDArray[np.float32], fold: int, voxel_um: Um3, scope: Microscope
) -> npt.NDArray[np.float32]:
    """(Z, Y, X) light of (Z * fold, Y, X) density through the core of the point spread function."""
    deep, *flat = _sigma(fold, voxel_um, scope)
    return _blur_plane(_into_slices(density, deep, fold), flat)


def _sigma(fold: int, voxel_um: Um3, scope: Microscope) -> FloatArray:
    """(3,) of the core, in sub-slices and pixels."""
    step = np.array([voxel_um[0] / fold, voxel_um[1], voxel_um[2]])
    core = np.array([scope.axial_fwhm_um, scope.lateral_fwhm_um, scope.lateral_fwhm_um])
    sigma: FloatArray = core * SIGMA_PER_FWHM / step
    return sigma


def _into_slices(
    density: npt.NDArray[np.float32], sigma: float, fold: int
) -> npt.NDArray[np.float32]:
    """(Z, Y, X): what a Gaussian of `sigma` sub-slices around the middle of each slice gathers of
    (Z * fold, Y, X); beyond its ends the stack goes on as it ends."""
    n = len(density)
    reach = int(np.ceil(TRUNCATE * sigma)) + 1
    middles = np.arange(n // fold) * fold + (fold - 1) / 2
    apart = np.arange(-reach, n + reach) - middles[:, None]
    weights = np.exp(-0.5 * (apart / sigma) ** 2) * (np.abs(apart) <= TRUNCATE * sigma + 0.5)
    weights /= weights.sum(axis=1, keepdims=True)
    inside = weights[:, reach:-reach]
    inside[:, 0] += weights[:, :reach].sum(axis=1)
    inside[:, -1] += weights[:, -reach:].sum(axis=1)
    gathered = inside.astype(np.float32) @ density.reshape(n, -1)
    return gathered.reshape(-1, *density.shape[1:])


def _blur_plane(light: npt.NDArray[np.float32], sigma: Sequence[float]) -> npt.NDArray[np.float32]:
    out: npt.NDArray[np.float32] = ndimage.gaussian_filter(
        light, sigma, axes=(1, 2), truncate=TRUNCATE, mode="nearest"
    )
    return out


def _shading(
    rng: np.random.Generator, shape: tuple[int, ...], voxel_um: Um3, scope: Microscope
) -> FloatArray:
    """Slow changes of brightness over the field and one vessel's shadow."""
    knots = rng.normal(0, scope.shading, (2, 4, 4)).astype(np.float32)
    for axis, n in enumerate(shape):
        knots = np.moveaxis(_stretch(np.moveaxis(knots, axis, 0), n), 0, axis)
    field = np.exp(knots)
    if scope.shadow:
        y, x = np.arange(shape[1]) * voxel_um[1], np.arange(shape[2]) * voxel_um[2]
        angle = rng.uniform(0, np.pi)
        across = np.cos(angle) * (y[:, None] - rng.uniform(0, y[-1])) + np.sin(angle) * (
            x[None] - rng.uniform(0, x[-1])
        )
        width = rng.uniform(2.5, 10)
        field *= 1 - rng.uniform(0.3, 0.8) * np.exp(-0.5 * (across / width) ** 2)[None]
    out: FloatArray = field.astype(np.float32)
    return out


def _stretch(knots: npt.NDArray[np.float32], n: int) -> npt.NDArray[np.float32]:
    """(n, ...) between (K, ...) knots in the middles of K equal parts, straight from one to the
    next, level beyond the outer ones."""
    at = np.clip((np.arange(n) + 0.5) * len(knots) / n - 0.5, 0, len(knots) - 1)
    weights = np.clip(1 - np.abs(at[:, None] - np.arange(len(knots))), 0, 1)
    return np.tensordot(weights.astype(np.float32), knots, axes=1)


def _shake(rng: np.random.Generator, light: npt.NDArray[np.float32], jitter_px: FloatArray) -> None:
    """Motion, by so many pixels (y, x): every slice shifted, and its lines swaying, in place."""
    for z in range(len(light)):
        shift = rng.normal(0, jitter_px, 2)
        light[z] = ndimage.shift(light[z], shift, order=1, mode="nearest")
    if rng.random() < 0.3:
        sway = ndimage.gaussian_filter1d(rng.normal(0, 1, light.shape[:2]), 6, axis=1)
        sway = np.rint(sway * 3 * jitter_px[1]).astype(int)
        columns = np.clip(np.arange(light.shape[2]) + sway[..., None], 0, light.shape[2] - 1)
        light[:] = np.take_along_axis(light, columns, axis=2)


def _along_lines(noise: npt.NDArray[np.float32], correlation: float) -> npt.NDArray[np.float32]:
    """Noise whose neighbours along x are correlated, its variance kept: a slow detector, or a
    stack that was resampled. (a, 1, a) has the lag-one correlation 2 a / (1 + 2 a^2)."""
    a = (1 - np.sqrt(1 - 2 * correlation**2)) / (2 * correlation)
    kernel = np.array([a, 1, a], np.float32) / np.float32(np.sqrt(1 + 2 * a**2))
    return ndimage.correlate1d(noise, kernel, axis=2, mode="reflect")


def _detect(
    rng: np.random.Generator, mean: npt.NDArray[np.float32], scope: Microscope
) -> npt.NDArray[np.uint8] | npt.NDArray[np.uint16]:
    seen = rng.poisson(mean).astype(np.float32)
    seen += rng.standard_normal(mean.shape, dtype=np.float32) * np.float32(scope.read_noise)
    if scope.line_noise:
        seen = mean + _along_lines(seen - mean, scope.line_noise)
    if scope.smoothing_px:
        seen = ndimage.gaussian_filter(seen, scope.smoothing_px, axes=(1, 2), mode="nearest")
    counts = np.rint(seen * scope.gain + scope.offset)
    if scope.bits == 8:
        return np.clip(counts, 0, 255).astype(np.uint8)
    return np.clip(counts, 0, 65535).astype(np.uint16)
