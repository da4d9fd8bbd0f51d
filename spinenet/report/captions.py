"""What the figures show, in words under them."""

from __future__ import annotations

CAPTIONS = {
    "turnover": (
        "Turnover",
        "Of the spines of an animal, the share that formed and that was lost from one session to "
        "the next, at the day of the later session; a line per animal, or per region where those "
        "of an animal were not imaged together, broken where no interval follows on the last.",
    ),
    "clustered_share": (
        "Clustered share of new spines, and chance",
        "Orange: mean over animals and its 95 % interval, the machine's mistakes in it where they "
        "are known. Grey: what shuffling the spines along their dendrites gives, its mean and 95 % "
        "band, and a ring for the share on the dendrites that were shuffled, those long enough; P "
        "is of so large a ring by chance. Contiguous: new neighbours with no existing spine "
        "between; within d: new spines within analyze.d_um of the next.",
    ),
    "cluster_sizes": ("Sizes of clusters", "Contiguous clusters by the new spines they hold."),
    "cluster_births": (
        "When the members of a cluster formed",
        "Contiguous clusters: how many later members formed in a session, by the session in which "
        "the first member had formed.",
    ),
    "survival": (
        "Survival from the landmark",
        "Kaplan-Meier curves of the spines alive at the landmark session (Turnbull's where animals "
        "were imaged on different days), by what they were then. Bands: 95 %, as wide as the "
        "spread of the animals' own curves; none where animals do not differ.",
    ),
    "spacing": (
        "New spines between their stable neighbours",
        "Share of new spines up to each place between a stable neighbour (0: at the edge of the "
        "zone about it, analyze.exclusion_um, in which no new one could be told from it) and "
        "midway (1). "
        "Bands: where 95 % of the curves of as many spines on random places lie.",
    ),
    "strength": (
        "Strength as a second spine arrives",
        "Strength (light of a spine over that of 1 um of its shaft) in the session before and "
        "after a succedent spine's arrival: first members of clusters, and other new spines of the "
        "same age. A line per spine, the mean in bold.",
    ),
    "links": (
        "How far links can be trusted",
        "Blue dots, where drawn: on stacks whose truth is known, not this run's, how often links "
        "of a probability were right (95 % by Wilson). Bars: the links made in this run; above, "
        "how many of them are wrong if their probabilities are true.",
    ),
}
"""Title and text, by the names of the figures' files."""
