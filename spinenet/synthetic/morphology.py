"""Dendrites that curve, taper, branch and cross, their spines, and what lies between them.

Shapes are in um, in the frame of a field whose corner (0, 0, 0) is the centre of its first voxel.
A spine is described in the frame of its shaft, so that the dendrite can move and the spine with it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spinenet.config import MorphologyConfig
from spinenet.geometry import arc_length, inside, point_at, project, side_frame, tangents
from spinenet.types import FloatArray, Um3

THIN_RADIUS_UM = 0.15
NODE_UM = 0.5
HEAD_UM3 = 0.01, 1.2
"""The smallest and the largest head."""
SWELLINGS_PER_UM = 0.04
SCORABLE_EDGE_UM = 1.0
"""A head nearer to the border of a stack cannot be scored."""
SCORABLE_REACH_UM = 0.5
"""Nor can a spine whose tip lies less beyond its shaft's edge in the plane."""


@dataclass(frozen=True)
class SpineShape:
    """One spine, relative to its shaft. Lengths um, angles degrees."""

    arc_um: float
    azimuth_deg: float
    lean_deg: float
    neck_um: float
    neck_radius_um: float
    head_radii_um: Um3
    """Half axes along the spine and across it; all equal to the neck's radius in a filopodium."""
    bend_um: float
    brightness: float
    kind: str
    cup: float = 0.0
    """Share of the head's length by which a second lobe is set off: heads are not only spheres."""

    @property
    def head_volume_um3(self) -> float:
        return float(4 / 3 * np.pi * np.prod(self.head_radii_um))

    @property
    def head_width_um(self) -> float:
        """Diameter of a ball of the head's volume."""
        return float(2 * np.prod(self.head_radii_um) ** (1 / 3))


@dataclass(frozen=True)
class Dendrite:
    """A shaft (N nodes) and its spines."""

    points_um: FloatArray
    radius_um: FloatArray
    brightness: float
    spines: tuple[SpineShape, ...] = ()
    arc_um: FloatArray | None = None
    """(N,) frame of the spines' arc lengths; the dendrite's own arc length when None."""

    @property
    def frame_um(self) -> FloatArray:
        return arc_length(self.points_um) if self.arc_um is None else self.arc_um


@dataclass(frozen=True)
class Clutter:
    """What is not dendrite: capsules of axons (a, b, radius, brightness) and ellipsoids."""

    capsules: tuple[tuple[FloatArray, FloatArray, float, float], ...] = ()
    balls: tuple[tuple[FloatArray, FloatArray, float], ...] = ()


@dataclass(frozen=True)
class Scene:
    """Everything in a field of view."""

    dendrites: tuple[Dendrite, ...]
    clutter: Clutter = Clutter()


@dataclass(frozen=True)
class PlacedSpine:
    """A spine in the field: points (3,) um."""

    base: FloatArray
    surface: FloatArray
    bend: FloatArray
    neck_end: FloatArray
    centre: FloatArray
    tip: FloatArray
    axis: FloatArray


def place(dendrite: Dendrite, spine: SpineShape) -> PlacedSpine:
    """Where a spine of a dendrite lies in the field."""
    s = dendrite.frame_um
    base = point_at(dendrite.points_um, s, spine.arc_um)[0]
    tangent = point_at(tangents(dendrite.points_um), s, spine.arc_um)[0]
    tangent /= np.linalg.norm(tangent)
    right, up = (v[0] for v in side_frame(tangent))
    az, lean = np.deg2rad([spine.azimuth_deg, spine.lean_deg])
    outward = np.cos(az) * right + np.sin(az) * up
    axis = np.cos(lean) * outward + np.sin(lean) * tangent
    surface = base + axis * float(np.interp(spine.arc_um, s, dendrite.radius_um))
    neck_end = surface + axis * spine.neck_um
    centre = neck_end + axis * spine.head_radii_um[0]
    bend = (surface + neck_end) / 2 + spine.bend_um * np.cross(axis, outward + 0.1 * tangent)
    tip = centre + axis * spine.head_radii_um[0]
    return PlacedSpine(base, surface, bend, neck_end, centre, tip, axis)


def beyond_shaft_um(dendrite: Dendrite, at: PlacedSpine) -> float:
    """How far the tip of a placed spine lies beyond its shaft's edge in the plane of the image;
    negative over or under the shaft."""
    from_above = np.array([0.0, 1.0, 1.0])
    s = dendrite.frame_um
    distance, arc, _ = project(at.tip * from_above, dendrite.points_um * from_above, s)
    return float(distance[0] - np.interp(arc[0], s, dendrite.radius_um))


