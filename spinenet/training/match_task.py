"""One optimiser step of the matching head, and its schedule."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Any

import lightning as L
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import IterableDataset

from spinenet.config import TrainMatchConfig
from spinenet.match.head import as_tensors
from spinenet.models.siamese import SiameseMatcher, SpinePairs, match_loss
from spinenet.training.match_pairs import Laid, MatchExample, draw_laid, draw_pair
from spinenet.training.run import finite, with_schedule
from spinenet.training.sightings import Family
from spinenet.types import InputError

MOST_FRUITLESS = 1000


@dataclass(frozen=True)
class MatchBatch:
    """Pairs of sessions as one, which pairs of spines are the same, which spines are alone."""

    pairs: SpinePairs
    same: Tensor
    alone: Tensor


def join(examples: list[MatchExample]) -> MatchBatch:
    """Many pairs of sessions as one."""
    return MatchBatch(
        SpinePairs.join([as_tensors(e.pairs) for e in examples]),
        torch.from_numpy(np.concatenate([e.same for e in examples])),
        torch.from_numpy(np.concatenate([e.alone for e in examples])),
    )


class TrainingPairs(IterableDataset[MatchExample]):
    """Endless pairs of sessions; `annotated` dendrites give `config.annotated.share` of them, laid
    ones `config.planted.share` of the rest.

    `start` is the step training goes on from, so that a resumed run sees fresh pairs.
    """

    def __init__(
        self,
        config: TrainMatchConfig,
        simulated: list[Family],
        laid: list[Laid],
        annotated: list[Family],
        start: int,
    ) -> None:
        self.config, self.start = config, start
        self.simulated, self.laid, self.annotated = simulated, laid, annotated

    def __iter__(self) -> Iterator[MatchExample]:
        c = self.config
        rng = np.random.default_rng([c.seed, self.start])
        gentle = replace(c.misfit, worst=c.annotated.worst)
        fruitless = 0
        while fruitless < MOST_FRUITLESS:
            if self.annotated and rng.random() < c.annotated.share:
                example = draw_pair(self.annotated, gentle, rng)
            elif self.laid and rng.random() < c.planted.share:
                example = draw_laid(self.laid, c.misfit, rng)
            else:
                example = draw_pair(self.simulated, c.misfit, rng)
            fruitless = 0 if example.same.any() else fruitless + 1
            if not fruitless:
                yield example
        raise InputError(
            f"of {MOST_FRUITLESS} pairs of sessions drawn one after the other none has a spine in "
            "both. Draw more or longer dendrites (--regions, --simulate.shape), or leave out fewer "
            "spines (--misfit.leave_out)."
        )


class MatchTask(L.LightningModule):
    """Trains `net`."""

    def __init__(self, config: TrainMatchConfig) -> None:
        super().__init__()
        self.config = config
        self.net = SiameseMatcher()

    def training_step(self, batch: MatchBatch, batch_idx: int) -> Tensor:
        log_odds = self.net(batch.pairs)
        loss = match_loss(log_odds, batch.pairs.across, batch.same, batch.alone)
        self.log("train/loss", loss.detach(), batch_size=self.config.batch)
        return finite(loss, loss.detach(), self.global_step)

    def transfer_batch_to_device(
        self, batch: MatchBatch, device: torch.device, dataloader_idx: int
    ) -> MatchBatch:
        pairs = {f.name: getattr(batch.pairs, f.name).to(device) for f in fields(batch.pairs)}
        return MatchBatch(
            replace(batch.pairs, **pairs), batch.same.to(device), batch.alone.to(device)
        )

    def configure_optimizers(self) -> Any:
        c = self.config
        optimizer = torch.optim.AdamW(self.net.parameters(), lr=c.learning_rate, weight_decay=1e-2)
        return with_schedule(optimizer, c.steps, 0.01)
