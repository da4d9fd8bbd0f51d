"""How pictures of one spine differ between sessions, more than a simulator makes them differ.

Real spines turn and change, and a head found a little aside shows something else. A matching head
that never met that would take every unlike picture for another spine.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import ndimage

from spinenet.training.sightings import Sighting
from spinenet.types import FloatArray

BLUR_PX, BLUR_PLANES = 0.9, 0.6
"""Largest standard deviation of a session's blur, within and across planes."""
GAMMA_LOG_SD, UNIT_LOG_SD = 0.15, 0.2
"""Of a session's contrast, and of a spine's brightness: the shaft beside it is its unit."""
NOISE = 0.15
MOST_MISTAKEN = 0.15
"""Of spines whose picture is another's, or none."""


def seen_otherwise(s: Sighting, rng: np.random.Generator) -> Sighting:
    """The spines of one session with other pictures: blurred and noisy together, brighter or darker
    one by one, some exchanged."""
    looks = s.portraits.astype(np.float32)
    if not len(looks):
        return s
    across, within = rng.uniform(0, BLUR_PLANES), rng.uniform(0, BLUR_PX)
    looks = ndimage.gaussian_filter(looks, (0, across, within, within), mode="nearest")
    looks **= np.exp(rng.normal(0, GAMMA_LOG_SD))
    looks *= np.exp(rng.normal(0, UNIT_LOG_SD, (len(looks), 1, 1, 1)))
    looks += rng.normal(0, rng.uniform(0, NOISE), looks.shape)
    looks = np.maximum(looks, 0)
    return replace(s, portraits=_mistaken(looks, rng).astype(s.portraits.dtype))


def _mistaken(looks: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Some pictures in the place of others, or left out."""
    out = looks.copy()
    wrong = np.flatnonzero(rng.random(len(looks)) < rng.uniform(0, MOST_MISTAKEN))
    out[wrong] = looks[rng.integers(len(looks), size=len(wrong))]
    out[wrong[rng.random(len(wrong)) < 0.5]] = 0
    return out
