"""Is a TIFF all there? What was cut short often opens without complaint, as a shorter stack."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import tifffile

from spinenet.types import InputError


def check_whole(tif: tifffile.TiffFile, series: Any, name: str) -> None:
    """A file cut between two planes opens without complaint; hold it to what it promised.

    Raises
    ------
    InputError
        If planes are missing.
    """
    promised = int((tif.imagej_metadata or {}).get("images", 0))
    planes = int(np.prod(series.shape[:-2])) if len(series.shape) > 2 else 1
    size = tif.filehandle.size
    # masks of one bit are smaller than what they unpack to
    uncompressed = all(
        p is None or (p.compression == 1 and p.bitspersample % 8 == 0) for p in series.pages[:1]
    )
    if promised > planes or (uncompressed and series.nbytes > size):
        raise InputError(
            f"{name} promises {max(promised, planes)} planes but is cut short ({size} bytes). The "
            "acquisition or a copy was interrupted; copy the file again."
        )
    if _is_torn(tif):
        raise InputError(
            f"{name} ends within a plane: {len(tif.pages)} planes are whole, and another one was "
            "to follow. The acquisition or a copy was interrupted; copy the file again."
        )
    if _ends_in_nothing(tif, series):
        raise InputError(
            f"{name} ends in a long run of zeros after {planes} planes: a copy that was "
            "interrupted after its space had been set aside. Copy the file again."
        )


def _is_torn(tif: tifffile.TiffFile) -> bool:
    """Whether the last page names another one that is not there: a directory that stands behind the
    data of its page is what a cut takes first, and what is before it reads as a shorter stack."""
    kind, file = tif.tiff, tif.filehandle

    def number(at: int, size: int, form: str) -> int | None:
        file.seek(at)
        found = file.read(size)
        return int(struct.unpack(form, found)[0]) if len(found) == size else None

    def tags_end(page: int) -> int | None:
        n = number(page, kind.tagnosize, kind.tagnoformat)
        return None if n is None else page + kind.tagnosize + n * kind.tagsize

    end = tags_end(tif.pages[-1].offset)
    after = None if end is None else number(end, kind.offsetsize, kind.offsetformat)
    if not after:
        return end is None or after is None
    end = tags_end(after)
    return end is None or number(end, kind.offsetsize, kind.offsetformat) is None


def _ends_in_nothing(tif: tifffile.TiffFile, series: Any) -> bool:
    """Whether a plane's worth of zeros follows all that the file speaks of."""
    written = [page for page in tif.pages if page.dataoffsets]
    ends = [page.dataoffsets[-1] + page.databytecounts[-1] for page in written]
    if series.dataoffset is not None:
        ends.append(series.dataoffset + series.nbytes)
    plane = min((sum(page.databytecounts) for page in written), default=0)
    if plane == 0 or tif.filehandle.size - max(ends) < plane:
        return False
    tif.filehandle.seek(-plane, 2)
    return not any(tif.filehandle.read(plane))
