"""ScanImage writes slices, channels, frames and volumes as one row of pages."""

import struct

import numpy as np
import pytest
import tifffile

from spinenet.io.read import read_volume
from spinenet.io.sessions import StackFile
from spinenet.types import InputError, Session

SLICES, SIDE = 10, 64
FIELD = "[-3.2 -3.2;3.2 -3.2;3.2 3.2;-3.2 3.2]"
"""Corners, um: 6.4 um, so 0.1 um a pixel."""


def planes(n):
    """Plane k is about 100 * k bright."""
    rng = np.random.default_rng(0)
    return [rng.integers(0, 50, (SIDE, SIDE)) + 100 * k for k in range(n)]


def settings(**more):
    said = {
        "SI.hChannels.channelSave": "1",
        "SI.hStackManager.framesPerSlice": "1",
        "SI.hStackManager.actualNumSlices": SLICES,
        "SI.hStackManager.actualStackZStepSize": 0.8,
        "SI.hRoiManager.imagingFovUm": FIELD,
    }
    return "".join(f"{k} = {v}\n" for k, v in (said | more).items())


def scanimage(path, pages, said):
    """A BigTIFF with the settings at its head, as versions from 2016 on write it."""
    text = b"SI.VERSION_MAJOR = 2020\n" + said.encode() + b"\0"
    out = bytearray(struct.pack("<2sHHHQ", b"II", 43, 8, 0, 0))
    out += struct.pack("<IIII", 0x07030301, 4, len(text), 3) + text + b"{}\0"
    text_at, link = 32, 8
    for page in pages:
        out += b"\0" * (-len(out) % 8)
        data_at = len(out)
        out += page.astype("<i2").tobytes()
        directory = len(out)
        out[link : link + 8] = struct.pack("<Q", directory)
        tags = [
            (256, 4, 1, SIDE),
            (257, 4, 1, SIDE),
            (258, 3, 1, 16),
            (259, 3, 1, 1),
            (262, 3, 1, 1),
            (273, 16, 1, data_at),
            (277, 3, 1, 1),
            (278, 4, 1, SIDE),
            (279, 16, 1, page.size * 2),
            (305, 2, len(text), text_at),
            (339, 3, 1, 2),
        ]
        out += struct.pack("<Q", len(tags))
        for code, kind, n, value in tags:
            out += struct.pack("<HHQQ", code, kind, n, value)
        link = len(out)
        out += struct.pack("<Q", 0)
    path.write_bytes(out)
    return path


def tagged(path, pages, **said):
    """A TIFF written page by page, as older versions and other programs leave it."""
    with tifffile.TiffWriter(path) as writer:
        for page in pages:
            writer.write(page.astype(np.int16), metadata=None, contiguous=False, **said)
    return path


def read(path, channel="", voxel_um=None):
    return read_volume(StackFile(Session("m", "r", 0), path, voxel_um, channel))


def test_one_stack_with_its_voxels(tmp_path):
    volume = read(scanimage(tmp_path / "a.tif", planes(SLICES), settings()))
    assert volume.data.shape == (SLICES, SIDE, SIDE)
    assert volume.voxel_size_um == pytest.approx((0.8, 0.1, 0.1))


def test_one_of_two_channels(tmp_path):
    two = settings(**{"SI.hChannels.channelSave": "[1;2]"})
    volume = read(scanimage(tmp_path / "a.tif", planes(2 * SLICES), two), channel="1")
    assert volume.data.mean(axis=(1, 2)) // 100 == pytest.approx(np.arange(1, 2 * SLICES, 2))


def test_frames_averaged_before_they_were_saved_are_one(tmp_path):
    averaged = {"SI.hStackManager.framesPerSlice": "4", "SI.hScan2D.logAverageFactor": "4"}
    path = scanimage(tmp_path / "a.tif", planes(SLICES), settings(**averaged))
    assert len(read(path, voxel_um=(0.8, 0.1, 0.1)).data) == SLICES


@pytest.mark.parametrize(
    ("n", "complaint"),
    [
        (5 * SLICES, "50 planes where ScanImage's settings have 10 .* several volumes"),
        (3 * (SLICES + 2), "36 planes .* flyback frames"),
        (6, "cut short: ScanImage's settings have 10 planes"),
    ],
)
def test_several_volumes_flyback_and_a_part_are_no_stack(tmp_path, n, complaint):
    path = scanimage(tmp_path / "a.tif", planes(n), settings())
    with pytest.raises(InputError, match=complaint):
        read(path)


