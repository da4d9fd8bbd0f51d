"""The smallest net, on the smallest patches."""

from spinenet.cli import main

TINY = [
    "--net.channels",
    "[4,4,4,4]",
    "--patch",
    "[8,32,32]",
    "--batch",
    "2",
    "--workers",
    "0",
    "--validation_stacks",
    "1",
    "--save_every",
    "2",
    "--device",
    "cpu",
]


def train(out, steps, *more):
    return main(
        ["train", "segment", "--out", str(out), "--steps", str(steps), *TINY, *more, "--quiet"]
    )
