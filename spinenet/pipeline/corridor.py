"""From stacks to the page: every room once, in order."""

from __future__ import annotations

import platform
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pandas as pd
from filelock import FileLock, Timeout

from spinenet import __version__
from spinenet.analyze.summary import Evidence, analyze
from spinenet.config import Device, InferConfig, MatchConfig
from spinenet.io.atomic import sweep
from spinenet.io.corrections import Corrections
from spinenet.io.finished import RUN, begin_writing
from spinenet.io.sessions import StackFile
from spinenet.io.traces import Traces
from spinenet.io.weights import load_match_weights, load_segment_weights
from spinenet.io.write import (
    write_json,
    write_text,
)
from spinenet.match.head import MatchingHead
from spinenet.match.pins import NO_PINS
from spinenet.match.record import LinkedRegion
from spinenet.match.region import link_region
from spinenet.match.score import PLACE_SD_UM
from spinenet.match.view import SessionView
from spinenet.models.allocator import keep_freed_memory
from spinenet.pipeline.corrections import check_corrections, corrected
from spinenet.pipeline.marks import link_marks, with_marks
from spinenet.pipeline.results import (
    analysis_figures,
    forget_stacks,
    link_figure,
    map_of,
    node_table,
    page_of,
    strips_of,
    write_figures,
    write_stacks,
    write_tables,
)
from spinenet.pipeline.sessions import region_views
from spinenet.pipeline.stacks import RunLog, Stack, segment_stack, thresholds_of
from spinenet.progress import Stages
from spinenet.report.figures import Strip
from spinenet.report.page import five_numbers
from spinenet.segment.predict import pick_device
from spinenet.tables import COVERAGE, DENDRITES, LINKS, SPINES, TRACKS
from spinenet.types import FloatArray, InputError, Tracks


@dataclass(frozen=True)
class Told:
    """What a person said before the run: dendrites to look at and no others; spines to link and no
    others (`tables.POINTS`); corrections."""

    traces: Traces | None = None
    marks: pd.DataFrame | None = None
    corrections: Corrections | None = None

    @property
    def sentences(self) -> list[str]:
        """For the methods."""
        said = []
        if self.traces:
            source = self.traces.source
            said.append(f"Only the dendrites that a person traced ({source}) were analysed.")
        if self.marks is not None:
            said.append("Spines are those that were marked; none was looked for besides.")
        if self.corrections:
            n, source = len(self.corrections.frame), self.corrections.source
            said.append(f"A person corrected single spines and links ({n} lines of {source}).")
        return said


NOTHING_TOLD = Told()
STACKS = ".stacks"
"""Of a results folder: what was found in each stack, kept for the next run."""
PLACES_ALONE = "places"
"""In the place of a matching head's name."""


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
) -> Outcome:
    """Everything, from stacks to the page. Stacks finished by an earlier, killed run are kept.

    Raises
    ------
    InputError
        If another run works in `out`, the weights cannot be used, or no stack can be read.
    """
    if told.corrections is not None:
        sessions = [s.session for s in stacks]
        check_corrections(told.corrections, sessions)
    if told.traces:
        told = replace(told, traces=told.traces.for_stacks(stacks))
    _check_out(out)
    (out / STACKS).mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(out / ".lock", timeout=0):
            sweep(out)
            return _infer(stacks, out, config, device, stages, told)
    except Timeout:
        raise InputError(
            f"{out} is in use by another run of spinenet. Wait until it has ended, or give "
            "another --out."
        ) from None


def _check_out(out: Path) -> None:
    """A person's own tables are not written over."""
    by_hand = (SPINES, DENDRITES, TRACKS, LINKS, COVERAGE)
    strange = [t.file for t in by_hand if (out / t.file).is_file()]
    strange += ["labels"] * (out / "labels").is_dir()
    if strange and not (out / STACKS).is_dir() and not (out / RUN).is_file():
        raise InputError(
            f"{out} holds {', '.join(strange)}, which spinenet did not write there; results would "
            "replace them. Give another folder as --out."
        )


def _warn_of_strangers(told: Told, files: list[StackFile], log: RunLog) -> None:
    """Rows of sessions that are not listed are not used: say so."""
    listed = [(f.session.animal, f.session.region, f.session.index) for f in files]
    nodes = told.traces.frame if told.traces else None
    for what, frame in (("marked spines", told.marks), ("nodes of traced dendrites", nodes)):
        if frame is None:
            continue
        rows = frame.groupby(["animal", "region", "session"]).size()
        lost = [k for k in rows.index if not any(_may_be(k, session) for session in listed)]
        if lost:
            named = "; ".join(f"{a}, {r}, session {t}" for a, r, t in lost[:3])
            n = int(rows[lost].sum())
            log.warn(
                f"{n} {what} are of sessions that sessions.csv does not list ({named}) "
                "and were left out. Sessions numbered from 1 in one table and from 0 in the other, "
                "or names written differently, are the usual causes."
            )


def _may_be(told: tuple[str, str, int], session: tuple[str, str, int]) -> bool:
    """Blank names are of any animal and region."""
    return all(a in ("", b) for a, b in zip(told, session, strict=True))


