"""What a user would pick instead of spinenet, each as its authors describe it, on one interface.

- *DeepD3's recipe* (Fernholz 2024): a plane by plane U-Net with one encoder and two decoders (shaft
  by Dice, spines by squared error), and spines grown in 3-D from peaks by flood fill.
- *nnU-Net's recipe* (Isensee 2021): MONAI's DynUNet, instance norm, deep supervision, Dice and
  cross-entropy, Nesterov momentum and a polynomial rate; half-window steps, connected components.
- *Blobs*: Laplacian of Gaussian at the size of a head, shafts by threshold and opening; untrained.

Planes and patches are the canonical ones of spinenet, normalised alike, which is kinder to the
first two than their own rules.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from monai.inferers import sliding_window_inference
from monai.networks.blocks import Convolution
from monai.networks.nets import DynUNet
from monai.networks.nets.basic_unet import Down, TwoConv, UpCat
from scipy import ndimage
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader

from spinenet.config import TrainSegmentConfig
from spinenet.models.inputs import (
    canonical_shape,
    canonical_shift_um,
    canonical_voxel_um,
    denormalise,
    measure_brightness,
    normalise,
    resample_xy,
)
from spinenet.models.losses import segment_loss
from spinenet.models.unet3d import SHAFT, SPINE, SpineUNet, folded
from spinenet.segment.label import find_peaks
from spinenet.segment.predict import predict
from spinenet.training.segment_data import TrainingPatches
from spinenet.types import FloatArray, Volume

Found = tuple[FloatArray, FloatArray]
"""Places (K, 3) in voxels and how sure (K,) in 0..1."""
SMALLEST_SPINE_VOX = 3


@dataclass(frozen=True)
class Maps:
    """Shaft and spine (Z, Y, X) in 0..1 on a grid of voxels; (0, 0, 0) lies at `shift_um`."""

    shaft: npt.NDArray[np.float32]
    spine: npt.NDArray[np.float32]
    voxel_um: FloatArray
    shift_um: FloatArray


def canonical(volume: Volume) -> tuple[npt.NDArray[np.float32], FloatArray, FloatArray]:
    """A stack as spinenet's net sees it, its voxel size, and where its first voxel's centre is."""
    voxel = np.array(canonical_voxel_um(volume.voxel_size_um))
    bright = normalise(volume.data, measure_brightness(volume.data, volume.voxel_size_um))
    image = resample_xy(bright, canonical_shape(volume.data.shape, volume.voxel_size_um))
    return image, voxel, canonical_shift_um(volume.voxel_size_um)


class Recipe(Protocol):
    """A detector. `thresholds` are tried on validation stacks, the best is kept."""

    name: str
    thresholds: tuple[float, ...]

    def fit(self, config: TrainSegmentConfig, seconds: float) -> int:
        """Train for so much processor time; returns the steps taken."""

    def maps(self, volume: Volume) -> Maps: ...

    def spines(self, maps: Maps, threshold: float) -> Found: ...


def train(
    net: nn.Module,
    optimizer: torch.optim.Optimizer,
    rate: Callable[[float], float],
    loss: Callable[[Tensor, Tensor, Tensor], Tensor],
    config: TrainSegmentConfig,
    seconds: float,
) -> int:
    """Steps until so many seconds of processor time are over, those of the processes that simulate
    patches aside, so that other work on the machine favours nobody; `rate` gives the share of the
    learning rate at each share of the time."""
    loader = iter(
        DataLoader(TrainingPatches(config), batch_size=config.batch, num_workers=config.workers)
    )
    top = [group["lr"] for group in optimizer.param_groups]
    net.train()
    start, steps = time.process_time(), 0
    while (done := (time.process_time() - start) / seconds) < 1:
        for group, most in zip(optimizer.param_groups, top, strict=True):
            group["lr"] = most * rate(done)
        with torch.autocast("cpu", torch.bfloat16):
            value = loss(*next(loader))
        optimizer.zero_grad()
        value.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 12.0)
        optimizer.step()
        steps += 1
    net.eval()
    return steps


def cosine(done: float) -> float:
    return min(done / 0.03, 1.0) * (0.02 + 0.49 * (1 + float(np.cos(np.pi * done))))


def polynomial(done: float) -> float:
    return float((1 - done) ** 0.9)


def dice(p: Tensor, target: Tensor, known: Tensor) -> Tensor:
    p, target = p * known, target * known
    return 1 - (2 * (p * target).sum() + 1) / (p.sum() + target.sum() + 1)


class TwoDecoders(nn.Module):
    """(B, 1, Y, X) -> (B, 2, Y, X) logits of shaft and spine."""

    def __init__(self, width: int) -> None:
        super().__init__()
        f = [width * 2**k for k in range(4)]
        act, norm = ("swish", {}), "batch"
        self.first = TwoConv(2, 1, f[0], act, norm, bias=True)
        self.down = nn.ModuleList(
            Down(2, a, b, act, norm, bias=True) for a, b in zip(f, f[1:], strict=False)
        )
        self.up = nn.ModuleList(
            nn.ModuleList(
                UpCat(2, f[k], f[k - 1], f[k - 1], act, norm, bias=True, halves=False)
                for k in (3, 2, 1)
            )
            for _ in range(2)
        )
        self.last = nn.ModuleList(
            Convolution(2, f[0], 1, kernel_size=1, conv_only=True) for _ in "ab"
        )

    def forward(self, x: Tensor) -> Tensor:
        skips = [self.first(x)]
        for down in self.down:
            skips.append(down(skips[-1]))
        out = []
        for ups, last in zip(self.up, self.last, strict=True):
            y = skips[-1]
            for up, skip in zip(ups, skips[-2::-1], strict=True):
                y = up(y, skip)
            out.append(last(y))
        return torch.cat(out, dim=1)


class DeepD3:
    """The peak is fitted; the flood ends where its program ends it, or at half a lower peak; the
    width is that of spinenet's net."""

    name = "2-D U-Net with two decoders, flood fill (DeepD3's recipe)"
    thresholds = (0.02, 0.04, 0.07, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
    area, reach_px = 0.25, 10

    def __init__(self) -> None:
        self.net = TwoDecoders(16)

    def fit(self, config: TrainSegmentConfig, seconds: float) -> int:
        optimizer = torch.optim.Adam(self.net.parameters(), lr=5e-4)

        def loss(image: Tensor, target: Tensor, known: Tensor) -> Tensor:
            planes, truth, sure = (
                t.transpose(1, 2).flatten(0, 1) for t in (image, target[:, :2], known[:, :2])
            )
            p = torch.sigmoid(self.net(planes).float())
            spine = ((p[:, SPINE] - truth[:, SPINE]) ** 2 * sure[:, SPINE]).sum()
            shaft = dice(p[:, SHAFT], truth[:, SHAFT], sure[:, SHAFT])
            return shaft + spine / sure[:, SPINE].sum()

        return train(self.net, optimizer, polynomial, loss, config, seconds)

    def maps(self, volume: Volume) -> Maps:
        image, voxel_um, shift_um = canonical(volume)
        pad = [(0, 0), *((0, -n % 8) for n in image.shape[1:])]
        planes = torch.from_numpy(np.pad(image, pad))[:, None]
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            out = [torch.sigmoid(self.net(p[None]).float())[0] for p in planes]
        shaft, spine = torch.stack(out, dim=1)[:, :, : image.shape[1], : image.shape[2]].numpy()
        return Maps(shaft, spine, voxel_um, shift_um)

    def spines(self, maps: Maps, threshold: float) -> Found:
        p = ndimage.gaussian_filter(maps.spine, (0, 0.5, 0.5))
        top = (p == ndimage.maximum_filter(p, 3)) & (p >= threshold)
        seeds = np.argwhere(top)
        seeds = seeds[np.argsort(-p[tuple(seeds.T)], kind="stable")]
        free = p >= min(self.area, threshold / 2)
        places, sure = [], []
        for seed in seeds:
            if not free[tuple(seed)]:
                continue
            low = np.maximum(seed - self.reach_px, 0)
            box = tuple(slice(a, b + self.reach_px + 1) for a, b in zip(low, seed, strict=True))
            parts, _ = ndimage.label(free[box])
            mine = parts == parts[tuple(seed - low)]
            free[box] &= ~mine
            if mine.sum() >= SMALLEST_SPINE_VOX:
                places.append(np.argwhere(mine).mean(axis=0) + low)
                sure.append(float(p[tuple(seed)]))
        return np.array(places).reshape(-1, 3), np.array(sure)


class NnUNet:
    """The width of spinenet's net, so that it takes as many steps."""

    name = "MONAI DynUNet, connected components (nnU-Net's recipe)"
    thresholds = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)

    def __init__(self) -> None:
        kernels = [(1, 3, 3), (3, 3, 3), (3, 3, 3), (3, 3, 3)]
        strides = [(1, 1, 1), (1, 2, 2), (1, 2, 2), (2, 2, 2)]
        self.net = DynUNet(
            3,
            1,
            3,
            kernels,
            strides,
            strides[1:],
            filters=[16, 32, 64, 128],
            norm_name=("INSTANCE", {"affine": True}),
            deep_supervision=True,
            deep_supr_num=2,
        )
        self.window = (16, 64, 64)

    def fit(self, config: TrainSegmentConfig, seconds: float) -> int:
        self.window = config.patch
        optimizer = torch.optim.SGD(
            self.net.parameters(), lr=1e-2, momentum=0.99, nesterov=True, weight_decay=3e-5
        )

        def loss(image: Tensor, target: Tensor, known: Tensor) -> Tensor:
            kind = torch.where(target[:, SHAFT] > 0, 1, torch.where(target[:, SPINE] > 0, 2, 0))
            sure = known[:, SHAFT] * known[:, SPINE]
            total = torch.zeros(())
            for share, out in zip((1.0, 0.5, 0.25), self.net(image).float().unbind(1), strict=True):
                p = torch.softmax(out, dim=1)
                entropy = nn.functional.cross_entropy(out, kind, reduction="none")
                both = sum(dice(p[:, k], (kind == k).float(), sure) for k in (1, 2)) / 2
                total = total + share * (both + (entropy * sure).sum() / sure.sum())
            return total / 1.75

        return train(self.net, optimizer, polynomial, loss, config, seconds)

    def maps(self, volume: Volume) -> Maps:
        image, voxel_um, shift_um = canonical(volume)
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            out = sliding_window_inference(
                torch.from_numpy(image)[None, None],
                self.window,
                4,
                lambda x: torch.softmax(self.net(x).float(), dim=1)[:, 1:],
                overlap=0.5,
                mode="gaussian",
            )
        shaft, spine = out[0].float().numpy()
        return Maps(shaft, spine, voxel_um, shift_um)

    def spines(self, maps: Maps, threshold: float) -> Found:
        labels, n = ndimage.label(maps.spine >= threshold)
        numbers = np.arange(1, n + 1)
        size = np.bincount(labels.ravel(), minlength=n + 1)[1:]
        numbers = numbers[size >= SMALLEST_SPINE_VOX]
        places = np.array(ndimage.center_of_mass(labels > 0, labels, numbers)).reshape(-1, 3)
        return places, np.array(ndimage.maximum(maps.spine, labels, numbers)).reshape(-1)


