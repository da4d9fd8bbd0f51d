"""How far links can be trusted: the picture, and what is known of the shipped judges."""

import json

import numpy as np

from spinenet.config import MatchConfig
from spinenet.io.manifest import PLACES_ALONE, judge_of, known_reliability
from spinenet.io.weights import shipped_folder
from spinenet.report.reliability import link_trust
from spinenet.tables import LINKS


def links(*p, chosen=True):
    return LINKS.frame([{"p": v, "chosen": chosen} for v in p])


def test_how_many_are_wrong_by_their_own_probability():
    figure = link_trust(links(0.5, 0.75, 0.75), None, "")
    (axis,) = figure.axes
    assert axis.get_title() == "1 of 3 expected wrong"
    assert sum(bar.get_height() for bar in axis.patches) == 3


def test_links_that_were_not_made_are_not_counted():
    figure = link_trust(links(0.5, chosen=False), None, "")
    assert figure.axes[0].get_title() == "0 of 0 expected wrong"


def test_what_is_known_of_the_judge_stands_beside():
    figure = link_trust(links(0.9), np.array([[0.5, 6, 12], [0.95, 19, 20]]), "by hand")
    known, _ = figure.axes
    assert known.get_title() == "by hand"
    marks = known.containers[0].lines[0]
    assert marks.get_xdata().tolist() == [0.5, 0.95]
    assert marks.get_ydata().tolist() == [0.5, 0.95]


def shipped_heads():
    manifest = json.loads((shipped_folder("weights") / "manifest.json").read_text())
    return [w["sha256"] for w in manifest["weights"] if w["role"] == "match"]


def test_the_shipped_judges_were_counted_and_others_were_not():
    shares = (MatchConfig().head_share, 1)
    judges = [judge_of(head, share) for head in shipped_heads() for share in shares]
    for judge in (PLACES_ALONE, *judges):
        bins, data = known_reliability(judge)
        assert "simulated" in data
        assert (bins[:, 1] <= bins[:, 2]).all()
    assert known_reliability("a head of one's own")[0] is None


def test_probabilities_of_the_default_judge_are_near_the_truth():
    """On average over its links; those in the middle are right more often than they say."""
    (head,) = shipped_heads()
    bins, _ = known_reliability(judge_of(head, MatchConfig().head_share))
    mean, right, n = bins.T
    assert np.average(np.abs(right / n - mean), weights=n) < 0.05
