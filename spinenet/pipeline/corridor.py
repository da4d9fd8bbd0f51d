"""From stacks to the page: every room once, in order."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
import torch
from filelock import FileLock, Timeout

from spinenet.analyze.summary import Evidence, analyze
from spinenet.config import Device, InferConfig, MatchConfig
from spinenet.io.atomic import LOCK, sweep
from spinenet.io.digest import sha256_of
from spinenet.io.finished import (
    EDITABLE,
    LABELS,
    RUN,
    begin_writing,
    is_of_stacks,
    written_before,
)
from spinenet.io.layout import FIGURES_FOLDER, LABELS_FOLDER, PAGE, ROIS_FOLDER, files_of_session
from spinenet.io.manifest import PLACES_ALONE, judge_of
from spinenet.io.read import check_header
from spinenet.io.sessions import StackFile
from spinenet.io.store import allow_open_maps, forget_other_stacks
from spinenet.io.weights import SegmentWeights, load_match_weights, load_segment_weights
from spinenet.io.write import write_json, write_text
from spinenet.match.head import MatchingHead
from spinenet.match.pins import NO_PINS, Contradiction
from spinenet.match.record import LinkedRegion
from spinenet.match.region import link_region
from spinenet.match.score import PLACE_SD_UM
from spinenet.match.view import SessionView
from spinenet.models.allocator import keep_freed_memory
from spinenet.pipeline.corrections import check_corrections, contradicted, corrected
from spinenet.pipeline.marks import link_marks, with_marks
from spinenet.pipeline.results import (
    MAPS,
    analysis_figures,
    check_same_study,
    check_untouched,
    forget_sessions,
    link_figure,
    map_of,
    methods_of,
    node_table,
    page_of,
    strips_of,
    write_figures,
    write_stacks,
    write_tables,
)
from spinenet.pipeline.run_record import run_record
from spinenet.pipeline.sessions import region_views
from spinenet.pipeline.stacks import RunLog, Stack, segment_stack, thresholds_of, without_twins
from spinenet.pipeline.told import NOTHING_TOLD, Told, warn_of_reach, warn_of_strangers
from spinenet.progress import Stages
from spinenet.report.figures import Strip
from spinenet.report.page import five_numbers
from spinenet.segment.predict import pick_device
from spinenet.tables import COVERAGE, DENDRITES, LINKS, RESULTS, SPINES, TRACKS
from spinenet.types import FloatArray, InputError, Tracks

logger = logging.getLogger(__name__)
STACKS = ".stacks"
"""Of a results folder: what was found in each stack, kept for the next run."""
EDITED = (SPINES, TRACKS, DENDRITES, COVERAGE, LINKS)
"""Tables in which a person may have changed something since the last run."""


@dataclass(frozen=True)
class Outcome:
    """What a run left behind."""

    report: Path
    numbers: list[dict[str, str]]
    failed: dict[str, str]
    """Stacks that could not be used, and why."""


def infer(
    stacks: list[StackFile],
    out: Path,
    config: InferConfig,
    device: Device,
    stages: Stages,
    told: Told = NOTHING_TOLD,
    log: RunLog | None = None,
) -> Outcome:
    """Everything, from stacks to the page. Stacks finished by an earlier, killed run are kept.

    Parameters
    ----------
    log: what was warned of already

    Raises
    ------
    InputError
        If another run works in `out`, the device or the weights cannot be used, or no stack can be
        read.
    """
    chosen, log = pick_device(device), log or RunLog()
    if told.corrections is not None:
        sessions = [s.session for s in stacks]
        check_corrections(told.corrections, sessions)
    if told.traces:
        told = replace(told, traces=told.traces.for_stacks(stacks))
    _check_out(out)
    (out / STACKS).mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(out / LOCK, timeout=0), log.hearing():
            sweep(out)
            check_untouched(out)
            check_same_study(out, (s.session.name for s in stacks))
            return _infer(stacks, out, config, chosen, stages, told, log)
    except Timeout:
        raise InputError(
            f"{out} is in use by another run of spinenet. Wait until it has ended, or give "
            "another --out."
        ) from None


def _check_out(out: Path) -> None:
    """What a person made is not written over."""
    written = [t.file for t in RESULTS] + [PAGE, LABELS_FOLDER, ROIS_FOLDER, FIGURES_FOLDER]
    strange = [name for name in written if (out / name).exists()]
    if strange and not is_of_stacks(out):
        raise InputError(
            f"{out} holds {', '.join(strange)}, which spinenet did not write there; results would "
            "replace them. Give another folder as --out."
        )


def _readable(files: list[StackFile], log: RunLog) -> list[StackFile]:
    """Those whose headers say what is needed: of the others a person hears before the night."""
    kept = []
    for file in files:
        try:
            check_header(file)
        except InputError as error:
            if len(files) == 1:
                raise
            log.fail(file, error)
        else:
            kept.append(file)
    return kept


def _segment_all(
    files: list[StackFile],
    store: Path,
    weights: SegmentWeights,
    config: InferConfig,
    device: torch.device,
    stages: Stages,
    log: RunLog,
) -> list[Stack]:
    """Every stack that can be used; of the others the log knows why not."""
    done: list[Stack] = []
    bar = stages.stage("segment", len(files))
    for file in files:
        try:
            with log.timed("segment"):
                done.append(segment_stack(file, store, weights, config, device, stages))
        except InputError as error:
            if len(files) == 1 and not log.failed:
                raise
            log.fail(file, error)
        bar.step()
    done = without_twins(done, log)
    if not done:
        raise InputError(
            "none of the stacks can be analysed: all are marked usable=0 or cannot be read. "
            + " ".join(log.failed.values())
        )
    return done


def _infer(
    files: list[StackFile],
    out: Path,
    config: InferConfig,
    device: torch.device,
    stages: Stages,
    told: Told,
    log: RunLog,
) -> Outcome:
    keep_freed_memory()
    allow_open_maps()
    traces = told.traces
    warn_of_strangers(told, files, log)
    for file in files:
        if not file.usable:
            log.leave_out(file, f"{file.path.name} is marked usable=0 in sessions.csv.")
    files = _readable([f for f in files if f.usable], log)
    with log.timed("start"):
        weights = load_segment_weights(config.weights.segment)
        centre_p = thresholds_of(weights, config)["centre"]
        head, head_mark = _head(config)
    warn_of_reach(config.match.sure_share, centre_p, told, log)
    done = _segment_all(files, out / STACKS, weights, config, device, stages, log)
    regions: dict[tuple[str, str], list[Stack]] = {}
    for stack in done:
        s = stack.volume.session
        regions.setdefault((s.animal, s.region), []).append(stack)
    bar = stages.stage("link sessions", len(regions))
    strips: list[tuple[str, list[Strip], tuple[str, str], int]] = []
    done_regions: list[tuple[list[Stack], list[SessionView], LinkedRegion]] = []
    for key in sorted(regions):
        mine = sorted(regions[key], key=lambda s: s.volume.session.index)
        if traces and not any(traces.traced_in(stack.volume.session) for stack in mine):
            log.lose(
                ", ".join(key),
                f"{', '.join(key)} is left out: {traces.source} holds its dendrites in sessions "
                "only that could not be used (above). Trace one of the others too.",
            )
            continue
        logger.info("%s, %s: %d sessions are linked", *key, len(mine))
        with log.timed("link"):
            views, reference = region_views(mine, config, log, traces)
            linked = _link(views, reference, config.match, centre_p, head, told, log)
        done_regions.append((mine, views, linked))
        bar.step()
    if not done_regions:
        raise InputError(
            "no region is left to analyse: none has a traced session that can be used. Mend the "
            "stacks named above, or trace other sessions."
        )
    # nothing is written before all is linked and analysed: a contradiction leaves all as it was
    located = [node_table(views, linked) for _, views, linked in done_regions]
    joined = _joined(done_regions, located)
    logger.info("all tracks are analysed")
    with log.timed("analyze"):
        evidence = Evidence(
            joined["coverage"], joined["spines"], joined["links"], joined["dendrites"]
        )
        analysis = analyze(Tracks(joined["tracks"]), config.analyze, evidence, config.seed)
    # before stacks were kept by content, their folders bore the names of the sessions
    earlier = {*written_before(out), *(f.name for f in (out / STACKS).iterdir())}
    labels: dict[str, str] = {}
    begin_writing(out, (s.volume.session.name for s in done))
    for (mine, views, linked), nodes in zip(done_regions, located, strict=True):
        with log.timed("write"):
            labels |= write_stacks(out, mine, linked, nodes)
            strips += strips_of(mine, views, linked)
    with log.timed("report"):
        written = write_tables(out, joined, analysis, config)
        judge = PLACES_ALONE
        if head_mark:
            judge = judge_of(head_mark["sha256"], config.match.head_share)
        maps = [map_of(title, group, key, d, written) for title, group, key, d in strips]
        figures = analysis_figures(analysis) | link_figure(joined["links"], judge)
        shown = write_figures(out, figures, maps)
        if not maps:
            (out / FIGURES_FOLDER / MAPS).unlink(missing_ok=True)
        net = f"{weights.name}, {weights.sha256[:12]}"
        marked = told.marks is not None
        said = told.sentences
        groups = len({s.volume.session.group for s in done})
        methods = methods_of(net, centre_p, head_mark, config, said, marked=marked, n_groups=groups)
        page = page_of(analysis, written, (shown, maps), (log.warnings, methods))
        report = write_text(out / PAGE, page)
        forget_sessions(out, earlier, labels)
        if not log.failed:
            forget_other_stacks(out / STACKS, {s.kept_in for s in done})
    record = run_record(config, (weights, head_mark), done, told, device, log)
    outlines = [f for s in done for f in files_of_session(out, s.volume.session.name)[1:]]
    editable = [*(out / t.file for t in EDITED), *(f for f in outlines if f.is_file())]
    edited = {f.relative_to(out).as_posix(): sha256_of(f) for f in editable}
    write_json(out / RUN, record | {LABELS: labels, EDITABLE: edited})
    return Outcome(report, five_numbers(analysis), log.failed)


def _joined(
    done: list[tuple[list[Stack], list[SessionView], LinkedRegion]], nodes: list[pd.DataFrame]
) -> dict[str, pd.DataFrame]:
    """The tables of all regions, by name."""
    linked = [of for _, _, of in done]
    parts = {
        "spines": [of.spines for of in linked],
        "dendrites": nodes,
        "coverage": [of.coverage for of in linked],
        "links": [of.matches.links for of in linked],
        "tracks": [of.tracks.frame for of in linked],
    }
    return {name: pd.concat(of, ignore_index=True) for name, of in parts.items()}


def _link(
    views: list[SessionView],
    reference: int,
    config: MatchConfig,
    centre_p: float,
    head: MatchingHead | None,
    told: Told,
    log: RunLog,
) -> LinkedRegion:
    """The spines of a region, found or marked, linked as the machine thinks and a person said."""
    unsure: dict[int, FloatArray] = {}
    if told.marks is not None:
        views, unsure = with_marks(views, told.marks, told.traces, log)
    pins = NO_PINS
    if told.corrections is not None:
        views, pins = corrected(views, told.corrections, log)
    try:
        if told.marks is not None:
            pins = replace(pins, unsure_um=unsure)
            return link_marks(views, reference, config, head, pins)
        return link_region(views, reference, config, centre_p, head, pins)
    except Contradiction as error:
        assert told.corrections is not None  # nobody else says anything of spines
        raise contradicted(error, views, told.corrections) from error


def _head(config: InferConfig) -> tuple[MatchingHead | None, dict[str, str] | None]:
    """The matching head, and its name and sha256; None where places alone shall judge."""
    if config.weights.match == PLACES_ALONE or config.match.head_share == 0:
        return None, None
    weights = load_match_weights(config.weights.match)
    share, gate_um = config.match.head_share, config.match.gate_um
    head = MatchingHead(weights.net, weights.temperature, share, gate_um, PLACE_SD_UM)
    return head, {"name": weights.name, "sha256": weights.sha256}
