"""Training patches for the segmentation net: simulated as they are needed, or cut from annotated
stacks."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

import numpy as np
from torch.utils.data import IterableDataset, get_worker_info

from spinenet.config import TrainSegmentConfig
from spinenet.models.inputs import measure_brightness, normalise
from spinenet.synthetic.patches import Example, draw_example
from spinenet.training.annotated_scene import AnnotatedScene, cut
from spinenet.training.augment import Augment
from spinenet.training.implant import dendrite_of, implant
from spinenet.training.perturb import COARSEST_Z_UM, decimate_z
from spinenet.training.targets import KNOWN_ALL, Labelled, Patch, forget, make_patch
from spinenet.training.underlay import find_ground, underlay

logger = logging.getLogger(__name__)

MARGIN = (8, 32, 32)
"""Voxels by which a scene is larger than the patches cut from it."""
DECIMATED_SHARE = 0.3
"""Of the patches of real stacks with thin slices, those whose every second slice is left out."""
POOL = 24
"""Patches that wait to be drawn, so that one batch does not come from one scene."""


class TrainingPatches(IterableDataset[Patch]):
    """Endless (image, target, known) as `segment_loss` takes them; each worker its own stream.

    `annotated` scenes give `config.annotated.share` of the patches, the simulator the rest. `start`
    is the step training goes on from, so that a resumed run sees fresh patches; `card` the number
    of the card they are for.
    """

    def __init__(
        self,
        config: TrainSegmentConfig,
        annotated: Sequence[AnnotatedScene] = (),
        start: int = 0,
        card: int = 0,
    ) -> None:
        self.config = config
        self.annotated = annotated
        self.start = start
        self.card = card
        grounds = [
            find_ground(scene.labelled, self._held_by(scene), scene.hidden) for scene in annotated
        ]
        self.grounds = [ground for ground in grounds if ground]
        if annotated and not self.grounds and config.annotated.underlay_share:
            logger.warning(
                "none of the annotated stacks has an empty part of %s voxels (z, y, x) beside a "
                "shaft that is known: no simulated dendrite is laid over real noise "
                "(annotated.underlay_share). A smaller --patch finds room in thin stacks, not "
                "where no shaft was drawn or hardly anything is known.",
                " x ".join(map(str, config.patch)),
            )

    def __iter__(self) -> Iterator[Patch]:
        worker = get_worker_info()
        stream = [self.card, worker.id if worker else 0]
        rng = np.random.default_rng([self.config.seed, self.start, *stream])
        c = self.config
        shape = self._scene_shape
        plain = Augment(c.patch, int(rng.integers(2**31)))
        warped = Augment(c.patch, int(rng.integers(2**31)), warp=True)
        # a simulated scene gives several patches, so it is drawn less often
        share = c.annotated.share if self.annotated else 0.0
        share = share / (share + (1 - share) / c.crops_per_scene)
        pool: list[Patch] = []
        while True:
            if rng.random() < share:
                scene = self.annotated[int(rng.integers(len(self.annotated)))]
                pool.append(make_patch(warped(self._from_stack(scene, rng))))
            else:
                simulated = self._simulated(shape, rng)
                pool += [make_patch(plain(simulated)) for _ in range(c.crops_per_scene)]
            while len(pool) > POOL:
                yield pool.pop(int(rng.integers(len(pool))))

    @property
    def _scene_shape(self) -> tuple[int, int, int]:
        (z, y, x), (more_z, more_y, more_x) = self.config.patch, MARGIN
        return z + more_z, y + more_y, x + more_x

    def _held_by(self, scene: AnnotatedScene, factor: int = 1) -> tuple[int, int, int]:
        """As much as is cut from a simulated scene, with `factor` times its slices; no more than a
        stack holds where that is a patch at least, for what lies outside it teaches nothing."""
        scale = (factor, 1, 1)
        z, y, x = (
            max(p * f, min((p + m) * f, n))
            for p, m, f, n in zip(
                self.config.patch, MARGIN, scale, scene.labelled.shape, strict=True
            )
        )
        return z, y, x

    def _simulated(self, shape: tuple[int, int, int], rng: np.random.Generator) -> Labelled:
        """A simulated scene, at times over an empty part of an annotated stack."""
        c = self.config
        if self.grounds and rng.random() < c.annotated.underlay_share:
            ground = self.grounds[int(rng.integers(len(self.grounds)))]
            return underlay(ground, c.morphology, c.optics, rng)
        return as_labelled(draw_example(rng, shape, c.optics, c.morphology))

    def _from_stack(self, scene: AnnotatedScene, rng: np.random.Generator) -> Labelled:
        """A crop of an annotated stack: of thin slices some left out, some spines implanted."""
        thin = 2 * scene.labelled.voxel_um[0] <= COARSEST_Z_UM
        factor = 2 if thin and rng.random() < DECIMATED_SHARE else 1
        crop, low = cut(scene, self._held_by(scene, factor), rng)
        c = self.config
        if rng.random() < c.annotated.implant_share:
            across = [dendrite_of(line, crop, low) for line in scene.lines]
            seen = [dendrite for dendrite in across if dendrite is not None]
            if seen:
                chosen = seen[int(rng.integers(len(seen)))]
                crop = implant(crop, chosen, c.morphology, c.optics, rng)
        return decimate_z(crop, factor)


def as_labelled(example: Example) -> Labelled:
    """A simulated stack, normalised; spines that nobody could score are unknown."""
    image = normalise(example.image, measure_brightness(example.image, example.voxel_um))
    return forget(
        Labelled(
            image,
            example.labels,
            np.full(example.labels.shape, KNOWN_ALL, np.uint8),
            example.centres_um / np.array(example.voxel_um),
            example.scorable,
            example.voxel_um,
        )
    )
