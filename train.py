"""Train a net: `python train.py segment --config configs/segment.yaml`. As `spinenet train`."""

import sys

from spinenet.cli import main

if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:]]))
