"""What libraries raise when a file is torn or is of another kind."""

from __future__ import annotations

import struct
import zlib
from zipfile import BadZipFile

import tifffile

TORN_TIFF = (
    tifffile.TiffFileError,
    ValueError,
    TypeError,
    OSError,
    EOFError,
    RuntimeError,
    LookupError,
    ArithmeticError,
    AssertionError,
    struct.error,
    zlib.error,
)
"""Where a header is cut or bits are flipped, tifffile raises whatever its next step raises."""
TORN_ARRAY = (OSError, EOFError, ValueError, KeyError, BadZipFile)
"""Of NumPy's own files."""
