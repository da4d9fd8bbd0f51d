"""The commonest ways to give spinenet what it cannot use: one paragraph that helps."""

import re

import numpy as np
import pytest
import tifffile

from spinenet.cli import main
from spinenet.commands import BAD_INPUT

VOXELS = ["--voxel_um", "[1.0,0.1,0.1]"]
HEADER = "animal,region,session,day,path\n"


def stack(folder, name="a.tif", shape=(6, 24, 32), dtype="uint16", **options):
    data = np.random.default_rng(0).integers(1, 200, shape).astype(dtype)
    tifffile.imwrite(folder / name, data, photometric=options.pop("photometric", None), **options)
    return folder / name


def changed(folder, change):
    path = stack(folder, dtype="float32")
    data = tifffile.imread(path)
    change(data)
    tifffile.imwrite(path, data, photometric="minisblack")
    return path


def cut(folder):
    path = stack(folder)
    path.write_bytes(path.read_bytes()[:3000])
    return path


def ends_in_nothing(path):
    """A copy that was cut off after its space had been set aside."""
    data = tifffile.imread(path)
    whole = path.stat().st_size
    with tifffile.TiffWriter(path) as tif:
        for plane in data[:-2]:
            tif.write(plane, contiguous=False, photometric="minisblack", metadata=None)
    path.write_bytes(path.read_bytes() + bytes(whole))
    return path


def text(folder, name, content):
    (folder / name).write_text(content)
    return folder / name


def table(folder, rows, header=HEADER):
    stack(folder, photometric="minisblack")
    return text(folder, "sessions.csv", header + rows)


def ome(folder, shape, axes, names=()):
    meta = {"axes": axes, "PhysicalSizeZ": 1.0, "PhysicalSizeY": 0.1, "PhysicalSizeX": 0.1}
    if names:
        meta["Channel"] = {"Name": list(names)}
    return stack(folder, "a.ome.tif", shape, ome=True, metadata=meta)


def cut_zlib(folder):
    path = stack(folder, compression="zlib", photometric="minisblack")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    return path


def two_ways(folder):
    stack(folder, "mouse_1_r1_day0.tif")
    return folder


def folder_of_stacks(folder):
    stack(folder, "m1_day0.tif")
    return folder


