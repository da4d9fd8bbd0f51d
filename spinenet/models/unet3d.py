"""The segmentation net: a slim anisotropic residual 3D U-Net of MONAI's blocks.

Its normalisation has fixed statistics, so a voxel's answer depends on its surroundings and not on
the tile that holds it, and at inference it folds into the convolutions.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from monai.networks.blocks.dynunet_block import UnetBasicBlock, UnetResBlock, UnetUpBlock
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

SHAFT, SPINE, CENTRE, OFFSET = 0, 1, 2, slice(3, 6)
N_OUTPUTS = 6
MULTIPLE = (2, 8, 8)
"""A patch's z, y and x must be multiples of these."""
HALO_PX = 24
"""Surroundings in y and x beyond which a voxel's answer no longer changes noticeably."""
_KERNELS = ((1, 3, 3), (3, 3, 3), (3, 3, 3), (3, 3, 3))
_STRIDES = ((1, 1, 1), (1, 2, 2), (1, 2, 2), (2, 2, 2))
_LEAKY: tuple[str, dict[str, Any]] = ("leakyrelu", {"inplace": True, "negative_slope": 0.01})


class SpineUNet(nn.Module):
    """(B, 1, Z, Y, X) normalised stack -> (B, 6, Z, Y, X): logits of shaft, spine and centre of a
    head, and the offset in um (z, y, x) from a spine's voxel to its head centre."""

    def __init__(self, channels: tuple[int, ...] = (16, 32, 64, 128)) -> None:
        super().__init__()
        if len(channels) != len(_KERNELS):
            raise ValueError(f"channels {channels}: {len(_KERNELS)} levels were expected")
        self.channels = tuple(channels)
        inputs = (1, *channels[:-1])
        self.down = nn.ModuleList(
            UnetResBlock(3, i, o, kernel_size=k, stride=s, norm_name="batch", act_name=_LEAKY)
            for i, o, k, s in zip(inputs, channels, _KERNELS, _STRIDES, strict=True)
        )
        self.up = nn.ModuleList(
            UnetUpBlock(
                3,
                channels[level],
                channels[level - 1],
                kernel_size=_KERNELS[level - 1],
                stride=_STRIDES[level],
                upsample_kernel_size=_STRIDES[level],
                norm_name="batch",
                act_name=_LEAKY,
            )
            for level in range(len(channels) - 1, 0, -1)
        )
        self.head = nn.Conv3d(channels[0], N_OUTPUTS, 1)
        # spines are rare: start from a small probability, so that the first steps are not wasted
        assert self.head.bias is not None
        nn.init.constant_(self.head.bias[: CENTRE + 1], -3.0)

    def forward(self, x: Tensor) -> Tensor:
        skips = []
        for block in self.down:
            x = block(x)
            skips.append(x)
        skips.pop()
        for block in self.up:
            # the block's own steps; called as a whole it would hold the skip to its end. To the
            # type checker a block in a ModuleList is any Module, whose attributes are not callable
            x = block.conv_block(torch.cat((block.transp_conv(x), skips.pop()), dim=1))  # type: ignore[operator]
        out: Tensor = self.head(x)
        return out


def folded(net: SpineUNet) -> SpineUNet:
    """A copy of the net for inference, normalisation folded into the convolutions."""
    net = copy.deepcopy(net).eval()
    for block in net.modules():
        if isinstance(block, (UnetBasicBlock, UnetResBlock)):
            for conv, norm in (("conv1", "norm1"), ("conv2", "norm2"), ("conv3", "norm3")):
                if hasattr(block, norm):
                    layer = getattr(block, conv)
                    layer.conv = fuse_conv_bn_eval(layer.conv, getattr(block, norm))
                    setattr(block, norm, nn.Identity())
    return net.requires_grad_(False)


def autocast_dtype(device: torch.device) -> torch.dtype:
    """bf16 where the processor computes it natively, float32 elsewhere."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return torch.bfloat16 if native else torch.float32