@pytest.mark.parametrize(
    "said",
    [
        {"software": settings(**{"SI.hChannels.channelSave": "[1;2]"})},
        {"description": "state.acq.numberOfChannelsSave=2\rstate.acq.numberOfZSlices=10\r"},
    ],
    ids=["tag Software alone", "version 3.8"],
)
def test_channels_told_in_the_tags_alone(tmp_path, said):
    """All pages: of evenly spaced ones tifffile leaves out the last."""
    path = tagged(tmp_path / "a.tif", planes(2 * SLICES), **said)
    volume = read(path, channel="1", voxel_um=(0.8, 0.1, 0.1))
    assert volume.data.mean(axis=(1, 2)) // 100 == pytest.approx(np.arange(1, 2 * SLICES, 2))


def test_settings_in_a_tag_tell_the_voxels_too(tmp_path):
    volume = read(tagged(tmp_path / "a.tif", planes(SLICES), software=settings()))
    assert volume.data.shape == (SLICES, SIDE, SIDE)
    assert volume.voxel_size_um == pytest.approx((0.8, 0.1, 0.1))
    blank = {"SI.hStackManager.actualStackZStepSize": "[]", "SI.hRoiManager.imagingFovUm": "[]"}
    path = tagged(tmp_path / "b.tif", planes(SLICES), software=settings(**blank))
    with pytest.raises(InputError, match="does not say how large its voxels are"):
        read(path)


def test_one_plane_over_time_is_no_stack(tmp_path):
    """The slices that it names are those of a stack recorded before."""
    flat = {"SI.hStackManager.enable": "false", "SI.hStackManager.framesPerSlice": "Inf"}
    with pytest.raises(InputError, match="was not recorded as a stack"):
        read(scanimage(tmp_path / "a.tif", planes(SLICES), settings(**flat)))


def test_a_page_too_few_of_two_channels_is_a_part(tmp_path):
    two = settings(**{"SI.hChannels.channelSave": "[1;2]"})
    with pytest.raises(InputError, match="cut short"):
        read(scanimage(tmp_path / "a.tif", planes(2 * SLICES - 1), two), channel="1")


@pytest.mark.parametrize("degrees", [0, 30, 45, 90])
def test_a_field_that_was_turned_keeps_the_size_of_its_pixels(tmp_path, degrees):
    """6.4 um of 64 pixels each way, corners in order around the field."""
    corners = np.array([[-3.2, -3.2], [3.2, -3.2], [3.2, 3.2], [-3.2, 3.2]])
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    field = ";".join(f"{x:.6f} {y:.6f}" for x, y in corners @ [[c, s], [-s, c]])
    said = settings(**{"SI.hRoiManager.imagingFovUm": f"[{field}]"})
    path = scanimage(tmp_path / "a.tif", planes(SLICES), said)
    volume = read_volume(StackFile(Session("a", "r", 0), path))
    assert volume.voxel_size_um == pytest.approx((0.8, 0.1, 0.1), rel=1e-5)


def test_planes_at_uneven_depths_are_refused(tmp_path):
    uneven = settings(**{"SI.hStackManager.zs": "[0 .5 1 1.5 2 4 6 8 9 10]"})
    path = scanimage(tmp_path / "a.tif", planes(SLICES), uneven)
    with pytest.raises(InputError, match="planes lie 0.5 to 2 um apart"):
        read_volume(StackFile(Session("a", "r", 0), path))
    down = settings(**{"SI.hStackManager.zs": "[0 -.4 -.8 -1.2 -1.6 -2 -2.4 -2.8 -3.2 -3.6]"})
    path = scanimage(tmp_path / "b.tif", planes(SLICES), down)
    assert read_volume(StackFile(Session("a", "r", 0), path)).voxel_size_um[0] == pytest.approx(0.4)


def test_strips_of_several_regions_of_interest_are_refused(tmp_path):
    strips = settings(**{"SI.hRoiManager.mroiEnable": "1", "SI.hRoiManager.imagingFovUm": "[]"})
    path = scanimage(tmp_path / "a.tif", planes(SLICES), strips)
    with pytest.raises(InputError, match="several regions of interest in each frame"):
        read_volume(StackFile(Session("a", "r", 0), path, (1.0, 0.1, 0.1)))
