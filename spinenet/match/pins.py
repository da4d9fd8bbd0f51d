"""What a person said of the spines of a region; it is obeyed, and the rest is solved around it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np

from spinenet.types import FloatArray, InputError, SpineTable

PERSON = "person"
"""`source` of a spine that a person named."""
Spine = tuple[int, int]
"""Position of the session in the region, and spine_id there."""


@dataclass(frozen=True)
class Pins:
    """Pairs of spines that are one and that are not; of a spine, sessions (by position) in which it
    is there and in which it is not; the dendrite of a spine; by session, places (M, 3) where there
    is no spine, and those where nobody could tell."""

    same: tuple[tuple[Spine, Spine], ...] = ()
    different: tuple[tuple[Spine, Spine], ...] = ()
    present: tuple[tuple[Spine, int], ...] = ()
    absent: tuple[tuple[Spine, int], ...] = ()
    home: Mapping[Spine, int] = field(default_factory=lambda: MappingProxyType({}))
    empty_um: Mapping[int, FloatArray] = field(default_factory=lambda: MappingProxyType({}))
    unsure_um: Mapping[int, FloatArray] = field(default_factory=lambda: MappingProxyType({}))
    heights: Mapping[Spine, float] = field(default_factory=lambda: MappingProxyType({}))
    """What the machine thinks of the spines that a person named: a word about one says nothing of
    how well it is seen elsewhere."""
    glimpses: Mapping[Spine, float] = field(default_factory=lambda: MappingProxyType({}))
    """The same of spines that a person added: chosen as the machine missed them, they say nothing
    of other spines or of the session."""

    def machine_p(self, t: int, spines: SpineTable) -> FloatArray:
        """(K,) the probability of a session's spines as the machine sees them, whoever named
        them; as it stands where nobody asked the machine."""
        told = {**self.glimpses, **self.heights}
        p = spines.frame["probability"].to_numpy(float)
        said = [told.get((t, k), was) for k, was in zip(spines.ids.tolist(), p, strict=True)]
        return np.array(said, float)


NO_PINS = Pins()


class Contradiction(InputError):
    """What a person said cannot all be true: a clause without an end, and the spines that it is
    about, numbered through all sessions."""

    def __init__(self, text: str, spines: Sequence[int] = ()) -> None:
        super().__init__(text)
        self.spines = tuple(spines)
