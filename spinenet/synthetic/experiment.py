"""A simulated experiment: stacks of the same dendrites over sessions, with the exact truth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.spatial.transform import Rotation

from spinenet.config import OpticsConfig, SimulateConfig
from spinenet.geometry import affine_apply, inside
from spinenet.synthetic.morphology import (
    SCORABLE_EDGE_UM,
    Clutter,
    Dendrite,
    PlacedSpine,
    Scene,
    SpineShape,
    draw_clutter,
    draw_shaft,
    is_scorable,
    place,
)
from spinenet.synthetic.optics import draw_microscope, image
from spinenet.synthetic.paint import paint
from spinenet.synthetic.seen import seen_labels
from spinenet.synthetic.turnover import Lives, live
from spinenet.tables import DENDRITES, TRUE_SPINES, TRUE_TRACKS
from spinenet.types import FloatArray, Presence, Session, Volume

SNR_PHOTONS = {"good": 60.0, "fair": 25.0, "poor": 10.0}
WARP_LENGTH_UM = 40.0
SHIFT_SHARE = np.array([0.5, 1.0, 1.0])
"""Of the shift in the plane, z, y, x."""
FARTHEST_SHIFT = 3.0
"""In standard deviations."""


@dataclass(frozen=True)
class SimulatedRegion:
    """Stacks, label stacks (0, 1 shaft, 2.. spines) and the truth as tables of the contract: of
    spines (those at least 1 um inside the stack that reach at least 0.5 um beyond the shaft's edge
    in the plane are scorable), nodes of dendrites, and tracks."""

    volumes: tuple[Volume, ...]
    labels: tuple[npt.NDArray[np.uint16], ...]
    spines: pd.DataFrame
    dendrites: pd.DataFrame
    tracks: pd.DataFrame


@dataclass(frozen=True)
class _Movement:
    """How the tissue lies in one session: rotation, shift and a smooth deformation."""

    affine: FloatArray
    waves: FloatArray
    """(W, 3, 3): wave vector, phase (first entry) and amplitude (z, y, x)."""

    def __call__(self, points_um: FloatArray) -> FloatArray:
        moved = affine_apply(self.affine, points_um)
        for wave, phase, amplitude in self.waves:
            moved = moved + np.sin(points_um @ wave + phase[0])[:, None] * amplitude
        return moved


def simulate_region(config: SimulateConfig, animal: str, region: str, seed: int) -> SimulatedRegion:
    """One region of one animal over all sessions."""
    rng = np.random.default_rng([config.seed, seed])
    extent = (np.array(config.shape) - 1) * np.array(config.voxel_um)
    shafts = _shafts(rng, config, extent)
    lives = _numbered([live(rng, d, config.morphology, config.turnover) for d in shafts])
    clutter = _clutter(rng, config, extent)
    optics = _optics(config)
    first = np.cumsum([0, *(len(x.spines) for x in lives)])
    volumes, labels, spines, nodes = [], [], [], []
    tracks: list[dict[str, object]] = []
    for t, day in enumerate(config.turnover.days):
        session = Session(animal, region, t, day)
        move = _movement(rng, config, extent) if t else _Movement(np.eye(3, 4), np.zeros((0, 3, 3)))
        dendrites = []
        who = []
        for d, (shaft, life) in enumerate(zip(shafts, lives, strict=True)):
            here, shapes = life.at(t)
            if t:
                shapes = _seen_anew(rng, shapes, config)
            dendrites.append(
                replace(
                    shaft, points_um=move(shaft.points_um), arc_um=shaft.frame_um, spines=shapes
                )
            )
            who += [(d, k) for k in here]
            nodes += _nodes(session, d, dendrites[-1])
        painted = paint(
            Scene(tuple(dendrites), _moved(clutter, move)), config.shape, config.voxel_um
        )
        scope = draw_microscope(rng, optics)
        stack = image(rng, painted, config.voxel_um, scope)
        volumes.append(Volume(stack, config.voxel_um, session))
        labels.append(seen_labels(painted, config.voxel_um, scope))
        rows = _spine_rows(session, dendrites, who, lives, first, extent)
        spines += rows
        tracks += _track_rows(session, dendrites, lives, first, extent, rows)
    return SimulatedRegion(
        tuple(volumes),
        tuple(labels),
        TRUE_SPINES.frame(spines),
        DENDRITES.frame(nodes),
        TRUE_TRACKS.frame(tracks).sort_values(["track_id", "session"], ignore_index=True),
    )


def _shafts(rng: np.random.Generator, config: SimulateConfig, extent: FloatArray) -> list[Dendrite]:
    """Dendrites side by side along the field's longer axis."""
    wide = extent[2] >= extent[1]
    shafts = []
    for d in range(config.dendrites):
        across = (d + 0.5 + rng.uniform(-0.2, 0.2)) / config.dendrites
        middle = np.array([rng.uniform(0.4, 0.6), across if wide else 0.5, 0.5 if wide else across])
        heading = rng.normal(0, 0.15) + (0.0 if wide else np.pi / 2)
        radius = rng.uniform(*config.morphology.shaft_radius_um)
        length = 1.2 * float(max(extent[1:]))
        shafts.append(draw_shaft(rng, middle * extent, length, radius, heading))
    return shafts


