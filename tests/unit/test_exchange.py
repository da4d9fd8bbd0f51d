"""Results for other programs, and edits that come back: two spines over three sessions, by hand."""

import warnings
from xml.etree import ElementTree as ET

import numpy as np
import pandas as pd
import pytest
import tifffile

from spinenet.cli import main
from spinenet.commands import BAD_INPUT, DONE
from spinenet.io.formats.geff import read_geff
from spinenet.io.write import write_stack, write_table
from spinenet.tables import CORRECTIONS, SPINES, TRACKS

geff = pytest.importorskip("geff")
zarr = pytest.importorskip("zarr")

#        track: (z, y, x) of its spine in sessions 0, 1, 2; None where it is absent
SPINES_AT = {
    5: [(2.0, 4.0, 10.0), (2.0, 4.0, 10.5), (2.0, 4.0, 11.0)],
    7: [(2.0, 6.0, 20.0), None, (2.0, 6.0, 21.0)],
}


@pytest.fixture
def results(tmp_path):
    """As `infer` would leave it: tables and label stacks."""
    spines, tracks = [], []
    for track, places in SPINES_AT.items():
        last = False
        for session, place in enumerate(places):
            who = {"animal": "m1", "region": "r 1", "session": session, "day": 2.0 * session}
            seen = {"spine_id": track} if place else {}
            tracks.append(
                who
                | {"dendrite_id": 0, "track_id": track, "arc_length_um": 1.0}
                | {"presence": "present" if place else "absent", "kind": "spine"}
                | {"p_link": 0.9 if place and last else np.nan}
                | seen
            )
            if place:
                last = True
                at = dict(zip(["z_um", "y_um", "x_um"], place, strict=True))
                base = {"base_z_um": 2.0, "base_y_um": 5.0, "base_x_um": place[2]}
                row = {"track_id": track, "head_width_um": 0.5, "probability": 0.8}
                spines.append(who | seen | at | base | row | {"kind": "spine"})
    write_table(tmp_path, SPINES, SPINES.frame(spines))
    write_table(tmp_path, TRACKS, TRACKS.frame(tracks))
    for session in range(3):
        path = tmp_path / "labels" / f"m1_r-1_session{session}.ome.tif"
        write_stack(path, np.zeros((4, 8, 8), np.uint16), (1.0, 0.5, 0.25))
    return tmp_path


def export(results, kind, out):
    return main(["export", str(results), "--format", kind, "--out", str(out)])


def edit(results, out, *, keep=lambda row: True, add=(), cut=(), join=(), told_session=None):
    """The exported graph after a person's edits, written by networkx as other programs do.

    Spines are named (track, session).
    """
    assert export(results, "geff", out) == DONE
    path = out / "m1_r-1.geff"
    graph, meta = geff.read(path)
    name = {(int(d["track_id"]), int(d["session"])): n for n, d in graph.nodes(data=True)}
    for who, node in name.items():
        if not keep(who):
            graph.remove_node(node)
    graph.remove_edges_from([(name[a], name[b]) for a, b in cut])
    graph.add_edges_from([(name[a], name[b], {"p_link": 1.0, "gap": 1}) for a, b in join])
    some = next(iter(graph.nodes(data=True)))[1]
    for k, (t, z, y, x) in enumerate(add):
        session = t if told_session is None else told_session
        graph.add_node(900 + k, **(some | {"t": t, "session": session, "z": z, "y": y, "x": x}))
    edited = out / "edited.geff"
    geff.write(graph, edited, metadata=meta)
    return edited


def corrections(results, edited, out):
    how = ["--results", str(results), "--out", str(out)]
    assert main(["import", str(edited), *how]) == DONE
    return pd.read_csv(out)


