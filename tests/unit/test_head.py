"""The matching head, and what it is told."""

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from spinenet.config import MatchConfig, MisfitConfig
from spinenet.io.weights import (
    load_match_weights,
    load_segment_weights,
    save_match_weights,
    shipped_folder,
)
from spinenet.match.head import MatchingHead, PlacesAlone, as_tensors
from spinenet.match.region import tracks_by
from spinenet.match.score import PLACE_SD_UM, Places
from spinenet.match.tokens import ABOUT, Tokens, about_spines, pair_graph
from spinenet.measure.portrait import PORTRAIT, portraits
from spinenet.models.siamese import SiameseMatcher, SpinePairs, match_loss
from spinenet.training.looks import seen_otherwise
from spinenet.training.match_pairs import Laid, as_example, draw_laid, draw_pair
from spinenet.training.match_planted import draw_laid_family
from spinenet.training.sightings import NOBODY, WIDE, Sighting, load_families, save_families
from spinenet.types import Dendrites, InputError, Segment, Session, Volume


def session(*frames, seed=0):
    """Spines at (along, sideways, upward) of a straight dendrite, with random looks."""
    rng = np.random.default_rng(seed)
    n = len(frames)
    axes = np.tile(np.eye(3), (n, 1, 1))
    return Tokens(
        Places(np.array(frames, float).reshape(-1, 3), axes),
        rng.normal(0, 1, (n, 4)).astype(np.float32),
        rng.random((n, *PORTRAIT)).astype(np.float16),
    )


def a_net(seed=1):
    """A head that has learned something, if nothing useful."""
    torch.manual_seed(seed)
    net = SiameseMatcher().eval()
    torch.nn.init.normal_(net.alike[-1].weight, std=0.3)
    return net


HERE = session((0, 1, 0), (2, -1, 0), (5, 1, 0.5))
THERE = session((0.2, 1, 0.3), (2.3, -1, 0), (3, 1, 0), (9, 1, 0), seed=1)


def log_odds(a, b, net):
    graph = pair_graph(a, b, PLACE_SD_UM)
    with torch.inference_mode():
        value = net(as_tensors(graph)).numpy()
    i, j = graph.across
    return {(int(p), int(q) - len(a.about)): float(v) for p, q, v in zip(i, j, value, strict=True)}


@pytest.mark.parametrize("scatter_um", [PLACE_SD_UM, PLACE_SD_UM / 2])
def test_an_untaught_head_says_what_the_places_say(scatter_um):
    torch.manual_seed(0)
    head = MatchingHead(SiameseMatcher().eval(), 1.0, 0.7, 2.0, scatter_um)
    ours, plain = head(HERE, THERE), PlacesAlone(scatter_um, 2.0)(HERE, THERE)
    assert ours.odds == pytest.approx(plain.odds, rel=1e-3, abs=1e-4)


def test_half_the_head_is_the_mean_of_its_probability_and_that_of_the_places():
    plain = PlacesAlone(PLACE_SD_UM, 2.0)(HERE, THERE).odds
    none, half, alone = (
        MatchingHead(a_net(), 1.3, share, 2.0, PLACE_SD_UM)(HERE, THERE).odds
        for share in (0, 0.5, 1)
    )
    assert none == pytest.approx(plain, rel=1e-3, abs=1e-4)
    assert np.abs(alone / (1 + alone) - plain / (1 + plain)).max() > 0.1
    mean = (alone / (1 + alone) + plain / (1 + plain)) / 2
    assert half / (1 + half) == pytest.approx(mean, rel=1e-3, abs=1e-4)


def test_exchanging_the_sessions_leaves_the_answer():
    net = a_net()
    forth, back = log_odds(HERE, THERE, net), log_odds(THERE, HERE, net)
    assert forth.keys() == {(i, j) for j, i in back}
    for (i, j), value in forth.items():
        assert back[j, i] == pytest.approx(value, abs=1e-4)


def test_the_order_of_the_spines_does_not_matter():
    net = a_net()
    turned = Tokens(
        Places(HERE.places.points_um[::-1], HERE.places.axes),
        HERE.about[::-1].copy(),
        HERE.portraits[::-1].copy(),
    )
    plain = log_odds(HERE, THERE, net)
    for (i, j), value in log_odds(turned, THERE, net).items():
        assert plain[2 - i, j] == pytest.approx(value, abs=1e-4)