class Blobs:
    """Nothing to train; the response from which a blob is a spine is fitted."""

    name = "blobs (Laplacian of Gaussian)"
    thresholds = (0.01, 0.02, 0.03, 0.05, 0.08, 0.12, 0.2, 0.3, 0.4)
    head_um = np.array([0.7, 0.22, 0.22])
    shaft_um = 0.25

    def fit(self, config: TrainSegmentConfig, seconds: float) -> int:
        return 0

    def maps(self, volume: Volume) -> Maps:
        image, voxel_um, shift_um = canonical(volume)
        light = denormalise(ndimage.gaussian_filter(image, np.array([0.3, 0.1, 0.1]) / voxel_um))
        bright = light > 0.4 * np.percentile(light, 99.8)
        n = max(round(self.shaft_um / voxel_um[2]), 1)
        y, x = np.ogrid[-n : n + 1, -n : n + 1]
        disc = (y**2 + x**2 <= n**2)[None]
        shaft = ndimage.binary_opening(bright, disc).astype(np.float32)
        sigma = self.head_um / voxel_um
        peak = -sum(
            s**2
            * ndimage.gaussian_filter(image, sigma, order=tuple(2 * (k == a) for k in range(3)))
            for a, s in enumerate(sigma)
        )
        top = max(float(np.percentile(image, 99.9)), 1e-6)
        return Maps(shaft, np.clip(np.asarray(peak) / top, 0, 1), voxel_um, shift_um)

    def spines(self, maps: Maps, threshold: float) -> Found:
        size = [
            max(2 * round(0.5 * g / v) + 1, 3)
            for g, v in zip((1.5, 0.4, 0.4), maps.voxel_um, strict=True)
        ]
        top = maps.spine == ndimage.maximum_filter(maps.spine, size)
        where = np.argwhere(top & (maps.spine >= threshold) & (maps.shaft < 0.5))
        return where.astype(float), maps.spine[tuple(where.T)]