def test_a_geff_of_results_made_anew_since_is_refused(results, tmp_path, capsys):
    """A spine that the file never held would be called deleted."""
    edited = edit(results, tmp_path / "out")
    spines = pd.read_csv(results / "spines.csv")
    more = spines.iloc[[0]].assign(spine_id=77, x_um=30.0)
    pd.concat([spines, more]).to_csv(results / "spines.csv", index=False)
    how = ["--results", str(results), "--out", str(tmp_path / "c.csv")]
    assert main(["import", str(edited), *how]) == BAD_INPUT
    assert "other results than those given" in capsys.readouterr().err
    assert not (tmp_path / "c.csv").exists()


def test_geff_has_its_axes_units_links_and_says_whose_it_is(results, tmp_path):
    assert export(results, "geff", tmp_path / "out") == DONE
    graph, meta = geff.read(tmp_path / "out" / "m1_r-1.geff")
    assert [(a.name, a.type, a.unit) for a in meta.axes] == [
        ("t", "time", "frame"),
        *[(axis, "space", "micrometer") for axis in "zyx"],
    ]
    assert meta.directed
    assert meta.extra["spinenet"]["region"] == "r 1"
    tracks = {n: (d["track_id"], d["t"], d["x"]) for n, d in graph.nodes(data=True)}
    assert sorted(tracks.values()) == [(5, 0, 10), (5, 1, 10.5), (5, 2, 11), (7, 0, 20), (7, 2, 21)]
    edges = {(tracks[a][:2], tracks[b][:2], d["gap"]) for a, b, d in graph.edges(data=True)}
    assert edges == {((5, 0), (5, 1), 1), ((5, 1), (5, 2), 1), ((7, 0), (7, 2), 2)}
    assert {d["p_link"] for *_, d in graph.edges(data=True)} == {0.9}


def test_a_geff_that_may_have_been_edited_is_not_written_over(results, tmp_path, capsys):
    assert export(results, "geff", tmp_path / "out") == DONE
    assert export(results, "geff", tmp_path / "out") == BAD_INPUT
    assert "may have been edited" in capsys.readouterr().err
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["m1_r-1.geff"]


def test_trackmate_as_its_own_converter_reads_it(results, tmp_path):
    from geff.convert import from_trackmate_xml_to_geff

    assert export(results, "trackmate", tmp_path / "out") == DONE
    xml = tmp_path / "out" / "m1_r-1.xml"
    with warnings.catch_warnings():  # no log, no picture, and TrackMate says micron
        warnings.simplefilter("ignore", UserWarning)
        from_trackmate_xml_to_geff(xml, tmp_path / "back.geff")
        graph, _ = geff.read(tmp_path / "back.geff")
    assert graph.number_of_nodes() == 5
    assert graph.number_of_edges() == 3
    root = ET.parse(xml).getroot()
    spot = root.find(".//SpotsInFrame[@frame='1']/Spot")
    assert (spot.get("POSITION_X"), spot.get("POSITION_T")) == ("10.5000", "2")
    assert len(root.findall(".//AllTracks/Track")) == 2
    # TrackMate reads these without asking whether they are there
    for name in ("InitialSpotFilter", "SpotFilterCollection", "TrackFilterCollection"):
        assert root.find(f"Settings/{name}") is not None
    assert {"pixelwidth", "voxeldepth", "nslices"} <= set(root.find("Settings/ImageData").keys())


def test_mapmanager_counts_pixels_and_says_who_is_who_by_number(results, tmp_path):
    assert export(results, "mapmanager", tmp_path / "out") == DONE
    table = pd.read_csv(tmp_path / "out" / "m1_r-1.csv")
    assert table[["spineID", "t"]].to_numpy().tolist() == [[5, 0], [5, 1], [5, 2], [7, 0], [7, 2]]
    first = table.iloc[0]
    assert (first["x"], first["y"], first["z"]) == (40, 8, 2)
    assert (first["anchorX"], first["anchorY"], first["anchorZ"]) == (40, 10, 2)


def test_mapmanager_needs_the_voxel_size(results, tmp_path, capsys):
    (results / "labels" / "m1_r-1_session1.ome.tif").unlink()
    assert export(results, "mapmanager", tmp_path / "out") == BAD_INPUT
    assert "MapManager counts pixels" in capsys.readouterr().err


