"""Files that are not one whole stack, and open all the same."""

import struct

import numpy as np
import pytest
import tifffile

from spinenet.io.read import read_volume
from spinenet.io.sessions import StackFile
from spinenet.types import InputError, Session

OME = {"axes": "ZYX", "PhysicalSizeZ": 0.8, "PhysicalSizeY": 0.12, "PhysicalSizeX": 0.1}


def read(path, voxel=None, channel=""):
    return read_volume(StackFile(Session("m", "r", 0), path, voxel, channel))


def written_behind(path, planes):
    """Each directory stands behind the data of its page, as libtiff leaves it."""
    out = bytearray(struct.pack("<2sHI", b"II", 42, 0))
    link = 4
    for plane in planes:
        data_at = len(out)
        out += plane.astype("<u2").tobytes()
        directory = len(out)
        out[link : link + 4] = struct.pack("<I", directory)
        high, wide = plane.shape
        tags = [
            (256, 4, wide), (257, 4, high), (258, 3, 16), (259, 3, 1), (262, 3, 1),
            (273, 4, data_at), (277, 3, 1), (278, 4, high), (279, 4, plane.size * 2),
        ]  # fmt: skip
        out += struct.pack("<H", len(tags))
        for code, kind, value in tags:
            out += struct.pack("<HHII", code, kind, 1, value)
        link = len(out)
        out += struct.pack("<I", 0)
    path.write_bytes(out)
    return path


def test_a_stack_cut_within_a_plane_is_no_shorter_stack(tmp_path):
    stack = np.random.default_rng(0).integers(0, 999, (12, 32, 32))
    whole = written_behind(tmp_path / "whole.tif", stack)
    size = (1.0, 0.1, 0.1)
    assert np.array_equal(read(whole, size).data, stack)
    cut = tmp_path / "cut.tif"
    for share in (0.45, 0.62, 0.9):
        cut.write_bytes(whole.read_bytes()[: int(share * whole.stat().st_size)])
        with pytest.raises(InputError, match="cut.tif ends within a plane: .* planes are whole"):
            read(cut, size)


def test_stacks_of_unlike_lengths_in_one_file_are_refused(tmp_path):
    with tifffile.TiffWriter(tmp_path / "two.ome.tif", ome=True) as writer:
        for n in (10, 20):
            writer.write(np.ones((n, 24, 32), np.uint16), metadata=OME)
    with pytest.raises(InputError, match="holds 2 images"):
        read(tmp_path / "two.ome.tif")


def test_a_channel_is_called_by_its_name_whatever_its_letters(tmp_path):
    data = np.random.default_rng(0).integers(0, 9, (2, 6, 24, 32)).astype(np.uint16)
    named = OME | {"axes": "CZYX", "Channel": {"Name": ["A&B <1>", "red"]}}
    tifffile.imwrite(tmp_path / "a.ome.tif", data, ome=True, metadata=named)
    found = read(tmp_path / "a.ome.tif", channel="A&B <1>")
    assert np.array_equal(found.data, data[0])
