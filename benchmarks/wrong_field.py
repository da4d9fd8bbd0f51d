"""A stack of another field put in by mistake: is it refused, and are right ones let in?

    python benchmarks/wrong_field.py [--fields 50]

Simulated fields of two sessions each (any SNR, the default movements between sessions). Every
second session is registered to the first session of its own field, and to that of the next one.
The seeds are apart from those of the fields on which the agreement was thought out (0 to 49).
"""

from __future__ import annotations

import argparse
import json

import numpy as np
from real import ROOT

from spinenet.config import MatchConfig, SimulateConfig, TurnoverConfig
from spinenet.match.align import Alignment, Thumb, align, make_thumb
from spinenet.synthetic.experiment import simulate_region

FIRST_SEED = 1000


def field(seed: int) -> list[Thumb]:
    config = SimulateConfig(snr="any", turnover=TurnoverConfig(days=(0.0, 8.0)), seed=seed)
    region = simulate_region(config, "a", "r", seed)
    return [
        make_thumb(v, np.where(labels == 1, 255, 0).astype(np.uint8))
        for v, labels in zip(region.volumes, region.labels, strict=True)
    ]


def quantiles(found: list[Alignment]) -> list[float]:
    """Least, median and largest."""
    return np.quantile([a.score for a in found], [0, 0.5, 1]).round(3).tolist()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fields", type=int, default=50)
    n = parser.parse_args().fields
    fields = [field(FIRST_SEED + k) for k in range(n)]
    config = MatchConfig()
    own = [align(later, first, config) for first, later in fields]
    other = [align(fields[k][1], fields[(k + 1) % n][0], config) for k in range(n)]
    figures = {
        "fields": n,
        "right ones refused": sum(not a.same_field for a in own),
        "wrong ones refused": sum(not a.same_field for a in other),
        "agreement of the right ones": quantiles(own),
        "agreement of the wrong ones": quantiles(other),
    }
    for name, value in figures.items():
        print(f"- {name}: {value}")
    path = ROOT / "benchmarks" / "wrong_field.json"
    path.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
