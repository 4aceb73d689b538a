"""Saliency, gradient, guided backpropagation and DeconvNet against closed forms and an explicit DeconvNet."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from probed_networks import RELUS, Net, images
from thalweg.interpretability import Probe
from thalweg.interpretability.relu import RULES, ReluRule

pytestmark = pytest.mark.system("S108")

FORWARD = torch.tensor([[1.0, -1.0, 5.0], [2.0, -5.0, -7.0], [-3.0, 2.0, 4.0]])
SIGNAL = torch.tensor([[-2.0, 3.0, -1.0], [6.0, -3.0, 1.0], [2.0, -1.0, 3.0]])
EXPECTED = {
    "gradient": [[-2, 0, -1], [6, 0, 0], [0, -1, 3]],
    "deconv": [[0, 3, 0], [6, 0, 1], [2, 0, 3]],
    "guided": [[0, 0, 0], [6, 0, 0], [0, 0, 3]],
}


@pytest.mark.oracle("O53")
@pytest.mark.parametrize("rule", RULES)
def test_the_example_of_springenberg(rule):
    """The three rules on the 3×3 numbers of figure 1 of the paper."""
    f = FORWARD.clone().requires_grad_()
    with ReluRule(rule) as hits:
        y = torch.relu(f)
    assert torch.equal(torch.autograd.grad(y, f, SIGNAL)[0], torch.tensor(EXPECTED[rule]).float())
    assert hits.hits == 1


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("way", RELUS)
def test_every_way_to_write_a_rectifier_gives_the_same(way, rule):
    """Exactly the maps of the network of modules; a rule that is skipped would give those of the gradient."""
    x = images()
    reference = getattr(Probe(Net(nn.ReLU()).eval()), rule)(x, target=1).values
    got = getattr(Probe(Net(RELUS[way]).eval()), rule)(x, target=1).values
    assert torch.equal(got, reference)
    plain = Probe(Net(nn.ReLU()).eval()).gradient(x, target=1).values
    assert rule == "gradient" or not torch.allclose(got, plain)


@pytest.mark.parametrize("rule", RULES)
def test_a_rectifier_whose_output_is_changed_in_place(rule):
    """A residual sum in place, which plain backpropagation refuses."""

    class Residual(nn.Module):
        def forward(self, x):
            y = torch.relu(x)
            y += x
            return y.flatten(1)

    values = getattr(Probe(Residual()), rule)(images(2), target=3).values
    x = images(2).flatten(1)
    expected = torch.zeros_like(x)
    expected[:, 3] = 2.0  # through the sum and, where x > 0, the rectifier; images are not negative
    assert torch.equal(values.flatten(1), expected)


@pytest.mark.parametrize("rule", ["guided", "deconv"])
def test_compiled_networks(rule):
    """With the eager backend of torch.compile."""
    network = Net(nn.ReLU()).eval()
    x = images(1)
    reference = getattr(Probe(network), rule)(x, target=0).values
    compiled = torch.compile(network, backend="eager")
    assert torch.equal(getattr(Probe(compiled), rule)(x, target=0).values, reference)


def explicit(net, x, start):
    """Return the projection of the activations `start` of conv3 by unpooling, rectification and transposed filters."""
    pooled1, switches1 = F.max_pool2d(torch.relu(net[0](x)), 2, return_indices=True)
    size1 = net[0](x).shape
    switches2 = F.max_pool2d(torch.relu(net[3](pooled1)), 2, return_indices=True)[1]
    size2 = net[3](pooled1).shape
    signal = F.conv_transpose2d(torch.relu(start), net[6].weight, padding=1)
    signal = F.max_unpool2d(signal, switches2, 2, output_size=size2)
    signal = F.conv_transpose2d(torch.relu(signal), net[3].weight, padding=1)
    signal = F.max_unpool2d(signal, switches1, 2, output_size=size1)
    return F.conv_transpose2d(torch.relu(signal), net[0].weight, padding=1)


def test_deconv_equals_the_explicit_deconvnet():
    """Three convolutions and two poolings in float64, from the largest activation of each channel."""
    torch.manual_seed(1)
    net = nn.Sequential(
        nn.Conv2d(2, 6, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 7, 3, padding=1), nn.ReLU(),
        nn.MaxPool2d(2), nn.Conv2d(7, 5, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.LazyLinear(3),
    ).double().eval()  # fmt: skip
    x = images(2, channels=2).double()
    net(x)
    for channel in range(5):
        top = torch.relu(net[6](net[:6](x)))[:, channel].flatten(1).max(1)
        start = torch.zeros(2, 5, 9).double()
        start[torch.arange(2), channel, top.indices] = top.values
        got = Probe(net).deconv(x, layer=f"7:{channel}").values
        torch.testing.assert_close(got, explicit(net, x, start.view(2, 5, 3, 3)), atol=1e-12, rtol=1e-12)


@pytest.mark.system("S107")
@pytest.mark.oracle("O54")
def test_saliency_of_a_linear_score_is_its_weights():
    """M = max over channels of |w|, whatever the normalization's mean, and divided by its std."""
    linear = nn.Sequential(nn.Flatten(), nn.Linear(3 * 144, 4))
    x = images(2, channels=3)
    weights = linear[1].weight.detach()[2].view(3, 12, 12).abs()
    got = Probe(linear).saliency(x, target=2)
    torch.testing.assert_close(got.values, weights.amax(0).expand(2, 12, 12))
    std = (0.2, 0.5, 2.0)
    scaled = Probe(linear, normalize=((0.4, 0.5, 0.6), std)).saliency(x, target=2).values
    torch.testing.assert_close(scaled[0], (weights / torch.tensor(std).view(3, 1, 1)).amax(0))
    assert got.target == (2, 2)
    torch.testing.assert_close(torch.tensor(got.probability), linear(x).softmax(1)[:, 2].detach())


