"""One stack to shafts, spines and centrelines, or what an earlier run kept of it."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from spinenet import __version__
from spinenet.config import Device, InferConfig
from spinenet.io.read import read_volume
from spinenet.io.sessions import StackFile
from spinenet.io.store import fingerprint, load_prediction, load_stack, save_stack
from spinenet.io.weights import SegmentWeights, sha256_of
from spinenet.match.align import Thumb, make_thumb
from spinenet.measure.skeleton import find_dendrites
from spinenet.models.allocator import give_back_memory
from spinenet.progress import Stages
from spinenet.segment.label import label
from spinenet.segment.predict import pick_device, predict
from spinenet.types import (
    Dendrites,
    Segmentation,
    Volume,
)


@dataclass(frozen=True)
class Stack:
    """One stack after segmentation."""

    file: StackFile
    volume: Volume
    segmentation: Segmentation
    dendrites: Dendrites
    thumb: Thumb
    sha256: str


logger = logging.getLogger(__name__)


@dataclass
class RunLog:
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


def segment_stack(
    file: StackFile,
    store: Path,
    weights: SegmentWeights,
    config: InferConfig,
    device: Device,
    stages: Stages,
) -> Stack:
    """One stack to instances and centrelines, or what an earlier run kept of it: all of it, or, if
    thresholds changed since, what the net had answered."""
    volume = read_volume(file)
    digest = sha256_of(file.path)
    chosen = config.segment
    of_net = fingerprint(
        __version__,
        digest,
        weights.sha256,
        chosen.tile_mvox,
        chosen.views,
        volume.voxel_size_um,
        file.channel,
    )
    of_all = fingerprint(of_net, chosen, config.measure)
    folder = store / file.session.name
    kept = load_stack(folder, of_all)
    if kept is None:
        prediction = load_prediction(folder, of_net)
        if prediction is None:
            bar = stages.stage(f"  {file.session.name}", 1)
            prediction = predict(
                volume,
                weights.net,
                tile_mvox=chosen.tile_mvox,
                device=pick_device(device),
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
    return Stack(file, volume, *kept, digest)


def thresholds_of(weights: SegmentWeights, config: InferConfig) -> dict[str, float]:
    """Thresholds of shaft, spine and centre: the person's, else those stored with the weights."""
    chosen = config.segment
    given = {
        "shaft": chosen.shaft_threshold,
        "spine": chosen.spine_threshold,
        "centre": chosen.centre_threshold,
    }
    return {k: weights.thresholds[k] if v is None else v for k, v in given.items()}
