import contextlib

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from spinenet.io.read import check_header, read_volume
from spinenet.io.sessions import StackFile, find_stacks
from spinenet.io.voxel import check_voxel
from spinenet.types import InputError, Session

VOXEL = (0.8, 0.12, 0.1)
OME = {"axes": "ZYX", "PhysicalSizeZ": 0.8, "PhysicalSizeY": 0.12, "PhysicalSizeX": 0.1}
S = Session("m", "r", 0)


def read(path, voxel=None, channel=""):
    return read_volume(StackFile(S, path, voxel, channel))


def imagej(unit, scale):
    return {
        "imagej": True,
        "resolution": (scale / 0.1, scale / 0.12),
        "metadata": {"axes": "ZYX", "spacing": 0.8 / scale, "unit": unit},
    }


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
def test_ome(write_tif, dtype):
    path = write_tif("a.ome.tif", dtype=dtype, ome=True, metadata=OME)
    volume = read(path)
    assert volume.voxel_size_um == pytest.approx(VOXEL)
    assert volume.data.shape == (6, 24, 32)
    assert np.array_equal(volume.data, tifffile.imread(path))


def test_a_stack_scaled_to_one_is_no_constant(tmp_path):
    data = np.random.default_rng(0).random((6, 24, 32), np.float32)
    tifffile.imwrite(tmp_path / "a.tif", data, photometric="minisblack")
    assert np.array_equal(read(tmp_path / "a.tif", VOXEL).data, data)


def test_ome_in_nanometres(write_tif):
    units = {f"PhysicalSize{a}Unit": "nm" for a in "ZYX"}
    sizes = {"axes": "ZYX", "PhysicalSizeZ": 800.0, "PhysicalSizeY": 120.0, "PhysicalSizeX": 100.0}
    path = write_tif("a.ome.tif", ome=True, metadata={**sizes, **units})
    assert read(path).voxel_size_um == pytest.approx(VOXEL)


@pytest.mark.parametrize(
    ("unit", "scale"), [("micron", 1), ("um", 1), ("cm", 1e4), ("inch", 25400)]
)
def test_imagej_units(write_tif, unit, scale):
    assert read(write_tif(**imagej(unit, scale))).voxel_size_um == pytest.approx(VOXEL, rel=1e-3)


def test_plain_tiff_needs_the_table(write_tif):
    path = write_tif(photometric="minisblack")
    with pytest.raises(InputError, match="does not say how large its voxels are"):
        read(path)
    assert read(path, voxel=VOXEL).voxel_size_um == VOXEL


def test_bigtiff_and_one_page_at_a_time(write_tif, tmp_path):
    assert read(write_tif(bigtiff=True, photometric="minisblack"), VOXEL).data.shape == (6, 24, 32)
    path = tmp_path / "pages.tif"
    with tifffile.TiffWriter(path) as writer:
        for plane in np.random.default_rng(0).integers(0, 99, (5, 8, 9), dtype=np.uint8):
            writer.write(plane, contiguous=False, photometric="minisblack")
    assert read(path, VOXEL).data.shape == (5, 8, 9)


@pytest.mark.parametrize(
    ("axes", "shape", "where"), [("CZYX", (2, 6, 8, 9), 0), ("ZCYX", (6, 2, 8, 9), 1)]
)
def test_channels(write_tif, axes, shape, where):
    meta = {**OME, "axes": axes, "Channel": {"Name": ["red", "green"]}}
    path = write_tif("c.ome.tif", shape, ome=True, metadata=meta)
    raw = np.take(tifffile.imread(path), 1, axis=where)
    assert np.array_equal(read(path, channel="green").data, raw)
    assert np.array_equal(read(path, channel="1").data, raw)
    with pytest.raises(InputError, match="2 channels .red, green."):
        read(path)
    with pytest.raises(InputError, match="no channel 'blue'"):
        read(path, channel="blue")


def test_singleton_axes(write_tif):
    path = write_tif("t.ome.tif", (1, 6, 8, 9), ome=True, metadata={**OME, "axes": "TZYX"})
    assert read(path).data.shape == (6, 8, 9)


