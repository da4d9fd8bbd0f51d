"""Array to labels: voxels a second, against two other ways of running the same net.

    python benchmarks/speed.py [--repeats 5] [--device cpu] [--side 1024] [--in_bf16]
    python benchmarks/speed.py --grow
    python benchmarks/speed.py --agree

- *MONAI's window*: `monai.inferers.sliding_window_inference` at its defaults (overlap 0.25, flat
  blending, float32), windows of the training patch's size.
- *nnU-Net's way*: half-window steps, Gaussian blending, float32, no mirroring.

On a processor times are processor time of one thread, so that other work on the machine does not
count; on a card they are by the clock.

All start from the same array and end with the same labelling. Also: agreement with one float32 run
of the whole volume, the net's share of the time, and how time grows with the volume. On CUDA
besides: peak memory, and the share of the card's measured rate and bandwidth. `--side` is
that of the stack in the plane; `--in_bf16` times the other ways in bf16 too, where their own
defaults are float32. `--grow` times ours alone, once each, on one, two, four and eight such stacks
side by side; `--agree` measures the agreement alone.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from monai.inferers import sliding_window_inference

from spinenet.config import MorphologyConfig, OpticsConfig, SegmentConfig
from spinenet.config.infer import VOTER_PROBABILITY
from spinenet.io.weights import load_segment_weights
from spinenet.models.allocator import keep_freed_memory
from spinenet.models.inputs import measure_brightness, normalise
from spinenet.models.unet3d import CENTRE, OFFSET, SHAFT, SPINE, SpineUNet
from spinenet.segment.label import label
from spinenet.segment.predict import Prediction, pick_device, predict
from spinenet.synthetic.patches import draw_example
from spinenet.types import Segmentation, Session, Volume

ROOT = Path(__file__).parents[1]
VOXEL_UM = (1.0, 0.1, 0.1)
WINDOW = (16, 96, 96)
FIELD = 256
FLOP_PER_VOXEL = 157e3
"""Of the default net, counted by torch.utils.flop_counter."""


def stack(shape: tuple[int, int, int]) -> Volume:
    """Simulated fields side by side."""
    rng = np.random.default_rng(5)
    out = np.empty(shape, np.uint16)
    for y in range(0, shape[1], FIELD):
        for x in range(0, shape[2], FIELD):
            part = out[:, y : y + FIELD, x : x + FIELD]
            optics = OpticsConfig(clip_8bit_chance=0.0)
            field = draw_example(
                rng, (shape[0], FIELD, FIELD), optics, MorphologyConfig(), VOXEL_UM
            )
            part[:] = field.image[:, : part.shape[1], : part.shape[2]]
    return Volume(out, VOXEL_UM, Session("speed", "speed", 0))


def prediction(logits: torch.Tensor, volume: Volume) -> Prediction:
    """What `predict` returns, from (6, Z, Y, X) logits of the whole volume."""
    chances = torch.sigmoid(logits[: CENTRE + 1])
    maps = (chances * 255).round().to(torch.uint8).cpu().numpy()
    where = torch.nonzero(chances[SPINE] >= VOTER_PROBABILITY)
    offset = logits[OFFSET][:, where[:, 0], where[:, 1], where[:, 2]].T.cpu().numpy()
    at = where.cpu().numpy()
    votes = (at * np.array(VOXEL_UM) + offset).astype(np.float32)
    return Prediction(maps[SHAFT], maps[SPINE], maps[CENTRE], at, votes, VOXEL_UM)


def window_run(
    net: SpineUNet, volume: Volume, device: torch.device, half: bool = False, **how: object
) -> Prediction:
    image = normalise(volume.data, measure_brightness(volume.data, VOXEL_UM))
    x = torch.from_numpy(image)[None, None]
    with torch.inference_mode(), torch.autocast(device.type, enabled=half, dtype=torch.bfloat16):
        out = sliding_window_inference(
            x, WINDOW, 1, net, sw_device=device, device=torch.device("cpu"), **how
        )
    return prediction(out[0].float(), volume)


def whole_run(net: SpineUNet, volume: Volume, device: torch.device) -> Prediction:
    image = normalise(volume.data, measure_brightness(volume.data, VOXEL_UM))
    with torch.inference_mode():
        out = net(torch.from_numpy(image)[None, None].to(device)).cpu()
    return prediction(out[0], volume)


def timed(run: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    start = clock()
    run()
    return clock() - start


def net_share(run: Callable[[], object], net: SpineUNet, clock: Callable[[], float]) -> float:
    """Share of the time that is spent in the net."""
    marks: list[float] = []

    def mark(sign: int) -> None:
        if torch.cuda.is_initialized():
            torch.cuda.synchronize()
        marks.append(sign * clock())

    hooks = [
        net.register_forward_pre_hook(lambda *_: mark(-1)),
        net.register_forward_hook(lambda *_: mark(1)),
    ]
    whole = timed(run, clock)
    for hook in hooks:
        hook.remove()
    return sum(marks) / whole


def agreement(a: Segmentation, b: Segmentation) -> dict[str, float]:
    """Of a run in tiles, in bf16 where the machine has it, with one float32 run of the whole."""
    fore_a, fore_b = (s.shaft | (s.spines > 0) for s in (a, b))
    dice = 2 * (fore_a & fore_b).sum() / (fore_a.sum() + fore_b.sum())
    return {
        "Dice against one float32 run": float(dice),
        "spines": len(a.centres_um),
        "spines of the float32 run": len(b.centres_um),
    }


def card_limits(device: torch.device) -> tuple[float, float]:
    """The card's measured bf16 rate (FLOP/s) and memory bandwidth (bytes/s)."""
    a = torch.randn(8192, 8192, device=device, dtype=torch.bfloat16)
    b = torch.empty(2**28, device=device, dtype=torch.float32)
    for _ in range(3):
        a @ a
        b.clone()
    torch.cuda.synchronize()
    rate = 2 * 8192**3 / timed(lambda: (a @ a, torch.cuda.synchronize()))
    return rate, 2 * b.numel() * 4 / timed(lambda: (b.clone(), torch.cuda.synchronize()))


