"""Every setting and its default, once. Frozen; unknown keys are refused where they are read.

A YAML in `configs/` lists what differs from these defaults, and what is worth knowing of them.
"""

from spinenet.config.cohort import FEWEST_ANIMALS, CohortConfig, PowerConfig
from spinenet.config.infer import (
    AnalyzeConfig,
    ExportFormat,
    InferConfig,
    MatchConfig,
    MeasureConfig,
    SegmentConfig,
    WeightsConfig,
)
from spinenet.config.simulate import (
    MorphologyConfig,
    OpticsConfig,
    SimulateConfig,
    TurnoverConfig,
)
from spinenet.config.train import (
    VALIDATION_EVERY,
    AnnotatedConfig,
    Device,
    MatchAnnotatedConfig,
    MisfitConfig,
    NetConfig,
    PlantedConfig,
    PointKind,
    TrainerConfig,
    TrainMatchConfig,
    TrainSegmentConfig,
)

__all__ = [
    "FEWEST_ANIMALS",
    "VALIDATION_EVERY",
    "AnalyzeConfig",
    "AnnotatedConfig",
    "CohortConfig",
    "Device",
    "ExportFormat",
    "InferConfig",
    "MatchAnnotatedConfig",
    "MatchConfig",
    "MeasureConfig",
    "MisfitConfig",
    "MorphologyConfig",
    "NetConfig",
    "OpticsConfig",
    "PlantedConfig",
    "PointKind",
    "PowerConfig",
    "SegmentConfig",
    "SimulateConfig",
    "TrainMatchConfig",
    "TrainSegmentConfig",
    "TrainerConfig",
    "TurnoverConfig",
    "WeightsConfig",
]
