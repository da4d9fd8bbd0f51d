"""A spine that is not seen where it is expected may be seen beside: long ones swing."""

from __future__ import annotations

import numpy as np

from spinenet.match.power import log_odds
from spinenet.match.score import PLACE_SD_UM
from spinenet.match.view import Probe, SessionView
from spinenet.types import BoolArray, FloatArray, IntArray

CLAIMED_UM = np.array([1.2, 0.4, 0.4])
"""A spine this near (scaled) to the place looked at is what is seen there."""
PLACE_SD_ZYX = PLACE_SD_UM[[2, 1, 1]]
STRAYS_SD = 2.5
"""So many standard deviations of a place a spine may lie from where it is expected."""


def is_near(taken_um: FloatArray, place_um: FloatArray, reach_um: FloatArray = CLAIMED_UM) -> bool:
    """Is one of the places (M, 3) that of another (3,)?"""
    return bool((np.linalg.norm((taken_um - place_um) / reach_um, axis=1) <= 1).any())


def strayed(
    view: SessionView,
    places_um: FloatArray,
    dendrites: IntArray,
    wanted: BoolArray,
    taken_um: FloatArray,
    least_p: float,
) -> dict[int, Probe]:
    """Where else in a session spines are that are expected at places (K, 3) on dendrites (K,).

    Of the lights around, of at least `least_p`, each spine takes the likeliest by height and by how
    far it lies off; one light is of one spine, the likeliest pair first.

    Parameters
    ----------
    wanted: (K,) which spines are looked for
    taken_um: (M, 3) what is seen there is known to be something else

    Returns
    -------
    What is seen of those that were found, by their position in `places_um`.
    """
    around: list[tuple[tuple[float, ...], int, Probe]] = []
    for n in np.flatnonzero(wanted).tolist():
        place = places_um[n]
        lights = view.peaks(place, STRAYS_SD * PLACE_SD_ZYX, int(dendrites[n]), least_p)
        far = (((lights.centres_um - place) / PLACE_SD_ZYX) ** 2).sum(axis=1)
        cost = far / 2 - log_odds(lights.probability)
        for m, centre in enumerate(lights.centres_um):
            if not is_near(taken_um, centre):
                # of equals what lies first in the stack, whatever its number
                rank = (float(cost[m]), *centre.tolist(), *place.tolist())
                around.append((rank, n, lights.of(np.array([m]))))
    found: dict[int, Probe] = {}
    for _, n, light in sorted(around, key=lambda pair: pair[0]):
        others = np.reshape([f.centres_um[0] for f in found.values()], (-1, 3))
        if n not in found and not is_near(others, light.centres_um[0]):
            found[n] = light
    return found
