"""The corridor: the only file that knows the order of the rooms.

read -> segment -> measure -> match -> analyze -> report -> write
"""

from __future__ import annotations

import logging
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from filelock import FileLock, Timeout

from spinenet import __version__
from spinenet.analyze.summary import analyze
from spinenet.config import Device, InferConfig
from spinenet.io.atomic import sweep
from spinenet.io.read import StackFile, read_volume
from spinenet.io.store import fingerprint, load_stack, save_stack, sweep_stacks
from spinenet.io.weights import SegmentWeights, load_segment_weights, sha256_of
from spinenet.io.write import (
    write_json,
    write_rois,
    write_stack,
    write_swc,
    write_table,
    write_text,
)
from spinenet.match.align import IDENTITY, Alignment, Thumb, align, make_thumb
from spinenet.match.record import LinkedRegion
from spinenet.match.region import link_region
from spinenet.match.view import Probe, SessionView
from spinenet.match.warp import make_map, place_map
from spinenet.measure.attach import measure_spines, spine_rows
from spinenet.measure.quality import noise_of, shaft_snr
from spinenet.measure.skeleton import find_dendrites
from spinenet.measure.straighten import SIDE_UM, STEP_UM, straighten
from spinenet.models.allocator import keep_freed_memory
from spinenet.progress import Stages
from spinenet.report import figures
from spinenet.report.page import DendriteMap, five_numbers, make_page, methods_text
from spinenet.segment.label import label, peak_near
from spinenet.segment.predict import pick_device, predict
from spinenet.tables import (
    CLUSTERS,
    COVERAGE,
    DENDRITES,
    INTERVALS,
    LINKS,
    SPINES,
    STATISTICS,
    SURVIVAL,
    TRACKS,
)
from spinenet.types import (
    Analysis,
    Dendrites,
    FloatArray,
    InputError,
    Segmentation,
    SpineTable,
    Tracks,
    Volume,
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """What a run left behind."""

    report: Path
    numbers: list[dict[str, str]]
    failed: dict[str, str]
    """Stacks that could not be used, and why."""


@dataclass(frozen=True)
class _Stack:
    """One stack after segmentation."""

    file: StackFile
    volume: Volume
    segmentation: Segmentation
    dendrites: Dendrites
    thumb: Thumb
    sha256: str


@dataclass
class _Log:
    """Seconds per stage and warnings, for run.json."""

    seconds: dict[str, float] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def warn(self, text: str) -> None:
        logger.warning(text)
        self.warnings.append(text)

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[stage] = round(self.seconds.get(stage, 0) + time.perf_counter() - start, 2)


def infer(
    stacks: list[StackFile], out: Path, config: InferConfig, device: Device, stages: Stages
) -> Outcome:
    """Everything, from stacks to the page. Stacks finished by an earlier, killed run are kept.

    Raises
    ------
    InputError
        If another run works in `out`, the weights cannot be used, or no stack can be read.
    """
    out.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(out / ".lock", timeout=0):
            sweep(out)
            return _infer(stacks, out, config, device, stages)
    except Timeout:
        raise InputError(
            f"{out} is in use by another run of spinenet. Wait until it has ended, or give "
            "another --out."
        ) from None


def _infer(
    files: list[StackFile], out: Path, config: InferConfig, device: Device, stages: Stages
) -> Outcome:
    keep_freed_memory()
    log, failed = _Log(), {}
    with log.timed("start"):
        weights = load_segment_weights(config.weights.segment)
        lookback_p = config.match.lookback_share * _thresholds(weights, config)["centre"]
    done: list[_Stack] = []
    bar = stages.stage("segment", len(files))
    for file in files:
        try:
            with log.timed("segment"):
                done.append(_segment(file, out / ".stacks", weights, config, device, stages))
        except InputError as error:
            if len(files) == 1:
                raise
            failed[str(file.path.name)] = str(error)
            log.warn(str(error))
        bar.step()
    if not done:
        raise InputError("none of the stacks could be read. " + " ".join(failed.values()))
    regions: dict[tuple[str, str], list[_Stack]] = {}
    for stack in done:
        s = stack.volume.session
        regions.setdefault((s.animal, s.region), []).append(stack)
    bar = stages.stage("link sessions", len(regions))
    tables: dict[str, list[pd.DataFrame]] = {}
    strips: list[tuple[str, list[figures.Strip], tuple[str, str], int]] = []
    for key in sorted(regions):
        mine = sorted(regions[key], key=lambda s: s.volume.session.index)
        with log.timed("link"):
            views, reference, placed = _views(mine, config, log)
            linked = link_region(views, reference, config.match, lookback_p)
            nodes = _node_table(views, linked)
        with log.timed("write"):
            for name, frame in (
                ("spines", linked.spines),
                ("dendrites", nodes),
                ("coverage", linked.coverage),
                ("links", linked.matches.links),
                ("tracks", linked.tracks.frame),
            ):
                tables.setdefault(name, []).append(frame)
            _write_stacks(out, mine, linked, nodes, views)
            strips += _strips(mine, placed, linked)
        bar.step()
    joined = {name: pd.concat(parts, ignore_index=True) for name, parts in tables.items()}
    with log.timed("analyze"):
        analysis = analyze(
            Tracks(joined["tracks"]), config.analyze, joined["coverage"], config.seed
        )
    with log.timed("report"):
        written = _write_tables(out, joined, analysis)
        maps = [_map(title, group, key, d, written) for title, group, key, d in strips]
        page = _page(analysis, written, maps, weights, config, log, failed)
        report = write_text(out / "report.html", page)
    write_json(
        out / "run.json",
        {
            "spinenet": __version__,
            "python": platform.python_version(),
            "config": asdict(config),
            "weights": {"name": weights.name, "sha256": weights.sha256},
            "inputs": [
                {
                    "path": str(s.file.path),
                    "sha256": s.sha256,
                    "shape": s.volume.data.shape,
                    "voxel_um": s.volume.voxel_size_um,
                }
                for s in done
            ],
            "failed": failed,
            "device": str(pick_device(device)),
            "seed": config.seed,
            "seconds": log.seconds,
            "warnings": log.warnings,
        },
    )
    return Outcome(report, five_numbers(analysis), failed)


def _segment(
    file: StackFile,
    store: Path,
    weights: SegmentWeights,
    config: InferConfig,
    device: Device,
    stages: Stages,
) -> _Stack:
    """One stack to instances and centrelines, or what an earlier run kept of it."""
    volume = read_volume(file)
    digest = sha256_of(file.path)
    chosen = config.segment
    mark = fingerprint(
        __version__,
        digest,
        weights.sha256,
        chosen,
        config.measure,
        volume.voxel_size_um,
        file.channel,
    )
    folder = store / file.session.name
    sweep_stacks(store)
    kept = load_stack(folder, mark)
    if kept is None:
        bar = stages.stage(f"  {file.session.name}", 1)
        prediction = predict(
            volume,
            weights.net,
            tile_mvox=chosen.tile_mvox,
            device=pick_device(device),
            on_tile=lambda done, left: bar.to(done, done + left),
        )
        segmentation = label(prediction, **_thresholds(weights, config))
        del prediction
        dendrites = find_dendrites(segmentation, config.measure)
        save_stack(folder, mark, segmentation, dendrites, make_thumb(volume))
        del segmentation
        kept = load_stack(folder, mark)
        assert kept is not None
    return _Stack(file, volume, *kept, digest)


def _thresholds(weights: SegmentWeights, config: InferConfig) -> dict[str, float]:
    """Thresholds of shaft, spine and centre: the person's, else those stored with the weights."""
    chosen = config.segment
    given = {
        "shaft": chosen.shaft_threshold,
        "spine": chosen.spine_threshold,
        "centre": chosen.centre_threshold,
    }
    return {k: weights.thresholds[k] if v is None else v for k, v in given.items()}


def _views(
    stacks: list[_Stack], config: InferConfig, log: _Log
) -> tuple[list[SessionView], int, list[Dendrites]]:
    """Register the sessions of a region, map its dendrites and measure the spines on them."""
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
    )
    views, placed = [], []
    for stack, alignment in zip(stacks, alignments, strict=True):
        views.append(_view(stack, alignment, region, config))
        placed.append(views[-1].dendrites)
    return views, reference, placed


