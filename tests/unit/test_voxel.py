"""How large voxels are, as files say it in their many ways; never a guess."""

import pytest
import tifffile

from spinenet.io.read import read_volume
from spinenet.io.sessions import StackFile
from spinenet.types import InputError, Session

OME = {"axes": "ZYX", "PhysicalSizeZ": 0.8, "PhysicalSizeY": 0.12, "PhysicalSizeX": 0.1}


def read(path, voxel=None):
    return read_volume(StackFile(Session("m", "r", 0), path, voxel, ""))


def test_imagej_does_not_say_that_slices_are_one_apart(write_tif):
    """It leaves out a distance of exactly 1, and one that nobody set."""
    said = {"axes": "ZYX", "unit": "um"}
    path = write_tif(imagej=True, resolution=(10, 10), metadata=said)
    with pytest.raises(InputError, match="leaves out a distance of slices that is exactly 1"):
        read(path)
    assert read(path, (1.0, 0.1, 0.1)).voxel_size_um[0] == 1


def test_imagej_may_count_slices_in_another_unit(write_tif):
    said = {"axes": "ZYX", "unit": "um", "zunit": "nm", "spacing": 1}
    with pytest.raises(InputError, match="does not say how large its voxels are"):
        read(write_tif(imagej=True, resolution=(10, 10), metadata=said))


@pytest.mark.parametrize("unit", ["micrometers", "micrometre", "\\u00B5m"])
def test_imagej_may_write_the_unit_out(write_tif, unit):
    said = {"axes": "ZYX", "unit": unit, "spacing": 0.8}
    path = write_tif(imagej=True, resolution=(1 / 0.1, 1 / 0.12), metadata=said)
    assert read(path).voxel_size_um == pytest.approx((0.8, 0.12, 0.1), rel=1e-3)


def test_pixels_that_nobody_set_are_not_one_um_wide(write_tif):
    """What tifffile and ImageJ write where no resolution was given."""
    said = {"axes": "ZYX", "unit": "um", "spacing": 0.5}
    with pytest.raises(InputError, match="writes pixels of exactly 1, where none was ever set"):
        read(write_tif(imagej=True, metadata=said))


@pytest.mark.parametrize("micron", ["&#181;m", "&#xB5;m", "&#956;m", "micrometer"])
@pytest.mark.parametrize("quote", ['"', "'"])
def test_ome_as_xml_may_write_it(write_tif, micron, quote):
    path = write_tif("a.ome.tif", ome=True, metadata=OME)
    with tifffile.TiffFile(path) as tif:
        xml = tif.ome_metadata
    for axis in "ZYX":
        xml = xml.replace(
            f'PhysicalSize{axis}="', f'PhysicalSize{axis}Unit="{micron}" PhysicalSize{axis}="'
        )
    tifffile.tiffcomment(path, xml.replace('"', quote).encode())
    assert read(path).voxel_size_um == pytest.approx((0.8, 0.12, 0.1))


def test_an_ome_size_with_a_decimal_comma_is_named(write_tif):
    path = write_tif("a.ome.tif", ome=True, metadata=OME)
    with tifffile.TiffFile(path) as tif:
        xml = tif.ome_metadata
    tifffile.tiffcomment(path, xml.replace('SizeX="0.1"', 'SizeX="0,1"').encode())
    with pytest.raises(InputError, match="PhysicalSizeX as '0,1'; a number with a point was"):
        read(path)