def faulty(write_tif, kind):
    if kind == "time":
        return write_tif("t.ome.tif", (3, 6, 8, 9), ome=True, metadata={**OME, "axes": "TZYX"})
    if kind == "rgb":
        return write_tif("r.tif", (6, 8, 9, 3), "uint8", photometric="rgb")
    if kind == "plane":
        return write_tif("p.tif", (8, 9), photometric="minisblack")
    if kind == "float64":
        return write_tif("f.tif", dtype="float64", photometric="minisblack")
    if kind == "text":
        path = write_tif()
        path.write_text("not an image")
        return path
    if kind == "cut":
        path = write_tif("cut.tif", (6, 64, 64), photometric="minisblack")
        path.write_bytes(path.read_bytes()[:-9000])
        return path
    path = write_tif("v.tif", dtype="float32", photometric="minisblack")
    data = tifffile.imread(path)
    data[2, 3, 4] = np.nan
    tifffile.imwrite(path, np.full_like(data, 7) if kind == "constant" else data)
    return path


def test_a_mask_of_one_bit_is_not_called_cut_short(tmp_path):
    path = tmp_path / "mask.ome.tif"
    meta = {"axes": "ZYX", "PhysicalSizeZ": 0.8, "PhysicalSizeY": 0.1, "PhysicalSizeX": 0.1}
    tifffile.imwrite(path, np.eye(40, dtype=bool)[None].repeat(16, 0), ome=True, metadata=meta)
    with pytest.raises(InputError, match="holds bool values"):
        read_volume(StackFile(Session("a", "r", 0), path))


@pytest.mark.parametrize(
    ("kind", "complaint"),
    [
        ("time", "time series of 3"),
        ("rgb", "colour"),
        ("plane", "single plane"),
        ("float64", "float64 values"),
        ("text", "cannot be read as a TIFF"),
        ("cut", "cut short"),
        ("nan", "NaN or infinite"),
        ("constant", "same value .7. in every voxel"),
    ],
)
def test_bad_stacks_say_what_is_wrong(write_tif, kind, complaint):
    with pytest.raises(InputError, match=complaint):
        read(faulty(write_tif, kind), VOXEL)


@pytest.mark.parametrize("voxel", [(0.8, 120, 100), (50, 0.1, 0.1)])
def test_absurd_voxels_are_refused(write_tif, voxel):
    with pytest.raises(InputError, match="cannot show spines"):
        read(write_tif(photometric="minisblack"), voxel)


def table(folder, *rows, head="animal,group,region,session,day,path"):
    (folder / "sessions.csv").write_text("\n".join([head, *rows]) + "\n")
    return folder / "sessions.csv"


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        ([], "no stacks"),
        (["m,,r,0,0,b.tif"], "line 2: the stack 'b.tif' is not there"),
        (["m,,r,0,,a.tif"], "day is blank"),
        (["m,,r,0,0,a.tif", "m,,r,0,1,a.tif"], "session 0 .* listed twice"),
        (["m,,r,0,4,a.tif", "m,,r,1,1,a.tif"], "Days must increase"),
        (["m,x,r,0,0,a.tif", "m,y,r,1,1,a.tif"], "in the groups 'x' and 'y'"),
        (["a b,,r,0,0,a.tif", "a/b,,r,0,1,a.tif"], "would write the same file"),
    ],
)
def test_bad_session_tables(write_tif, tmp_path, rows, complaint):
    write_tif()
    with pytest.raises(InputError, match=complaint):
        find_stacks(table(tmp_path, *rows))


def test_incomplete_voxel_columns(write_tif, tmp_path):
    write_tif()
    path = table(
        tmp_path, "m,,r,0,0,a.tif,1.0", head="animal,group,region,session,day,path,voxel_z_um"
    )
    with pytest.raises(InputError, match="1 of the three voxel sizes"):
        find_stacks(path)


def test_a_stack_that_does_not_fit_the_pattern_is_named(write_tif, tmp_path, caplog):
    write_tif("m1_day0.tif")
    write_tif("m1_Day2.tif")
    with caplog.at_level("WARNING"):
        assert len(find_stacks(tmp_path, pattern="{animal}_day{day}.tif")) == 1
    assert "1 of 2 stacks" in caplog.text
    assert "m1_Day2.tif" in caplog.text


@pytest.mark.parametrize(("word", "left"), [("0", 0), ("0.0", 0), ("No", 0), ("1.0", 1), ("", 1)])
def test_a_stack_can_be_left_out(write_tif, tmp_path, word, left):
    write_tif()
    head = "animal,group,region,session,day,path,usable"
    path = table(tmp_path, f"m,,r,0,0,a.tif,{word}", head=head)
    assert sum(s.usable for s in find_stacks(path)) == left


