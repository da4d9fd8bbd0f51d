import numpy as np
import pytest
import torch

from spinenet.config import MorphologyConfig, OpticsConfig
from spinenet.io.weights import load_segment_weights
from spinenet.models.inputs import (
    Brightness,
    canonical_shift_um,
    canonical_voxel_um,
    measure_brightness,
    normalise,
    resample_xy,
)
from spinenet.models.losses import heat_loss, segment_loss
from spinenet.models.unet3d import HALO_PX, MULTIPLE, SpineUNet, folded
from spinenet.segment.label import find_peaks, group_votes, label, peak_near, peaks_around
from spinenet.segment.predict import Prediction, _peaks_back, pick_device, plan_tiles, predict
from spinenet.synthetic.patches import draw_example
from spinenet.training.targets import heat_at
from spinenet.types import Session, Volume

VOXEL = (1.0, 0.1, 0.1)
S = Session("m", "r", 0)


def blobs(*points, shape=(9, 60, 60), sigma=(0.6, 0.16, 0.16)):
    grid = np.stack(np.meshgrid(*[np.arange(n) for n in shape], indexing="ij"), -1) * VOXEL
    heat = [np.exp(-0.5 * (((grid - p) / sigma) ** 2).sum(-1)) for p in points]
    return np.rint(255 * np.max(heat, axis=0)).astype(np.uint8)


def test_two_close_heads_are_two_peaks():
    centres, heights = find_peaks(blobs((4, 3, 2.6), (4, 3, 3.4)), VOXEL, 0.5)
    assert np.sort(centres[:, 2]) == pytest.approx([2.6, 3.4], abs=0.05)
    assert heights == pytest.approx([1, 1])


def test_centres_are_found_between_voxels():
    centres, _ = find_peaks(blobs((4, 3.04, 2.53)), VOXEL, 0.5)
    assert centres[0] == pytest.approx([4, 3.04, 2.53], abs=0.04)


def test_a_flat_map_has_no_peaks():
    centres, _ = find_peaks(np.full((5, 30, 30), 200, np.uint8), VOXEL, 0.5)
    assert len(centres) == 0


def test_no_heat_no_peak():
    centres, heights = find_peaks(np.zeros((3, 9, 9), np.uint8), VOXEL, 0.5)
    assert centres.shape == (0, 3)
    assert heights.shape == (0,)


def prediction():
    """A shaft along x at y = 2, one head at y = 3; voters point to it or nowhere."""
    shaft = np.zeros((9, 60, 60), np.uint8)
    shaft[4, 17:24] = 255
    spine = np.zeros_like(shaft)
    spine[4, 27:34, 27:34] = 255
    voters = np.argwhere(spine > 0)
    votes = np.tile([4.0, 3.0, 3.0], (len(voters), 1))
    votes[0] = [4, 5.5, 5.5]
    return Prediction(shaft, spine, blobs((4, 3, 3)), voters, votes, VOXEL)


def test_voxels_go_to_the_centre_they_vote_for():
    seen = label(prediction(), shaft=0.5, spine=0.5, centre=0.5)
    assert (seen.spines == 1).sum() == 48
    assert seen.shaft.sum() == 7 * 60
    assert seen.probability.tolist() == [1.0]


def test_no_centre_no_label():
    p = prediction()
    assert group_votes(p, np.zeros((0, 3)), p.shaft > 0, 0.5).max() == 0


def test_looking_near_a_place():
    heights, centres = peak_near(blobs((4, 3, 3)), VOXEL, np.array([[4, 3.2, 2.9], [0, 0.5, 0.5]]))
    assert heights == pytest.approx([1, 0], abs=0.01)
    assert centres[0] == pytest.approx([4, 3, 3], abs=0.05)


