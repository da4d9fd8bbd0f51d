"""run.json: all that is needed to repeat a run, and what it warned of."""

from __future__ import annotations

import platform
from dataclasses import asdict

import torch

from spinenet import __version__
from spinenet.config import InferConfig
from spinenet.io.weights import SegmentWeights
from spinenet.pipeline.stacks import RunLog, Stack
from spinenet.pipeline.told import Told


def run_record(
    config: InferConfig,
    nets: tuple[SegmentWeights, dict[str, str] | None],
    done: list[Stack],
    told: Told,
    device: torch.device,
    log: RunLog,
) -> dict[str, object]:
    """What run.json holds.

    Parameters
    ----------
    nets: weights that segmented, and name and sha256 of the head that linked, if one did
    """
    weights, head_mark = nets
    return {
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
        "traces": {"path": told.traces.source, "sha256": told.traces.sha256}
        if told.traces
        else None,
        "failed": log.failed,
        "device": str(device),
        "seed": config.seed,
        "seconds": log.seconds,
        "warnings": log.warnings,
    }
