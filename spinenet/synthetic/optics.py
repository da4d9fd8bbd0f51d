"""A two-photon microscope: blur, haze, shadows, motion, photons and a detector.

The point spread function is a Gaussian core with a wider Gaussian tail (Lorentzian-like wings and
out-of-focus haze); two Gaussians are separable, so a stack costs a fraction of a second.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from spinenet.config import OpticsConfig
from spinenet.synthetic.paint import Painted
from spinenet.types import FloatArray, Um3

SIGMA_PER_FWHM = 1 / 2.3548


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
        _shake(rng, light, scope.jitter_um / voxel_um[2])
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
    step = np.array([voxel_um[0] / fold, voxel_um[1], voxel_um[2]])
    core = np.array([scope.axial_fwhm_um, scope.lateral_fwhm_um, scope.lateral_fwhm_um])
    sigma = core * SIGMA_PER_FWHM / step
    sharp = ndimage.gaussian_filter(density, sigma, truncate=2.5, mode="nearest")
    coarse = density[:, : density.shape[1] // 4 * 4, : density.shape[2] // 4 * 4]
    z, y, x = coarse.shape
    coarse = coarse.reshape(z, y // 4, 4, x // 4, 4).mean(axis=(2, 4))
    lateral, axial = scope.halo_widths
    wide = sigma * [axial, lateral / 4, lateral / 4]
    halo = ndimage.gaussian_filter(coarse, wide, truncate=2.5, mode="nearest")
    middle = slice(fold // 2, None, fold)
    halo = np.repeat(np.repeat(halo[middle], 4, axis=1), 4, axis=2)
    halo = np.pad(halo, [(0, 0), (0, density.shape[1] - y), (0, density.shape[2] - x)], mode="edge")
    halo = ndimage.uniform_filter(halo, (1, 5, 5), mode="nearest")
    if fold % 2 == 0:
        sharp = (sharp[fold // 2 - 1 :: fold] + sharp[fold // 2 :: fold]) / 2
    else:
        sharp = sharp[middle]
    out: npt.NDArray[np.float32] = (1 - scope.halo_share) * sharp + scope.halo_share * halo
    return out.astype(np.float32)


def _shading(
    rng: np.random.Generator, shape: tuple[int, ...], voxel_um: Um3, scope: Microscope
) -> FloatArray:
    """Slow changes of brightness over the field and one vessel's shadow."""
    knots = rng.normal(0, scope.shading, (2, 4, 4))
    zoom = [n / k for n, k in zip(shape, knots.shape, strict=True)]
    field = np.exp(ndimage.zoom(knots, zoom, order=1, grid_mode=True, mode="nearest"))
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


def _shake(rng: np.random.Generator, light: npt.NDArray[np.float32], jitter_px: float) -> None:
    """Motion: every slice shifted, and its lines swaying, in place."""
    for z in range(len(light)):
        shift = rng.normal(0, jitter_px, 2)
        light[z] = ndimage.shift(light[z], shift, order=1, mode="nearest")
    if rng.random() < 0.3:
        sway = ndimage.gaussian_filter1d(rng.normal(0, 1, light.shape[:2]), 6, axis=1)
        sway = np.rint(sway * 3 * jitter_px).astype(int)
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
    counts = np.rint(seen * scope.gain + scope.offset)
    if scope.bits == 8:
        return np.clip(counts, 0, 255).astype(np.uint8)
    return np.clip(counts, 0, 65535).astype(np.uint16)