def _numbered(lives: list[Lives]) -> list[Lives]:
    """The same, the planted clusters of a region numbered through its dendrites."""
    out, n = [], 0
    for life in lives:
        out.append(replace(life, planted=np.where(life.planted < 0, -1, life.planted + n)))
        n += int(life.planted.max(initial=-1)) + 1
    return out


def _clutter(rng: np.random.Generator, config: SimulateConfig, extent: FloatArray) -> Clutter:
    """All over the field, and over what shifts bring into view."""
    margin = FARTHEST_SHIFT * config.shift_um * SHIFT_SHARE
    wide = draw_clutter(rng, config.morphology, extent + 2 * margin)
    return _moved(wide, lambda points: points - margin)


def _optics(config: SimulateConfig) -> OpticsConfig:
    if config.snr == "any":
        return config.optics
    photons = SNR_PHOTONS[config.snr]
    return replace(config.optics, photons=(0.85 * photons, 1.15 * photons), shadow_chance=0.0)


def _seen_anew(
    rng: np.random.Generator, spines: tuple[SpineShape, ...], config: SimulateConfig
) -> tuple[SpineShape, ...]:
    """Spines of a dendrite in a later session: it has rolled a little, they have moved a little."""
    roll = rng.normal(0, config.roll_deg)
    return tuple(
        replace(
            s,
            azimuth_deg=(s.azimuth_deg + roll + rng.normal(0, config.roll_deg)) % 360,
            arc_um=s.arc_um + rng.normal(0, config.arc_jitter_um),
            neck_um=s.neck_um * float(np.exp(rng.normal(0, config.neck_log_sd))),
        )
        for s in spines
    )


def _movement(rng: np.random.Generator, config: SimulateConfig, extent: FloatArray) -> _Movement:
    angle = np.deg2rad(rng.normal(0, config.rotation_deg))
    tilt = np.deg2rad(rng.normal(0, config.tilt_deg, 2))
    turn = Rotation.from_rotvec([angle, *tilt]).as_matrix()
    shift = rng.normal(0, config.shift_um, 3) * SHIFT_SHARE
    middle = extent / 2
    waves = np.zeros((4, 3, 3))
    waves[:, 0] = rng.normal(0, 1, (4, 3)) * 2 * np.pi / WARP_LENGTH_UM / np.sqrt(3)
    waves[:, 1, 0] = rng.uniform(0, 2 * np.pi, 4)
    waves[:, 2] = rng.normal(0, config.warp_um / np.sqrt(2), (4, 3)) * [1.5, 1, 1]
    return _Movement(np.c_[turn, middle - turn @ middle + shift], waves)


def _moved(clutter: Clutter, move: Callable[[FloatArray], FloatArray]) -> Clutter:
    def at(p: FloatArray) -> FloatArray:
        return move(np.asarray(p)[None])[0]

    return Clutter(
        tuple((at(a), at(b), r, level) for a, b, r, level in clutter.capsules),
        tuple((at(c), r, level) for c, r, level in clutter.balls),
    )


