"""One stack to shafts, spines and centrelines, or what an earlier run kept of it."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from spinenet.config import InferConfig
from spinenet.config.infer import VOTER_PROBABILITY
from spinenet.io.atomic import published
from spinenet.io.damage import TORN_ARRAY
from spinenet.io.digest import digest_of_code, fingerprint, sha256_of
from spinenet.io.read import read_volume
from spinenet.io.sessions import StackFile
from spinenet.io.store import load_prediction, load_stack, save_stack
from spinenet.io.weights import SegmentWeights
from spinenet.match.align import Thumb, make_thumb
from spinenet.measure.quality import Backdrop, backdrop_of
from spinenet.measure.skeleton import find_dendrites
from spinenet.models.allocator import give_back_memory
from spinenet.progress import Stages
from spinenet.segment.label import label
from spinenet.segment.predict import predict
from spinenet.types import Dendrites, InputError, Segmentation, Volume

PIXELS = "pixels.npy"
"""Of a kept stack: its voxels, where its own file packs them."""
ANSWERED_BY = (
    "types.py",
    "io/read.py",
    "io/scanimage.py",
    "io/voxel.py",
    "io/whole.py",
    "models/*.py",
    "segment/predict.py",
)
"""Modules that the net's answer hangs on: after an update that touches one it is asked anew."""
KEPT_BY = (
    "geometry.py",
    "io/store.py",
    "segment/label.py",
    "measure/skeleton.py",
    "measure/untangle.py",
    "match/align.py",
    "pipeline/stacks.py",
)
"""Modules that all else which is kept of a stack hangs on besides."""


@dataclass(frozen=True)
class Stack:
    """One stack after segmentation."""

    file: StackFile
    volume: Volume
    segmentation: Segmentation
    dendrites: Dendrites
    thumb: Thumb
    sha256: str
    kept_in: Path
    """Where the next run finds all this."""

    @cached_property
    def backdrop(self) -> Backdrop:
        """Of the volume, which is looked through once."""
        return backdrop_of(self.volume)


logger = logging.getLogger(__name__)


class _Ear(logging.Handler):
    """Keeps the text of every warning."""

    def __init__(self, kept: list[str]) -> None:
        super().__init__(logging.WARNING)
        self._kept = kept

    def emit(self, record: logging.LogRecord) -> None:
        self._kept.append(record.getMessage())


@dataclass
class RunLog:
    """Seconds per stage, warnings and failures, for run.json."""

    seconds: dict[str, float] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    """Stacks, and whole regions, that could not be used, and why."""

    def fail(self, file: StackFile, error: InputError) -> None:
        """A stack that cannot be used."""
        self.failed[str(file.path)] = str(error)
        self.leave_out(file, str(error))

    def leave_out(self, file: StackFile, why: str) -> None:
        """Says which session is missing from all that follows."""
        s = file.session
        who = ", ".join(name for name in (s.animal, s.region) if name)
        self.warn(f"{who}, session {s.index} (day {s.day:g}) was left out: {why}")

    def lose(self, what: str, why: str) -> None:
        self.failed[what] = why
        self.warn(why)

    def warn(self, text: str) -> None:
        logger.warning(text)
        self.warnings.append(text)

    @contextmanager
    def hearing(self) -> Iterator[None]:
        """What the readers of files warn of meanwhile is kept too."""
        ear = _Ear(self.warnings)
        readers = logging.getLogger("spinenet.io")
        readers.addHandler(ear)
        try:
            yield
        finally:
            readers.removeHandler(ear)

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] = round(self.seconds.get(stage, 0) + time.perf_counter() - start, 2)


def segment_stack(
    file: StackFile,
    store: Path,
    weights: SegmentWeights,
    config: InferConfig,
    device: torch.device,
    stages: Stages,
) -> Stack:
    """One stack to instances and centrelines, or what an earlier run kept of it: all of it, or, if
    thresholds changed since, what the net had answered."""
    volume = read_volume(file)
    digest = sha256_of(file.path)
    chosen = config.segment
    of_net = fingerprint(
        digest_of_code(ANSWERED_BY),
        VOTER_PROBABILITY,
        digest,
        weights.sha256,
        chosen.tile_mvox,
        chosen.views,
        volume.voxel_size_um,
        file.channel,
    )
    of_all = fingerprint(of_net, digest_of_code(KEPT_BY), chosen, config.measure)
    name = file.session.name
    folder = store / of_net[:16]
    kept = load_stack(folder, of_all)
    if kept is not None:
        logger.info("%s: kept from an earlier run", name)
    else:
        prediction = load_prediction(folder, of_net)
        if prediction is not None:
            logger.info("%s: the net's answer is kept from an earlier run", name)
        else:
            logger.info("%s: the net looks at it", name)
            bar = stages.stage(f"  {name}", 1)
            prediction = predict(
                volume,
                weights.net,
                tile_mvox=chosen.tile_mvox,
                device=device,
                views=chosen.views,
                on_tile=lambda done, left: bar.to(done, done + left),
            )
            give_back_memory()
        segmentation = label(prediction, **thresholds_of(weights, config))
        dendrites = find_dendrites(segmentation, config.measure)
        thumb = make_thumb(volume, segmentation.shaft_probability)
        save_stack(folder, (of_net, of_all), prediction, segmentation, dendrites, thumb)
        del prediction, segmentation
        give_back_memory()
        kept = load_stack(folder, of_all)
        assert kept is not None
    return Stack(file, _spooled(volume, folder), *kept, digest, folder)


def _spooled(volume: Volume, folder: Path) -> Volume:
    """The same, its voxels on the disk: unpacked stacks of a whole study would fill the memory."""
    if isinstance(volume.data, np.memmap) and volume.data.base is not None:
        return volume
    path = folder / PIXELS
    try:
        kept = np.load(path, mmap_mode="r")
    except TORN_ARRAY:  # or not there yet
        with published(path) as aside:
            np.save(aside, volume.data)
        kept = np.load(path, mmap_mode="r")
    return replace(volume, data=kept)


def thresholds_of(weights: SegmentWeights, config: InferConfig) -> dict[str, float]:
    """Thresholds of shaft, spine and centre: the person's, else those stored with the weights."""
    chosen = config.segment
    given = {
        "shaft": chosen.shaft_threshold,
        "spine": chosen.spine_threshold,
        "centre": chosen.centre_threshold,
    }
    return {k: weights.thresholds[k] if v is None else v for k, v in given.items()}


def without_twins(done: list[Stack], log: RunLog) -> list[Stack]:
    """A copy under another session's name has the same spines to the last: of one region's the
    later is left out, of two regions' a field that is not theirs is found when they are laid over
    each other."""
    first: dict[tuple[str, str], Stack] = {}
    left = []
    for stack in done:
        earlier = first.setdefault((stack.sha256, stack.file.channel or "0"), stack)
        if earlier is stack:
            left.append(stack)
            continue
        why = (
            f"{stack.file.path.name} and {earlier.file.path.name} are the same image to the last "
            "byte: between them nothing can come or go. A wrong copy is the usual cause; give each "
            "session its own stack."
        )
        ours, theirs = stack.file.session, earlier.file.session
        if (ours.animal, ours.region) == (theirs.animal, theirs.region):
            log.fail(stack.file, InputError(why))
        else:
            log.warn(why)
            left.append(stack)
    return left
