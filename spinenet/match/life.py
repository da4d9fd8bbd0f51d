"""What is known of every track in every session once places without a sighting were looked at."""

from __future__ import annotations

from dataclasses import dataclass

from spinenet.match.view import SessionView
from spinenet.types import FloatArray, IntArray, Presence


@dataclass(frozen=True)
class Unseen:
    """Why a track has no sighting in a session."""

    presence: Presence
    p_present: float
    """That it was there all the same; nan where nobody could look."""
    arc_um: float
    """Its place along the dendrite, as all sessions share it."""


Missing = dict[tuple[int, int], Unseen]
"""By track and session position."""


@dataclass(frozen=True)
class Life:
    """Views with the spines found by looking back, their tracks, and what is known of the rest."""

    views: list[SessionView]
    frames: list[FloatArray]
    track_of: list[IntArray]
    missing: Missing
    between: frozenset[tuple[int, int]] = frozenset()
    """Tracks and session positions found only because they were seen before and after."""
    hidden: frozenset[int] = frozenset()
    """Tracks that do not stick out beside their shaft, or lie beside a stack's border, unless a
    person saw them."""
    settled: frozenset[tuple[int, int]] = frozenset()
    """Tracks and session positions of which a person said that nothing is there."""