def card(device: torch.device, net: SpineUNet, volume: Volume) -> dict[str, float]:
    """What the card can do, and the share of its rate that the net reaches."""
    rate, bandwidth = card_limits(device)
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    seconds = timed(lambda: predict(volume, net, tile_mvox=60.0, device=device))
    return net_alone(device, net) | {
        "bf16 TFLOP/s of the card": rate / 1e12,
        "bandwidth GB/s of the card": bandwidth / 1e9,
        "share of the rate, array to probabilities": FLOP_PER_VOXEL
        * volume.data.size
        / seconds
        / rate,
        "peak memory GB": torch.cuda.max_memory_allocated() / 1e9,
    }


def net_alone(device: torch.device, net: SpineUNet) -> dict[str, float]:
    """Gvox a second of the net on one tile that lies on the card, by layout, type and compiler."""
    tile = torch.rand((1, 1, 64, 512, 512), device=device)
    # `predict` has laid the net out channels last
    first = copy.deepcopy(net).to(memory_format=torch.contiguous_format)
    last = copy.deepcopy(net).to(memory_format=torch.channels_last_3d)
    half = copy.deepcopy(last).to(torch.bfloat16)
    ways: dict[str, tuple[Callable[[torch.Tensor], torch.Tensor], torch.Tensor]] = {
        "autocast, channels first": (first, tile),
        "autocast, channels last": (last, tile),
        "bf16 weights, channels last": (half, tile.to(torch.bfloat16)),
        "bf16 weights, channels last, compiled": (torch.compile(half), tile.to(torch.bfloat16)),
    }
    out = {}
    for name, (run, x) in ways.items():

        def once(run: Callable[[torch.Tensor], torch.Tensor] = run, x: torch.Tensor = x) -> None:
            with (
                torch.inference_mode(),
                torch.autocast("cuda", torch.bfloat16, x.dtype != torch.bfloat16),
            ):
                run(x)
            torch.cuda.synchronize()

        once()
        once()
        median = float(np.median([timed(once) for _ in range(5)]))
        out[f"net alone, Gvox/s: {name}"] = tile.numel() / median / 1e9
    return out


