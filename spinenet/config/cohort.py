"""Settings of simulated tracks without images, and of a study that is planned by them."""

from __future__ import annotations

from dataclasses import dataclass, field

from spinenet.config.limits import NOT_NEGATIVE, POSITIVE, SHARE, at_least, check, check_days
from spinenet.types import InputError


@dataclass(frozen=True)
class CohortConfig:
    """One group of animals, as tracks without images.

    Parameters
    ----------
    animals
        in the group
    dendrites
        of each animal
    length_um
        of each dendrite
    days
        day of each session
    spines_per_um
        density along each dendrite
    formation
        new spines, as a share of those present, per interval between sessions
    elimination
        spines lost, as a share of those present, per interval between sessions
    clustered_share
        chance that a new spine is planted next to an earlier new one, where there is one and room
        beside it
    new_loss
        share of the new spines lost per interval; clustered ones divide it by `protection`
    protection
        how many times rarer the loss of clustered new spines is
    animal_log_sd
        standard deviation, over animals, of the log of formation and elimination
    miss_rate
        share of sightings that the machine misses
    link_error
        share of its links that join a lost spine to a new one at its place
    """

    animals: int = 5
    dendrites: int = 6
    length_um: float = 60.0
    spines_per_um: float = 0.45
    days: tuple[float, ...] = (0.0, 2.0, 4.0, 8.0, 16.0)
    formation: float = 0.06
    elimination: float = 0.05
    clustered_share: float = 0.0
    new_loss: float = 0.3
    protection: float = 1.0
    animal_log_sd: float = 0.3
    miss_rate: float = 0.0
    link_error: float = 0.0

    def __post_init__(self) -> None:
        check(self, at_least(1), "animals", "dendrites")
        check(self, POSITIVE, "length_um", "spines_per_um", "protection")
        check_days("days", self.days, 2)
        check(self, SHARE, "formation", "elimination", "clustered_share", "new_loss")
        check(self, SHARE, "miss_rate", "link_error")
        check(self, NOT_NEGATIVE, "animal_log_sd")


FEWEST_ANIMALS = 4
"""Per group: with fewer no relabelling of two groups reaches P = 0.05."""


@dataclass(frozen=True)
class PowerConfig:
    """A study that is planned: what is expected, and what is asked for.

    Parameters
    ----------
    cohort
        the animals without clusters, and the quality of the detector
    effect
        chance that a new spine is planted beside an earlier new one in the other group, where there
        is one and room beside it: the share that is so is smaller
    power
        share of studies that shall find it
    dendrites
        numbers per animal that are tried
    most_animals
        per group, up to which they are tried
    pool
        dendrites simulated per group; of fewer the answer would hang on the seed
    studies
        drawn from them for every number of animals
    """

    cohort: CohortConfig = field(default_factory=CohortConfig)
    effect: float = 0.3
    power: float = 0.8
    dendrites: tuple[int, ...] = (4, 8, 16)
    most_animals: int = 20
    pool: int = 9600
    studies: int = 2000

    def __post_init__(self) -> None:
        check(self, SHARE, "effect", "power")
        check(self, at_least(1), "dendrites", "pool", "studies")
        usual = CohortConfig()
        for name, instead in (
            ("animals", "most_animals"),
            ("dendrites", "dendrites"),
            ("clustered_share", "effect"),
        ):
            if getattr(self.cohort, name) != getattr(usual, name):
                raise InputError(
                    f"cohort.{name} {getattr(self.cohort, name)}: a plan tries this itself, and of "
                    f"what is set here nothing would be seen. Give --{instead}."
                )
        if self.most_animals < FEWEST_ANIMALS or not self.dendrites:
            raise InputError(
                f"most_animals {self.most_animals}, dendrites {list(self.dendrites)}: at least "
                f"{FEWEST_ANIMALS} animals per group and one number of dendrites are needed; with "
                "fewer animals no relabelling of two groups reaches P = 0.05."
            )
