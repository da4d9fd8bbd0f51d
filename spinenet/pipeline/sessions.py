"""All sessions of a region in one frame: registered, their dendrites mapped, spines measured."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spinenet.config import InferConfig
from spinenet.geometry import affine_apply, arc_length, inside
from spinenet.io.traces import Traces
from spinenet.match.align import IDENTITY, Alignment, align
from spinenet.match.stray import is_near
from spinenet.match.view import Probe, SessionView
from spinenet.match.warp import make_map, place_map
from spinenet.measure.attach import attach, is_beside, measure_spines, spine_rows, sticks_out
from spinenet.measure.portrait import portraits
from spinenet.measure.quality import saturated_share, shaft_snr
from spinenet.pipeline.stacks import RunLog, Stack
from spinenet.segment.label import peak_near, peaks_around
from spinenet.types import Dendrites, FloatArray, InputError, IntArray, Segment

REFERENCES_TRIED = 3
MOST_SATURATED = 0.05
THICK_UM = 1.5
LONG_UM, ENDS_MEET_UM = 10.0, 3.0
"""A dendrite that is longer, and whose ends lie nearer to each other, is a ring."""
LITTLE_BLANK = 0.01


def region_views(
    stacks: list[Stack], config: InferConfig, log: RunLog, traces: Traces | None = None
) -> tuple[list[SessionView], int]:
    """Register the sessions of a region, map its dendrites and measure the spines on them.

    With `traces`, only the dendrites that a person traced; spines nearer to another are left out.

    Returns
    -------
    The sessions in order, and the position of the reference among them.
    """
    reference, alignments = _register(stacks, config)
    for stack, alignment in zip(stacks, alignments, strict=True):
        if not alignment.same_field:
            log.warn(
                f"{stack.file.path.name} does not look like the field of "
                f"{stacks[reference].file.path.name} (agreement {alignment.score:.2f}, at least "
                f"{config.match.same_field} was expected); its spines are left out. Another region "
                "or animal under this name, planes in the reverse order, or a stack so far shifted "
                "that little of the field is in both, are the usual causes. If it is the same "
                "field after all, lower match.same_field."
            )
    sizes = {s.volume.voxel_size_um for s in stacks}
    if len(sizes) > 1:
        s = stacks[reference].volume.session
        log.warn(
            f"the sessions of {s.animal}, {s.region} have different voxel sizes ("
            + "; ".join(", ".join(f"{v:g}" for v in size) for size in sorted(sizes))
            + " um, z, y, x). All measures are in um; if one of these is a mistake, give "
            "voxel_z_um, voxel_y_um and voxel_x_um in sessions.csv."
        )
    for stack, alignment in zip(stacks, alignments, strict=True):
        if alignment.same_field:
            _warn_of_limits(stack, config.measure.edge_um, log)
    order = sorted(range(len(stacks)), key=lambda t: (t != reference, t))
    trusted = {t: alignments[t].affine for t in order if alignments[t].same_field}
    traced = _traced(stacks, trusted, traces) if traces is not None else None
    region = make_map(
        [stacks[t].dendrites for t in trusted],
        list(trusted.values()),
        config.measure.min_dendrite_um,
        traced,
    )
    chosen = {s.id for s in (region if traced is None else traced).segments}
    views = [
        _view(stack, alignment, region, chosen, config)
        for stack, alignment in zip(stacks, alignments, strict=True)
    ]
    return views, reference


def _warn_of_limits(stack: Stack, edge_um: float, log: RunLog) -> None:
    """Where light or depth is too little to measure by."""
    name, volume = stack.file.path.name, stack.volume
    full = saturated_share(volume, stack.segmentation.shaft, stack.backdrop.background)
    if full > MOST_SATURATED:
        log.warn(
            f"{name}: {100 * full:.0f} % of the voxels of its shafts hold the highest value, "
            f"{volume.data.max():g}: it is saturated. Shafts look dimmer than they are, and so "
            "strengths and head volumes too large; image with less laser power or gain."
        )
    flat = [z for z, plane in enumerate(volume.data) if plane.min() == plane.max()]
    if flat:
        log.warn(
            f"{name}: plane {', '.join(map(str, flat[:5]))}{', ...' * (len(flat) > 5)} (from 0) "
            f"holds one value only ({volume.data[flat[0]].flat[0]:g}): frames that were dropped, "
            "or cut off in registration. Lengths, strengths and volumes near it are wrong; crop "
            "such planes off the ends, and fill single ones from their neighbours."
        )
    blank = stack.backdrop.imaged.blank_share
    if blank > LITTLE_BLANK:
        log.warn(
            f"{name}: {100 * blank:.0f} % of it, at its borders, holds the lowest value only, as "
            "registration leaves what it had to fill. Spines that lie there count as out of view."
        )
    if not len(stack.dendrites):
        log.warn(
            f"no dendrite was found in {name}, and so no spine. A wrong channel, an inverted or "
            "very dim stack, or a wrong voxel size are the usual causes."
        )
    elif not len(stack.segmentation.centres_um):
        log.warn(
            f"{name} has dendrites, but not one spine was found on them. A wrong voxel size, a "
            "very dim stack, or axons taken for dendrites are the usual causes."
        )
    _warn_of_geometry(stack, edge_um, log)


def _warn_of_geometry(stack: Stack, edge_um: float, log: RunLog) -> None:
    """Rings, thick slices and flat stacks."""
    name, volume = stack.file.path.name, stack.volume
    for segment in stack.dendrites.segments:
        first, last = segment.points_um[[0, -1]]
        if segment.length_um > LONG_UM and np.linalg.norm(last - first) < ENDS_MEET_UM:
            z, y, x = segment.points_um.mean(axis=0)
            log.warn(
                f"{name}: a dendrite of {segment.length_um:.0f} um around {z:.0f}, {y:.0f}, "
                f"{x:.0f} um (z, y, x) ends where it begins: the rim of a cell body or of a "
                "vessel? Its length counts in densities; trace the dendrites that are to count and "
                "give them with --dendrites, or crop it off."
            )
    if volume.extent_um[0] <= 2 * edge_um:
        log.warn(
            f"{name} is {volume.extent_um[0]:.1f} um deep: every spine lies within "
            f"measure.edge_um ({edge_um:g} um) of its border (touches_edge), and spines above and "
            "below were not imaged."
        )
    if volume.voxel_size_um[0] > THICK_UM:
        log.warn(
            f"{name}: its slices lie {volume.voxel_size_um[0]:g} um apart. Beyond {THICK_UM:g} um "
            "strengths, head widths and volumes hang on where the planes fall, by half and more "
            "where a dendrite is tilted: do not compare them."
        )


def _register(stacks: list[Stack], config: InferConfig) -> tuple[int, list[Alignment]]:
    """Every session onto the one in the middle; if that looks like less than half of the others, it
    may be the foreign one itself, and the next is tried."""
    found: list[tuple[int, int, list[Alignment]]] = []
    middle = len(stacks) // 2
    for reference in sorted(range(len(stacks)), key=lambda t: abs(t - middle))[:REFERENCES_TRIED]:
        target = stacks[reference].thumb
        alignments = [
            IDENTITY if t == reference else align(s.thumb, target, config.match)
            for t, s in enumerate(stacks)
        ]
        agree = sum(a.same_field for a in alignments) - 1
        if 2 * agree >= len(stacks) - 1:
            return reference, alignments
        found.append((agree, reference, alignments))
    _, reference, alignments = max(found, key=lambda f: f[0])
    return reference, alignments


def _traced(stacks: list[Stack], trusted: dict[int, FloatArray], traces: Traces) -> Dendrites:
    """A region's traced dendrites in the reference frame, each from the first session in the order
    of `trusted` in which it was traced."""
    where = {stacks[t].volume.session.index: t for t in trusted}
    session = stacks[0].volume.session
    segments = []
    for index, segment in traces.of(session.animal, session.region, list(where)):
        stack = stacks[where[index]]
        if inside(segment.points_um, stack.volume.extent_um, -2.0).mean() < 0.5:
            raise InputError(
                f"{traces.source}: most of dendrite {segment.id} lies outside "
                f"{stack.file.path.name}; it reaches to {segment.points_um.max(axis=0).round(1)} "
                f"um (z, y, x), the stack to {stack.volume.extent_um.round(1)}. Places in pixels "
                "instead of um, or the trace of another stack, are the usual causes."
            )
        points = affine_apply(trusted[where[index]], segment.points_um)
        segments.append(Segment(segment.id, points, segment.radius_um, arc_length(points)))
    return Dendrites(tuple(segments))


def _view(
    stack: Stack,
    alignment: Alignment,
    region: Dendrites,
    chosen: set[int],
    config: InferConfig,
) -> SessionView:
    """One session; of a foreign field nothing is seen."""
    volume, segmentation = stack.volume, stack.segmentation
    own = stack.dendrites if alignment.same_field else Dendrites()
    everything = place_map(region, own, alignment.affine)
    dendrites = Dendrites(tuple(s for s in everything.segments if s.id in chosen))
    back = stack.backdrop

    def measure(points_um: FloatArray, home: IntArray) -> list[dict[str, object]]:
        all_um = segmentation.centres_um
        return spine_rows(volume, all_um, points_um, everything, home, config.measure, back)

    def portray(points_um: FloatArray, home: IntArray) -> npt.NDArray[np.float16]:
        return portraits(volume, points_um, dendrites, home, back.background)

    def probe(points_um: FloatArray, home: IntArray) -> Probe:
        heights, centres = peak_near(
            segmentation.centre_probability, volume.voxel_size_um, points_um
        )
        rows = measure(centres, home)
        is_spine = [sticks_out(row, config.measure) for row in rows]
        return Probe(np.where(is_spine, heights, 0.0), centres, rows)

    every_um = segmentation.centres_um
    known_um = every_um[is_beside(attach(every_um, everything), config.measure)]

    def peaks(place_um: FloatArray, reach_um: FloatArray, home: int, least_p: float) -> Probe:
        heat = segmentation.centre_probability
        heights, centres = peaks_around(heat, volume.voxel_size_um, place_um, reach_um, least_p)
        mine = attach(centres, everything).dendrite == home
        mine &= np.array([not is_near(known_um, centre) for centre in centres], bool)
        heights, centres = heights[mine], centres[mine]
        rows = measure(centres, np.full(len(centres), home))
        good = np.flatnonzero([sticks_out(row, config.measure) for row in rows])
        return Probe(heights, centres, rows).of(good)

    if alignment.same_field:
        found = measure_spines(volume, segmentation, everything, config.measure, back, chosen)
        snr = {s.id: shaft_snr(volume, s, back.background, back.noise) for s in dendrites.segments}
    else:
        found = measure_spines(volume, segmentation, Dendrites(), config.measure, back)
        snr = {s.id: np.full(len(s.points_um), np.nan) for s in dendrites.segments}
    return SessionView(
        volume.session,
        found,
        dendrites,
        snr,
        volume.extent_um,
        alignment.same_field,
        probe,
        measure,
        portray,
        back.imaged.holds_around,
        peaks,
    )
