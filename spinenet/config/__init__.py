"""Every setting and its default, once. Frozen; unknown keys are refused where they are read.

A YAML in `configs/` lists only what differs from these defaults.
"""

from spinenet.config.infer import (
    AnalyzeConfig,
    InferConfig,
    MatchConfig,
    MeasureConfig,
    SegmentConfig,
    WeightsConfig,
)
from spinenet.config.simulate import (
    FEWEST_ANIMALS,
    CohortConfig,
    MorphologyConfig,
    OpticsConfig,
    PowerConfig,
    SimulateConfig,
    TurnoverConfig,
)
from spinenet.config.train import (
    AnnotatedConfig,
    Device,
    NetConfig,
    PointKind,
    TrainerConfig,
    TrainSegmentConfig,
)

__all__ = [
    "FEWEST_ANIMALS",
    "AnalyzeConfig",
    "AnnotatedConfig",
    "CohortConfig",
    "Device",
    "InferConfig",
    "MatchConfig",
    "MeasureConfig",
    "MorphologyConfig",
    "NetConfig",
    "OpticsConfig",
    "PointKind",
    "PowerConfig",
    "SegmentConfig",
    "SimulateConfig",
    "TrainSegmentConfig",
    "TrainerConfig",
    "TurnoverConfig",
    "WeightsConfig",
]
