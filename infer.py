"""Analyse stacks: `python infer.py INPUT --out DIR`. The same as `spinenet infer`."""

import sys

from spinenet.cli import main

if __name__ == "__main__":
    sys.exit(main(["infer", *sys.argv[1:]]))
