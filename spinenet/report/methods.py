"""The methods paragraphs of the page: what was done to these data, and by which readings."""

from __future__ import annotations

from spinenet.config import AnalyzeConfig, InferConfig

LINKED_BY_PLACE = "by their place along and around the dendrite, not by their size"
LINKED_BY_HEAD = (
    "by their place along and around the dendrite and by a Siamese net that sees their places, "
    "small pictures of them and their neighbours in both sessions; neither is told their size, "
    "which the pictures show (the net's probability weighs {share:g}, that of the places {rest:g}; "
    "head {name}, {digest})"
)
_DETECTED = (
    "A 3-D U-Net gave each voxel's probability of being dendritic shaft, spine, and centre of a "
    "spine's head{views}; peaks of the latter of {centre:.2g} or more within {reach:g} um of a "
    "shaft are spines."
)
_MARKED = (
    "Spines are those that were marked; none was looked for besides. A 3-D U-Net gave each voxel's "
    "probability of being dendritic shaft."
)
_LOOKED_BACK = (
    "Where a spine was missing, its predicted place and what lies around it were looked at again "
    "from {lookback:g} of that threshold on, and from {between:g} of it where it was seen both "
    "before and after; it counts as absent"
)
_NO_DOUBT = " where its place could be scored; the rest is censored."
_DOUBTED = (
    " only where it would have been seen with a probability of {power:g} or more, all sessions "
    "together do not say that it was likelier there than not, and before its first and after its "
    "last sighting only if it had not been missed between two (or so often on end that it is "
    "likelier to have come or gone); the rest is censored."
)
_NOT_MARKED = (
    "Where a spine was not marked it counts as absent if its place could be scored; the rest is "
    "censored."
)


def linking_methods(
    version: str, centre_p: float, links: str, config: InferConfig, *, marked: bool
) -> list[str]:
    """How spines were found and linked.

    Parameters
    ----------
    version: of the program, and name and digest of the net that looked at the stacks
    centre_p: probability of a centre from which on it is a spine
    links: by what spines were linked
    marked: whether a person or another tool had marked the spines
    """
    match, views = config.match, config.segment.views
    least_p = match.marked_link_p if marked else match.min_link_p
    found = _DETECTED.format(
        views=f", the mean over {views} mirror images of the stack" if views > 1 else "",
        centre=centre_p,
        reach=config.measure.reach_um,
    )
    back = _LOOKED_BACK.format(lookback=match.lookback_share, between=match.between_share)
    back += _DOUBTED.format(power=match.least_power) if match.least_power > 0 else _NO_DOUBT
    paragraphs = [
        f"Stacks were analysed with spinenet {version}. "
        f"{_MARKED if marked else found} Sessions were registered to a reference session, "
        "centrelines of dendrites were joined to one map per region, and arc length was aligned "
        f"along each dendrite. Spines were linked {links}, over all sessions at once, where they "
        f"lay within {match.gate_um:g} um along the dendrite and a link had a probability of "
        f"{least_p:g} or more. {_NOT_MARKED if marked else back}"
    ]
    if not marked:
        paragraphs[0] += (
            " Spines above or below their shaft or beside the border of a stack, which are seen in "
            "some sessions only, were left out of the analysis (hidden in tracks.csv)."
        )
        paragraphs.append(
            "Over three or more sessions a spine was counted if one of its sightings reached "
            f"{match.sure_share:g} times the detection threshold."
        )
    return paragraphs


GROUPS = (
    " Groups: the animals' labels were permuted; beside that, mixed models of their dendrites, and "
    "Welch's t test of hazard ratios. These P are of sampling alone, the machine's mistakes not "
    "among them (the total interval holds both), and none is corrected for the number of "
    "statistics and of pairs of groups that were looked at."
)


def _readings(config: AnalyzeConfig) -> str:
    """How the rules were read, for the methods."""
    rules = " and ".join(config.filopodia_in)
    filopodia = f"filopodia take part by {rules}" if rules else "filopodia take no part in them"
    met = "coexist in at least one session" if config.require_coexistence else "need not coexist"
    old = (
        "" if config.existing_rule == "present" else "; existing spines part others in any session"
    )
    return f"{filopodia}; members {met}{old}"


def analysis_methods(config: AnalyzeConfig, n_groups: int, *, ends_known: bool) -> list[str]:
    """How tracks were analysed, with the readings that were chosen.

    Parameters
    ----------
    n_groups: of animals
    ends_known: whether coverage.csv told where dendrites could be scored
    """
    window = "any session after the first"
    if config.window is not None:
        window = f"the sessions of days {config.window[0]:g} to {config.window[1]:g}"
    ends = (
        f", without those within {config.edge_um:g} um of the end of what could be scored"
        if ends_known
        else ""
    )
    return [
        "A spine is at risk in an interval if it is seen at one end and scorable at the other. "
        f"Up to {config.max_gap} absence between two sightings was filled. New spines: those "
        f"absent before, born in {window}. Clusters: two or more neighbouring new spines with no "
        f"existing spine between (contiguous; primary), or new spines within {config.d_um:g} um of "
        f"the next (within_d); {_readings(config)}; members "
        f"closer than {config.resolution_um:g} um are one site (definitions: Fu, Yu, Lu & "
        "Zuo, Nature 483:92, 2012). Chance: the spines, each with its sessions, were dealt out "
        f"anew to the places of their dendrite {config.n_shuffles} times; P has the add-one rule. "
        "Persistence: new spines alive at "
        f"the last session up to day {config.landmark_day:g} were followed from there, their class "
        "fixed there (no immortal time), by Kaplan-Meier curves (Turnbull's where dendrites were "
        "looked at on different days) and by a complementary log-log hazard; new spines seen over "
        f"{config.persist_days:g} days or more are persistent. Spacing: u' between stable "
        f"neighbours with an exclusion zone of {config.exclusion_um:g} um. Chance was judged on "
        f"dendrites with {config.min_spines_per_segment} spines or more on "
        f"{config.min_seg_um:g} um or more{ends}.{GROUPS * (n_groups > 1)}",
        "The unit is the animal: estimates are means over animals of their own ratios (what is of "
        "all together says so in test), sampling intervals are t intervals over them, and none is "
        f"given from one animal. {_drawn(config.n_draws)}Where the machine's columns are blank the "
        "intervals are of sampling alone.",
    ]


def _drawn(n_draws: int) -> str:
    """How the machine's own mistakes are in the intervals."""
    if n_draws < 2:
        return ""
    return (
        f"Where sightings and links carry probabilities, {n_draws} histories were drawn from them, "
        "links that would slip together drawn together, measured again and combined by Rubin's "
        "rules: machine_low and machine_high are the machine's part, ci_low and ci_high the whole. "
    )