def _infer(
    files: list[StackFile],
    out: Path,
    config: InferConfig,
    device: Device,
    stages: Stages,
    told: Told,
) -> Outcome:
    keep_freed_memory()
    traces = told.traces
    log, failed = RunLog(), {}
    _warn_of_strangers(told, files, log)
    for file in files:
        if not file.usable:
            log.warn(f"{file.path.name} is marked usable=0 in sessions.csv and was left out.")
    files = [f for f in files if f.usable]
    with log.timed("start"):
        weights = load_segment_weights(config.weights.segment)
        centre_p = thresholds_of(weights, config)["centre"]
        head, head_mark = _head(config)
    _warn_of_reach(config.match.sure_share, centre_p, told, log)
    done: list[Stack] = []
    bar = stages.stage("segment", len(files))
    for file in files:
        try:
            with log.timed("segment"):
                done.append(segment_stack(file, out / STACKS, weights, config, device, stages))
        except InputError as error:
            if len(files) == 1:
                raise
            failed[str(file.path)] = str(error)
            log.warn(str(error))
        bar.step()
    if not done:
        raise InputError(
            "none of the stacks can be analysed: all are marked usable=0 or cannot be read. "
            + " ".join(failed.values())
        )
    regions: dict[tuple[str, str], list[Stack]] = {}
    for stack in done:
        s = stack.volume.session
        regions.setdefault((s.animal, s.region), []).append(stack)
    bar = stages.stage("link sessions", len(regions))
    strips: list[tuple[str, list[Strip], tuple[str, str], int]] = []
    done_regions: list[tuple[list[Stack], list[SessionView], LinkedRegion]] = []
    for key in sorted(regions):
        mine = sorted(regions[key], key=lambda s: s.volume.session.index)
        with log.timed("link"):
            views, reference = region_views(mine, config, log, traces)
            linked = _link(views, reference, config.match, centre_p, head, told, log)
        done_regions.append((mine, views, linked))
        bar.step()
    # nothing is written before all is linked and analysed: a contradiction leaves all as it was
    located = [node_table(views, linked) for _, views, linked in done_regions]
    joined = _joined(done_regions, located)
    with log.timed("analyze"):
        evidence = Evidence(
            joined["coverage"], joined["spines"], joined["links"], joined["dendrites"]
        )
        analysis = analyze(Tracks(joined["tracks"]), config.analyze, evidence, config.seed)
    begin_writing(out)
    for (mine, views, linked), nodes in zip(done_regions, located, strict=True):
        with log.timed("write"):
            write_stacks(out, mine, linked, nodes)
            strips += strips_of(mine, views, linked)
    with log.timed("report"):
        written = write_tables(out, joined, analysis, config.seed)
        judge = head_mark["sha256"] if head_mark else PLACES_ALONE
        maps = [map_of(title, group, key, d, written) for title, group, key, d in strips]
        figures = analysis_figures(analysis) | link_figure(joined["links"], judge)
        shown = write_figures(out, figures, maps)
        nets = (f"{weights.name}, {weights.sha256[:12]}", head_mark)
        page = page_of(analysis, written, (shown, maps), nets, config, log, told.sentences)
        report = write_text(out / "report.html", page)
        forget_stacks(
            out,
            {folder.name for folder in (out / STACKS).iterdir()},
            {s.volume.session.name for s in done},
        )
    write_json(
        out / RUN,
        {
            "spinenet": __version__,
            "python": platform.python_version(),
            "config": asdict(config),
            "weights": {"name": weights.name, "sha256": weights.sha256},
            "match_weights": head_mark,
            "inputs": [
                {
                    "path": str(s.file.path),
                    "sha256": s.sha256,
                    "shape": s.volume.data.shape,
                    "voxel_um": s.volume.voxel_size_um,
                }
                for s in done
            ],
            "corrections": {
                "path": told.corrections.source,
                "sha256": told.corrections.sha256,
                "n": len(told.corrections.frame),
            }
            if told.corrections
            else None,
            "traces": {"path": traces.source, "sha256": traces.sha256} if traces else None,
            "failed": failed,
            "device": str(pick_device(device)),
            "seed": config.seed,
            "seconds": log.seconds,
            "warnings": log.warnings,
        },
    )
    return Outcome(report, five_numbers(analysis), failed)


def _warn_of_reach(sure_share: float, centre_p: float, told: Told, log: RunLog) -> None:
    """No probability is larger than 1."""
    if told.marks is None and sure_share * centre_p >= 1:
        log.warn(
            f"match.sure_share {sure_share:g} times the centre threshold, {centre_p:.2f}, is "
            f"{sure_share * centre_p:.2f}, and no spine is that sure: over three sessions or more "
            f"none is kept but those that a person named. Give less than {1 / centre_p:.2f}."
        )


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
    if told.marks is not None:
        pins = replace(pins, unsure_um=unsure)
        return link_marks(views, reference, config, head, pins)
    return link_region(views, reference, config, centre_p, head, pins)


def _head(config: InferConfig) -> tuple[MatchingHead | None, dict[str, str] | None]:
    """The matching head, and its name and sha256; None where places alone shall judge."""
    if config.weights.match == PLACES_ALONE:
        return None, None
    weights = load_match_weights(config.weights.match)
    head = MatchingHead(weights.net, weights.temperature, config.match.gate_um, PLACE_SD_UM)
    return head, {"name": weights.name, "sha256": weights.sha256}
