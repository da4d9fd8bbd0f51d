"""The tables that a lab gives: what was imaged, and what a person marked, traced or corrected."""

from __future__ import annotations

from spinenet.tables.column import WHEN, WHO, Table, col, point

SESSIONS = Table(
    "sessions.csv",
    "stack",
    (
        *WHO,
        *WHEN,
        col("path", "str", "the stack, relative to this file"),
        col("voxel_z_um", "float", "voxel size, um; wins over the file's", required=False),
        col("voxel_y_um", "float", "voxel size, um; wins over the file's", required=False),
        col("voxel_x_um", "float", "voxel size, um; wins over the file's", required=False),
        col("channel", "str", "number (from 0) or name of the channel", required=False),
        col("usable", "str", "0 leaves the stack out of the analysis", required=False),
    ),
)
TRACES = Table(
    "traces",
    "centreline node that a person traced",
    (
        col("animal", "str", "animal; blank for any", required=False),
        col("region", "str", "field of view; blank for any", required=False),
        col("session", "int?", "session whose stack was traced; blank: the first", required=False),
        col("dendrite_id", "int", "dendrite, a whole number"),
        col("node", "int?", "node along the dendrite; blank: as in the file", required=False),
        *point("", "node"),
        col("radius_um", "float", "radius of the shaft, um", required=False),
    ),
)
POINTS = Table(
    "spines.csv",
    "spine that a person marked",
    (
        col("animal", "str", "animal; blank for any", required=False),
        col("region", "str", "field of view; blank for any", required=False),
        col("session", "int", "imaging session within the region"),
        col("spine_id", "int?", "spine within the session", required=False),
        col("track_id", "int?", "the same number in all sessions for one spine", required=False),
        col("dendrite_id", "int?", "dendrite; blank where a label TIFF tells all", required=False),
        col("point", "str", "what the place is: tip or head", required=False),
        *point("", "marked point"),
        *point("base_", "place where the spine leaves the shaft", required=False),
        col("label", "int?", "value in the label TIFF", required=False),
        col("scorable", "str", "0: nobody could tell", required=False),
        col("bad", "str", "1: the person was not sure", required=False),
    ),
)
CONTESTED = Table(
    "contested.csv",
    "link that looks wrong in an annotation",
    (
        col("animal", "str", "animal; may be blank where one field fits", required=False),
        col("region", "str", "field of view; may be blank where one fits", required=False),
        col("session", "int", "earlier session"),
        col("session_to", "int", "later session"),
        col("track_id", "int", "the annotation's track"),
    ),
)
CORRECTIONS = Table(
    "corrections.csv",
    "correction that a person made",
    (
        col("animal", "str", "animal; blank for any", required=False),
        col("region", "str", "field of view; blank for any", required=False),
        col("action", "str", "same, different, present, absent, add, delete or dendrite"),
        col("session", "int", "session of the spine"),
        *point("", "spine's head"),
        col("session_to", "int?", "the other session, of same to absent", required=False),
        *point("to_", "head in the other session, of same and different", required=False),
        col("dendrite_id", "int?", "dendrite that it is on, of add and dendrite", required=False),
        col("note", "str", "why, and who says so", required=False),
    ),
)