def _view(
    stack: _Stack, alignment: Alignment, region: Dendrites, config: InferConfig
) -> SessionView:
    volume, segmentation = stack.volume, stack.segmentation
    own = stack.dendrites if alignment.same_field else Dendrites()
    dendrites = place_map(region, own, alignment.affine)
    seen = dendrites if alignment.same_field else Dendrites()
    found = measure_spines(volume, segmentation, seen, config.measure, config.segment.reach_um)
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


def _node_table(views: list[SessionView], linked: LinkedRegion) -> pd.DataFrame:
    """`dendrites.csv` of a region: the map's nodes in view of each session."""
    rows = []
    for t, view in enumerate(views):
        s = view.session
        for segment in view.dendrites.segments:
            arc = linked.warps[t, segment.id](segment.arc_length_um)
            seen = np.isfinite(view.snr[segment.id])
            for n, i in enumerate(np.flatnonzero(seen)):
                rows.append(
                    {
                        **s.columns,
                        "dendrite_id": segment.id,
                        "node": int(i),
                        "parent_node": int(i) - 1 if n and seen[i - 1] else -1,
                        "z_um": segment.points_um[i, 0],
                        "y_um": segment.points_um[i, 1],
                        "x_um": segment.points_um[i, 2],
                        "radius_um": segment.radius_um[i],
                        "arc_length_um": arc[i],
                    }
                )
    return DENDRITES.frame(rows)


