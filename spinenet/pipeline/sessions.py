"""All sessions of a region in one frame: registered, their dendrites mapped, spines measured."""

from __future__ import annotations

from spinenet.config import InferConfig
from spinenet.geometry import affine_apply, arc_length
from spinenet.io.traces import Traces
from spinenet.match.align import IDENTITY, Alignment, align
from spinenet.match.view import Probe, SessionView
from spinenet.match.warp import make_map, place_map
from spinenet.measure.attach import measure_spines, spine_rows
from spinenet.measure.quality import noise_of, shaft_snr
from spinenet.pipeline.stacks import RunLog, Stack
from spinenet.segment.label import peak_near
from spinenet.types import Dendrites, FloatArray, Segment


def region_views(
    stacks: list[Stack], config: InferConfig, log: RunLog, traces: Traces | None = None
) -> tuple[list[SessionView], int, list[Dendrites]]:
    """Register the sessions of a region, map its dendrites and measure the spines on them.

    With `traces`, only the dendrites that a person traced; spines nearer to another are left out.
    """
    reference = len(stacks) // 2
    target = stacks[reference].thumb
    alignments = [
        IDENTITY if t == reference else align(s.thumb, target, config.match)
        for t, s in enumerate(stacks)
    ]
    for stack, alignment in zip(stacks, alignments, strict=True):
        if not alignment.same_field:
            log.warn(
                f"{stack.file.path.name} does not look like the field of "
                f"{stacks[reference].file.path.name} (correlation {alignment.score:.2f}); its "
                "spines are not linked. Another region or animal under this name, or a stack "
                "shifted by more than max_shift_um, are the usual causes."
            )
    order = sorted(range(len(stacks)), key=lambda t: (t != reference, t))
    trusted = [t for t in order if alignments[t].same_field]
    region = make_map(
        [stacks[t].dendrites for t in trusted],
        [alignments[t].affine for t in trusted],
        config.measure.min_dendrite_um,
        traced := _traced(stacks, alignments, order, traces) if traces else None,
    )
    chosen = {s.id for s in (traced or region).segments}
    views, placed = [], []
    for stack, alignment in zip(stacks, alignments, strict=True):
        views.append(_view(stack, alignment, region, chosen, config))
        placed.append(views[-1].dendrites)
    return views, reference, placed


def _traced(
    stacks: list[Stack], alignments: list[Alignment], order: list[int], traces: Traces
) -> Dendrites:
    """A region's traced dendrites in the reference frame, from the session nearest to it in
    `order` that was traced."""
    where = {stacks[t].volume.session.index: t for t in order}
    session = stacks[0].volume.session
    index, traced = traces.of(session.animal, session.region, list(where))
    affine = alignments[where[index]].affine
    return Dendrites(
        tuple(
            Segment(s.id, p := affine_apply(affine, s.points_um), s.radius_um, arc_length(p))
            for s in traced.segments
        )
    )


def _view(
    stack: Stack,
    alignment: Alignment,
    region: Dendrites,
    chosen: set[int],
    config: InferConfig,
) -> SessionView:
    volume, segmentation = stack.volume, stack.segmentation
    own = stack.dendrites if alignment.same_field else Dendrites()
    dendrites = place_map(region, own, alignment.affine)
    seen = dendrites if alignment.same_field else Dendrites()
    found = measure_spines(
        volume, segmentation, seen, config.measure, config.segment.reach_um, chosen
    )
    dendrites = Dendrites(tuple(s for s in dendrites.segments if s.id in chosen))
    background, noise = noise_of(volume)

    def probe(points_um: FloatArray) -> Probe:
        heights, centres = peak_near(
            segmentation.centre_probability, volume.voxel_size_um, points_um
        )
        rows = spine_rows(volume, segmentation, centres, dendrites, config.measure)
        return Probe(heights, centres, rows)

    return SessionView(
        volume.session,
        found,
        dendrites,
        {s.id: shaft_snr(volume, s, background, noise) for s in dendrites.segments},
        volume.extent_um,
        stack.file.usable and alignment.same_field,
        probe,
    )
