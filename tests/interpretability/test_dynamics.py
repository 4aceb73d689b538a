"""Gradients by layer during training against autograd, and statistics of activations against plain means."""

import pytest
import torch
from torch import nn

from probed_networks import Net, images, same, state
from thalweg.interpretability import Probe
from thalweg.interpretability.dynamics import gradient_norms
from thalweg.nn.initialize import layer_statistics
from thalweg.randomness import generator

pytestmark = pytest.mark.system("S11")


def deep(layers=8, width=32, activation=nn.Tanh):
    parts = []
    for _ in range(layers):
        parts += [nn.Linear(width, width), activation()]
    return nn.Sequential(*parts, nn.Linear(width, 1))


X = torch.randn(64, 32, generator=generator(0, "x"))
Y = torch.randn(64, 1, generator=generator(0, "y"))


def loss(network, step):
    return (network(X) - Y).square().mean()


def test_a_quadratic_loss_has_the_gradients_of_its_closed_form():
    """Of ½w²: w_t = w₀(1 − lr)ᵗ, which is also the norm of the gradient; the loss falls with its square."""
    network = nn.Linear(1, 1, bias=False)
    found = gradient_norms(network, lambda net, _: net.weight.square().sum() / 2, ["lecun", 3.0], steps=20, lr=0.1)
    norms = found.norms["lecun"][:, 0]
    torch.testing.assert_close(norms, norms[0] * 0.9 ** torch.arange(20))
    torch.testing.assert_close(found.losses["lecun"], norms.square() / 2)
    torch.testing.assert_close(found.norms[3.0], 3 * found.norms["lecun"])


def test_gradients_vanish_for_small_weights_and_not_for_those_of_lecun():
    """In a tanh network of 8 hidden layers: for small weights all gradients are, for large ones those of the first."""
    network = deep()
    before = [p.clone() for p in network.parameters()]
    found = gradient_norms(network, loss, ["lecun", 0.2, 4.0, "zero"], steps=5, lr=0.01)
    assert found.layers == [str(i) for i in range(0, 17, 2)]
    ratio = {name: norms[0, 0] / norms[0, -2] for name, norms in found.norms.items()}
    assert 0.1 < ratio["lecun"] < 10
    assert (found.norms[0.2][0, :-1] < 1e-4 * found.norms["lecun"][0, :-1]).all()
    assert ratio[4.0] > 5 * ratio["lecun"]
    assert not found.norms["zero"][0].any()
    assert all(torch.equal(p, q) for p, q in zip(network.parameters(), before, strict=True))
    again = gradient_norms(network, loss, ["lecun"], steps=5, lr=0.01)
    assert torch.equal(again.norms["lecun"], found.norms["lecun"])


def test_sigmoid_layers_reduce_gradients():
    """With the derivative of at most ¼, LeCun's weights do not help."""
    found = gradient_norms(deep(activation=nn.Sigmoid), loss, ["lecun"], steps=1)
    assert found.norms["lecun"][0, 0] < 1e-3 * found.norms["lecun"][0, -2]


def test_norms_are_those_of_layer_statistics():
    """At the first step, for a network with a convolution."""
    network = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(300, 4))
    kept = []

    def first(net, step):
        kept.extend([net] if not step else [])
        return net(images()).square().mean()

    found = gradient_norms(network, first, ["he"], steps=1, lr=0.0)
    expected = layer_statistics(kept[0], images(), lambda y: y.square().mean())
    assert found.norms["he"][0].tolist() == pytest.approx([s.weight_gradient_norm for s in expected], rel=1e-5)


@pytest.mark.parametrize("chunk", [None, 2])
def test_statistics_of_activations(chunk):
    """Mean, standard deviation and share of zeros of each layer, also over chunks of different sizes."""
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(400, 3)).eval()
    x, before = images(5), state(net)
    probe = Probe(net)
    probe._chunk = chunk
    found = probe.activation_statistics(x)
    assert found.settings["layers"] == ["0", "1", "2", "3"]
    y = net[0](x)
    outputs = [y, y.relu(), y.relu(), net[3](y.relu().flatten(1))]
    expected = [[o.mean().item(), o.std(correction=0).item(), (o == 0).float().mean().item()] for o in outputs]
    torch.testing.assert_close(found.values, torch.tensor(expected), atol=1e-5, rtol=1e-4)
    assert 0 < found.values[1, 2] < 1
    assert found.image().size[0] >= 640
    same(before, state(net))


def test_bad_arguments():
    with pytest.raises(ValueError, match="network: got no linear layer or convolution"):
        gradient_norms(nn.Flatten(), loss, ["he"])
    with pytest.raises(ValueError, match="initializations: got -1, wanted a name or a positive factor"):
        gradient_norms(deep(), loss, [-1])
    with pytest.raises(ValueError, match="init: got 'ho'"):
        gradient_norms(deep(), loss, ["ho"])
    with pytest.raises(ValueError, match="x: got list"):
        Probe(Net(nn.ReLU()).eval()).activation_statistics([1.0])
