"""Whether spines lie within a distance of each other, or at least so far apart.

Arc lengths are typed to a tenth or a hundredth of a um, and their differences are not exact: 8.3 um
lies 5.000000000000001 um from 3.3 um. A limit is therefore met within half a nanometre.
"""

from __future__ import annotations

from spinenet.config import AnalyzeConfig
from spinenet.types import BoolArray, FloatArray

HALF_NM_UM = 0.0005


def within(gap_um: FloatArray, limit_um: FloatArray | float) -> BoolArray:
    """Which gaps are at most the limit."""
    near: BoolArray = gap_um <= limit_um + HALF_NM_UM
    return near


def beyond(gap_um: FloatArray, limit_um: float) -> BoolArray:
    """Which gaps are at least the limit."""
    far: BoolArray = gap_um >= limit_um - HALF_NM_UM
    return far


def near_another(gap_um: FloatArray, limit_um: float, config: AnalyzeConfig) -> BoolArray:
    """Which gaps are within the limit and those of two spines: nearer than the resolution it may be
    the same one under another name."""
    return within(gap_um, limit_um) & beyond(gap_um, config.resolution_um)
