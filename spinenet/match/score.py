"""How likely two detections are the same spine, by place alone: size never decides."""

from __future__ import annotations

import numpy as np

from spinenet.types import FloatArray

PLACE_SD_UM = np.array([0.4, 0.45, 0.9])
"""Scatter of one spine between two aligned sessions: along, sideways, towards the objective."""
CHANCE = 4.5
"""Half the squared distance (in standard deviations) at which same and different are as likely."""


def link_probability(a: FloatArray, b: FloatArray, gate_um: float) -> FloatArray:
    """(M, N) probability that spine i of one session is spine j of another.

    Parameters
    ----------
    a, b: (M, 3), (N, 3) arc length (one frame), sideways and upward offset of the heads, um
    gate_um: farther apart along the dendrite than this is another spine

    The odds of each pair compete with all others in its row and column and with having no partner.
    """
    apart = a[:, None] - b[None]
    far2 = ((apart / PLACE_SD_UM) ** 2).sum(-1)
    odds = np.exp(CHANCE - 0.5 * far2) * (np.abs(apart[..., 0]) <= gate_um)
    rivals = odds.sum(axis=1, keepdims=True) + odds.sum(axis=0, keepdims=True) - odds
    out: FloatArray = odds / (1 + rivals)
    return out