def test_gradient_of_a_channel_is_the_mean_over_its_positions():
    """Yosinski's average of the gradients of the nodes, against autograd."""
    net, x = Net(nn.ReLU()).eval(), images(2)
    got = Probe(net).gradient(x, layer="conv2:3").values
    y = x.clone().requires_grad_()
    mean = net.conv2(net.pool(torch.relu(net.conv1(y))))[:, 3].mean((1, 2)).sum()
    torch.testing.assert_close(got, torch.autograd.grad(mean, y)[0])
    one = Probe(net).gradient(x, layer="conv2:3@2,1").values
    node = net.conv2(net.pool(torch.relu(net.conv1(y))))[:, 3, 2, 1].sum()
    torch.testing.assert_close(one, torch.autograd.grad(node, y)[0])


@pytest.mark.parametrize("method", ["saliency", "gradient", "guided", "deconv"])
def test_the_map_of_an_image_does_not_depend_on_its_batch(method):
    """The same alone as in the batch, and in any chunks."""
    net = nn.Sequential(nn.Conv2d(1, 5, 3), nn.BatchNorm2d(5), nn.ReLU(), nn.Flatten(), nn.LazyLinear(3))
    x = images(7)
    net(x)
    probe = Probe(net.eval())
    together = getattr(probe, method)(x).values
    alone = torch.cat([getattr(probe, method)(one).values for one in x])
    torch.testing.assert_close(together, alone, atol=1e-6, rtol=1e-5)
    probe._chunk = 3
    torch.testing.assert_close(getattr(probe, method)(x).values, together, atol=1e-6, rtol=1e-5)


def test_networks_without_rectifiers_or_with_other_nonlinearities_are_refused():
    """In a line that names them; with other='gradient' their derivative is used."""
    with pytest.raises(ValueError, match="got no rectifier in the forward pass"):
        Probe(nn.Sequential(nn.Flatten(), nn.Linear(144, 2))).guided(images(1))
    mixed = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(200, 3), nn.GELU(), nn.Linear(3, 2))
    with pytest.raises(ValueError, match="got the nonlinearities gelu, for which the rule guided is not defined"):
        Probe(mixed).guided(images(1))
    assert Probe(mixed).guided(images(1), other="gradient").values.shape == (1, 1, 12, 12)
    assert Probe(mixed).gradient(images(1)).values.any()


def test_a_signal_of_zeros_is_said():
    """A channel that is never active."""
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(200, 3))
    nn.init.constant_(net[0].bias, -9)
    found = Probe(net).deconv(images(1), layer="1:0")
    assert "0 everywhere" in found.warnings[0]


@pytest.mark.parametrize("method", ["saliency", "guided", "occlusion"])
def test_folded_batch_normalization_changes_nothing_but_rounding(method):
    """Also where the weights or the statistics change between two calls."""
    torch.manual_seed(0)
    first, second = (nn.Conv2d(1, 6, 3), nn.BatchNorm2d(6)), (nn.Conv2d(6, 5, 3), nn.BatchNorm2d(5))
    net = nn.Sequential(*first, nn.ReLU(), *second, nn.ReLU(), nn.Flatten(), nn.Linear(320, 3))
    x = images(3)
    probe = Probe(net.train().eval())
    for change in range(3):
        if change == 1:
            net[0].weight.data.mul_(2)
        elif change == 2:
            net.train()(x)
            net.eval()
        got = getattr(probe, method)(x, target=1).values
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("thalweg.interpretability.network.NORMS", ())  # nothing to fold
            plain = getattr(Probe(net), method)(x, target=1).values
        torch.testing.assert_close(got, plain, atol=1e-5, rtol=1e-4)
    assert len(probe._copies) <= 2
    assert all(isinstance(copy[1], nn.Identity) for copy in probe._copies.values())


def test_what_counts_as_a_rectifier():
    """clamp(0, 6) does not; a rectifier in place changes its input."""
    x = torch.tensor([-1.0, 7.0])
    with ReluRule("guided") as hits:
        torch.clamp(x, 0, 6)
        assert hits.hits == 0
        y = x.clone()
        F.relu(y, inplace=True)
        z = x.clone()
        z.clamp_(min=0)
    assert hits.hits == 2
    assert y.tolist() == z.tolist() == [0, 7]
