"""Real NVP: inverse, log-determinant, normalization, what a density of raw images means."""

import math
from functools import partial
from itertools import pairwise

import pytest
import torch
from torch.autograd.functional import jacobian

from thalweg.data.dataset import Spec
from thalweg.models.flows.real_nvp import ImageRealNVP, RealNVP
from thalweg.nn.coupling import Coupling
from thalweg.nn.dequantize import LogitLevels
from thalweg.nn.elementwise import AffineMap
from thalweg.nn.flow_batch_norm import FlowBatchNorm
from thalweg.nn.image_coupling import ChannelCoupling, CheckerboardCoupling
from thalweg.nn.squeeze import Squeeze
from thalweg.problems.likelihood import Likelihood
from thalweg.recipes import recipe
from thalweg.training.problem import Batch


def alive(flow, seed=0, size=0.4):
    """Set every weight to a random value: the initial identity would hide a wrong sign."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in flow.parameters():
            p.copy_(torch.randn(p.shape, generator=generator, dtype=p.dtype) * size / math.sqrt(p.shape[-1]) * 2)
    return flow


def vector_flow(dim, layers=4, **settings):
    spread = torch.linspace(0.5, 2.0, dim).tolist()
    return alive(RealNVP((dim,), layers=layers, hidden=16, mean=spread, std=spread, **settings))


def image_flow(**settings):
    return alive(RealNVP((1, 2, 3), layers=4, hidden=16, levels=17, **settings))


@pytest.mark.system("S88")
@pytest.mark.system("S89")
@pytest.mark.oracle("O44")
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-10)])
@pytest.mark.parametrize(("dim", "layers"), [(2, 4), (2, 5), (3, 4), (7, 5), (64, 6)])
def test_inverse(dim, layers, dtype, tolerance):
    flow = vector_flow(dim, layers).to(dtype)
    x = torch.randn(50, dim, generator=torch.Generator().manual_seed(1), dtype=dtype)
    z = flow.encode(x)
    assert (z - x).abs().max() > 0.1
    assert (flow.decode(z) - x).abs().max() <= tolerance
    assert (flow.encode(flow.decode(x)) - x).abs().max() <= tolerance


@pytest.mark.system("S89")
@pytest.mark.oracle("O44")
@pytest.mark.parametrize("dim", [2, 5])
def test_log_det_is_that_of_the_autograd_jacobian(dim):
    flow = vector_flow(dim, layers=5).double()
    x = torch.randn(6, dim, dtype=torch.float64)
    moved = flow.forward_and_log_det(x)
    assert moved.log_det.std() > 0.01
    for point, value in zip(x, moved.log_det, strict=True):
        matrix = jacobian(lambda p: flow.encode(p[None])[0], point)
        torch.testing.assert_close(torch.linalg.slogdet(matrix).logabsdet, value)


@pytest.mark.system("S89")
def test_log_det_of_images_is_about_raw_values():
    flow = image_flow().double()
    x = torch.rand(4, 1, 2, 3, dtype=torch.float64) * 17
    for point, value in zip(x, flow.forward_and_log_det(x).log_det, strict=True):
        matrix = jacobian(lambda p: flow.forward_and_log_det(p.reshape(1, 1, 2, 3)).value[0], point.flatten())
        torch.testing.assert_close(torch.linalg.slogdet(matrix).logabsdet, value)


@pytest.mark.system("S88")
@pytest.mark.oracle("O44")
def test_coupling_keeps_one_part_and_its_log_det_is_the_sum_of_s():
    coupling = alive(Coupling(2, 3, AffineMap(3), hidden=8)).double()
    x = torch.randn(5, dtype=torch.float64)
    matrix = jacobian(lambda p: torch.cat([p[:2], coupling(p[None, :2], p[None, 2:]).value[0]]), x)
    assert torch.equal(matrix[:2], torch.eye(2, 5, dtype=torch.float64))
    log_scale = coupling(x[None, :2], x[None, 2:]).log_slope
    torch.testing.assert_close(torch.linalg.slogdet(matrix).logabsdet, log_scale.sum())


@pytest.mark.system("S89")
def test_parts_are_disjoint_and_every_coordinate_moves():
    flow = vector_flow(7, layers=2)
    assert sorted(flow.transform.order[0].tolist()) == list(range(7))
    matrix = jacobian(lambda p: flow.encode(p[None])[0], torch.randn(7))
    assert (matrix.abs().sum(0) > 0).all()
    assert sum(flow.transform.sizes) == 7


@pytest.mark.system("S87")
@pytest.mark.parametrize("base", ["normal", "logistic"])
def test_integrates_to_one_in_the_plane(base):
    flow = vector_flow(2, base=base)
    extent, n = (24.0, 1400) if base == "normal" else (60.0, 2000)
    h = 2 * extent / n
    axis = -extent + h * (torch.arange(n) + 0.5)
    with torch.no_grad():
        mass = sum(
            float(flow.log_prob(part).double().exp().sum()) for part in torch.cartesian_prod(axis, axis).split(200_000)
        )
    assert mass * h * h == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("levels", [17, 256])
@pytest.mark.parametrize("make", [RealNVP, partial(ImageRealNVP, scales=2)])
def test_a_uniform_density_costs_exactly_log2_levels_bits_a_value(levels, make):
    flow = make((1, 4, 4), hidden=8, levels=levels, alpha=0.0, base="logistic").double()
    x = torch.randint(levels, (20, 1, 4, 4))
    bits = -flow.log_prob(x, torch.rand(20, 1, 4, 4, dtype=torch.float64)) / (16 * math.log(2))
    torch.testing.assert_close(bits, torch.full_like(bits, math.log2(levels)))


def test_noise_is_drawn_only_when_not_given():
    flow, x = image_flow(), torch.randint(17, (5, 1, 2, 3), dtype=torch.uint8)
    noise = torch.rand(5, 1, 2, 3)
    assert torch.equal(flow.log_prob(x, noise), flow.log_prob(x, noise))
    assert not torch.equal(flow.log_prob(x), flow.log_prob(x))
    torch.testing.assert_close(flow.log_prob(x, noise), flow().log_prob(x + noise))


def test_logit_is_finite_at_the_ends():
    levels = LogitLevels(256, alpha=0.0)
    moved = levels.forward_and_log_det(torch.tensor([[0.0, 256.0]]))
    assert moved.value.isfinite().all()
    assert moved.log_det.isfinite().all()


def test_images_come_back_as_levels():
    flow, generator = image_flow(), torch.Generator().manual_seed(0)
    images = flow.sample(20, generator)
    assert images.dtype == torch.uint8
    assert images.shape == (20, 1, 2, 3)
    assert images.max() <= 16
    torch.testing.assert_close(flow.decode(flow.encode(images)), images.float(), atol=1e-3, rtol=0)


@pytest.mark.system("S89")
def test_samples_follow_the_density():
    """E over samples of p_other / p = 1, with p_other a Gaussian inside the flow's support."""
    flow = vector_flow(2, layers=4)
    x = flow.sample(200_000, torch.Generator().manual_seed(0))
    other = torch.distributions.Normal(torch.tensor([1.0, 1.0]), 0.5)
    with torch.no_grad():
        ratio = (other.log_prob(x).sum(1) - flow.log_prob(x)).exp()
    assert float(ratio.mean()) == pytest.approx(1, abs=5 * float(ratio.std()) / math.sqrt(len(x)))