def test_pairs_of_sessions_in_one_batch_do_not_see_each_other():
    net = a_net()
    two = [
        as_tensors(pair_graph(HERE, THERE, PLACE_SD_UM)),
        as_tensors(pair_graph(THERE, HERE, PLACE_SD_UM)),
    ]
    with torch.inference_mode():
        together = net(SpinePairs.join(two))
        alone = torch.cat([net(p) for p in two])
    assert together.numpy() == pytest.approx(alone.numpy(), abs=1e-4)


def test_sessions_without_spines_have_no_links():
    head = MatchingHead(a_net(), 1.0, 0.5, 2.0, PLACE_SD_UM)
    nothing = session()
    assert head(HERE, nothing).odds.size == head(nothing, nothing).odds.size == 0
    assert [t.tolist() for t in tracks_by(head, [HERE, nothing], MatchConfig())] == [[0, 1, 2], []]


def test_beyond_the_gate_nothing_is_linked():
    head = MatchingHead(a_net(), 1.0, 0.5, 2.0, PLACE_SD_UM)
    found = head(session((0, 1, 0)), session((2.5, 1, 0)))
    assert found.odds.tolist() == [0.0]


def test_the_loss_wants_true_pairs_likely_and_lonely_spines_alone():
    across = torch.tensor([[0, 0], [2, 3]])
    same, alone = torch.tensor([True, False]), torch.tensor([False, True, False, True])
    good = match_loss(torch.tensor([6.0, -6.0]), across, same, alone)
    bad = match_loss(torch.tensor([-6.0, 6.0]), across, same, alone)
    assert good < 0.02 < 5 < bad
    # one pair with odds 1 against nobody: half; a spine with no candidate is surely alone
    even = match_loss(
        torch.tensor([0.0]),
        torch.tensor([[0], [1]]),
        torch.tensor([True]),
        torch.tensor([False, False, True]),
    )
    assert even.item() == pytest.approx(np.log(2))


def test_weights_come_back_as_they_were_and_others_are_refused(tmp_path):
    path = tmp_path / "head.safetensors"
    digest = save_match_weights(path, a_net(), 1.25)
    back = load_match_weights(str(path))
    assert (back.sha256, back.temperature, back.name) == (digest, 1.25, "head")
    assert log_odds(HERE, THERE, back.net) == pytest.approx(
        log_odds(HERE, THERE, a_net()), abs=0.05
    )
    with pytest.raises(InputError, match="belong to another net"):
        load_segment_weights(str(path))


def rewritten(path, tensors=None, **meta):
    """The file with its header changed by another program, or its numbers by chance."""
    with safe_open(path, framework="pt") as file:
        said = file.metadata() | {k: v for k, v in meta.items() if v is not None}
        state = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118 - as in io.weights
    gone = [k for k, v in meta.items() if v is None]
    said = {k: v for k, v in said.items() if k not in (*gone, "content_sha256")}
    save_file(state | (tensors or {}), path, said)
    return str(path)


@pytest.mark.parametrize(
    ("meta", "message"),
    [
        ({"temperature": None}, "do not say their temperature"),
        ({"temperature": "x"}, "do not say their temperature"),
        ({"temperature": "NaN"}, "have a temperature nan"),
        ({"temperature": "0.0"}, "have a temperature 0.0"),
    ],
)
def test_weights_of_another_program_are_refused(tmp_path, meta, message):
    path = tmp_path / "head.safetensors"
    save_match_weights(path, a_net(), 1.25)
    with pytest.raises(InputError, match=message):
        load_match_weights(rewritten(path, **meta))


def test_a_whole_number_is_a_temperature_too(tmp_path):
    path = tmp_path / "head.safetensors"
    save_match_weights(path, a_net(), 1.25)
    assert load_match_weights(rewritten(path, temperature="1")).temperature == 1


@pytest.mark.parametrize(
    ("meta", "message"),
    [
        ({"thresholds": "[0.5, 0.5]"}, "no threshold of shaft from 0 to 1"),
        ({"thresholds": '{"shaft": "0.5"}'}, "no threshold of shaft from 0 to 1"),
        ({"thresholds": '{"shaft": 0.5, "spine": 2}'}, "no threshold of spine from 0 to 1"),
        ({"fitted": "maybe"}, "do not say their fitted"),
    ],
)
def test_weights_of_the_net_of_another_program_are_refused(tmp_path, meta, message):
    path = tmp_path / "net.safetensors"
    path.write_bytes((shipped_folder("weights") / "unet.safetensors").read_bytes())
    with pytest.raises(InputError, match=message):
        load_segment_weights(rewritten(path, **meta))


