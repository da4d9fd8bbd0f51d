"""Where a track lives on its dendrite, where that is in a session, and whether it could be seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spinenet.config import MatchConfig
from spinenet.geometry import from_line_frame, inside
from spinenet.match.scope import in_view
from spinenet.match.score import PLACE_SD_UM
from spinenet.match.view import SessionView
from spinenet.match.warp import ArcWarp, Warps
from spinenet.types import FloatArray, IntArray, Presence, Segment

HALF_HEAD_UM = 0.25
"""A head whose middle is nearer to the edge of its shaft, seen from above, is hidden by it."""
BESIDE_UM = 1.0
"""A spine may lean so far beyond the end of its dendrite; it is looked for there."""
RIM_SD, RIM_SHARE = 2.0, 1 / 8
"""So many standard deviations of a place from the stack's border, but at most this share of the
stack, a spine may as well lie outside."""


@dataclass(frozen=True)
class Home:
    """A track's dendrite, and the mean place (arc length shared, sideways, up) of its sightings."""

    dendrite: int
    place: FloatArray


def homes_of(
    views: list[SessionView],
    frames: list[FloatArray],
    track_of: list[IntArray],
    warps: Warps,
) -> dict[int, Home]:
    """Of every track, by its sightings; `frames` as `frames_of` gives them."""
    seen: dict[int, list[FloatArray]] = {}
    where: dict[int, int] = {}
    for t, view in enumerate(views):
        dendrites = view.spines.frame["dendrite_id"].to_numpy(int)
        for i, k in enumerate(track_of[t].tolist()):
            place = warps[t, dendrites[i]].place(frames[t][i : i + 1])[0]
            seen.setdefault(k, []).append(place)
            where[k] = int(dendrites[i])
    return {k: Home(where[k], np.mean(seen[k], axis=0)) for k in sorted(seen)}


def hidden_tracks(
    views: list[SessionView],
    track_of: list[IntArray],
    homes: dict[int, Home],
    warps: Warps,
) -> set[int]:
    """Tracks that are seen in some sessions only, whatever becomes of the spine: above, below or
    close by their shaft (lost in its blur), or beside the border of a stack (perhaps outside
    it)."""
    beyond: dict[int, list[float]] = {}
    for t, view in enumerate(views):
        segments = view.dendrites.by_id()
        for k in track_of[t].tolist():
            segment = segments[homes[k].dendrite]
            arc = segment.arc_length_um
            at, side, _ = warps[t, homes[k].dendrite].back(homes[k].place, arc)
            on = float(np.clip(at, arc[0], arc[-1]))
            radius = float(np.interp(on, arc, segment.radius_um))
            beyond.setdefault(k, []).append(float(np.hypot(side, at - on)) - radius)
    return {k for k, reach in beyond.items() if np.mean(reach) < HALF_HEAD_UM} | {
        k for t, view in enumerate(views) if view.usable for k in _in_rim(t, view, homes, warps)
    }


def expected_at(home: Home, warp: ArcWarp, segment: Segment) -> tuple[FloatArray, FloatArray]:
    """Where a track lies in a session: on its dendrite (arc length, sideways, up) and in um."""
    here = warp.back(home.place, segment.arc_length_um)
    return here, from_line_frame(here[None], segment.points_um, segment.arc_length_um)[0]


def _in_rim(t: int, view: SessionView, homes: dict[int, Home], warps: Warps) -> list[int]:
    """Tracks expected so near to the border of a session's stack that they may lie outside, or
    within."""
    segments = view.dendrites.by_id()
    rim = np.minimum(RIM_SD * PLACE_SD_UM[[2, 1, 1]], RIM_SHARE * view.extent_um)
    out = []
    for k, home in homes.items():
        _, point = expected_at(home, warps[t, home.dendrite], segments[home.dendrite])
        around = point + np.vstack([np.zeros(3), np.diag(rim), np.diag(-rim)])
        far_in = inside(point, view.extent_um, rim)[0] and view.imaged(point[None], rim[1:])[0]
        if in_view(view, around).any() and not far_in:
            out.append(k)
    return out


def unseeable(
    view: SessionView, segment: Segment, here: FloatArray, point: FloatArray, config: MatchConfig
) -> Presence | None:
    """Why a spine at a place could not have been seen, or None if it could."""
    arc = segment.arc_length_um
    beyond = max(arc[0] - here[0], here[0] - arc[-1])
    if beyond > BESIDE_UM or not in_view(view, point[None])[0]:
        return Presence.OUT_OF_VIEW
    snr = np.interp(here[0], arc, view.snr[segment.id])
    if not view.usable or not np.isfinite(snr) or snr < config.min_snr:
        return Presence.NOT_SCORABLE
    return None