def _write_stacks(
    out: Path,
    stacks: list[_Stack],
    linked: LinkedRegion,
    nodes: pd.DataFrame,
    views: list[SessionView],
) -> None:
    """Label stacks, ROIs and traces; label values as in spines.csv."""
    for stack, view in zip(stacks, views, strict=True):
        session = stack.volume.session
        mine = linked.spines[linked.spines["session"] == session.index]
        write_stack(
            out / "labels" / f"{session.name}.ome.tif",
            final_labels(stack.segmentation, view.spines),
            stack.volume.voxel_size_um,
        )
        write_rois(out / "rois" / f"{session.name}.zip", mine, stack.volume.voxel_size_um)
        write_swc(out / "rois" / f"{session.name}.swc", nodes[nodes["session"] == session.index])


def final_labels(segmentation: Segmentation, spines: SpineTable) -> npt.NDArray[np.uint16]:
    """(Z, Y, X): 0 background, 1 shaft, spine_id + 1 for the spines kept."""
    lut = np.zeros(len(segmentation.centres_um) + 1, np.uint16)
    for spine_id, instance in zip(spines.ids, spines.frame["instance"], strict=True):
        lut[int(instance)] = spine_id + 1
    out = lut[segmentation.spines]
    out[(out == 0) & segmentation.shaft] = 1
    return out


def _strips(
    stacks: list[_Stack], placed: list[Dendrites], linked: LinkedRegion
) -> list[tuple[str, list[figures.Strip], tuple[str, str], int]]:
    """Straightened pictures of every dendrite of a region, in the shared arc length."""
    first = stacks[0].volume.session
    out = []
    for segment in placed[0].segments:
        strips = []
        for t, stack in enumerate(stacks):
            here = placed[t].by_id()[segment.id]
            own = np.arange(here.arc_length_um[0], here.arc_length_um[-1], STEP_UM)
            shared = linked.warps[t, segment.id](own)
            session = stack.volume.session
            picture = straighten(stack.volume, here, own)
            strips.append(figures.Strip(session.index, session.day, picture, shared, SIDE_UM))
        name = first.animal if first.animal == first.region else f"{first.animal}, {first.region}"
        title = f"{name}, dendrite {segment.id}"
        out.append((title, strips, (first.animal, first.region), segment.id))
    return out


