"""Adversarial images: the boundary of linear models, bounds, and the methods against each other."""

import pytest
import torch
from torch import nn

from probed_networks import Net, images
from thalweg.interpretability import Probe
from thalweg.interpretability.adversary import transfer
from thalweg.randomness import generator

pytestmark = pytest.mark.system("S110")


def binary(seed: int = 0) -> nn.Module:
    """A linear classifier of two classes, with scores ±(aᵀx + b)/2."""
    torch.manual_seed(seed)
    network = nn.Sequential(nn.Flatten(), nn.Linear(16, 2))
    with torch.no_grad():
        a, b = 3 * torch.randn(16), torch.zeros(())
        b -= (a * 0.5).sum() - 0.8
        network[1].weight.copy_(torch.stack([a / 2, -a / 2]))
        network[1].bias.copy_(torch.stack([b / 2, -b / 2]))
    return network


def sharp(**settings) -> nn.Module:
    """A network whose random scores differ enough that every class is some image's."""
    net = Net(nn.ReLU(), **settings).eval()
    with torch.no_grad():
        for layer in (net.conv1, net.conv2, net.fc1, net.fc2):
            layer.weight.mul_(3)
            layer.bias.zero_()
        net.fc2.bias -= net(images(50)).mean(0)
    return net


@pytest.mark.oracle("O54")
def test_lbfgs_finds_the_nearest_point_of_the_boundary_of_a_linear_model():
    """‖r‖ = |aᵀx + b|/‖a‖ along a, where the box does not matter."""
    network = binary()
    a = network[1].weight.detach()[0] - network[1].weight.detach()[1]
    x = 0.5 + 0.02 * torch.randn(3, 1, 4, 4, generator=torch.Generator().manual_seed(1))
    found = Probe(network).adversary(x, method="lbfgs")
    assert found.extra["success"].all()
    scores = network(x).detach()
    distance = (scores[:, 0] - scores[:, 1]).abs() / a.norm()
    r = (found.values - x).flatten(1)
    torch.testing.assert_close(r.norm(dim=1), distance, rtol=0.02, atol=0)
    cosine = (r @ a).abs() / (r.norm(dim=1) * a.norm())
    assert (cosine > 0.999).all()


@pytest.mark.parametrize("method", ["lbfgs", "fgsm", "pgd"])
def test_images_stay_in_bounds_and_success_is_that_of_the_clamped_images(method):
    """Bit-exactly in [0, 1], and within ε for the signed steps."""
    net = sharp()
    x = images(2).round()  # at the bounds
    found = Probe(net).adversary(x, method=method, epsilon=0.3)
    assert found.values.min() >= 0
    assert found.values.max() <= 1
    label = net(found.values).argmax(1)
    assert torch.equal(label, found.extra["class"])
    if method != "lbfgs":
        assert (found.values - x).abs().max() <= 0.3 + 1e-6
        assert torch.equal(found.extra["success"], label != net(x).argmax(1))
    torch.testing.assert_close(found.extra["rms"], (found.values - x).square().mean((1, 2, 3)).sqrt())


def test_fgsm_is_one_signed_step():
    """x + ε sign(∂loss/∂x), clamped."""
    net, x = sharp(), images(3)
    found = Probe(net).adversary(x, method="fgsm", epsilon=0.1)
    y = x.clone().requires_grad_()
    loss = nn.functional.cross_entropy(net(y), net(x).argmax(1), reduction="sum")
    expected = (x + 0.1 * torch.autograd.grad(loss, y)[0].sign()).clamp(0, 1)
    torch.testing.assert_close(found.values, expected)


def test_pgd_succeeds_at_least_as_often_as_fgsm_on_a_linear_model_and_reaches_targets():
    """With a target the step goes down its loss."""
    net, x = sharp(classes=3), images(8)
    probe = Probe(net)
    fgsm, pgd = (probe.adversary(x, method=m, epsilon=0.3).extra["success"].sum() for m in ("fgsm", "pgd"))
    assert pgd >= fgsm
    before = net(x).log_softmax(1)[:, 1]
    aimed = probe.adversary(x, target=1, method="pgd", epsilon=0.1)
    assert (net(aimed.values).log_softmax(1)[:, 1] > before).all()
    assert torch.equal(aimed.extra["success"], aimed.extra["class"] == 1)


def test_szegedy_s_smallest_change_is_smaller_than_that_of_fgsm():
    """The rms of L-BFGS is below that of the signed step that just succeeds."""
    net, x = sharp(), images(2)
    probe = Probe(net)
    smallest = probe.adversary(x, method="lbfgs")
    assert smallest.extra["success"].all()
    for epsilon in (0.02, 0.05, 0.1, 0.2, 0.4):
        signed = probe.adversary(x, method="fgsm", epsilon=epsilon)
        done = signed.extra["success"] & (signed.extra["class"] == smallest.extra["class"])
        assert (smallest.extra["rms"] <= signed.extra["rms"])[done].all()


def test_transfer_between_two_models():
    """In % of the images; for the model itself it is the share of successes."""
    first, second = Probe(sharp()), Probe(binary_of_images())
    x = images(4)
    label = first.scores(x).argmax(1)
    found = first.adversary(x, epsilon=0.4)
    table = transfer(found.values, {"first": first, "second": second}, label)
    assert table["first"] == pytest.approx(100 * float(found.extra["success"].float().mean()))
    assert table["first"] > 50
    assert 0 <= table["second"] <= 100


def binary_of_images() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(144, 4))


def test_settings_are_checked():
    """In one line each."""
    probe = Probe(sharp())
    for settings, message in (({"method": "bfgs"}, "method: got 'bfgs'"), ({"epsilon": -0.1}, "epsilon: got"),
                              ({"epsilon": 2.0}, "epsilon: got"), ({"steps": 0}, "steps: got")):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            probe.adversary(images(1), **settings)


def test_it_does_not_depend_on_the_batch():
    """PGD's random start is the same for every image, in any batch and any chunks."""
    probe, x = Probe(Net(nn.ReLU()).eval()), images(5)
    together = probe.adversary(x).values
    torch.testing.assert_close(torch.cat([probe.adversary(one).values for one in x]), together)
    probe._chunk = 2
    torch.testing.assert_close(probe.adversary(x).values, together)


def test_pgd_step_by_step():
    """A start within ±ε, then steps of ε/4 along the sign of the gradient, projected on |r| ≤ ε and on [0, 1]."""
    net, x, epsilon = sharp(), images(2), 0.2
    found = Probe(net).adversary(x, method="pgd", epsilon=epsilon, steps=1).values
    labels = net(x).argmax(1)
    start = torch.rand(x.shape[1:], generator=generator(0, "adversary"))
    y = (x + epsilon * (2 * start - 1)).clamp(0, 1).requires_grad_()
    loss = nn.functional.cross_entropy(net(y), labels, reduction="sum")
    moved = y + epsilon / 4 * torch.autograd.grad(loss, y)[0].sign()
    expected = torch.minimum(torch.maximum(moved, x - epsilon), x + epsilon).clamp(0, 1)
    torch.testing.assert_close(found, expected.detach())


def test_one_class_has_no_adversaries():
    """In one line."""
    with pytest.raises(ValueError, match="got 1 class, wanted at least 2"):
        Probe(nn.Sequential(nn.Flatten(), nn.Linear(144, 1))).adversary(images(1), method="lbfgs")
