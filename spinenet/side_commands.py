"""Commands beside the main road: exchange, planning, the state of the machine."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from spinenet import __version__

if TYPE_CHECKING:
    from _typeshed import DataclassInstance
    from jsonargparse import ArgumentParser

Settings = TypeVar("Settings", bound="DataclassInstance")
DONE, FAULT, BAD_INPUT, SOME_FAILED = 0, 1, 2, 3
STOPPED = 130
"""By Ctrl-C, as shells say it."""


def settings_of(kind: type[Settings], args: Namespace) -> Settings:
    """The part of the parsed arguments that is this settings dataclass."""
    return kind(**{name: getattr(args, name) for name in kind.__dataclass_fields__})


def add_export(parser: ArgumentParser) -> None:
    """What `export` is told."""
    from spinenet.config import ExportFormat

    parser.add_argument("results", type=str, help="folder that infer or link wrote")
    parser.add_argument("--format", type=ExportFormat, default="geff", help="for which program")
    parser.add_argument("--out", type=str, required=True, help="folder; one file per region")


def run_export(args: Namespace) -> int:
    """Results for other programs."""
    from spinenet.pipeline.exchange import export

    for path in export(Path(args.results), args.format, Path(args.out)):
        print(path)
    return DONE


def add_import(parser: ArgumentParser) -> None:
    """What `import` is told."""
    parser.add_argument("edited", type=str, help="GEFF folder, exported and edited elsewhere")
    parser.add_argument("--results", type=str, required=True, help="what it was exported from")
    parser.add_argument("--out", type=str, required=True, help="a new file of corrections (CSV)")


def run_import(args: Namespace) -> int:
    """An edited graph as corrections."""
    from spinenet.pipeline.exchange import corrections_from

    found = corrections_from(Path(args.edited), Path(args.results), Path(args.out))
    counts = found["action"].value_counts()
    told = ", ".join(f"{n} {action}" for action, n in counts.items()) or "nothing was changed"
    print(f"{args.out}: {told}")
    return DONE


def add_power(parser: ArgumentParser) -> None:
    """What `power` is told."""
    from jsonargparse.typing import NonNegativeInt

    from spinenet.config import PowerConfig

    parser.add_class_arguments(PowerConfig, None)
    parser.add_argument("--seed", type=NonNegativeInt, default=0, help="of all that is drawn")


def run_power(args: Namespace) -> int:
    """How many animals and dendrites a study needs."""
    from spinenet.analyze.power import plan
    from spinenet.config import PowerConfig

    config = settings_of(PowerConfig, args)
    for found in plan(config, args.seed):
        animals = found.animals or config.most_animals
        enough = "" if found.animals else " are not enough"
        print(
            f"{found.dendrites:3d} dendrites per animal: {animals} animals per group{enough} "
            f"(power {found.by_animals[animals]:.2f} +- {found.error:.2f})",
            flush=True,
        )
    return DONE


def add_doctor(parser: ArgumentParser) -> None:
    """What `doctor` is told."""
    from spinenet.config import Device

    parser.add_argument("--device", type=Device, default="auto", help="auto, cpu or cuda")


def run_doctor(args: Namespace) -> int:
    """What this machine and installation can do."""
    import torch

    from spinenet.io.weights import load_segment_weights
    from spinenet.models.unet3d import autocast_dtype
    from spinenet.segment.predict import pick_device

    device = pick_device(args.device)
    weights = load_segment_weights("default")
    print(f"spinenet {__version__}, torch {torch.__version__}, Python {sys.version.split()[0]}")
    print(f"CUDA available: {torch.cuda.is_available()}; computing on {device}")
    print(f"precision: {autocast_dtype(device)}")
    print(f"weights: {weights.name}, sha256 {weights.sha256}")
    return DONE