def test_nothing_edited_is_nothing_corrected(results, tmp_path, capsys):
    found = corrections(results, edit(results, tmp_path / "out"), tmp_path / "told.csv")
    assert len(found) == 0
    assert "nothing was changed" in capsys.readouterr().out


def test_edits_come_back_as_corrections(results, tmp_path):
    edited = edit(
        results,
        tmp_path / "out",
        keep=lambda who: who != (7, 2),
        cut=[((5, 1), (5, 2))],
        add=[(1, 2.0, 6.0, 20.4)],
    )
    found = corrections(results, edited, tmp_path / "told.csv").set_index("action")
    assert sorted(found.index) == ["add", "delete", "different", "different", "same"]
    assert found.loc["delete", ["session", "x_um"]].tolist() == [2, 21]
    assert found.loc["add", ["session", "y_um", "x_um"]].tolist() == [1, 6, 20.4]
    pair = ["session", "x_um", "session_to", "to_x_um"]
    # one pair alone would leave the first sighting to be joined to the last, around the second
    assert found.loc["different", pair].values.tolist() == [[0, 10, 2, 11], [1, 10.5, 2, 11]]
    assert found.loc["same", pair].tolist() == [0, 10, 1, 10.5]
    assert CORRECTIONS.conform(found.reset_index())["animal"].eq("m1").all()


def test_an_edge_made_is_same_and_what_it_took_apart_different(results, tmp_path):
    """Track 5 goes on as track 7 did, from session 1 to 2; its own third sighting is alone."""
    edited = edit(
        results,
        tmp_path / "out",
        cut=[((5, 1), (5, 2)), ((7, 0), (7, 2))],
        join=[((5, 1), (7, 2))],
    )
    found = corrections(results, edited, tmp_path / "told.csv")
    told = {(r.action, r.session, r.x_um, r.session_to, r.to_x_um) for r in found.itertuples()}
    assert told == {
        ("same", 1, 10.5, 2, 21.0),
        ("same", 0, 10.0, 1, 10.5),
        ("different", 0, 10.0, 2, 11.0),
        ("different", 1, 10.5, 2, 11.0),
        ("different", 0, 20.0, 2, 21.0),
    }


def test_a_spine_taken_out_of_the_middle_of_a_track_says_nothing_of_its_ends(results, tmp_path):
    edited = edit(results, tmp_path / "out", keep=lambda who: who != (5, 1))
    found = corrections(results, edited, tmp_path / "told.csv")
    assert found["action"].tolist() == ["delete"]


def test_a_new_spine_is_where_its_t_says_whatever_was_filled_in_besides(results, tmp_path):
    edited = edit(results, tmp_path / "out", add=[(1, 2.0, 6.0, 20.4)], told_session=0)
    (row,) = corrections(results, edited, tmp_path / "told.csv").to_dict("records")
    assert (row["action"], row["session"]) == ("add", 1)
    assert np.isnan(row["dendrite_id"])


def test_a_spine_without_a_place_is_refused(results, tmp_path, capsys):
    edited = edit(results, tmp_path / "out", add=[(1, float("nan"), 6.0, 20.4)])
    how = ["--results", str(results), "--out", str(tmp_path / "told.csv")]
    assert main(["import", str(edited), *how]) == BAD_INPUT
    assert "node 900 lacks t, z, y or x" in capsys.readouterr().err


def test_an_edge_to_nowhere_is_refused(results, tmp_path, capsys):
    edited = edit(results, tmp_path / "out")
    ids = zarr.open_array(edited / "edges" / "ids", mode="r+")
    ids[0] = [0, 99]
    how = ["--results", str(results), "--out", str(tmp_path / "told.csv")]
    assert main(["import", str(edited), *how]) == BAD_INPUT
    assert "from node 0 to 99" in capsys.readouterr().err