def is_beside_shaft(dendrite: Dendrite, at: PlacedSpine) -> bool:
    """Whether a placed spine sticks out beside its shaft far enough to be told from it."""
    return beyond_shaft_um(dendrite, at) >= SCORABLE_REACH_UM


def is_scorable(dendrite: Dendrite, at: PlacedSpine, extent_um: FloatArray) -> bool:
    """Whether a person could score a placed spine in a stack of (3,) `extent_um`."""
    return bool(inside(at.centre, extent_um, SCORABLE_EDGE_UM)[0]) and is_beside_shaft(dendrite, at)


def draw_shaft(
    rng: np.random.Generator,
    through_um: FloatArray,
    length_um: float,
    radius_um: float,
    heading: float | None = None,
) -> Dendrite:
    """A bare dendrite of about `length_um` through a point: a heading (radians in the plane, any
    when None) that wanders, and a shaft that tapers."""
    n = max(int(length_um / NODE_UM), 4)
    heading = rng.uniform(0, 2 * np.pi) if heading is None else heading
    wander = np.cumsum(rng.normal(0, 0.06, n)) * np.sqrt(NODE_UM)
    slope = np.clip(rng.normal(0, 0.12) + np.cumsum(rng.normal(0, 0.02, n)), -0.5, 0.5)
    step = np.stack([slope, np.sin(heading + wander), np.cos(heading + wander)], axis=1)
    points = np.cumsum(step / np.linalg.norm(step, axis=1, keepdims=True) * NODE_UM, axis=0)
    points += through_um - points[n // 2]
    return Dendrite(points, _taper(rng, n, radius_um), float(np.exp(rng.normal(0, 0.25))))


def _taper(rng: np.random.Generator, n: int, radius_um: float) -> FloatArray:
    """(n,) radius along a shaft: tapering, slowly uneven, rough, with a swelling here and there."""
    slow = np.convolve(rng.normal(0, 1, n + 20), np.ones(21) / 4.6, mode="valid")
    log = 0.12 * slow + rng.normal(0, 0.06, n)
    swollen = rng.random(n) < SWELLINGS_PER_UM * NODE_UM
    log += np.convolve(swollen * rng.uniform(0.1, 0.5, n), [0.5, 1, 1, 0.5], mode="same")
    return np.clip(radius_um * np.linspace(1.1, 0.8, n) * np.exp(log), 0.15, 1.5)


def draw_branch(rng: np.random.Generator, parent: Dendrite, length_um: float) -> Dendrite:
    """A thinner dendrite that leaves `parent` at an angle."""
    at = int(rng.integers(len(parent.points_um) // 4, 3 * len(parent.points_um) // 4))
    t = tangents(parent.points_um)[at]
    turn = np.deg2rad(rng.uniform(30, 75)) * rng.choice([-1, 1])
    heading = np.arctan2(t[1], t[2]) + turn
    n = max(int(length_um / NODE_UM), 4)
    wander = heading + np.cumsum(rng.normal(0, 0.06, n)) * np.sqrt(NODE_UM)
    slope = np.clip(t[0] + np.cumsum(rng.normal(0, 0.02, n)), -0.4, 0.4)
    step = np.stack([slope, np.sin(wander), np.cos(wander)], axis=1)
    points = np.cumsum(step / np.linalg.norm(step, axis=1, keepdims=True) * NODE_UM, axis=0)
    points += parent.points_um[at] - points[0]
    radius = _taper(rng, n, 0.75 * float(parent.radius_um[at]))
    return Dendrite(points, radius, parent.brightness)


def draw_spine(rng: np.random.Generator, config: MorphologyConfig, arc_um: float) -> SpineShape:
    """One spine of any kind: thin, mushroom, stubby or filopodium, at any azimuth."""
    brightness = float(np.exp(rng.normal(0, config.brightness_log_sd)))
    azimuth, lean = rng.uniform(0, 360), float(np.clip(rng.normal(0, 18), -50, 50))
    if rng.random() < config.filopodia_share:
        r = rng.uniform(0.08, 0.13)
        length = rng.uniform(1.5, 4.0)
        radii = (r, r, r)
        return SpineShape(arc_um, azimuth, lean, length, r, radii, 0.15, brightness, "filopodium")
    volume = config.head_volume_um3 * np.exp(rng.normal(0, config.head_volume_log_sd))
    volume = float(np.clip(volume, *HEAD_UM3))
    stubby = rng.random() < config.stubby_share
    return head_of(
        volume,
        shape=(float(np.exp(rng.normal(0, 0.2))), float(np.exp(rng.normal(0, 0.12)))),
        spine=SpineShape(
            arc_um,
            azimuth,
            lean,
            0.0 if stubby else float(np.clip(np.exp(rng.normal(-0.45, 0.6)), 0.1, 2.5)),
            rng.uniform(0.05, 0.13),
            (0.1, 0.1, 0.1),
            float(rng.normal(0, 0.12)),
            brightness,
            "spine",
            cup=float(rng.uniform(0.2, 0.5)) if rng.random() < 0.25 else 0.0,
        ),
    )


def head_of(volume_um3: float, *, shape: tuple[float, float], spine: SpineShape) -> SpineShape:
    """`spine` with an ellipsoid head of this volume; `shape`: length, width over the sphere's."""
    r = (3 * volume_um3 / (4 * np.pi)) ** (1 / 3)
    along, across = shape
    radii = (r * along, r * across / np.sqrt(along), r / across / np.sqrt(along))
    return SpineShape(**{**spine.__dict__, "head_radii_um": tuple(map(float, radii))})


def grow_spines(
    rng: np.random.Generator, config: MorphologyConfig, dendrite: Dendrite
) -> tuple[SpineShape, ...]:
    """Spines along a dendrite: random places, none inside another."""
    s = dendrite.frame_um
    density = rng.uniform(*config.spines_per_um)
    arcs = np.sort(rng.uniform(s[0], s[-1], rng.poisson(density * (s[-1] - s[0]))))
    spines: list[SpineShape] = []
    for arc in arcs:
        spine = draw_spine(rng, config, float(arc))
        if not any(collide(spine, other) for other in spines[-4:]):
            spines.append(spine)
    return tuple(spines)


def collide(a: SpineShape, b: SpineShape) -> bool:
    """Would two spines of one dendrite share their place? Heads may touch, not coincide."""
    along = abs(a.arc_um - b.arc_um)
    turn = abs((a.azimuth_deg - b.azimuth_deg + 180) % 360 - 180)
    around = np.deg2rad(turn) * 0.8
    need = 0.5 * (a.head_width_um + b.head_width_um)
    return bool(np.hypot(along, around) < max(need, 0.3))


def draw_clutter(
    rng: np.random.Generator, config: MorphologyConfig, extent_um: FloatArray
) -> Clutter:
    """Axons with boutons, puncta, clouds of dim puncta and cell bodies, all over the field."""
    area = extent_um[1] * extent_um[2] / 1000 * max(extent_um[0] / 20, 0.4)
    capsules: list[tuple[FloatArray, FloatArray, float, float]] = []
    balls: list[tuple[FloatArray, FloatArray, float]] = []
    for _ in range(rng.poisson(area * rng.uniform(*config.axons))):
        axon = draw_shaft(rng, rng.uniform(0, extent_um), rng.uniform(8, 40), 0.2)
        level = float(np.exp(rng.normal(-0.9, 0.5)))
        radius = rng.uniform(0.06, 0.14)
        points = axon.points_um
        capsules += [
            (a, b, radius, level) for a, b in zip(points[:-2:2], points[2::2], strict=False)
        ]
        boutons = points[rng.random(len(points)) < NODE_UM * rng.uniform(0.05, 0.35)]
        balls += [(p, rng.uniform(0.12, 0.4, 3), level) for p in boutons]
    for _ in range(rng.poisson(area * rng.uniform(*config.puncta))):
        centre = rng.uniform(0, extent_um)
        level = float(np.exp(rng.normal(-0.7, 0.6)))
        for _ in range(1 if rng.random() < 0.7 else int(rng.integers(3, 9))):
            balls.append((centre, rng.uniform(0.1, 0.4, 3), level))
            centre = centre + rng.normal(0, 0.5, 3)
    for _ in range(rng.poisson(area * rng.uniform(*config.clouds))):
        middle, wide = rng.uniform(0, extent_um), rng.uniform(0.5, 2.0) * np.array([1.5, 1, 1])
        level = float(np.exp(rng.normal(-2.2, 0.6)))
        balls += [
            (middle + rng.normal(0, 1, 3) * wide, rng.uniform(0.15, 0.6, 3), level)
            for _ in range(int(rng.integers(5, 25)))
        ]
    for _ in range(rng.poisson(area * rng.uniform(*config.blobs))):
        radii = rng.uniform(1.0, 4.0) * rng.uniform(0.7, 1.3, 3)
        balls.append((rng.uniform(0, extent_um), radii, float(np.exp(rng.normal(-3.2, 0.7)))))
    return Clutter(tuple(capsules), tuple(balls))