def test_damaged_weights_are_refused(tmp_path):
    path = tmp_path / "head.safetensors"
    save_match_weights(path, a_net(), 1.25)
    whole = path.read_bytes()
    path.write_bytes(whole[:-100] + bytes(50) + whole[-50:])
    with pytest.raises(InputError, match="were damaged or cut short"):
        load_match_weights(str(path))
    path.write_bytes(whole)
    broken = {"trust_places": torch.tensor(float("nan"))}
    with pytest.raises(InputError, match="trust_places is no number"):
        load_match_weights(rewritten(path, broken))


def test_the_head_is_told_places_in_even_measures_and_no_size():
    table = pd.DataFrame({"probability": [0.9], "kind": ["filopodium"]})
    about = about_spines(table, np.array([[7.0, 1.5, -3.0]]))
    assert about[0] == pytest.approx([1, -2, 1, 1])


def bright_dendrite(turned):
    """A stack with a dendrite along x (or y) and one spine beside it; its centreline and head."""
    stack = np.full((9, 80, 80), 10, np.uint16)
    stack[4, 38:42, 5:75] = 210
    stack[4, 46:50, 40:44] = 110
    line = np.array([[4.0, 4.0, 0.6], [4.0, 4.0, 7.4]])
    head = np.array([[4.0, 4.75, 4.15]])
    if turned:
        stack, line, head = stack.transpose(0, 2, 1), line[:, [0, 2, 1]], head[:, [0, 2, 1]]
    volume = Volume(stack, (1.0, 0.1, 0.1), Session("m", "r", 0))
    segment = Segment(0, line, np.full(2, 0.2), np.array([0.0, 6.8]))
    return volume, Dendrites((segment,)), head


