"""Folded batch normalization: equal outputs in every case, and what must not be folded."""

import jaxtyping
import pytest
import torch
from torch import nn

from catalogue import CLASSIFIERS, CONVNETS
from thalweg.nn.folding import folded
from thalweg.randomness import generator


@pytest.fixture(autouse=True)
def untyped(monkeypatch):
    """Tests check the types of all arguments, which refuses the symbols of a traced call; only tests do."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


def prepared(network: nn.Module) -> nn.Module:
    """Return the network in float64 with random statistics, scales of both signs and shifts, in evaluation mode."""
    draw = generator(0, "statistics")
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            n = module.num_features
            if module.running_mean is not None:
                module.running_mean.copy_(torch.randn(n, generator=draw))
                module.running_var.copy_(0.2 + torch.rand(n, generator=draw))
            if module.weight is not None:
                with torch.no_grad():
                    module.weight.copy_(0.5 + torch.rand(n, generator=draw)).mul_(1 - 2 * (torch.arange(n) % 2))
                    module.bias.copy_(torch.randn(n, generator=draw))
    return network.double().eval()


def count(network: nn.Module) -> int:
    return sum(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in network.modules())


class Twice(nn.Module):
    """One layer whose output is read by two normalizations, or one layer that is called twice."""

    def __init__(self, shared: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1)
        self.first, self.second, self.shared = nn.BatchNorm2d(4), nn.BatchNorm2d(4), shared

    def forward(self, x):
        if self.shared:
            return self.second(self.conv(self.first(self.conv(x))))
        y = self.conv(x)
        return self.first(y) + self.second(y)


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4)

    def forward(self, x):
        y = self.conv(x)
        return y + self.norm(y)


BN = nn.BatchNorm2d
CASES = {  # network, normalizations that remain
    "bias": (lambda: nn.Sequential(nn.Conv2d(4, 6, 3), BN(6), nn.ReLU()), 0),
    "no bias": (lambda: nn.Sequential(nn.Conv2d(4, 6, 3, bias=False), BN(6)), 0),
    "groups": (lambda: nn.Sequential(nn.Conv2d(4, 6, 3, groups=2), BN(6)), 0),
    "depthwise": (lambda: nn.Sequential(nn.Conv2d(4, 8, 3, groups=4, padding=1), BN(8)), 0),
    "transposed": (lambda: nn.Sequential(nn.ConvTranspose2d(4, 6, 3, 2, 1, 1), BN(6)), 0),
    "transposed, groups": (lambda: nn.Sequential(nn.ConvTranspose2d(4, 6, 3, 2, groups=2, bias=False), BN(6)), 0),
    "linear": (lambda: nn.Sequential(nn.Flatten(), nn.Linear(256, 5), nn.BatchNorm1d(5)), 0),
    "no scale": (lambda: nn.Sequential(nn.Conv2d(4, 6, 3), BN(6, affine=False)), 0),
    "large epsilon": (lambda: nn.Sequential(nn.Conv2d(4, 6, 3), BN(6, eps=0.3)), 0),
    "two": (lambda: nn.Sequential(nn.Conv2d(4, 6, 3), BN(6), BN(6)), 1),
    "no statistics": (lambda: nn.Sequential(nn.Conv2d(4, 6, 3), BN(6, track_running_stats=False)), 1),
    "norm first": (lambda: nn.Sequential(BN(4), nn.Conv2d(4, 6, 3, padding=1)), 1),
    "activation between": (lambda: nn.Sequential(nn.Conv2d(4, 6, 3), nn.ReLU(), BN(6)), 1),
    "layer called twice": (lambda: Twice(shared=True), 2),
    "output read twice": (lambda: Twice(shared=False), 2),
    "output read by a sum": (Residual, 1),
}


@pytest.mark.system("S46")
@pytest.mark.oracle("O19")
@pytest.mark.parametrize("case", CASES)
def test_a_folded_network_has_the_outputs_of_the_network(case):
    make, remaining = CASES[case]
    torch.manual_seed(0)
    network = prepared(make())
    before = {name: value.clone() for name, value in network.state_dict().items()}
    x = torch.randn(3, 4, 8, 8, dtype=torch.float64)
    result = folded(network)
    torch.testing.assert_close(result(x), network(x), atol=1e-12, rtol=1e-12)
    assert count(result) == remaining
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name])  # the network itself is unchanged


@pytest.mark.system("S46")
def test_convolutions_of_one_dimension_are_folded():
    network = prepared(nn.Sequential(nn.Conv1d(2, 6, 3), nn.BatchNorm1d(6)))
    x = torch.randn(2, 2, 9, dtype=torch.float64)
    result = folded(network)
    torch.testing.assert_close(result(x), network(x), atol=1e-12, rtol=1e-12)
    assert count(result) == 0


@pytest.mark.system("S46")
@pytest.mark.oracle("O19")
@pytest.mark.parametrize("member", [*CLASSIFIERS, *CONVNETS], ids=str)
def test_every_classifier_can_be_folded(member):
    model = prepared(member.trained())
    model = model if count(model) else model.float()
    x = member.examples(3)
    result = folded(model)
    logits = model.logits(x)
    torch.testing.assert_close(
        result.logits(x), logits, atol=1e-12 * float(logits.detach().abs().max().clamp(min=1)), rtol=0
    )
    convs = sum(isinstance(m, nn.Conv2d) for m in model.modules())
    if member.recipe in ("resnet", "resnext", "senet", "googlenet") and count(model):
        assert (count(model), count(result)) == (convs, 0)
    if member.recipe in ("resnet-v2", "densenet"):  # normalization of sums or of several maps stays
        assert 0 < count(result) < count(model)


@pytest.mark.system("S46")
def test_training_mode_and_untraceable_networks_are_refused():
    network = nn.Sequential(nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6))
    with pytest.raises(ValueError, match="network: got Sequential in training mode, wanted evaluation mode"):
        folded(network)
    network.eval()
    network[1].train()
    with pytest.raises(ValueError, match="in training mode"):
        folded(network)

    class Branching(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Sequential(nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6))

        def forward(self, x):
            return self.inner(x) if x.sum() > 0 else x

    with pytest.raises(ValueError, match="network: got Branching, whose calls cannot be traced"):
        folded(Branching().eval())