def growth(run: Callable[[Volume], object], stack: Volume, clock: Callable[[], float]) -> dict:
    """Seconds for one, two, four and eight of a stack side by side, and the slope of their logs."""
    seconds = {}
    for times in ((1, 1, 1), (1, 2, 1), (1, 2, 2), (1, 4, 2)):
        wide = Volume(np.tile(stack.data, times), VOXEL_UM, stack.session)
        seconds[wide.data.size] = timed(lambda v=wide: run(v), clock)
        print(f"{wide.data.size / 1e6:.0f} Mvox: {seconds[wide.data.size]:.0f} s", flush=True)
    slope = np.polyfit(np.log(list(seconds)), np.log(list(seconds.values())), 1)[0]
    return {"seconds by voxels": seconds, "slope of log time": float(slope)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--side", type=int, default=1024)
    parser.add_argument("--in_bf16", action="store_true")
    parser.add_argument("--grow", action="store_true")
    parser.add_argument("--agree", action="store_true")
    args = parser.parse_args()
    keep_freed_memory()
    device = pick_device(args.device)
    clock = time.perf_counter if device.type == "cuda" else time.process_time
    torch.set_num_threads(1)
    weights = load_segment_weights("default")
    net, t = weights.net, weights.thresholds
    small = stack((32, args.side // 2, args.side // 2))

    def ours(volume: Volume) -> Prediction:
        return predict(volume, net, tile_mvox=SegmentConfig().tile_mvox, device=device)

    if args.agree:
        agreed = agreement(label(ours(small), **t), label(whole_run(net, small, device), **t))
        path = ROOT / "benchmarks" / f"speed_{device.type}_agreement.json"
        path.write_text(json.dumps({"weights": weights.sha256} | agreed, indent=1) + "\n")
        print(agreed)
        return
    big = stack((64, args.side, args.side))
    if args.grow:
        grown = growth(lambda v: label(ours(v), **t), big, clock)
        path = ROOT / "benchmarks" / f"speed_{device.type}_growth.json"
        path.write_text(json.dumps(grown, indent=1) + "\n")
        return
    ways: dict[str, Callable[[], Prediction]] = {
        "spinenet": lambda: ours(big),
        "MONAI's window": lambda: window_run(net, big, device),
        "nnU-Net's way": lambda: window_run(net, big, device, overlap=0.5, mode="gaussian"),
    }
    if args.in_bf16:
        ways |= {
            "MONAI's window in bf16": lambda: window_run(net, big, device, half=True),
            "nnU-Net's way in bf16": lambda: window_run(
                net, big, device, half=True, overlap=0.5, mode="gaussian"
            ),
        }
    seconds = {}
    for name, run in ways.items():
        runs = [timed(lambda r=run: label(r(), **t), clock) for _ in range(args.repeats)]
        seconds[name] = float(np.median(runs))
        print(f"{name}: {seconds[name]:.1f} s", flush=True)
    rows = {
        name: {"Mvox/s": big.data.size / s / 1e6, "times slower": s / seconds["spinenet"]}
        for name, s in seconds.items()
    }
    shares = [net_share(lambda: label(ours(big), **t), net, clock) for _ in range(args.repeats)]
    agreed = agreement(label(ours(small), **t), label(whole_run(net, small, device), **t))
    sizes, times = [], []
    for n in (1, 2, 4, 8):
        part = Volume(big.data[:, : big.data.shape[1] * n // 8], VOXEL_UM, big.session)
        runs = [timed(lambda p=part: label(ours(p), **t), clock) for _ in range(args.repeats)]
        sizes.append(part.data.size)
        times.append(np.median(runs))
    figures = {
        **agreed,
        "the net's share of the time": float(np.median(shares)),
        "slope of log time": float(np.polyfit(np.log(sizes), np.log(times), 1)[0]),
    }
    if device.type == "cuda":
        figures |= card(device, net, big)
    print("| way | Mvox a second | times slower |\n|---|---|---|")
    for name, row in rows.items():
        print(f"| {name} | {row['Mvox/s']:.2f} | {row['times slower']:.1f} |")
    for name, value in figures.items():
        print(f"- {name}: {value:.4g}")
    content = {"device": str(device), "shape": big.data.shape, "ways": rows, **figures}
    path = ROOT / "benchmarks" / f"speed_{device.type}.json"
    path.write_text(json.dumps(content, indent=1, default=float) + "\n")


if __name__ == "__main__":
    main()
