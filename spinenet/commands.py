"""The commands of `spinenet`: what each is told, and what it does. Those beside the main road are
in `side_commands`."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from spinenet import side_commands as side
from spinenet.side_commands import settings_of

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser

    from spinenet.io.sessions import StackFile
    from spinenet.pipeline import Outcome, RunLog, Told

DONE, FAULT, STOPPED = side.DONE, side.FAULT, side.STOPPED
BAD_INPUT, SOME_FAILED = side.BAD_INPUT, side.SOME_FAILED


def make_parser(name: str, summary: str) -> ArgumentParser:
    """What every command is told, to which its own arguments are added."""
    from jsonargparse import ActionConfigFile, ArgumentParser

    # `--conf` would be read as --config, unchecked and where it stands
    parser = ArgumentParser(
        prog=f"spinenet {name}", description=summary, exit_on_error=True, allow_abbrev=False
    )
    parser.add_argument("--config", action=ActionConfigFile, help="YAML with settings that differ")
    parser.add_argument(
        "--quiet", action="store_true", help="no bars, warnings or closing words of a run"
    )
    parser.add_argument("--verbose", action="store_true", help="say what is being done")
    return parser


def _add_infer(parser: ArgumentParser) -> None:
    parser.add_argument("input", type=str, help="a stack, a sessions.csv, or a folder of stacks")
    parser.add_argument(
        "--dendrites", type=str, default="", help="CSV or SWC: only the dendrites traced there"
    )
    parser.add_argument("--pattern", type=str, default="", help="{animal}_{region}_day{day}.tif")
    parser.add_argument(
        "--voxel_um", type=tuple[float, float, float] | None, default=None, help="[z, y, x] in um"
    )
    parser.add_argument(
        "--channel", type=str, default="", help="that shows the dendrites: a number from 0, or name"
    )
    _add_walk(parser)


def _infer(args: Namespace) -> int:
    from spinenet.io.sessions import find_stacks
    from spinenet.io.traces import read_traces
    from spinenet.pipeline import RunLog, Told

    log = RunLog()
    with log.hearing():
        stacks = find_stacks(
            Path(args.input), pattern=args.pattern, voxel_um=args.voxel_um, channel=args.channel
        )
        traces = read_traces(Path(args.dendrites)) if args.dendrites else None
    return _walk(args, stacks, Told(traces), log)


def _add_link(parser: ArgumentParser) -> None:
    from spinenet.config import PointKind

    parser.add_argument("folder", type=str, help="sessions.csv, stacks, spines.csv, dendrites.csv")
    parser.add_argument(
        "--point", type=PointKind, default="", help="what spines.csv marks if it does not say"
    )
    _add_walk(parser)


def _link(args: Namespace) -> int:
    from spinenet.io.annotated import read_truth
    from spinenet.io.sessions import find_stacks
    from spinenet.pipeline import RunLog, Told
    from spinenet.types import InputError

    if Path(args.out).resolve() == Path(args.folder).resolve():
        raise InputError(
            f"--out {args.out} is the folder of the marked spines; they would be written over. "
            "Give another one."
        )
    log = RunLog()
    with log.hearing():
        stacks = find_stacks(Path(args.folder))
        truth = read_truth(Path(args.folder), args.point)
    return _walk(args, stacks, Told(truth.traces, truth.spines), log)


def _add_walk(parser: ArgumentParser) -> None:
    """What every walk through the corridor is told."""
    from spinenet.config import Device, InferConfig

    parser.add_argument("--out", type=str, required=True, help="folder for the results")
    parser.add_argument("--device", type=Device, default="auto", help="auto, cpu or cuda")
    parser.add_argument(
        "--corrections",
        type=str | None,
        default=None,
        help="what a person said of single spines; else corrections.csv in --out, if there is one",
    )
    parser.add_class_arguments(InferConfig, None)


def _walk(args: Namespace, stacks: list[StackFile], told: Told, log: RunLog) -> int:
    """The whole corridor, and the numbers that matter."""
    from spinenet.config import InferConfig
    from spinenet.pipeline import infer
    from spinenet.progress import Stages

    config = settings_of(InferConfig, args)
    told = _with_corrections(told, Path(args.out), args.corrections)
    with Stages(quiet=args.quiet) as stages:
        outcome = infer(stacks, Path(args.out), config, args.device, stages, told, log)
    return _end(outcome, quiet=args.quiet)


def _with_corrections(told: Told, out: Path, given: str | None = None) -> Told:
    """What a person said of single spines: in the file given, else in the results folder."""
    from spinenet.io.corrections import check_own, check_review, read_corrections
    from spinenet.tables import CORRECTIONS, REVIEW
    from spinenet.types import InputError

    own = out / CORRECTIONS.file
    path = Path(given) if given else own
    if path.resolve() == (out / REVIEW.file).resolve():
        raise InputError(
            f"{path} is written anew by every run, and what you filled in would be lost. Copy it "
            f"to {own} and run without --corrections."
        )
    if given or path.exists():
        corrections = read_corrections(path)
        check_own(own, corrections)
        told = replace(told, corrections=corrections)
    check_review(out / REVIEW.file, told.corrections)
    return told


def _end(outcome: Outcome, *, quiet: bool) -> int:
    """Says what came of a run, and gives its exit code."""
    for stack, why in outcome.failed.items():
        print(f"failed: {stack}: {why}", file=sys.stderr)
    if not quiet:
        for number in outcome.numbers:
            print(f"{number['value']:>9}  {number['name']}  ({number['note']})")
        print(f"report: {outcome.report}")
    return SOME_FAILED if outcome.failed else DONE


def _add_analyze(parser: ArgumentParser) -> None:
    from spinenet.config import AnalyzeConfig

    parser.add_argument("tracks", type=str, help="tracks.csv, one row per (track, session)")
    parser.add_argument("--coverage", type=str | None, default=None, help="coverage.csv: density")
    parser.add_argument("--spines", type=str | None, default=None, help="spines.csv: strength")
    parser.add_argument("--links", type=str | None, default=None, help="links.csv: machine errors")
    parser.add_argument(
        "--dendrites", type=str | None, default=None, help="dendrites.csv: branches"
    )
    parser.add_argument("--out", type=str, required=True, help="folder for the results")
    parser.add_argument(
        "--window", type=float, nargs=2, default=None, help="first and last day of new spines"
    )
    parser.add_class_arguments(AnalyzeConfig, "analyze")
    parser.add_argument("--seed", type=int, default=0, help="of the shuffles and of the draws")


def _analyze(args: Namespace) -> int:
    from spinenet.analyze.summary import Evidence
    from spinenet.config import InferConfig
    from spinenet.io.finished import check_finished
    from spinenet.io.table import read_table
    from spinenet.pipeline import analyze_tracks
    from spinenet.tables import COVERAGE, DENDRITES, LINKS, SPINES, TRACKS
    from spinenet.types import Tracks

    check_finished(Path(args.tracks).parent)
    renamed = {"track": "track_id", "dendrite": "dendrite_id"}
    tracks = Tracks(read_table(Path(args.tracks), TRACKS, renamed))
    given = (
        (args.coverage, COVERAGE),
        (args.spines, SPINES),
        (args.links, LINKS),
        (args.dendrites, DENDRITES),
    )
    evidence = Evidence(*(read_table(Path(p), t) if p else None for p, t in given))
    settings = args.analyze
    if args.window:
        settings = replace(settings, window=(args.window[0], args.window[1]))
    config = InferConfig(analyze=settings, seed=args.seed)
    files = [Path(args.tracks), *(Path(p) for p, _ in given if p)]
    outcome = analyze_tracks(tracks, Path(args.out), config, evidence, files)
    return _end(outcome, quiet=args.quiet)


def _add_simulate(parser: ArgumentParser) -> None:
    from spinenet.config import SimulateConfig

    parser.add_argument("--out", type=str, required=True, help="folder for stacks and truth")
    parser.add_class_arguments(SimulateConfig, None)


def _simulate(args: Namespace) -> int:
    from spinenet.config import SimulateConfig
    from spinenet.io.experiment import write_experiment

    stacks = write_experiment(settings_of(SimulateConfig, args), Path(args.out))
    print(f"stacks: {stacks}")
    return DONE


def _add_demo(parser: ArgumentParser) -> None:
    parser.add_argument("--out", type=str, default="demo", help="folder for the demonstration")


def _demo(args: Namespace) -> int:
    from spinenet.config import InferConfig, OpticsConfig, SimulateConfig
    from spinenet.io.experiment import is_simulation_of, write_experiment
    from spinenet.io.sessions import find_stacks
    from spinenet.pipeline import Told, infer
    from spinenet.progress import Stages
    from spinenet.types import InputError

    out = Path(args.out)
    sessions, results = out / "stacks" / "sessions.csv", out / "results"
    unsaturated = SimulateConfig(seed=7, optics=OpticsConfig(clip_8bit_chance=0.0))
    if not sessions.exists():
        sessions = write_experiment(unsaturated, out / "stacks")
    elif not is_simulation_of(unsaturated, out / "stacks"):
        raise InputError(
            f"{out / 'stacks'} holds an experiment that is not the demonstration's; its results in "
            f"{results} would be made anew with other settings. Give another --out."
        )
    told = _with_corrections(Told(), results)
    with Stages(quiet=args.quiet) as stages:
        outcome = infer(find_stacks(sessions), results, InferConfig(), "auto", stages, told)
    return _end(outcome, quiet=args.quiet)


def _add_train(parser: ArgumentParser) -> None:
    from spinenet.config import TrainMatchConfig, TrainSegmentConfig

    nets = parser.add_subcommands(dest="what")
    for what, config in (("segment", TrainSegmentConfig), ("match", TrainMatchConfig)):
        net = make_parser(f"train {what}", f"train the net that can {what}")
        net.add_argument("--out", type=str, default=f"runs/{what}", help="folder of the run")
        net.add_argument("--init", type=str | None, default=None, help="weights to start from")
        net.add_argument("--data", type=str | None, default=None, help="folder of annotated stacks")
        net.add_class_arguments(config, None)
        nets.add_subcommand(what, net)


def _train(args: Namespace) -> int:
    from spinenet.config import TrainMatchConfig, TrainSegmentConfig

    told = getattr(args, args.what)
    run = Path(told.out), told.init, told.data, not told.quiet and sys.stdout.isatty()
    if args.what == "segment":
        from spinenet.training.segment_fit import train_segment

        weights, scores = train_segment(settings_of(TrainSegmentConfig, told), *run)
    else:
        from spinenet.training.match_fit import train_match

        weights, scores = train_match(settings_of(TrainMatchConfig, told), *run)
    if not scores:  # of several devices one process tells what came of it
        return DONE
    for name, value in scores.items():
        print(f"{value:9.3f}  {name}")
    print(f"weights: {weights}")
    print(f"to use them: infer.py STACKS --out FOLDER --weights.{args.what} {weights}")
    return DONE


def _add_evaluate(parser: ArgumentParser) -> None:
    from spinenet.config import PointKind

    parser.add_argument("truth", type=str, help="annotated folder: spines.csv, dendrites.csv, ...")
    parser.add_argument("results", type=str, help="results folder")
    parser.add_argument(
        "--point",
        type=PointKind,
        default="",
        help="what the truth's places are, where its table does not say",
    )
    parser.add_argument("--dendrites", type=list[int], default=[], help="count only these")
    parser.add_argument("--out", type=str, default="", help="CSV to write the table to")


def _evaluate(args: Namespace) -> int:
    from spinenet.io.write import write_text
    from spinenet.pipeline.evaluation import check_out, evaluate

    if args.out:
        check_out(Path(args.out))
    table = evaluate(Path(args.truth), Path(args.results), args.point, args.dendrites)
    if args.out:  # first: who reads the output may have read enough
        write_text(Path(args.out), table.to_csv(index=False))
    for row in table.to_dict("records"):
        spread = f"{row['low']:.3f} to {row['high']:.3f}" if row["low"] == row["low"] else ""
        print(f"{row['value']:9.3f}  {spread:<16} {row['n']:5}  {row['figure']}, {row['stratum']}")
    return DONE


Add = Callable[["ArgumentParser"], None]
Run = Callable[[Namespace], int]
COMMANDS: dict[str, tuple[Add, Run, str]] = {
    "demo": (_add_demo, _demo, "simulate a small experiment and analyse it"),
    "infer": (_add_infer, _infer, "stacks to spines, tracks, clusters and a report"),
    "link": (_add_link, _link, "link spines that a person or another tool scored"),
    "analyze": (_add_analyze, _analyze, "turnover, clusters and survival from tracks.csv alone"),
    "train": (_add_train, _train, "train the segmentation net or the matching head"),
    "simulate": (_add_simulate, _simulate, "make stacks with exact truth"),
    "evaluate": (_add_evaluate, _evaluate, "score results against true spines"),
    "export": (
        side.add_export,
        side.run_export,
        "results for other programs: GEFF, TrackMate, MapManager",
    ),
    "import": (side.add_import, side.run_import, "an edited GEFF as corrections"),
    "power": (side.add_power, side.run_power, "how many animals and dendrites a study needs"),
    "doctor": (side.add_doctor, side.run_doctor, "what this machine and installation can do"),
}
