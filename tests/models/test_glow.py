"""Glow: scales, the learned prior of split channels, saved initialization, errors."""

import copy
import io
import math

import pytest
import torch

from thalweg.data.dataset import Spec
from thalweg.models.flows.glow import Glow, ImageGlow
from thalweg.nn.actnorm import ActNorm
from thalweg.nn.image_coupling import ChannelCoupling
from thalweg.nn.invertible_linear import InvertibleLinear
from thalweg.recipes import recipe

DIGITS = Spec(name="scans", kind="image", shape=(1, 8, 8), levels=17)


def image_glow(**settings):
    """Build a Glow with noise added to every parameter."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        flow = ImageGlow((1, 8, 8), levels=17, **({"layers": 2, "hidden": 6} | settings))
        with torch.no_grad():
            for p in flow.parameters():
                p += 0.3 * torch.randn_like(p) / math.sqrt(p[0].numel() if p.ndim > 1 else 4)
    return flow


def scans(n=30):
    return torch.randint(17, (n, 1, 8, 8), generator=torch.Generator().manual_seed(n), dtype=torch.uint8)


@pytest.mark.system("S90")
@pytest.mark.parametrize(
    ("shape", "parts"),
    [
        ((3, 32, 32), [(6, 16, 16), (12, 8, 8), (48, 4, 4)]),
        ((1, 28, 28), [(2, 14, 14), (8, 7, 7)]),
        ((1, 8, 8), [(2, 4, 4), (8, 2, 2)]),
        ((1, 2, 6), [(4, 1, 3)]),
    ],
)
def test_levels_follow_from_the_size(shape, parts):
    flow = ImageGlow(shape, layers=1, hidden=4, levels=256)
    assert flow.transform.parts == parts
    assert sum(map(math.prod, parts)) == math.prod(shape)


@pytest.mark.system("S90")
def test_a_step_is_actnorm_linear_map_and_coupling():
    first, *_ = image_glow().transform.scales
    for step in first.transforms[1:3]:
        assert [type(t) for t in step.transforms] == [ActNorm, InvertibleLinear, ChannelCoupling]


@pytest.mark.system("S90")
def test_split_channels_have_a_prior_that_reads_the_remaining_ones():
    flow = image_glow().eval()
    prior = flow.transform.scales[0].transforms[-1]
    z = flow.draw(4, torch.Generator().manual_seed(0))
    other = z.clone()
    other[:, 32:] += 1.0  # the last scale, so the remaining channels
    h = torch.randn(4, 4, 4, 4)
    changed = torch.cat([h[:, :2] + 1, h[:, 2:]], 1)
    assert (prior(h).value[:, 2:] != prior(changed).value[:, 2:]).any()
    assert torch.equal(prior(h).value[:, :2], h[:, :2])
    assert (flow.inverse(z) - flow.inverse(other)).abs().max() > 0.1


@pytest.mark.system("S90")
@pytest.mark.parametrize("make", [image_glow, lambda: Glow((4,), mean=[0.0] * 4, std=[1.0] * 4, layers=3, hidden=8)])
def test_the_first_training_batch_initializes_every_actnorm_once(make):
    flow = make().train()
    x = scans(64) if flow.levels else torch.randn(64, 4)
    norms = [m for m in flow.modules() if isinstance(m, ActNorm)]
    seen = []
    for norm in norms:
        norm.register_forward_hook(lambda module, inputs, out: seen.append(out.value))
    flow.log_prob(x)
    for z in seen:
        over = [0, *range(2, z.ndim)]
        torch.testing.assert_close(z.mean(over), torch.zeros(z.shape[1]), atol=1e-4, rtol=0)
        torch.testing.assert_close(z.std(over, correction=0), torch.ones(z.shape[1]), atol=1e-3, rtol=0)
    before = copy.deepcopy(flow.state_dict())
    flow.log_prob(x[:5])
    assert all(torch.equal(value, before[name]) for name, value in flow.state_dict().items())


@pytest.mark.system("S90")
def test_a_loaded_flow_is_not_initialized_again():
    flow, x, noise = image_glow().train(), scans(), torch.rand(30, 1, 8, 8)
    flow.log_prob(x, noise)
    file = io.BytesIO()
    torch.save(flow.state_dict(), file)
    file.seek(0)
    loaded = image_glow().train()
    loaded.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(loaded.log_prob(x[:3], noise[:3]), flow.log_prob(x[:3], noise[:3]))
    assert torch.equal(loaded.eval().log_prob(x, noise), flow.eval().log_prob(x, noise))


def test_images_come_back_as_levels():
    flow, x = image_glow().eval(), scans()
    torch.testing.assert_close(flow.decode(flow.encode(x)), x.float(), atol=1e-3, rtol=0)
    assert flow.sample(3).dtype == torch.uint8


def test_architectures_and_refusals():
    odd = Spec(name="odd", kind="image", shape=(1, 11, 9), levels=17)
    plane = Spec(name="plane", kind="vector", shape=(2,), mean=(0.0, 0.0), std=(1.0, 1.0))
    assert isinstance(recipe("glow")(DIGITS).model, ImageGlow)
    assert isinstance(recipe("glow")(DIGITS, architecture="dense").model, Glow)
    assert isinstance(recipe("glow")(odd).model, Glow)
    assert isinstance(recipe("glow")(plane).model, Glow)
    with pytest.raises(ValueError, match="scales: got 1 of images of 11×9, wanted even sides"):
        recipe("glow")(odd, architecture="multi-scale")
    with pytest.raises(ValueError, match="wanted images for the multi-scale architecture"):
        recipe("glow")(plane, architecture="multi-scale")
    with pytest.raises(ValueError, match="at least 2"):
        Glow((1,), mean=[0.0], std=[1.0])
    with pytest.raises(ValueError, match="at least 2"):
        recipe("glow")(Spec(name="line", kind="vector", shape=(1,), mean=(0.0,), std=(1.0,)))
    with pytest.raises(ValueError, match="layers: got 0"):
        Glow((2,), mean=[0.0] * 2, std=[1.0] * 2, layers=0)