# what is given, further arguments, what the paragraph must say
WRONG = {
    "a name mistyped": (lambda f: f / "none.tif", [], "was not found"),
    "a text file": (lambda f: text(f, "a.tif", "hello"), VOXELS, "cannot be read as a TIFF"),
    "a copy cut short": (cut, VOXELS, "cut short"),
    "a projection": (lambda f: stack(f, shape=(24, 32)), VOXELS, "single plane"),
    "a colour picture": (
        lambda f: stack(f, shape=(6, 24, 32, 3), dtype="uint8", photometric="rgb"),
        VOXELS,
        "colour .RGB. image",
    ),
    "a time series": (lambda f: ome(f, (3, 6, 24, 32), "TZYX"), [], "slices and frames in Fiji"),
    "two channels": (lambda f: ome(f, (2, 6, 24, 32), "CZYX", ("red", "green")), [], "Say which"),
    "no voxel size": (lambda f: stack(f), [], "does not say how large its voxels are"),
    "nanometres given as um": (
        lambda f: stack(f),
        ["--voxel_um", "[1000,100,100]"],
        "cannot show spines",
    ),
    "x, y, z in the place of z, y, x": (
        lambda f: stack(f),
        ["--voxel_um", "[0.12,0.12,1.0]"],
        "in the order x, y, z in the place of z, y, x",
    ),
    "double precision": (lambda f: stack(f, dtype="float64"), VOXELS, "float64 values"),
    "holes in the stack": (
        lambda f: changed(f, lambda d: d.__setitem__((0, 0, 0), np.nan)),
        VOXELS,
        "NaN or infinite",
    ),
    "an empty channel": (lambda f: changed(f, lambda d: d.fill(7)), VOXELS, "same value"),
    "a folder without a table": (folder_of_stacks, [], "no sessions.csv"),
    "a pattern without a day": (folder_of_stacks, ["--pattern", "{animal}.tif"], "has no .day."),
    "a pattern that fits nothing": (
        folder_of_stacks,
        ["--pattern", "x{animal}_day{day}.tif"],
        "none of the 1 stacks",
    ),
    "an empty folder": (lambda f: f, [], "holds no sessions.csv and no .tif"),
    "a column missing": (
        lambda f: table(f, "m,r,0,a.tif\n", "animal,region,session,path\n"),
        VOXELS,
        "lacks the column day",
    ),
    "a decimal comma": (lambda f: table(f, 'm,r,0,"1,5",a.tif\n'), VOXELS, "'1,5' is not a number"),
    "a stack that moved": (lambda f: table(f, "m,r,0,0,b.tif\n"), VOXELS, "is not there"),
    "days that go back": (
        lambda f: table(f, "m,r,0,4,a.tif\nm,r,1,2,a.tif\n"),
        VOXELS,
        "Days must increase",
    ),
    "a session twice": (
        lambda f: table(f, "m,r,0,0,a.tif\nm,r,0,2,a.tif\n"),
        VOXELS,
        "listed twice",
    ),
    "an animal in two groups": (
        lambda f: table(
            f, "m,x,r,0,0,a.tif\nm,y,r,1,2,a.tif\n", "animal,group,region,session,day,path\n"
        ),
        VOXELS,
        "belongs to one group",
    ),
    "one stack for two sessions": (
        lambda f: table(f, "m,r,0,0,a.tif\nm,r,1,2,a.tif\n"),
        VOXELS,
        "a.tif is listed as session 0 .* and as session 1",
    ),
    "cells that were merged": (
        lambda f: table(f, "m,r,0,0,a.tif\n,,1,2,a.tif\n"),
        VOXELS,
        "both must be named in every row",
    ),
    "names that differ by case": (
        lambda f: table(f, "m,r,0,0,a.tif\nM,r,0,0,a.tif\n"),
        VOXELS,
        "differ in case, spaces or accents alone",
    ),
    "a column misspelt": (
        lambda f: table(f, "m,r,0,0,a.tif,0\n", HEADER.strip() + ",useable\n"),
        VOXELS,
        "is it usable",
    ),
    "a column twice": (
        lambda f: table(f, "m,r,0,0,a.tif,1\n", HEADER.strip() + ",day\n"),
        VOXELS,
        "has two columns 'day'",
    ),
    "a copy that ends in nothing": (
        lambda f: ends_in_nothing(stack(f, photometric="minisblack")),
        VOXELS,
        "ends in a long run of zeros",
    ),
    "a name too long for a file": (
        lambda f: table(f, f"{'m' * 210},r,0,0,a.tif\n"),
        VOXELS,
        "files cannot be named after it",
    ),
    "dates for days": (
        lambda f: table(f, "m,r,0,20240129,a.tif\n"),
        VOXELS,
        "day 20240129 .* looks like a date",
    ),
    "a comma at the end of every line": (
        lambda f: table(f, "m,r,0,0,a.tif,\nm,r,1,2,a.tif,\n"),
        VOXELS,
        "line 2 has more cells",
    ),
    "a blank row between others": (
        lambda f: table(f, "m,r,0,0,a.tif\n,,,,\nm,r,1,2,a.tif\n"),
        VOXELS,
        "line 3 is blank",
    ),
    "a blank cell": (lambda f: table(f, "m,r,,0,a.tif\n"), VOXELS, "session, line 2, is blank"),
    "another word for no": (
        lambda f: table(f, "m,r,0,0,a.tif,nein\n", HEADER.strip() + ",usable\n"),
        VOXELS,
        "line 2: usable is 'nein'",
    ),
    "a channel that is not there": (
        lambda f: table(f, "m,r,0,0,a.tif,1\n", HEADER.strip() + ",channel\n"),
        VOXELS,
        "has one channel only",
    ),
    "a pattern that can be read in two ways": (
        two_ways,
        ["--pattern", "{animal}_{region}_day{day}.tif"],
        "can be read in two ways",
    ),
    "a pattern that names a part twice": (
        folder_of_stacks,
        ["--pattern", "{animal}_{animal}_day{day}.tif"],
        "names .animal. twice",
    ),
    "a packed stack cut short": (cut_zlib, VOXELS, "a.tif ends within a plane"),
    "a card that is not there": (
        lambda f: stack(f, photometric="minisblack"),
        [*VOXELS, "--device", "cuda"],
        "PyTorch sees no CUDA card",
    ),
    "an empty table": (lambda f: table(f, ""), VOXELS, "no stacks"),
    "pickled weights": (
        lambda f: stack(f),
        [*VOXELS, "--weights.segment", "README.md"],
        "not a .safetensors file",
    ),
    "weights mistyped": (
        lambda f: stack(f),
        [*VOXELS, "--weights.segment", "unet-best"],
        "were not found",
    ),
    "traces of another kind": (
        lambda f: stack(f),
        [*VOXELS, "--dendrites", "a.nml"],
        "are read from .csv or .swc",
    ),
}


@pytest.fixture(autouse=True)
def _no_card(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)


@pytest.mark.parametrize("what", WRONG)
def test_wrong_input_gets_one_paragraph(what, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make, arguments, complaint = WRONG[what]
    text(tmp_path, "README.md", "no weights")
    given = tmp_path / "in"
    given.mkdir()
    code = main(["infer", str(make(given)), "--out", str(tmp_path / "out"), *arguments])
    said = capsys.readouterr().err
    assert code == BAD_INPUT
    assert re.search(complaint, said), said
    assert "Traceback" not in said
    assert len(said.strip().splitlines()) == 1
    assert not (tmp_path / "out" / "report.html").exists()