def test_a_portrait_shows_the_spine_in_its_middle_and_the_shaft_beside():
    volume, dendrites, head = bright_dendrite(turned=False)
    look = portraits(volume, head, dendrites, np.array([0]), 10.0)[0].astype(float)
    middle = tuple(n // 2 for n in PORTRAIT)
    assert look[middle] == pytest.approx(np.sqrt(0.5), abs=0.1)  # half as bright as the shaft
    sideways = look[middle[0], :, middle[2]]
    assert sideways.max() == pytest.approx(1, abs=0.1)
    assert np.argmax(sideways) == pytest.approx(middle[1] - 3, abs=1)  # 0.75 um to one side
    assert look[0].max() < 0.2


def test_a_portrait_does_not_care_which_way_the_dendrite_runs():
    looks = []
    for turned in (False, True):
        volume, dendrites, head = bright_dendrite(turned)
        looks.append(portraits(volume, head, dendrites, np.array([0]), 10.0)[0].astype(float))
    # a mirror image: x and y were exchanged
    assert looks[0] == pytest.approx(looks[1][:, ::-1], abs=0.05)


def test_a_portrait_does_not_care_how_bright_the_stack_is():
    volume, dendrites, head = bright_dendrite(turned=False)
    dim = Volume((volume.data // 5).astype(np.uint16), volume.voxel_size_um, volume.session)
    looks = [
        portraits(v, head, dendrites, np.array([0]), b).astype(float)
        for v, b in ((volume, 10.0), (dim, 2.0))
    ]
    assert looks[0] == pytest.approx(looks[1], abs=0.02)


def sighting(frames, track, seed=0):
    rng = np.random.default_rng(seed)
    looks = rng.random((len(frames), *WIDE)).astype(np.float16)
    about = rng.normal(0, 1, (len(frames), 4)).astype(np.float32)
    return Sighting(np.array(frames, float), about, looks, np.array(track))


def test_an_example_knows_who_is_whom_who_is_alone_and_what_is_not_known():
    a = sighting([[0, 1, 0], [4, 1, 0], [8, 1, 0], [12, 1, 0]], [1, 2, NOBODY, 4])
    b = sighting([[0.1, 1, 0], [8.2, 1, 0], [12.2, 1, 0]], [1, NOBODY, NOBODY], seed=1)
    example = as_example(a, b, PLACE_SD_UM)
    pairs = {(int(i), int(j) - 4): k for k, (i, j) in enumerate(example.pairs.across.T)}
    assert example.same[pairs[0, 0]]
    assert example.same.sum() == 1
    assert not example.known[pairs[2, 1]]  # two false alarms at one place
    assert example.known[pairs[3, 2]]
    assert example.alone.tolist() == [False, True, False, True, False, False, True]


def test_drawn_pairs_are_moved_but_stay_who_they_are():
    frames = [[2.0 * k, (-1) ** k, 0.1 * k] for k in range(12)]
    family = [sighting(frames, range(12), seed) for seed in (0, 1)]
    config = MisfitConfig(leave_out=0.0, hide_portraits=0.0, slip=0.0, worst=0.01)
    for seed in range(8):
        example = draw_pair([family], config, np.random.default_rng(seed))
        assert example.same.sum() == 12
        assert not example.alone.any()
        lies = example.pairs.forth_um[example.same]
        assert np.abs(lies).max() < 0.1


def test_in_training_too_the_head_is_told_the_scatter_that_links_by_places_have():
    frames = [[2.0 * k, (-1) ** k, 0.1 * k] for k in range(40)]
    family = [sighting(frames, range(40), seed) for seed in (0, 1)]
    config = MisfitConfig(leave_out=0.0, slip=0.0, resettled=0.0, worst=0.01)
    example = draw_pair([family], config, np.random.default_rng(0))
    usual = pair_graph(*(session(*frames) for _ in "ab"), PLACE_SD_UM).log_odds.max()
    assert example.pairs.log_odds[example.same].min() > usual + 1  # they lie closer than usual


def test_hidden_is_hidden():
    family = [sighting([[0, 1, 0], [3, 1, 0]], [1, 2], seed) for seed in (0, 1)]
    config = MisfitConfig(hide_portraits=1.0, leave_out=0.0)
    example = draw_pair([family], config, np.random.default_rng(0))
    assert not example.pairs.portraits.any()


def test_families_come_back_as_they_were(tmp_path):
    families = [[sighting([[0, 1, 0]], [3]), sighting([[1, 1, 0]], [NOBODY], 1)]]
    save_families(tmp_path / "a.npz", families)
    back = load_families(tmp_path / "a.npz")
    assert [len(f) for f in back] == [2]
    for old, new in zip(families[0], back[0], strict=True):
        for name in ("frame_um", "about", "portraits", "track"):
            assert np.array_equal(getattr(old, name), getattr(new, name))


def test_laid_pairs_stay_where_the_linker_laid_them_but_for_some():
    frames = [[2.0 * k, (-1) ** k, 0.1 * k] for k in range(12)]
    family = [sighting(frames, range(12), seed) for seed in (0, 1)]
    config = MisfitConfig(leave_out=0.0, hide_portraits=0.0)
    laid, moved = Laid.of(family), []
    for seed in range(8):
        example = draw_laid([laid], config, np.random.default_rng(seed))
        moved.append(example.pairs.forth_um[example.same].any(axis=1))
        assert not example.alone.any()
        assert example.pairs.portraits.any()
    assert 0.05 < np.concatenate(moved).mean() < 0.4


def test_a_spine_looks_otherwise_in_another_session_and_mostly_like_itself():
    """Blurred, brighter, noisy; a few pictures are of another spine, or none."""
    there = sighting([[2.0 * k, 1, 0] for k in range(12)], range(12))
    alike, own = [], there.portraits.reshape(12, -1).astype(float)
    for seed in range(20):
        now = seen_otherwise(there, np.random.default_rng(seed))
        assert now.frame_um is there.frame_um
        assert (now.portraits.shape, now.portraits.dtype) == (there.portraits.shape, np.float16)
        looks = now.portraits.reshape(12, -1).astype(float)
        assert (looks >= 0).all()
        assert not np.array_equal(looks, own)
        alike.append(np.argmax((looks - looks.mean(1, keepdims=True)) @ own.T, axis=1))
    assert 0.8 < (np.array(alike) == np.arange(12)).mean() < 1


def test_a_planted_dendrite_is_laid_over_itself():
    """Five sessions; most pairs of one spine lie within their scatter of each other."""
    family = draw_laid_family(5)
    assert len(family) == 5
    a, b = family[0], family[1]
    both = np.intersect1d(a.track[a.track != NOBODY], b.track)
    assert len(both) >= 3
    ours, theirs = (np.array([s.frame_um[s.track == k][0] for k in both]) for s in (a, b))
    assert np.median(np.abs(ours - theirs)[:, 0]) < 0.5
    assert a.portraits.shape == (len(a.track), *PORTRAIT)


def test_a_planted_dendrites_spines_may_be_what_the_net_finds():
    """More or less sure, most of them true, and most that are seen twice within half a micrometre
    of each other."""
    family = draw_laid_family(2, load_segment_weights("default"))
    a, b = family[0], family[1]
    assert np.std(a.about[:, ABOUT.index("probability")]) > 0.1
    assert (a.track != NOBODY).mean() > 0.5
    both = np.intersect1d(a.track[a.track != NOBODY], b.track)
    ours, theirs = (np.array([s.frame_um[s.track == k][0] for k in both]) for s in (a, b))
    assert np.median(np.abs(ours - theirs)[:, 0]) < 0.5