def test_peaks_around_a_place():
    """Two heads 1.2 um apart, and a third that is too far off to be looked at."""
    heat = np.maximum.reduce([blobs(at) // n for at, n in (((4, 3, 3), 1), ((4, 3, 4.2), 4))])
    heat = np.maximum(heat, blobs((4, 3, 5.2)))
    place, reach = np.array([4.0, 3.0, 3.6]), np.array([2.0, 1.0, 1.0])
    heights, centres = peaks_around(heat, VOXEL, place, reach, 0.2)
    order = np.argsort(-heights)
    assert heights[order] == pytest.approx([1, 0.25], abs=0.02)
    assert centres[order] == pytest.approx(np.array([[4, 3, 3], [4, 3, 4.2]]), abs=0.1)


def test_no_peaks_where_nothing_is_or_outside():
    reach = np.array([2.0, 1.0, 1.0])
    for place in ([4.0, 5.5, 5.5], [4.0, 90.0, 3.0]):
        heights, centres = peaks_around(blobs((4, 3, 3)), VOXEL, np.array(place), reach, 0.2)
        assert heights.shape == (0,)
        assert centres.shape == (0, 3)


@pytest.mark.parametrize("shape", [(5, 40, 70), (40, 300, 500), (3, 64, 64)])
def test_tiles_cover_every_pixel_once(shape):
    hits = np.zeros(shape[1:], int)
    for box in plan_tiles(shape, 0.5):
        hits[box.y0 : box.y1, box.x0 : box.x1] += 1
        assert box.y0 % MULTIPLE[1] == 0
        assert box.x0 % MULTIPLE[2] == 0
    assert (hits == 1).all()


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    net = SpineUNet((4, 6, 8, 8))
    torch.nn.init.normal_(net.head.weight, 0, 1)
    return net


@pytest.fixture(scope="module")
def stack():
    rng = np.random.default_rng(0)
    return rng.integers(0, 200, (5, 150, 170)).astype(np.uint16)


def test_folding_changes_nothing(net):
    x = torch.randn(1, 1, 4, 16, 16)
    net.eval()
    with torch.no_grad():
        before = net(x)
        after = folded(net)(x)
    assert torch.allclose(before, after, atol=1e-4)


def test_the_answer_does_not_depend_on_the_tiles(net, stack):
    volume = Volume(stack, VOXEL, S)
    device = torch.device("cpu")
    whole = predict(volume, folded(net), tile_mvox=100, device=device)
    tiled = predict(volume, folded(net), tile_mvox=0.12, device=device)
    assert len(plan_tiles(stack.shape, 0.12)) > 1
    off = np.abs(whole.spine.astype(int) - tiled.spine)
    assert (off > 8).mean() < 0.001
    assert HALO_PX % MULTIPLE[1] == 0


class Leaning(torch.nn.Module):
    """Answers with the brightness itself, and votes for what lies 1 um to the left."""

    def forward(self, x):
        to_left = torch.zeros_like(x.expand(-1, 3, -1, -1, -1)).clone()
        to_left[:, 2] = -1.0
        return torch.cat([x.expand(-1, 3, -1, -1, -1), to_left], dim=1)


def test_a_brightness_that_is_known_is_not_measured_anew(stack):
    """Of a stack that was normalised and brought back, background 0 and scale 1, it reads another."""
    own = measure_brightness(stack, VOXEL)
    plain = ((stack - own.background) / own.scale).astype(np.float32)
    args = {"net": Leaning(), "tile_mvox": 100, "device": torch.device("cpu")}
    here = predict(Volume(stack, VOXEL, S), **args)
    same = predict(Volume(plain, VOXEL, S), brightness=Brightness(0.0, 1.0), **args)
    other = predict(Volume(plain, VOXEL, S), brightness=Brightness(0.0, 0.5), **args)
    assert np.abs(here.spine.astype(int) - same.spine).max() <= 2
    assert np.abs(here.spine.astype(int) - other.spine).max() > 2


@pytest.mark.parametrize("views", [1, 2, 4])
def test_views_are_turned_back_before_they_are_averaged(stack, views):
    """Brightness stays where it is in every mirror image; a net that always votes to the left votes
    to the right where the image is mirrored, so that four views cancel."""
    volume = Volume(stack[:, :64, :72], VOXEL, S)
    args = {"tile_mvox": 0.1, "device": torch.device("cpu")}
    one, more = predict(volume, Leaning(), **args), predict(volume, Leaning(), views=views, **args)
    assert (one.spine == more.spine).all()
    assert (one.voters == more.voters).all()
    away = more.votes_um - more.voters * np.array(VOXEL)
    assert away == pytest.approx(
        np.tile([0, 0, {1: -1, 2: -1, 4: 0}[views]], (len(away), 1)), abs=1e-4
    )


def test_four_views_know_no_side(net, stack):
    """A mirrored stack gets the mirrored answer; from one view it does not."""
    turned = np.ascontiguousarray(stack[:, :, ::-1])
    for views, same in ((1, False), (4, True)):
        a, b = (
            predict(
                Volume(x, VOXEL, S),
                folded(net),
                tile_mvox=100,
                device=torch.device("cpu"),
                views=views,
            )
            for x in (stack[:, :144, :160], turned[:, :144, 10:])
        )
        off = np.abs(a.spine.astype(int) - b.spine[:, :, ::-1])
        assert bool(off.max() <= 1) is same


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA card here")
def test_a_card_and_the_processor_agree():
    rng = np.random.default_rng(5)
    drawn = draw_example(rng, (16, 160, 160), OpticsConfig(), MorphologyConfig(), VOXEL)
    net, volume = load_segment_weights("default").net, Volume(drawn.image, VOXEL, S)
    on_cpu, on_card = (
        predict(volume, net, tile_mvox=5, device=torch.device(d)) for d in ("cpu", "cuda")
    )
    for name in ("shaft", "spine", "centre"):
        off = np.abs(getattr(on_cpu, name).astype(int) - getattr(on_card, name))
        assert (off > 8).mean() < 0.001


@pytest.mark.parametrize("xy", [0.06, 0.2])
def test_other_pixels_are_resampled_and_brought_back(net, stack, xy):
    p = predict(Volume(stack, (1, xy, xy), S), folded(net), tile_mvox=6, device=torch.device("cpu"))
    assert p.shaft.shape == stack.shape
    assert p.voters.shape == p.votes_um.shape
    assert (p.voters < stack.shape).all()
    assert canonical_voxel_um((1, xy, xy)) == (1, 0.1, 0.1)


@pytest.mark.parametrize("xy", [0.05, 0.15, 0.2, 0.3])
def test_peaks_keep_their_height_on_other_pixels(xy):
    """A head found with certainty stays certain when its map goes back to the stack's pixels."""
    voxel = (1.0, xy, xy)
    shape = (9, round(6 / xy), round(6 / xy))
    heat = _peaks_back(blobs((4, 1.57, 2.13), (4, 4.0, 3.52)), shape)
    centres, heights = find_peaks(heat, voxel, 0.5)
    places = centres - canonical_shift_um(voxel)
    assert heights == pytest.approx([1, 1], abs=0.05)
    assert np.abs(places[np.argsort(places[:, 1])] - [(4, 1.57, 2.13), (4, 4, 3.52)]).max() < 0.12


@pytest.mark.parametrize(
    ("xy", "within_um"), [(0.05, 0.025), (0.07, 0.01), (0.15, 0.01), (0.2, 0.01), (0.3, 0.02)]
)
def test_peaks_of_other_pixels_lean_to_no_side(xy, within_um):
    """By a quarter of a pixel heads would be moved against their dendrite. On pixels half as wide
    the first of two that are equally high is taken, half a pixel from the middle."""
    rng = np.random.default_rng(0)
    shape = (9, round(6 / xy), round(6 / xy))
    astray = []
    for _ in range(30):
        head = np.array([4, *rng.uniform(1.5, 4.5, 2)])
        centres, _ = find_peaks(_peaks_back(blobs(head), shape), (1.0, xy, xy), 0.5)
        astray.append(centres[0] - canonical_shift_um((1.0, xy, xy)) - head)
    assert np.mean(astray, axis=0)[1:] == pytest.approx([0, 0], abs=within_um)


def test_pixels_that_are_not_square_are_made_square():
    """Patches are turned in training: a spine along x must be as long along y."""
    assert canonical_voxel_um((1, 0.08, 0.13)) == (1, 0.1, 0.1)
    assert canonical_voxel_um((1, 0.12, 0.12)) == (1, 0.12, 0.12)


def test_a_full_card_is_answered_by_smaller_tiles(net, stack, caplog):
    caplog.set_level("WARNING")  # a quiet command before may have raised it
    small = folded(net)
    calls = []

    class Full(torch.nn.Module):
        def forward(self, x):
            calls.append(x.shape)
            if x.shape[-1] > 150:
                raise torch.OutOfMemoryError("full")
            return small(x)

    p = predict(Volume(stack, VOXEL, S), Full(), tile_mvox=100, device=torch.device("cpu"))
    whole = predict(Volume(stack, VOXEL, S), small, tile_mvox=100, device=torch.device("cpu"))
    assert "half the size" in caplog.text
    assert (np.abs(p.spine.astype(int) - whole.spine) > 8).mean() < 0.001


def test_gain_and_offset_do_not_matter(stack):
    a = normalise(stack, measure_brightness(stack, VOXEL))
    bright = stack * 3.0 + 500
    b = normalise(bright, measure_brightness(bright, VOXEL))
    assert np.allclose(a, b, atol=1e-5)


def test_a_cell_body_in_a_corner_does_not_darken_the_rest(stack):
    field = np.random.default_rng(0).integers(0, 200, (5, 320, 320)).astype(float)
    with_soma = field.copy()
    with_soma[:, :40, :40] += 50_000
    a, b = measure_brightness(field, VOXEL), measure_brightness(with_soma, VOXEL)
    assert b.scale == pytest.approx(a.scale, rel=0.1)


def test_a_flat_stack_is_not_divided_by_zero():
    assert measure_brightness(np.full((3, 20, 20), 7), VOXEL).scale > 0
    assert normalise(np.zeros((1, 1, 1)), Brightness(0, 1)).item() == 0


def test_resampling_keeps_a_constant():
    assert np.allclose(resample_xy(np.full((2, 8, 8), 3, np.float32), (2, 13, 5)), 3)


def test_unknown_voxels_do_not_count():
    logits = torch.randn(1, 6, 2, 8, 8)
    target = torch.zeros_like(logits)
    valid = torch.zeros(1, 3, 2, 8, 8)
    valid[..., :4] = 1
    other = logits.clone()
    other[..., 4:] = 99
    a, b = (segment_loss(x, target, valid)["loss"] for x in (logits, other))
    assert torch.allclose(a, b)


def test_a_wrong_number_of_levels_is_refused():
    with pytest.raises(ValueError, match="4 levels"):
        SpineUNet((8, 16))


def test_cpu_is_cpu():
    assert pick_device("cpu").type == "cpu"


def heat_loss_at(said, target):
    known = torch.ones_like(target)
    return float(heat_loss(torch.logit(said.clamp(1e-4, 1 - 1e-4)), target, known))


def test_on_a_plateau_the_best_answer_counts():
    """A centre that is known roughly may be answered beside its likeliest voxel; an exact one not."""
    exact, rough = torch.zeros(1, 3, 15, 15), torch.zeros(1, 3, 15, 15)
    for target, slack in ((exact, (0.0, 0.0, 0.0)), (rough, (1.0, 0.2, 0.2))):
        window, heat = heat_at(np.array([1, 7, 7]), (1.0, 0.1, 0.1), (3, 15, 15), slack)
        target[0][window] = torch.from_numpy(heat)
    beside = torch.full((1, 3, 15, 15), 1e-3)
    beside[0, 1, 7, 9] = 0.9
    nothing = torch.full((1, 3, 15, 15), 1e-3)
    far = nothing.clone()
    far[0, 1, 2, 2] = 0.9
    assert heat_loss_at(beside, rough) < 0.1 * heat_loss_at(nothing, rough)
    assert heat_loss_at(beside, exact) > 0.9 * heat_loss_at(nothing, exact)
    assert heat_loss_at(far, rough) > heat_loss_at(nothing, rough)


def test_a_plateau_falls_off_beyond_its_edge():
    window, heat = heat_at(np.array([5, 20, 20]), (1.0, 0.1, 0.1), (11, 41, 41), (1.0, 0.2, 0.2))
    z, y, x = (p - w.start for p, w in zip((5, 20, 20), window, strict=True))
    assert heat[z, y, x] == 1
    assert heat[z + 1, y, x + 2] == pytest.approx(0.9)
    assert heat[z, y, x + 4] < 0.5
