"""Simulated stacks by another simulator than the one that trained the net: detection and masks.

    python benchmarks/variant.py [--stacks 8] [--weights NAME] [--views 1] [--out FOLDER]
    python benchmarks/variant.py --stacks 110 --draw FOLDER

What differs: the point spread function (a focused Gaussian beam, squared: two cones of light that
widen with depth, where training has a Gaussian core and a halo), the heads (blunt boxes and lumps
of three to five balls, where training has ellipsoids), and the noise (correlated over both axes of
the plane, with bands of lines, where training has it along lines); and spines are as bright as the
mean dendrite, whatever their own. Shafts, places and sizes of spines are drawn by the same rules.
Peak shaft photons 60, 25 and 10. `--draw` writes other stacks of it, of 8 to 80 photons, for a net
to be trained on (`train.py segment --data FOLDER`): how far one comes that knows this simulator.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import ndimage
from scipy.signal import fftconvolve

from spinenet.config import MorphologyConfig
from spinenet.io.write import write_stack, write_table, write_volume
from spinenet.pipeline.evaluation import evaluate
from spinenet.synthetic.morphology import (
    Dendrite,
    PlacedSpine,
    SpineShape,
    is_beside_shaft,
    place,
)
from spinenet.synthetic.morphology import Scene as DrawnScene
from spinenet.synthetic.scenes import draw_scene
from spinenet.synthetic.seen import HALF
from spinenet.tables import SESSIONS, TRUE_SPINES
from spinenet.types import FloatArray, Session, Volume

ROOT = Path(__file__).parents[1]
SHAPE, VOXEL_UM = (28, 256, 256), (0.7, 0.11, 0.11)
FINE = 4
"""Sub-slices of a slice, and of a pixel half as many."""
PHOTONS = {"good": 60.0, "fair": 25.0, "poor": 10.0}
ANY_LIGHT = (8.0, 80.0)
TEST_SEED, TEACHING_SEED = 77, 4242
WAVELENGTH_UM, INDEX = 0.92, 1.33


@dataclass(frozen=True)
class Scene:
    """density and labels on the fine grid, one truth row per spine."""

    density: FloatArray
    labels: np.ndarray
    rows: list[dict[str, object]]


class Painter:
    """Balls and boxes on a fine grid; the brightest wins."""

    def __init__(self) -> None:
        self.step = np.array([VOXEL_UM[0] / FINE, VOXEL_UM[1] / 2, VOXEL_UM[2] / 2])
        self.shape = (SHAPE[0] * FINE, SHAPE[1] * 2, SHAPE[2] * 2)
        self.origin = -(np.array([FINE, 2, 2]) - 1) / 2 * self.step
        self.density = np.zeros(self.shape, np.float32)
        self.labels = np.zeros(self.shape, np.uint16)

    def fill(self, centre: FloatArray, reach: float, inside, level: float, label: int) -> float:
        """Paint where `inside(z, y, x)` of offsets in um is true; returns the volume, um3."""
        low = np.floor((centre - reach - self.origin) / self.step).astype(int)
        high = np.ceil((centre + reach - self.origin) / self.step).astype(int) + 1
        low, high = np.maximum(low, 0), np.minimum(high, self.shape)
        if np.any(high <= low):
            return 0.0
        window = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        axes = [
            np.arange(a, b) * d + o - c
            for a, b, d, o, c in zip(low, high, self.step, self.origin, centre, strict=True)
        ]
        hit = inside(axes[0][:, None, None], axes[1][None, :, None], axes[2][None, None])
        np.maximum(self.density[window], hit * np.float32(level), out=self.density[window])
        part = self.labels[window]
        free = (part != 1) if label > 1 else np.ones(part.shape, bool)
        part[hit & free & (label > 0)] = label
        return float(hit.sum() * np.prod(self.step))

    def ball(self, centre: FloatArray, radius: float, level: float, label: int) -> None:
        r2 = radius**2
        self.fill(centre, radius, lambda z, y, x: z**2 + y**2 + x**2 <= r2, level, label)


def paint_head(
    paint: Painter, rng: np.random.Generator, at: PlacedSpine, spine: SpineShape, label: int
) -> tuple[FloatArray, float, float]:
    """A blunt box or a lump of balls of the drawn volume; its centroid, volume and width."""
    volume = spine.head_volume_um3
    level = spine.brightness
    if rng.random() < 0.5:
        # |a|^4 + |b|^4 + |c|^4 <= 1 holds 6.48 half-axes cubed
        h = (volume / 6.48) ** (1 / 3)
        turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]

        def box(z, y, x):
            return sum(((z * t[0] + y * t[1] + x * t[2]) / h) ** 4 for t in turn) <= 1

        paint.fill(at.centre, 1.8 * h, box, level, label)
        return at.centre, volume, 2 * (3 * volume / (4 * np.pi)) ** (1 / 3)
    n = int(rng.integers(3, 6))
    r0 = (3 * volume / (4 * np.pi)) ** (1 / 3)
    spots = rng.normal(0, 0.45 * r0, (n, 3))
    spots -= spots.mean(axis=0)
    radii = rng.uniform(0.6, 0.85, n) * r0

    def lump(z, y, x):
        hit = False
        for s, r in zip(spots, radii, strict=True):
            hit = hit | ((z - s[0]) ** 2 + (y - s[1]) ** 2 + (x - s[2]) ** 2 <= r**2)
        return hit

    true = paint.fill(at.centre, 3 * r0, lump, level, label)
    return at.centre, true, 2 * (3 * true / (4 * np.pi)) ** (1 / 3)


def paint_dendrite(paint: Painter, dendrite: Dendrite) -> None:
    for a, b, r, q in zip(
        dendrite.points_um[:-1],
        dendrite.points_um[1:],
        dendrite.radius_um[:-1],
        dendrite.radius_um[1:],
        strict=True,
    ):
        for h in (0.0, 0.25, 0.5, 0.75):
            paint.ball(a + h * (b - a), r + h * (q - r), dendrite.brightness, 1)


def scene_of(rng: np.random.Generator, morphology: MorphologyConfig) -> DrawnScene:
    extent = (np.array(SHAPE) - 1) * np.array(VOXEL_UM)
    return draw_scene(rng, morphology, extent, int(rng.integers(1, 3)))


def draw(rng: np.random.Generator, morphology: MorphologyConfig) -> Scene:
    extent = (np.array(SHAPE) - 1) * np.array(VOXEL_UM)
    scene = scene_of(rng, morphology)
    paint = Painter()
    for a, b, radius, level in scene.clutter.capsules:
        n = max(int(np.linalg.norm(b - a) / 0.1), 1)
        for h in np.linspace(0, 1, n + 1):
            paint.ball(a + h * (b - a), max(radius, 0.1), level, 0)
    for centre, radii, level in scene.clutter.balls:
        paint.ball(centre, float(np.prod(radii) ** (1 / 3)), level, 0)
    rows, label = [], 2
    for dendrite in scene.dendrites:
        for spine in dendrite.spines:
            at = place(dendrite, spine)
            neck = max(spine.neck_radius_um, 0.08)
            for a, b in ((at.base, at.bend), (at.bend, at.neck_end)):
                for h in np.linspace(0, 1, 12):
                    paint.ball(a + h * (b - a), neck, spine.brightness, label)
            if spine.kind == "filopodium":
                centre, volume, width = at.centre, spine.head_volume_um3, spine.head_width_um
                paint.ball(centre, neck, spine.brightness, label)
            else:
                centre, volume, width = paint_head(paint, rng, at, spine, label)
            inside = bool(np.all((centre > 1) & (centre < extent - 1)))
            beside = np.array([2.0, 0.6, 0.6])  # found at the border, they are no false alarms
            if np.all((centre >= -beside) & (centre <= extent + beside)):
                rows.append(
                    {
                        "spine_id": label,
                        "label": label,
                        **{f"{c}_um": v for c, v in zip("zyx", centre, strict=True)},
                        **{f"base_{c}_um": v for c, v in zip("zyx", at.base, strict=True)},
                        "head_width_um": width,
                        "head_volume_um3": volume,
                        "kind": spine.kind,
                        "scorable": inside and is_beside_shaft(dendrite, at),
                        "point": "head",
                        "planted": -1,
                    }
                )
            label += 1
    for dendrite in scene.dendrites:
        paint_dendrite(paint, dendrite)
    return Scene(paint.density, paint.labels, rows)


def coarse(fine: np.ndarray) -> np.ndarray:
    """(Z, Y, X, 4, 2, 2) of a fine grid, by the stack's voxels."""
    z, y, x = (n // f for n, f in zip(fine.shape, (FINE, 2, 2), strict=True))
    return fine.reshape(z, FINE, y, 2, x, 2).transpose(0, 2, 4, 1, 3, 5)


def seen(scene: Scene, psf: FloatArray) -> np.ndarray:
    """(Z, Y, X) labels of the stack: shafts where they cover half a pixel in a sub-slice, spines
    where their own light, through this beam, is at least half of its brightest."""
    shaft = ((coarse(scene.labels) == 1).sum(axis=(4, 5)) >= 2).any(axis=3)
    out = shaft.astype(np.uint16)
    brightest = np.zeros(SHAPE, np.float32)
    for label, window in enumerate(ndimage.find_objects(scene.labels.astype(np.int32)), start=1):
        if window is None or label == 1:
            continue
        voxels = tuple(
            slice(max(w.start // f - n, 0), min(-(-w.stop // f) + n, size))
            for w, f, n, size in zip(window, (FINE, 2, 2), (4, 5, 5), SHAPE, strict=True)
        )
        fine = tuple(
            slice(v.start * f, v.stop * f) for v, f in zip(voxels, (FINE, 2, 2), strict=True)
        )
        own = scene.density[fine] * (scene.labels[fine] == label)
        light = coarse(fftconvolve(own, psf, "same")).mean(axis=(3, 4, 5))
        mine = (light >= HALF * light.max()) & (light > brightest[voxels]) & ~shaft[voxels]
        out[voxels][mine] = label
        brightest[voxels][mine] = light[mine]
    return out


def beam(numerical_aperture: float) -> FloatArray:
    """Squared intensity of a focused Gaussian beam on the fine grid, sum 1 (Siegman 1986, 17.1):
    I(r, z) = (w0 / w)^2 exp(-2 r^2 / w^2), w^2 = w0^2 (1 + (z / zR)^2)."""
    w0 = 0.51 * WAVELENGTH_UM / numerical_aperture
    rayleigh = np.pi * w0**2 * INDEX / WAVELENGTH_UM
    step = np.array([VOXEL_UM[0] / FINE, VOXEL_UM[1] / 2, VOXEL_UM[2] / 2])
    z, y, x = (np.arange(-n, n + 1) * d for n, d in zip((24, 40, 40), step, strict=True))
    w2 = w0**2 * (1 + (z / rayleigh) ** 2)[:, None, None]
    r2 = y[None, :, None] ** 2 + x[None, None] ** 2
    psf = ((w0**2 / w2) * np.exp(-2 * r2 / w2)) ** 2
    return psf / psf.sum()


def image(rng: np.random.Generator, scene: Scene, photons: float) -> tuple[np.ndarray, np.ndarray]:
    """The stack, and its labels."""
    psf = beam(rng.uniform(0.75, 0.95)).astype(np.float32)
    labels = seen(scene, psf)
    light = coarse(fftconvolve(scene.density, psf, "same")).mean(axis=(3, 4, 5))
    peak = float(np.percentile(light[labels == 1], 98))
    mean = np.clip(light, 0, None) * photons / peak + rng.uniform(0.05, 0.5)
    noise = rng.poisson(mean) - mean + rng.normal(0, 0.4, mean.shape)
    blurred = ndimage.gaussian_filter(noise, (0, 0.5, 0.5))
    noise = blurred * (noise.std() / blurred.std())
    bands = ndimage.gaussian_filter1d(rng.normal(0, 1, mean.shape[:2]), 2, axis=1)
    counts = mean * (1 + 0.1 * bands[..., None]) + noise
    return np.clip(np.rint(counts * 40 + 200), 0, 65535).astype(np.uint16), labels


def least_volume_error(n: int) -> float:
    """Median error of the volumes of heads over 0.5 um, told from all their light and nothing but
    it: they are as bright as the mean dendrite, and are compared with their own."""
    scenes = [scene_of(np.random.default_rng([TEST_SEED, k]), MorphologyConfig()) for k in range(n)]
    ratios = [
        spine.brightness / dendrite.brightness
        for scene in scenes
        for dendrite in scene.dendrites
        for spine in dendrite.spines
        if spine.head_width_um > 0.5
    ]
    return float(np.median(np.abs(np.array(ratios) - 1)))


def write(folder: Path, n: int, seed: int, photons: float | None) -> None:
    """Stacks of so much light, or of any, and their truth."""
    rows, spines = [], []
    for k in range(n):
        rng = np.random.default_rng([seed, k])
        scene = draw(rng, MorphologyConfig())
        session = Session(f"v{k}", f"v{k}", 0)
        light = float(np.exp(rng.uniform(*np.log(ANY_LIGHT)))) if photons is None else photons
        stack, labels = image(rng, scene, light)
        path = write_volume(folder / f"{session.name}.ome.tif", Volume(stack, VOXEL_UM, session))
        write_stack(folder / "labels" / f"{session.name}.ome.tif", labels, VOXEL_UM)
        who = {"animal": session.animal, "region": session.region, "session": 0, "day": 0.0}
        rows.append({**who, "path": path.name})
        spines += [{**who, **row} for row in scene.rows]
    write_table(folder, SESSIONS, SESSIONS.frame(rows))
    write_table(folder, TRUE_SPINES, TRUE_SPINES.frame(spines))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stacks", type=int, default=8)
    parser.add_argument("--weights", default="default")
    parser.add_argument("--views", default="1")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "variant")
    parser.add_argument("--draw", type=Path)
    args = parser.parse_args()
    if args.draw:
        args.draw.mkdir(parents=True)
        write(args.draw, args.stacks, TEACHING_SEED, None)
        return
    tables = {}
    for snr in PHOTONS:
        data, results = args.out / snr / "data", args.out / snr / "results"
        data.mkdir(parents=True, exist_ok=True)
        write(data, args.stacks, TEST_SEED, PHOTONS[snr])
        command = [sys.executable, ROOT / "infer.py", data / "sessions.csv", "--out", results]
        command += ["--weights.segment", args.weights, "--segment.views", args.views]
        subprocess.run([*command, "--quiet"], check=True)
        tables[snr] = evaluate(data, results).set_index(["figure", "stratum"])
    joined = pd.concat({s: t["value"] for s, t in tables.items()}, axis=1)
    names = joined.index.get_level_values("figure")
    joined = joined[~names.str.contains("links")]
    print("| figure | of | " + " | ".join(joined.columns) + " |")
    print("|---|---|" + "---|" * len(joined.columns))
    for (figure, stratum), row in joined.iterrows():
        print(f"| {figure} | {stratum} | " + " | ".join(f"{v:.3f}" for v in row) + " |")
    least = least_volume_error(args.stacks)
    print(f"\nhead volume error that light alone leaves, heads over 0.5 um: {least:.3f}")
    content = {
        s: [{"figure": f, "of": o, **row} for (f, o), row in t.iterrows()]
        for s, t in tables.items()
    }
    path = ROOT / "benchmarks" / "variant.json"
    kept = json.loads(path.read_text()) if path.exists() else {}
    kept[args.weights + (f", {args.views} views" if args.views != "1" else "")] = content
    path.write_text(json.dumps(kept, indent=1, default=float) + "\n")


if __name__ == "__main__":
    main()