def test_single_stack_folder_and_pattern(write_tif, tmp_path):
    path = write_tif("m1_r1_day4.tif")
    write_tif("m1_r1_day0.5.tif")
    assert find_stacks(path)[0].session == Session("m1_r1_day4", "m1_r1_day4", 0)
    found = find_stacks(tmp_path, pattern="{animal}_{region}_day{day}.tif")
    assert [(s.session.animal, s.session.index, s.session.day) for s in found] == [
        ("m1", 0, 0.5),
        ("m1", 1, 4.0),
    ]
    with pytest.raises(InputError, match="no sessions.csv that says"):
        find_stacks(tmp_path)
    with pytest.raises(InputError, match="none of the 2 stacks .* fits"):
        find_stacks(tmp_path, pattern="{animal}-{day}.tif")
    with pytest.raises(InputError, match="no {day}"):
        find_stacks(tmp_path, pattern="{animal}.tif")
    with pytest.raises(InputError, match="it may name animal"):
        find_stacks(tmp_path, pattern="{mouse}_{day}.tif")
    with pytest.raises(InputError, match="was not found"):
        find_stacks(tmp_path / "none.tif")


def test_empty_folder(tmp_path):
    with pytest.raises(InputError, match=r"no .tif stacks"):
        find_stacks(tmp_path)


def test_a_channel_without_a_name_keeps_its_number(tmp_path):
    data = np.random.default_rng(0).integers(0, 99, (2, 6, 24, 32), np.uint16)
    path = tmp_path / "a.ome.tif"
    named = {**OME, "axes": "CZYX", "Channel": {"Name": ["", "B"]}}
    tifffile.imwrite(path, data, ome=True, metadata=named)
    text = tifffile.tiffcomment(path).replace(' Name=""', "")
    tifffile.tiffcomment(path, text.encode())
    assert text.count("<Channel ") == 2
    assert np.array_equal(read(path, channel="B").data, data[1])
    assert np.array_equal(read(path, channel="0").data, data[0])


@pytest.mark.parametrize("names", [["1", "2"], ["1", "1"]])
def test_a_channel_that_may_be_either_is_refused(write_tif, names):
    meta = {**OME, "axes": "CZYX", "Channel": {"Name": names}}
    path = write_tif("c.ome.tif", (2, 6, 8, 9), ome=True, metadata=meta)
    with pytest.raises(InputError, match="channel '1' may be number 0 or 1"):
        read(path, channel="1")


def test_a_channel_named_as_another_number_that_is_not_there(write_tif):
    meta = {**OME, "axes": "CZYX", "Channel": {"Name": ["1", "2"]}}
    path = write_tif("c.ome.tif", (2, 6, 8, 9), ome=True, metadata=meta)
    assert np.array_equal(read(path, channel="2").data, tifffile.imread(path)[1])


def test_imagej_labels_every_plane(write_tif):
    said = {"axes": "ZCYX", "unit": "um", "spacing": 0.8, "Labels": ["GFP", "RFP"] * 6}
    path = write_tif("h.tif", (6, 2, 24, 32), imagej=True, resolution=(10, 10), metadata=said)
    assert np.array_equal(read(path, channel="RFP").data, tifffile.imread(path)[:, 1])


def test_several_positions_in_one_file_are_refused(tmp_path):
    path = tmp_path / "two.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as writer:
        for _ in range(2):
            writer.write(np.zeros((6, 24, 32), np.uint16), metadata=OME)
    with pytest.raises(InputError, match="holds 2 images, the first of .6, 24, 32."):
        read(path)


def test_one_file_of_a_set_is_refused_as_that(tmp_path):
    """As some microscopes write: a file for each plane, and the set described in each of them."""
    whole = np.random.default_rng(0).integers(0, 99, (5, 24, 32), np.uint16)
    for z, plane in enumerate(whole):
        tifffile.imwrite(tmp_path / f"p{z}.ome.tif", plane, ome=True, metadata={"axes": "YX"})
    pages = "".join(
        f'<TiffData FirstZ="{z}" IFD="0" PlaneCount="1"><UUID FileName="p{z}.ome.tif">'
        f"urn:uuid:00000000-0000-0000-0000-00000000000{z}</UUID></TiffData>"
        for z in range(5)
    )
    xml = (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" '
        'UUID="urn:uuid:00000000-0000-0000-0000-000000000000"><Image ID="Image:0">'
        '<Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint16" SizeX="32" SizeY="24" '
        'SizeZ="5" SizeC="1" SizeT="1" PhysicalSizeX="0.1" PhysicalSizeY="0.1" '
        f'PhysicalSizeZ="1"><Channel ID="Channel:0:0"/>{pages}</Pixels></Image></OME>'
    )
    tifffile.tiffcomment(tmp_path / "p0.ome.tif", xml.encode())
    with pytest.raises(InputError, match="one of several files that hold a stack together"):
        read(tmp_path / "p0.ome.tif")