class Spinenet:
    """The net alone, without the chain that follows it; its averaged weights."""

    name = "spinenet, the net alone"
    thresholds = tuple(np.round(np.arange(0.05, 0.81, 0.05), 2).tolist())

    def __init__(self) -> None:
        self.net = SpineUNet()

    def fit(self, config: TrainSegmentConfig, seconds: float) -> int:
        net = self.net.to(memory_format=torch.channels_last_3d)
        optimizer = torch.optim.AdamW(net.parameters(), lr=2e-3, weight_decay=1e-4)
        mean = AveragedModel(
            net, multi_avg_fn=get_ema_multi_avg_fn(config.ema), use_buffers=True
        ).requires_grad_(False)

        def loss(image: Tensor, target: Tensor, known: Tensor) -> Tensor:
            mean.update_parameters(net)
            image = image.contiguous(memory_format=torch.channels_last_3d)
            return segment_loss(net(image), target, known)["loss"]

        steps = train(net, optimizer, cosine, loss, config, seconds)
        self.net = mean.module
        return steps

    def maps(self, volume: Volume) -> Maps:
        seen = predict(volume, folded(self.net), tile_mvox=5.0, device=torch.device("cpu"))
        shaft, centre = (m.astype(np.float32) / 255 for m in (seen.shaft, seen.centre))
        return Maps(shaft, centre, np.array(volume.voxel_size_um), np.zeros(3))

    def spines(self, maps: Maps, threshold: float) -> Found:
        heat = np.rint(maps.spine * 255).astype(np.uint8)
        z, y, x = maps.voxel_um
        places, sure = find_peaks(heat, (z, y, x), threshold)
        return places / maps.voxel_um, sure
