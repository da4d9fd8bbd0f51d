"""Train the matching head with Lightning, resumable at any moment, from weights alone too."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import lightning as L
import numpy as np
from torch.utils.data import DataLoader, Dataset

from spinenet.config import VALIDATION_EVERY, MisfitConfig, TrainMatchConfig
from spinenet.io.annotated import AnnotatedStack, read_annotated
from spinenet.io.weights import (
    SegmentWeights,
    load_match_weights,
    load_segment_weights,
    save_match_weights,
)
from spinenet.models.allocator import keep_freed_memory
from spinenet.progress import Stages
from spinenet.segment.predict import pick_device
from spinenet.training.match_annotated import read_families
from spinenet.training.match_pairs import Laid, MatchExample, draw_laid, draw_pair
from spinenet.training.match_planted import draw_laid_family
from spinenet.training.match_simulated import draw_families
from spinenet.training.match_task import MatchTask, TrainingPairs, join
from spinenet.training.run import (
    LAST,
    check_data_given,
    keep_to_one_core,
    make_trainer,
    quiet_lightning,
    resumption,
    same_run,
    write_result,
)
from spinenet.training.sightings import Family, load_families, save_families
from spinenet.training.temperature import fit_temperature
from spinenet.types import InputError

VALIDATION_DRAWS = 4
PLANTED_SEED, FOUND_SEED, SEEDS_APART = 1_000_000, 1_050_000, 100_000
"""Planted dendrites that linkers are compared on (benchmarks/linking.py) have smaller numbers."""


def train_match(
    config: TrainMatchConfig,
    out: Path,
    init: str | None = None,
    data: str | None = None,
    progress: bool = False,
) -> tuple[Path, dict[str, float]]:
    """Train, and write `siamese.safetensors` (with its fitted temperature) into `out`.

    Simulated regions are drawn first and kept in `out`/regions, `out`/planted and `out`/found; a
    folder that holds some, or a checkpoint, goes on from there. `init` starts from weights. `data`
    is a lab's annotated folder whose spines carry tracks. `progress` draws bars.

    Returns
    -------
    The file of weights, and what the head reaches on simulated regions kept for validation.

    Raises
    ------
    InputError
        If weights or data cannot be read, or the folder holds another run.
    """
    keep_freed_memory()
    L.seed_everything(config.seed, verbose=False)
    pick_device(config.device)  # refused before hours of drawing, as is what follows
    start_net = load_match_weights(init).net if init else None
    check_data_given(data, config.annotated.hold_out)
    annotated = _read(data, config)
    weights = load_segment_weights(config.segment)
    free = ("steps", "regions", "trainer", "workers", "device", "save_every")
    begun = {k: v for k, v in asdict(config).items() if k not in free}
    begun |= {"planted": config.planted.share, "init": init, "segment": weights.sha256}
    same_run(out, begun, annotated)
    own = read_families(annotated, config.annotated.hold_out, weights) if annotated else []
    drawn = _drawn(config, out, weights, progress)
    simulated, kept = _parted(drawn["regions"])
    parts = [_parted(drawn[name]) for name in ("planted", "found")]
    laid, kept_laid = ([Laid.of(f) for part in of for f in part] for of in zip(*parts, strict=True))
    held_out = _validation(kept, kept_laid, config)
    task = MatchTask(config)
    resume, start = resumption(out)
    if start_net is not None and not resume:
        task.net.load_state_dict(start_net.state_dict())
    path = out / "siamese.safetensors"
    loader = DataLoader(
        TrainingPairs(config, simulated, laid, own, start),
        batch_size=config.batch,
        collate_fn=join,
    )
    with Stages(quiet=not progress) as stages, quiet_lightning():
        trainer = make_trainer(
            config,
            out,
            start,
            stages.stage("train", config.steps),
            lambda task: save_match_weights(path, task.net, 1.0, fitted=False),
        )
        trainer.fit(task, loader, ckpt_path=resume, weights_only=True)
        trainer.save_checkpoint(out / LAST)
    temperature, scores = fit_temperature(task.net.cpu(), held_out)
    digest = save_match_weights(path, task.net, temperature)
    write_result(out, config, trainer, digest, scores, {"temperature": temperature})
    return path, scores


def _read(data: str | None, config: TrainMatchConfig) -> list[AnnotatedStack]:
    return read_annotated(Path(data), config.annotated.point) if data else []


class _Draw(Dataset[int]):
    """Draws the families of regions by their number, where a folder lacks them."""

    def __init__(self, folder: Path, regions: int, draw: Callable[[int], list[Family]]) -> None:
        self.folder, self.regions, self.draw = folder, regions, draw

    def __len__(self) -> int:
        return self.regions

    def __getitem__(self, number: int) -> int:
        path = _file(self.folder, number)
        if not path.exists():
            save_families(path, self.draw(number))
        return number


def _file(folder: Path, number: int) -> Path:
    return folder / f"{number:05d}.npz"


def _drawn(
    config: TrainMatchConfig, out: Path, weights: SegmentWeights, progress: bool
) -> dict[str, list[list[Family]]]:
    """The dendrites of simulated regions, by region: misplaced in training, and as laid."""
    like, apart = replace(config.simulate, seed=config.seed), config.seed * SEEDS_APART
    sources = {
        "regions": (config.regions, partial(draw_families, like, weights)),
        "planted": (config.planted.regions, partial(_laid, PLANTED_SEED + apart, None)),
        "found": (config.planted.found, partial(_laid, FOUND_SEED + apart, weights)),
    }
    for name, (n, draw) in sources.items():
        (out / name).mkdir(parents=True, exist_ok=True)
        loader = DataLoader(
            _Draw(out / name, n, draw),
            batch_size=None,
            num_workers=config.workers,
            worker_init_fn=keep_to_one_core,
        )
        with Stages(quiet=not progress) as stages, quiet_lightning():
            bar = stages.stage(f"simulate {name}", n)
            for _ in loader:
                bar.step()
    return {
        name: [
            [f for f in load_families(_file(out / name, number)) if len(f) > 1]
            for number in range(n)
        ]
        for name, (n, _) in sources.items()
    }


def _laid(first_seed: int, net: SegmentWeights | None, number: int) -> list[Family]:
    return [draw_laid_family(first_seed + number, net)]


def _parted(regions: list[list[Family]]) -> tuple[list[Family], list[Family]]:
    """To train on, and kept for validation."""
    train: list[Family] = []
    kept: list[Family] = []
    for number, families in enumerate(regions):
        (kept if number % VALIDATION_EVERY == VALIDATION_EVERY - 1 else train).extend(families)
    return train, kept


def _validation(
    kept: list[Family], kept_laid: list[Laid], config: TrainMatchConfig
) -> list[MatchExample]:
    """Pairs of held-out regions, misplaced as in training or as laid, nothing hidden."""
    rng = np.random.default_rng([config.seed, 1])
    told: MisfitConfig = replace(config.misfit, hide_portraits=0.0, slip=0.0, resettled=0.0)
    drawn = [draw_pair([f], told, rng) for f in kept for _ in range(VALIDATION_DRAWS)]
    drawn += [draw_laid([one], told, rng) for one in kept_laid for _ in range(VALIDATION_DRAWS)]
    held_out = [e for e in drawn if e.same.any()]
    if not held_out:
        raise InputError(
            f"no spine is in two sessions of the {len(kept)} dendrites kept for validation. Draw "
            "more or longer ones (--regions, --simulate.shape), or denser ones "
            "(--simulate.morphology.spines_per_um)."
        )
    return held_out
