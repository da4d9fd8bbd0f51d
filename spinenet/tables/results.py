"""The tables of a results folder."""

from __future__ import annotations

from spinenet.tables.column import WHEN, WHO, Table, col, point
from spinenet.tables.given import CORRECTIONS

SPINES = Table(
    "spines.csv",
    "spine seen in a session",
    (
        *WHO,
        *WHEN,
        col("spine_id", "int", "spine within the session"),
        col("track_id", "int?", "the same number in all sessions for the same spine"),
        col("dendrite_id", "int", "dendrite, the same in all sessions"),
        *point("", "head centre"),
        *point("base_", "place where the spine leaves the shaft's axis"),
        col("arc_length_um", "float", "place along the dendrite, in the frame of all sessions, um"),
        col(
            "azimuth_deg", "float", "direction around the shaft; 0 right, 90 towards the objective"
        ),
        col(
            "length_um",
            "float",
            "shaft surface to the tip, um; a head whose width is not known counts as 0.4 um wide",
        ),
        col("neck_length_um", "float", "shaft surface to the head, um; likewise"),
        col("head_width_um", "float", "diameter of a ball of the head's volume, um"),
        col("head_volume_um3", "float", "volume of the head from its brightness, um3"),
        col("strength", "float", "integrated brightness of the spine over 1 um of adjacent shaft"),
        col("kind", "str", "spine, or filopodium: over 2.5 um long, its head under 0.45 um wide"),
        col("probability", "float", "that this is a spine"),
        col(
            "touches_edge",
            "bool",
            "within measure.edge_um (1 um) of the border of the stack, or of what was imaged of it",
        ),
        col("source", "str", "detected, lookback or person"),
        col("label", "int", "value in the label TIFF; 0 if it has no mask"),
    ),
)
DENDRITES = Table(
    "dendrites.csv",
    "centreline node in a session",
    (
        *WHO,
        *WHEN,
        col("dendrite_id", "int", "dendrite, the same in all sessions"),
        col("node", "int", "node along the dendrite"),
        col("parent_node", "int", "node before it, -1 at the start"),
        *point("", "node"),
        col("radius_um", "float", "radius of the shaft, um"),
        col("arc_length_um", "float", "place along the dendrite, in the frame of all sessions, um"),
    ),
)
COVERAGE = Table(
    "coverage.csv",
    "scorable stretch of a dendrite in a session",
    (
        *WHO,
        *WHEN,
        col("dendrite_id", "int", "dendrite"),
        col("start_um", "float", "arc length at which the stretch starts, um"),
        col("end_um", "float", "arc length at which it ends, um"),
        col("snr", "float", "brightness of the shaft above background over its noise"),
        col("usable", "bool", "good enough to say what is there and what is not"),
        col("slip_ambiguous", "bool", "the sessions fit as well shifted by one spine spacing"),
        col("warp_rms_um", "float", "scatter along it about the other sessions' spines, um"),
    ),
)
LINKS = Table(
    "links.csv",
    "candidate link between two sessions",
    (
        *WHO,
        col("session_from", "int", "earlier session"),
        col("session_to", "int", "later session"),
        col("spine_from", "int", "spine_id in the earlier session"),
        col("spine_to", "int", "spine_id in the later session"),
        col("p", "float", "probability that both are the same spine"),
        col("chosen", "bool", "the link was made"),
        col("slip_group", "int?", "links that would be wrong together if the alignment slipped"),
    ),
)
TRACKS = Table(
    "tracks.csv",
    "(track, session), absent ones too",
    (
        *WHO,
        col("dendrite_id", "int", "dendrite"),
        col("track_id", "int", "spine over all sessions"),
        *WHEN,
        col("arc_length_um", "float", "place along the dendrite, um"),
        col("kind", "str", "spine or filopodium", required=False),
        col("presence", "str", "present, absent, out_of_view or not_scorable"),
        col("spine_id", "int?", "spine_id in that session, blank if not present", required=False),
        col("p_present", "float", "probability that it was there", required=False),
        col("p_link", "float", "probability of the link to its last presence", required=False),
        col(
            "between",
            "bool",
            "so faint that it was seen only because it was seen before and after; a miss in "
            "miss_rate_q",
            required=False,
        ),
        col(
            "hidden",
            "bool",
            "does not stick out beside its shaft, or lies at the border of the stacks, so that it "
            "is seen in some sessions only: left out of the analysis",
            required=False,
        ),
    ),
)
INTERVALS = Table(
    "intervals.csv",
    "interval, per dendrite, animal and group",
    (
        col("level", "str", "dendrite, animal or group"),
        *WHO,
        col("dendrite_id", "int?", "dendrite, at that level"),
        col("session_from", "int", "first session of the interval"),
        col("session_to", "int", "second session"),
        col("day_from", "float", "its day"),
        col("day_to", "float", "its day"),
        col("n_before", "int", "spines at risk seen in the first session"),
        col("n_after", "int", "spines at risk seen in the second session"),
        col("n_new", "int", "absent in the first, present in the second, not returned"),
        col("n_lost", "int", "present in the first, absent in the second"),
        col("n_stable", "int", "present in both; returned ones are neither new nor stable"),
        col("formation", "float", "n_new / n_before"),
        col("elimination", "float", "n_lost / n_before"),
        col("turnover_ratio", "float", "(n_new + n_lost) / (n_before + n_after)"),
        col("density_per_um", "float", "spines seen per um in the second session"),
        col("scorable_um", "float", "length scorable in both sessions, um"),
        col("branch_order", "int?", "dendrites that it stands on; needs dendrites.csv"),
    ),
)
CLUSTERS = Table(
    "clusters.csv",
    "cluster",
    (
        *WHO,
        col("rule", "str", "contiguous: no existing spine between; within_d: within d_um"),
        col("dendrite_id", "int", "dendrite"),
        col("cluster_id", "int", "cluster within the region"),
        col("track_ids", "str", "members, ; between"),
        col("size", "int", "members, unresolved neighbours counted once"),
        col("span_um", "float", "first to last member, um"),
        col(
            "n_existing_between",
            "int",
            "existing spines between the outer members when they last stood together",
        ),
        col("birth_sessions", "str", "session of each member's first appearance, ; between"),
        col("resolution_limited", "bool", "holds members too close to tell apart"),
    ),
)
STATES = Table(
    "states.csv",
    "spine over the whole study, gaps filled",
    (
        *WHO,
        col("dendrite_id", "int", "dendrite"),
        col("track_id", "int", "spine over all sessions"),
        col("state", "str", "stable, lost, transient, persistent, new (too short) or recurrent"),
        col("birth_session", "int?", "session in which it was new; blank where it never was"),
        col("first_session", "int", "first session in which it was seen"),
        col("last_session", "int", "last session in which it was seen"),
        col("n_seen", "int", "sessions in which it was there"),
    ),
)
SURVIVAL = Table(
    "survival.csv",
    "curve x time",
    (
        col("group", "str", "experimental group", required=False),
        col("class", "str", "clustered, non_clustered, all_new or stable"),
        col("day", "float", "days since the landmark session, in which classes are fixed"),
        col("at_risk", "int", "spines still followed just before this day"),
        col("lost", "int", "spines lost by this day since the time before"),
        col("survival", "float", "estimated share still present"),
        col("ci_low", "float", "95 % interval"),
        col("ci_high", "float", "95 % interval"),
    ),
)
STATISTICS = Table(
    "statistics.csv",
    "statistic",
    (
        col("name", "str", "what was measured"),
        col("group", "str", "experimental group"),
        col("group_b", "str", "group compared with, if any"),
        col("estimate", "float", "the value"),
        col(
            "ci_low",
            "float",
            "95 % interval, sampling and machine together; sampling alone if machine_low is blank",
        ),
        col("ci_high", "float", "95 % interval, likewise"),
        col("sampling_low", "float", "95 % interval from sampling animals or dendrites"),
        col("sampling_high", "float", "95 % interval from sampling animals or dendrites"),
        col("machine_low", "float", "95 % interval from the machine's own mistakes"),
        col("machine_high", "float", "95 % interval from the machine's own mistakes"),
        col("null_mean", "float", "mean when the new spines are shuffled"),
        col(
            "p_value",
            "float",
            "share of shuffles at least as large (for means: as far off), with the add-one rule "
            "unless all were counted",
        ),
        col("test", "str", "how interval and P were computed"),
        col("n_animals", "int?", "animals; blank where the value rests on no count of them"),
        col("n_spines", "int?", "spines the value rests on, each once; blank likewise"),
    ),
)
REVIEW = Table(
    "review.csv",
    "something to look at, the most important first",
    (
        col("rank", "int", "order in which to look"),
        col("why", "str", "what is doubtful, or would change the answer"),
        col("doubt", "float", "probability that the machine is wrong there"),
        *CORRECTIONS.columns,
    ),
)
RESULTS = (
    REVIEW,
    SPINES,
    DENDRITES,
    COVERAGE,
    LINKS,
    TRACKS,
    INTERVALS,
    CLUSTERS,
    STATES,
    SURVIVAL,
    STATISTICS,
)
