"""Losses of the segmentation net. Voxels outside `known` are unknown and never count."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from spinenet.models.unet3d import CENTRE, OFFSET, SHAFT, SPINE

PLATEAU_HEAT = 0.9
PLATEAU_REACH_VOX = 3
"""How far from its likeliest voxel an answer on the plateau is looked for, each way."""


def segment_loss(logits: Tensor, target: Tensor, known: Tensor) -> dict[str, Tensor]:
    """The terms of the loss and their weighted sum `loss`.

    Parameters
    ----------
    logits: (B, 6, Z, Y, X) as from `SpineUNet`
    target: (B, 6, Z, Y, X): shaft and spine masks, centre heat map in 0..1, offsets in um
    known: (B, 3, Z, Y, X): where shaft, spine and centre are known
    """
    logits = logits.float()
    known_shaft, known_spine, known_centre = known.unbind(1)
    spine = target[:, SPINE]
    terms = {
        "shaft": overlap_loss(logits[:, SHAFT], target[:, SHAFT], known_shaft),
        "spine": overlap_loss(logits[:, SPINE], spine, known_spine),
        "centre": heat_loss(logits[:, CENTRE], target[:, CENTRE], known_centre),
        "offset": offset_loss(logits[:, OFFSET], target[:, OFFSET], spine * known_spine),
    }
    weights = {"shaft": 1.0, "spine": 1.0, "centre": 1.0, "offset": 0.5}
    terms["loss"] = torch.stack([weights[k] * v for k, v in terms.items()]).sum()
    return terms


def overlap_loss(logits: Tensor, target: Tensor, known: Tensor) -> Tensor:
    """Soft Dice over the batch plus cross-entropy."""
    p = torch.sigmoid(logits) * known
    t = target * known
    dice = 1 - (2 * (p * t).sum() + 1) / (p.sum() + t.sum() + 1)
    entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return dice + 5 * (entropy * known).sum() / known.sum().clamp(min=1)


def heat_loss(logits: Tensor, target: Tensor, known: Tensor) -> Tensor:
    """Penalty-reduced focal loss of CenterNet (Zhou 2019, eq. 1), per spine.

    Where a centre is known roughly only, its target is a plateau of `PLATEAU_HEAT` around the
    likeliest voxel, and the best answer on the plateau counts: a person says that there is a
    spine, the net where exactly its middle is.
    """
    p = torch.sigmoid(logits).clamp(1e-5, 1 - 1e-5)
    peak = (target > 0.95).float() * known
    plateau = (target >= PLATEAU_HEAT) & (target <= 0.95)
    n = PLATEAU_REACH_VOX
    beside = F.max_pool3d(p * plateau * known, 2 * n + 1, 1, n)
    best = torch.maximum(p, beside.clamp(max=1 - 1e-5))
    found = peak * (1 - best) ** 2 * torch.log(best)
    alarm = (1 - peak) * (1 - target) ** 4 * p**2 * torch.log(1 - p) * known
    return -(found + alarm).sum() / peak.sum().clamp(min=4)


def offset_loss(offset_um: Tensor, target_um: Tensor, where: Tensor) -> Tensor:
    """Smooth L1 in um on the voxels of spines."""
    apart = F.smooth_l1_loss(offset_um, target_um, reduction="none", beta=0.2).sum(1)
    return (apart * where).sum() / where.sum().clamp(min=1)