def test_save_and_load(tmp_path):
    flow, other = vector_flow(5), RealNVP((5,), layers=4, hidden=16, mean=[0.0] * 5, std=[1.0] * 5)
    torch.save(flow.state_dict(), tmp_path / "flow.pt")
    other.load_state_dict(torch.load(tmp_path / "flow.pt", weights_only=True))
    x = torch.randn(3, 5)
    assert torch.equal(flow.log_prob(x), other.log_prob(x))


def test_the_loss_is_minus_log_prob():
    flow = vector_flow(2)
    x = torch.randn(4, 2)
    assert torch.equal(Likelihood(flow).loss("model", Batch(x)).values, -flow.log_prob(x))
    flow = image_flow()
    batch = Batch(torch.randint(17, (5, 1, 2, 3)), seed=3)
    expected = -flow.log_prob(batch.x, batch.uniform("dequantize", 1, 2, 3))
    assert torch.equal(Likelihood(flow).loss("model", batch).values, expected)


def test_refusals():
    with pytest.raises(ValueError, match="at least 2"):
        RealNVP((1,), mean=[0.0], std=[1.0])
    with pytest.raises(ValueError, match="of tokens, wanted images or vectors"):
        recipe("real-nvp")(Spec(name="text", kind="tokens", shape=(8,), levels=256))
    with pytest.raises(ValueError, match="at least 2"):
        recipe("real-nvp")(Spec(name="line", kind="vector", shape=(1,), mean=(0.0,), std=(1.0,)))


def steps(flow):
    """The layers of each scale, in order."""
    short = {CheckerboardCoupling: "checkerboard", Squeeze: "squeeze", ChannelCoupling: "channel"}
    return [[short[type(t)] for t in scale.transforms] for scale in flow.transform.scales]


CHECKERED, SQUEEZED = ["checkerboard"] * 3, ["checkerboard"] * 3 + ["squeeze"] + ["channel"] * 3


