"""Maps of networks with random layers: the gradient changes, guided backpropagation hardly, and weights come back."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from probed_networks import Net, images, same, state
from thalweg.interpretability import Probe
from thalweg.interpretability.randomization import random_weights, rank_correlations, weighted_layers
from thalweg.randomness import generator

pytestmark = pytest.mark.system("S108")
LAYERS = ["11", "9", "5", "2", "0"]


@pytest.fixture(scope="module")
def digits():
    """Return a probe of a network that is trained on the digits of scikit-learn, with 24 images of the test set."""
    from sklearn.datasets import load_digits

    order = torch.randperm(1797, generator=generator(0, "digits"))
    x = torch.from_numpy(load_digits().images).float()[order, None] / 16
    y = torch.from_numpy(load_digits().target)[order]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
            nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10),
        )  # fmt: skip
    optimizer = torch.optim.Adam(network.parameters(), lr=4e-3)
    for epoch in range(6):
        for batch in torch.randperm(1400, generator=generator(epoch, "order")).split(64):
            optimizer.zero_grad()
            F.cross_entropy(network(x[batch]), y[batch]).backward()
            optimizer.step()
    network.zero_grad()
    assert (network.eval()(x[1400:]).argmax(1) == y[1400:]).float().mean() >= 0.95
    return Probe(network), x[1400:1424]


def test_the_gradient_depends_on_the_weights_and_guided_backpropagation_hardly(digits):
    """Cascading, on the foreground and signed: below .2 at the end, and above .6 until the first layer is random."""
    probe, x = digits
    gradient, guided = (probe.sanity(x, method) for method in ("gradient", "guided"))
    assert gradient.settings["layers"] == guided.settings["layers"] == LAYERS
    assert gradient.values[-1, 0].abs() < 0.2
    assert (gradient.extra["foreground"][-1].abs() < 0.2).all()
    assert (guided.values[:-1] > 0.6).all()
    assert (guided.extra["foreground"][:-1, 0] > 0.6).all()
    assert (guided.extra["versus input"] > gradient.extra["versus input"]).all()
    assert guided.image().size == (640, 400)


@pytest.mark.parametrize("method", ["guided", "deconv"])
def test_every_result_carries_the_caution_with_the_number(digits, method):
    """That of all layers but the first, on the first eight images; computed once for each probe and method."""
    probe, x = Probe(digits[0].model), digits[1]
    (caution,) = getattr(probe, method)(x).warnings
    number = probe.sanity(x[:8], method).values[-2, 1]
    assert (
        f"the absolute maps of {method} have a rank correlation of {number:.2f} with those of this network" in caution
    )
    assert getattr(probe, method)(x[9:12]).warnings == (caution,)
    assert getattr(Probe(probe.model), method)(x[:8], layer="2:1").warnings[-1] == caution
    assert probe.gradient(x).warnings == probe.saliency(x).warnings == ()


def test_a_linear_model_has_the_map_of_its_random_weights():
    """Independent, with one layer: the correlation of the two weight vectors, by scipy."""
    from scipy.stats import spearmanr

    net = nn.Sequential(nn.Flatten(), nn.Linear(144, 4)).eval()
    own = net[1].weight.detach().clone()
    with random_weights(net, ["1"], seed=5):
        other = net[1].weight.detach().clone()
        assert not net[1].bias.any()
        assert other.abs().max() <= (6 / 144) ** 0.5
        assert other.var().item() == pytest.approx(2 / 144, rel=0.2)
    found = Probe(net).sanity(images(2), "gradient", target=2, seed=5, mode="independent")
    expected = [spearmanr(own[2], other[2])[0], spearmanr(own[2].abs(), other[2].abs())[0]]
    assert found.values[0].tolist() == pytest.approx(expected, abs=1e-6)
    image = images(2).flatten(1)
    versus = sum(spearmanr(own[2].abs(), one)[0] for one in image) / 2
    assert found.extra["versus input"][0].item() == pytest.approx(versus, abs=1e-6)


def test_the_foreground_is_what_differs_from_the_most_frequent_value():
    """Correlations on it are those of the remaining pixels; constant values count as 0."""
    from scipy.stats import spearmanr

    net = nn.Sequential(nn.Flatten(), nn.Linear(144, 4)).eval()
    x = images(1)
    x[:, :, :, :7] = 0.25
    own = net[1].weight.detach()[1].clone().view(12, 12)
    with random_weights(net, ["1"], seed=0):
        other = net[1].weight.detach()[1].clone().view(12, 12)
    found = Probe(net).sanity(x, "saliency", target=1)
    expected = spearmanr(own[:, 7:].abs().flatten(), other[:, 7:].abs().flatten())[0]
    assert found.extra["foreground"][0].tolist() == pytest.approx([expected, expected], abs=1e-6)
    assert rank_correlations(torch.ones(2, 5), torch.rand(2, 5)).tolist() == [0, 0]


@pytest.mark.parametrize("mode", ["cascading", "independent"])
@pytest.mark.parametrize("fails", [False, True])
def test_the_model_is_as_before(mode, fails):
    """The same tensors, also after an error."""
    net = Net(nn.ReLU()).eval()
    own, before = [p.data_ptr() for p in net.parameters()], state(net)
    probe = Probe(net)
    if fails:
        with pytest.raises(RuntimeError, match="stop"), random_weights(net, weighted_layers(probe, images(1)), 0):
            raise RuntimeError("stop")
    else:
        assert probe.sanity(images(), "guided", mode=mode).values[-1, 0] < 0.99
    same(before, state(net))
    assert [p.data_ptr() for p in net.parameters()] == own


def test_modes():
    """The first rows agree; independent ones have one random layer each; layers are in the order of their use."""

    class Swapped(Net):
        def __init__(self):
            super().__init__(nn.ReLU())
            self.conv1, self.fc2 = self._modules.pop("conv1"), self._modules.pop("fc2")

    probe = Probe(Swapped().eval())
    cascading, independent = (probe.sanity(images(), mode=mode) for mode in ("cascading", "independent"))
    assert cascading.settings["layers"] == ["fc2", "fc1", "conv2", "conv1"]
    assert torch.equal(cascading.values[0], independent.values[0])
    with random_weights(probe.model, ["conv2"], seed=0):
        alone = probe.gradient(images(), target=list(cascading.target)).values
    trained = probe.gradient(images(), target=list(cascading.target)).values
    assert independent.values[2, 0].item() == pytest.approx(rank_correlations(trained, alone).mean().item(), abs=1e-6)


BAD = {
    "method": (lambda p: p.sanity(images(), "occlusion"), "method: got 'occlusion'"),
    "mode": (lambda p: p.sanity(images(), mode="all"), "mode: got 'all'"),
    "layers": (lambda p: Probe(nn.Flatten()).sanity(images()), "model: got no linear layer or convolution"),
    "classes": (lambda p: p.sanity(images(), target=[1, 2]), "target: got 2 classes for 3 images"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_in_one_line(case):
    call, message = BAD[case]
    with pytest.raises(ValueError, match=message) as error:
        call(Probe(Net(nn.ReLU()).eval()))
    assert "\n" not in str(error.value)


def test_classes_are_given_to_chunks():
    """One for each image, in chunks of another size."""
    probe, x = Probe(Net(nn.ReLU()).eval()), images(5)
    together = probe.gradient(x, target=[0, 1, 2, 3, 0])
    probe._chunk = 2
    found = probe.gradient(x, target=[0, 1, 2, 3, 0])
    assert found.target == (0, 1, 2, 3, 0)
    torch.testing.assert_close(found.values, together.values)
    with pytest.raises(ValueError, match="got 2 classes for 5 images"):
        probe.gradient(x, target=[0, 1])
