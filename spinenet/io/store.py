"""Finished stacks kept beside the results, so that a run that was killed goes on where it was.

A stack's folder is named by what it was made from, so that another name or number of its session
changes nothing. It appears whole (renamed into place) and holds two fingerprints: of all that the
net's answer was made from, and of all that was made from that besides (thresholds, how dendrites
are found). Another input, net or version is done again; other thresholds take the net's answer from
here.
"""

from __future__ import annotations

import errno
import os
import shutil
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from spinenet.io.damage import TORN_ARRAY
from spinenet.match.align import Thumb
from spinenet.segment.predict import Prediction
from spinenet.types import Dendrites, InputError, Segment, Segmentation

MAPS = ("shaft", "spines", "shaft_probability", "spine_probability", "centre_probability")
VOTES = ("voters", "votes_um")
OF_NET, OF_ALL = "fingerprint_net", "fingerprint"
MOST_FILES = 65536


def save_stack(
    folder: Path,
    marks: tuple[str, str],
    prediction: Prediction,
    segmentation: Segmentation,
    dendrites: Dendrites,
    thumb: Thumb,
) -> None:
    """Keep what was found in one stack.

    Parameters
    ----------
    marks: fingerprints of what the net's answer was made from, and of all
    """
    with _published_folder(folder) as aside:
        for name in MAPS:
            np.save(aside / f"{name}.npy", getattr(segmentation, name))
        for name in VOTES:
            np.save(aside / f"{name}.npy", getattr(prediction, name))
        small: dict[str, Any] = {
            "centres_um": segmentation.centres_um,
            "probability": segmentation.probability,
            "voxel_size_um": segmentation.voxel_size_um,
            "thumb": thumb.picture,
            "thumb_shaft": thumb.shaft,
            "thumb_step_um": thumb.step_um,
            "thumb_origin_um": thumb.origin_um,
            "n_dendrites": len(dendrites),
        }
        for s in dendrites.segments:
            small[f"dendrite{s.id}"] = np.c_[s.points_um, s.radius_um, s.arc_length_um]
        np.savez(aside / "small.npz", **small)
        for name, mark in zip((OF_NET, OF_ALL), marks, strict=True):
            (aside / name).write_text(mark)


@contextmanager
def _published_folder(folder: Path) -> Iterator[Path]:
    """A temporary folder beside `folder` to write to; in its place if the block succeeds, and gone
    if not: a full disk keeps no half of it."""
    aside = folder.with_name(f".{uuid.uuid4().hex}.tmp")
    aside.mkdir(parents=True)
    try:
        yield aside
        for file in aside.iterdir():  # a name must not outlive its content when the power goes
            with file.open("rb+") as written:
                os.fsync(written.fileno())
        if folder.exists():
            shutil.rmtree(folder)
        os.replace(aside, folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def allow_open_maps() -> None:
    """Every kept stack is some files that stay open, and many systems allow 256 at first."""
    if sys.platform != "win32":
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        most = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))


def forget_other_stacks(store: Path, kept: set[Path]) -> None:
    """Remove all but these."""
    for folder in store.iterdir():
        if folder not in kept:
            shutil.rmtree(folder, ignore_errors=True)


def load_stack(folder: Path, mark: str) -> tuple[Segmentation, Dendrites, Thumb] | None:
    """What is kept of a stack, maps memory-mapped; None if it was made from something else, or is
    damaged."""
    try:
        return _load(folder) if (folder / OF_ALL).read_text() == mark else None
    except TORN_ARRAY as error:
        _raise_if_too_many(error)
        return None


def _raise_if_too_many(error: BaseException) -> None:
    """Too many open files are no damage: what is kept is whole."""
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
        raise InputError(
            "this system lets a program open fewer files than so many stacks need. Raise the "
            "limit (ulimit -n 4096) and give the same command again; stacks are not segmented "
            "anew."
        ) from error


def load_prediction(folder: Path, mark: str) -> Prediction | None:
    """The net's answer as it was kept; None if it was made from something else, or is damaged.

    Parameters
    ----------
    mark: fingerprint of what the net's answer is made from
    """
    try:
        if (folder / OF_NET).read_text() != mark:
            return None
        # in memory: the folder that they lie in is about to be replaced
        shaft, spine, centre, voters, votes_um = (
            np.load(folder / f"{name}.npy") for name in (*MAPS[2:], *VOTES)
        )
        with (folder / "small.npz").open("rb") as file, np.load(file) as small:
            z, y, x = map(float, small["voxel_size_um"])
        return Prediction(shaft, spine, centre, voters, votes_um, (z, y, x))
    except TORN_ARRAY as error:
        _raise_if_too_many(error)
        return None


def _load(folder: Path) -> tuple[Segmentation, Dendrites, Thumb]:
    maps = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in MAPS}
    with (folder / "small.npz").open("rb") as file, np.load(file) as small:
        z, y, x = map(float, small["voxel_size_um"])
        segmentation = Segmentation(
            **maps,
            centres_um=small["centres_um"],
            probability=small["probability"],
            voxel_size_um=(z, y, x),
        )
        tables = [small[f"dendrite{i}"] for i in range(int(small["n_dendrites"]))]
        thumb = Thumb(
            small["thumb"], small["thumb_shaft"], small["thumb_step_um"], small["thumb_origin_um"]
        )
    segments = [Segment(i, t[:, :3], t[:, 3], t[:, 4]) for i, t in enumerate(tables)]
    return segmentation, Dendrites(tuple(segments)), thumb