@pytest.mark.parametrize("ids", [[0, 0], [3, 3]])
def test_an_edge_from_a_spine_to_itself_is_refused(results, tmp_path, capsys, ids):
    edited = edit(results, tmp_path / "out")
    zarr.open_array(edited / "edges" / "ids", mode="r+")[0] = ids
    how = ["--results", str(results), "--out", str(tmp_path / "told.csv")]
    assert main(["import", str(edited), *how]) == BAD_INPUT
    assert f"joins node {ids[0]} to itself" in capsys.readouterr().err


def test_a_spine_that_was_moved_a_little_stays_and_is_told(results, tmp_path, capsys):
    edited = edit(results, tmp_path / "out")
    x = zarr.open_array(edited / "nodes" / "props" / "x" / "values", mode="r+")
    x[0] = float(x[0]) + 0.3
    assert corrections(results, edited, tmp_path / "told.csv").empty
    assert "where they were found: 1 of its nodes" in capsys.readouterr().err


def test_corrections_are_never_overwritten(results, tmp_path, capsys):
    edited, out = edit(results, tmp_path / "out"), tmp_path / "told.csv"
    out.write_text("mine")
    how = ["--results", str(results), "--out", str(out)]
    assert main(["import", str(edited), *how]) == BAD_INPUT
    assert "never overwritten" in capsys.readouterr().err
    assert out.read_text() == "mine"


def test_a_spine_with_two_partners_in_one_session_is_refused(results, tmp_path, capsys):
    edited = edit(results, tmp_path / "out", join=[((5, 1), (7, 2))])
    how = ["--results", str(results), "--out", str(tmp_path / "told.csv")]
    assert main(["import", str(edited), *how]) == BAD_INPUT
    assert "another node of its own session" in capsys.readouterr().err


def test_a_graph_of_other_results_is_refused(results, tmp_path, capsys):
    edited = edit(results, tmp_path / "out")
    for table in (SPINES, TRACKS):
        text = (results / table.file).read_text().replace("m1", "m2")
        (results / table.file).write_text(text)
    how = ["--results", str(results), "--out", str(tmp_path / "told.csv")]
    assert main(["import", str(edited), *how]) == BAD_INPUT
    assert "the results hold m2, r 1" in capsys.readouterr().err


def test_a_session_that_does_not_exist_is_refused(results, tmp_path, capsys):
    edited = edit(results, tmp_path / "out", add=[(8, 2.0, 6.0, 20.4)])
    how = ["--results", str(results), "--out", str(tmp_path / "told.csv")]
    assert main(["import", str(edited), *how]) == BAD_INPUT
    assert "is at t 8; 0 to 2 were expected" in capsys.readouterr().err


def test_pixels_without_their_size_are_refused(results, tmp_path, capsys):
    edited = edit(results, tmp_path / "out")
    attributes = edited / ".zattrs"
    attributes.write_text(attributes.read_text().replace("micrometer", "pixel"))
    how = ["--results", str(results), "--out", str(tmp_path / "told.csv")]
    assert main(["import", str(edited), *how]) == BAD_INPUT
    assert "axis z is in 'pixel'" in capsys.readouterr().err


def test_nanometres_are_converted(results, tmp_path):
    edited = edit(results, tmp_path / "out")
    attributes = edited / ".zattrs"
    attributes.write_text(attributes.read_text().replace("micrometer", "nanometer"))
    assert np.allclose(read_geff(edited).place_um.max(axis=0), np.array([2, 6, 21]) / 1000)


def test_what_is_no_geff_is_refused(results, tmp_path, capsys):
    tifffile.imwrite(tmp_path / "a.geff", np.zeros((2, 2), np.uint8))
    how = ["--results", str(results), "--out", str(tmp_path / "told.csv")]
    for path in (tmp_path / "a.geff", tmp_path / "none.geff"):
        assert main(["import", str(path), *how]) == BAD_INPUT
        assert "cannot be read as GEFF" in capsys.readouterr().err
