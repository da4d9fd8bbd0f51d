"""Memory that is freed stays with the process: a net asks for the same large blocks all the time.

glibc gives every large block back to the system, which zeroes it anew for the next layer; kept, a
net runs up to twice as fast on a CPU. Elsewhere nothing changes.
"""

from __future__ import annotations

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_KEEP_BYTES = 2**30


def give_back_memory() -> None:
    """Return what is kept to the system: the net has run, and other rooms need the memory."""
    if sys.platform.startswith("linux"):
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


def keep_freed_memory() -> None:
    """Tell the C library to keep freed blocks of up to 1 GiB, where it can be told."""
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    if mallopt is not None:
        for what in (_MMAP_THRESHOLD, _TRIM_THRESHOLD):
            mallopt(what, _KEEP_BYTES)