def _map(
    title: str,
    strips: list[figures.Strip],
    key: tuple[str, str],
    dendrite: int,
    tables: dict[str, pd.DataFrame],
) -> DendriteMap:
    def of_region(file: str) -> pd.DataFrame:
        frame = tables[file]
        return frame[(frame["animal"] == key[0]) & (frame["region"] == key[1])]

    tracks, spines = of_region(TRACKS.file), of_region(SPINES.file)
    fate = figures.fates(tracks, of_region(CLUSTERS.file))
    tracks = tracks[tracks["dendrite_id"] == dendrite]
    spines = spines[spines["dendrite_id"] == dendrite]
    figure = figures.dendrite_map(strips, tracks, spines, fate)
    n = tracks["track_id"].nunique()
    return DendriteMap(f"{title}: {n} spines over {len(strips)} sessions", figures.as_svg(figure))


def _write_tables(
    out: Path, joined: dict[str, pd.DataFrame], analysis: Analysis
) -> dict[str, pd.DataFrame]:
    tables = {
        SPINES: joined["spines"],
        DENDRITES: joined["dendrites"],
        COVERAGE: joined["coverage"],
        LINKS: joined["links"],
        TRACKS: joined["tracks"],
        INTERVALS: analysis.intervals,
        CLUSTERS: analysis.clusters,
        SURVIVAL: analysis.survival,
        STATISTICS: analysis.statistics,
    }
    for table, frame in tables.items():
        write_table(out, table, frame)
    return {table.file: frame for table, frame in tables.items()}


def _page(
    analysis: Analysis,
    tables: dict[str, pd.DataFrame],
    maps: list[DendriteMap],
    weights: SegmentWeights,
    config: InferConfig,
    log: _Log,
    failed: dict[str, str],
) -> str:
    spines = tables[SPINES.file]
    animals = spines["animal"].nunique()
    n_sessions = len(spines.drop_duplicates(["animal", "region", "session"]))
    subtitle = (
        f"{animals} animal{'s' * (animals != 1)}, {n_sessions} sessions, {len(spines)} spines "
        f"seen, {len(tables[TRACKS.file].drop_duplicates(['animal', 'region', 'track_id']))} "
        f"followed. spinenet {__version__}."
    )
    pictures = analysis_figures(analysis)
    methods = methods_text(__version__, f"{weights.name}, {weights.sha256[:12]}", config.analyze)
    return make_page(
        "Dendritic spines over time",
        subtitle,
        analysis,
        tables,
        (pictures, maps),
        (log.warnings, methods),
    )


def analysis_figures(analysis: Analysis) -> dict[str, str]:
    """The figures that tracks alone allow, by title."""
    pictures = {}
    if len(analysis.intervals):
        pictures["Turnover"] = figures.as_svg(figures.rates(analysis.intervals))
    if len(analysis.statistics):
        pictures["Clustered share of new spines, and chance"] = figures.as_svg(
            figures.clustering(analysis)
        )
    if len(analysis.survival):
        pictures["Survival from the landmark"] = figures.as_svg(figures.survival(analysis.survival))
    return pictures


def analyze_tracks(
    tracks: Tracks, out: Path, config: InferConfig, coverage: pd.DataFrame | None
) -> Outcome:
    """The analysis alone, of tracks from anywhere: tables and a page without images."""
    analysis = analyze(tracks, config.analyze, coverage, config.seed)
    tables = {
        TRACKS: tracks.frame,
        INTERVALS: analysis.intervals,
        CLUSTERS: analysis.clusters,
        SURVIVAL: analysis.survival,
        STATISTICS: analysis.statistics,
    }
    for table, frame in tables.items():
        if table is not TRACKS:
            write_table(out, table, frame)
    methods = methods_text(__version__, "none: tracks were given", config.analyze)
    page = make_page(
        "Dendritic spines over time",
        f"{tracks.frame['animal'].nunique()} animals. spinenet {__version__}.",
        analysis,
        {t.file: f for t, f in tables.items()},
        (analysis_figures(analysis), []),
        ([], methods[1:]),
    )
    return Outcome(write_text(out / "report.html", page), five_numbers(analysis), {})