@pytest.mark.system("S89")
@pytest.mark.oracle("O44")
@pytest.mark.parametrize(("last_scale", "channels"), [("paper", 12), ("lecture", 48)])
def test_32_by_32_colors_become_3072_latents(last_scale, channels):
    flow = ImageRealNVP((3, 32, 32), hidden=4, levels=256, last_scale=last_scale)
    last = SQUEEZED if last_scale == "lecture" else [*CHECKERED, "checkerboard"]
    assert steps(flow) == [SQUEEZED, SQUEEZED, last]
    sizes = [math.prod(part) for part in flow.transform.parts]
    assert sizes == [512 * 3, 256 * 3, 256 * 3]
    assert flow.transform.parts[-1][0] == channels
    x = torch.zeros(1, 3, 32, 32, dtype=torch.uint8)
    assert flow.encode(x).shape == (1, 3072)


@pytest.mark.system("S89")
@pytest.mark.parametrize(
    ("shape", "last_scale", "parts"),
    [
        ((1, 28, 28), "paper", [(2, 14, 14), (4, 7, 7), (4, 7, 7)]),
        ((1, 28, 28), "lecture", [(2, 14, 14), (8, 7, 7)]),
        ((1, 8, 8), "paper", [(2, 4, 4), (2, 4, 4)]),
        ((1, 11, 9), "paper", [(1, 11, 9)]),
    ],
)
def test_scales_follow_from_the_size(shape, last_scale, parts):
    flow = ImageRealNVP(shape, hidden=4, levels=256, last_scale=last_scale)
    assert flow.transform.parts == parts


@pytest.mark.system("S89")
def test_split_channels_depend_on_no_later_scale():
    flow = image_scales(last_scale="paper")
    x = torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 17
    before = flow.forward_and_log_det(x).value
    with torch.no_grad():
        for p in flow.transform.scales[1].parameters():
            p += 0.1
    after = flow.forward_and_log_det(x).value
    assert torch.equal(before[:, :32], after[:, :32])
    assert (before[:, 32:] != after[:, 32:]).any()


@pytest.mark.system("S89")
def test_couplings_alternate_so_that_every_position_is_transformed():
    for scale in image_scales().transform.scales:
        kinds = [t for t in scale.transforms if isinstance(t, CheckerboardCoupling)]
        for one, two in pairwise(kinds):
            assert torch.equal(one.mask, 1 - two.mask)
        halves = [t.swap for t in scale.transforms if isinstance(t, ChannelCoupling)]
        assert halves == [k % 2 == 1 for k in range(len(halves))]


@pytest.mark.system("S89")
def test_batch_norm_follows_every_coupling_and_evaluation_is_exact():
    flow = image_scales(batch_norm=True, last_scale="paper").double()
    pairs = [pair for scale in flow.transform.scales for pair in scale.transforms if not isinstance(pair, Squeeze)]
    assert all(isinstance(pair.transforms[1], FlowBatchNorm) for pair in pairs)
    assert len(pairs) == 10
    x = torch.randint(17, (40, 1, 8, 8), dtype=torch.uint8)
    noise = torch.rand(40, 1, 8, 8, dtype=torch.float64)
    first = flow.train().log_prob(x, noise)
    assert not torch.equal(first, flow.log_prob(x, noise))  # the running statistics have moved
    flow.eval()
    assert torch.equal(flow.log_prob(x, noise), flow.log_prob(x, noise))
    torch.testing.assert_close(flow.decode(flow.encode(x)), x.double(), atol=1e-9, rtol=0)


def image_scales(**settings):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        flow = ImageRealNVP((1, 8, 8), hidden=6, levels=17, **settings)
        with torch.no_grad():
            for p in flow.parameters():
                p += 0.3 * torch.randn_like(p) / math.sqrt(p[0].numel() if p.ndim > 1 else 4)
    return flow


def test_architectures():
    digits = Spec(name="scans", kind="image", shape=(1, 8, 8), levels=17)
    odd = Spec(name="odd", kind="image", shape=(1, 11, 9), levels=17)
    assert isinstance(recipe("real-nvp")(digits).model, ImageRealNVP)
    assert isinstance(recipe("real-nvp")(digits, architecture="dense").model, RealNVP)
    assert isinstance(recipe("real-nvp")(odd).model, RealNVP)
    assert isinstance(recipe("real-nvp")(odd, architecture="multi-scale", last_scale="paper").model, ImageRealNVP)
    plane = Spec(name="plane", kind="vector", shape=(2,), mean=(0.0, 0.0), std=(1.0, 1.0))
    with pytest.raises(ValueError, match="wanted images for the multi-scale architecture"):
        recipe("real-nvp")(plane, architecture="multi-scale")
    with pytest.raises(ValueError, match="batch_norm"):
        recipe("real-nvp")(plane, batch_norm=True)
    with pytest.raises(ValueError, match="scales: got 5 of images of 8×8, wanted at most 4"):
        recipe("real-nvp")(digits, scales=5, last_scale="paper")
    with pytest.raises(ValueError, match="scales: got 1 of images of 11×9, wanted even sides"):
        recipe("real-nvp")(odd, architecture="multi-scale")