def test_positions_that_have_a_file_each_are_read_one_by_one(tmp_path):
    """Each file describes the whole set."""
    stacks = np.random.default_rng(0).integers(0, 99, (2, 6, 24, 32), np.uint16)
    images = "".join(
        f'<Image ID="Image:{k}"><Pixels ID="Pixels:{k}" DimensionOrder="XYZCT" Type="uint16" '
        'SizeX="32" SizeY="24" SizeZ="6" SizeC="1" SizeT="1" PhysicalSizeX="0.1" '
        'PhysicalSizeY="0.12" PhysicalSizeZ="0.8"><Channel ID="Channel:0:0"/>'
        f'<TiffData FirstZ="0" IFD="0" PlaneCount="6"><UUID FileName="pos{k}.ome.tif">'
        f"urn:uuid:00000000-0000-0000-0000-00000000000{k}</UUID></TiffData></Pixels></Image>"
        for k in range(2)
    )
    for k, stack in enumerate(stacks):
        path = tmp_path / f"pos{k}.ome.tif"
        tifffile.imwrite(path, stack, ome=True, metadata={"axes": "ZYX"})
        xml = (
            '<?xml version="1.0" encoding="UTF-8"?>'
            '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" '
            f'UUID="urn:uuid:00000000-0000-0000-0000-00000000000{k}">{images}</OME>'
        )
        tifffile.tiffcomment(path, xml.encode())
    for k, stack in enumerate(stacks):
        assert np.array_equal(read(tmp_path / f"pos{k}.ome.tif").data, stack)


def test_a_size_that_is_not_the_files_own_is_used_with_a_word(write_tif, caplog):
    path = write_tif("a.ome.tif", ome=True, metadata=OME)
    caplog.set_level("WARNING")
    assert read(path, voxel=VOXEL).voxel_size_um == VOXEL
    assert not caplog.text
    assert read(path, voxel=(1.0, 0.3, 0.3)).voxel_size_um == (1.0, 0.3, 0.3)
    assert "the file itself says 0.8 x 0.12 x 0.1 um" in caplog.text


def test_a_header_is_checked_without_its_voxels(write_tif):
    path = write_tif("a.ome.tif", ome=True, metadata=OME)
    check_header(StackFile(S, path))
    with pytest.raises(InputError, match="asks for channel 'red'"):
        check_header(StackFile(S, path, channel="red"))


@settings(max_examples=60)
@given(share=st.floats(0.0, 0.999), flips=st.lists(st.floats(0.0, 0.999), max_size=4))
@pytest.mark.filterwarnings("ignore")
def test_a_torn_file_is_read_or_refused_by_name(tmp_path_factory, share, flips):
    """Whatever tifffile makes of it, a person gets a paragraph, never a traceback."""
    path = tmp_path_factory.mktemp("torn") / "a.ome.tif"
    rng = np.random.default_rng(0)
    with tifffile.TiffWriter(path, ome=True) as tif:
        tif.write(rng.integers(0, 99, (5, 16, 16), np.uint16), metadata=OME, compression="zlib")
    whole = bytearray(path.read_bytes())
    for flip in flips:
        whole[int(flip * len(whole))] ^= 0xFF
    path.write_bytes(whole[: int(share * len(whole)) or 1] if share < 0.9 else whole)
    with contextlib.suppress(InputError):
        read(path, voxel=VOXEL)


@pytest.mark.parametrize("name", ["m1.day0.ome.tif", "m1.day0.TIF", "m1.day0.tiff"])
def test_a_stack_alone_is_named_after_all_of_its_name(tmp_path, name):
    """Or the second day's results would replace the first's."""
    (tmp_path / name).touch()
    assert find_stacks(tmp_path / name)[0].session.animal == "m1.day0"


def test_line_scans_are_read_and_sizes_in_another_order_are_not():
    check_voxel((1.0, 0.4, 0.1), "a.tif")
    with pytest.raises(InputError, match="8.0 times as long as wide; 3 at most"):
        check_voxel((0.1, 0.1, 0.8), "a.tif")