def _nodes(session: Session, d: int, dendrite: Dendrite) -> list[dict[str, object]]:
    return [
        {
            **session.columns,
            "dendrite_id": d,
            "node": i,
            "parent_node": i - 1,
            **dict(zip(("z_um", "y_um", "x_um"), p, strict=True)),
            "radius_um": r,
            "arc_length_um": s,
        }
        for i, (p, r, s) in enumerate(
            zip(dendrite.points_um, dendrite.radius_um, dendrite.frame_um, strict=True)
        )
    ]


def _thread_um3(spine: SpineShape, at: PlacedSpine) -> float:
    """Volume of a filopodium beyond its shaft: a thread with a round end."""
    length = np.linalg.norm(at.bend - at.surface) + np.linalg.norm(at.centre - at.bend)
    r = spine.neck_radius_um
    return float(np.pi * r**2 * (length + 2 * r / 3))


def _spine_rows(
    session: Session,
    dendrites: list[Dendrite],
    who: list[tuple[int, int]],
    lives: list[Lives],
    first: npt.NDArray[np.int64],
    extent: FloatArray,
) -> list[dict[str, object]]:
    """Truth of the spines in view, in painting order: label = position + 2."""
    rows = []
    shapes = [(d, s) for d in dendrites for s in d.spines]
    for n, ((d, k), (dendrite, spine)) in enumerate(zip(who, shapes, strict=True)):
        at = place(dendrite, spine)
        if not inside(at.centre, extent, 0.0)[0]:
            continue
        radius = float(np.interp(spine.arc_um, dendrite.frame_um, dendrite.radius_um))
        per_um = float(np.pi * radius**2)
        within_um = radius / float(np.cos(np.deg2rad(spine.lean_deg)))
        thread = spine.kind == "filopodium"
        rows.append(
            {
                **session.columns,
                "spine_id": n + 1,
                "track_id": int(first[d] + k),
                "dendrite_id": d,
                **{f"{a}_um": v for a, v in zip("zyx", at.centre, strict=True)},
                **{f"base_{a}_um": v for a, v in zip("zyx", at.base, strict=True)},
                "arc_length_um": spine.arc_um,
                "azimuth_deg": spine.azimuth_deg,
                "length_um": float(np.linalg.norm(at.tip - at.base)) - within_um,
                "neck_length_um": max(spine.neck_um + radius - within_um, 0.0),
                "head_width_um": np.nan if thread else spine.head_width_um,
                "head_volume_um3": np.nan if thread else spine.head_volume_um3,
                "strength": spine.brightness
                * (_thread_um3(spine, at) if thread else spine.head_volume_um3)
                / per_um,
                "kind": spine.kind,
                "probability": 1.0,
                "touches_edge": not inside(at.centre, extent, SCORABLE_EDGE_UM)[0],
                "source": "simulated",
                "point": "head",
                "label": n + 2,
                "scorable": is_scorable(dendrite, at, extent),
                "planted": int(lives[d].planted[k]),
            }
        )
    return rows


def _track_rows(
    session: Session,
    dendrites: list[Dendrite],
    lives: list[Lives],
    first: npt.NDArray[np.int64],
    extent: FloatArray,
    rows: list[dict[str, object]],
) -> list[dict[str, object]]:
    """Every spine that ever lived: present, absent or out of view in this session."""
    seen = {row["track_id"]: row["spine_id"] for row in rows}
    out = []
    for d, (dendrite, life) in enumerate(zip(dendrites, lives, strict=True)):
        for k, spine in enumerate(life.spines):
            track = int(first[d] + k)
            # asked alike of those alive and not: else near a border survivors alone would count
            in_view = inside(place(dendrite, spine).centre, extent, 0.0)[0]
            presence = Presence.ABSENT if in_view else Presence.OUT_OF_VIEW
            if track in seen:
                presence = Presence.PRESENT
            elif life.present[k, session.index]:
                presence = Presence.OUT_OF_VIEW
            out.append(
                {
                    **session.columns,
                    "dendrite_id": d,
                    "track_id": track,
                    "arc_length_um": spine.arc_um,
                    "kind": spine.kind,
                    "presence": str(presence),
                    "spine_id": seen.get(track),
                    "p_present": float(presence == Presence.PRESENT),
                    "planted": int(life.planted[k]),
                }
            )
    return out
