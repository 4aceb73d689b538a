"""Batch normalization: definition, statistics of all data, scale invariance, training of γ and β, and smoothness."""

import pytest
import torch
from torch import nn

from thalweg.demos.batch_norm import full_data_statistics, only_normalization, perceptron, smoothness, train


@pytest.fixture(scope="module")
def digits() -> tuple[torch.Tensor, torch.Tensor]:
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    return torch.tensor(x, dtype=torch.float32) / 16, torch.tensor(y).long()


def normal(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=torch.float64)


@pytest.mark.system("S45")
@pytest.mark.oracle("O19")
def test_the_definition_by_hand():
    """(1, 2, 3, 6): mean 3, biased variance 3.5 for the output, unbiased 14/3 for the running variance (E-24)."""
    layer = nn.BatchNorm1d(1).double()
    batch = torch.tensor([[1.0], [2], [3], [6]], dtype=torch.float64)
    wanted = torch.tensor([-2.0, -1, 0, 3], dtype=torch.float64) / (3.5 + layer.eps) ** 0.5
    torch.testing.assert_close(layer(batch)[:, 0].detach(), wanted, atol=1e-14, rtol=0)
    assert wanted.tolist() == pytest.approx([-1.0690, -0.5345, 0, 1.6036], abs=1e-4)
    assert float(layer.running_mean) == pytest.approx(0.3)
    assert float(layer.running_var) == pytest.approx(1.3666667, abs=1e-7)


@pytest.mark.system("S45")
@pytest.mark.parametrize("epsilon", [1e-5, 0.5])
def test_channels_of_images_are_normalized_over_batch_and_places(epsilon):
    x, gamma, beta = 3 * normal(4, 3, 5, 5) + 2, normal(3), normal(3)
    mean = x.mean((0, 2, 3), keepdim=True)
    variance = ((x - mean) ** 2).mean((0, 2, 3), keepdim=True)
    wanted = gamma[:, None, None] * (x - mean) / (variance + epsilon).sqrt() + beta[:, None, None]
    torch.testing.assert_close(nn.functional.batch_norm(x, None, None, gamma, beta, True, eps=epsilon), wanted)


@pytest.mark.system("S45")
def test_statistics_of_all_data_are_estimated_layer_by_layer():
    """The inputs of the second layer are normalized by the final statistics of the first, not by those of batches."""
    torch.manual_seed(0)
    first, second = nn.BatchNorm1d(3), nn.BatchNorm1d(4)
    network = nn.Sequential(first, nn.Linear(3, 4), nn.ReLU(), second).double()
    x = normal(64, 3) * torch.linspace(1, 3, 64)[:, None].double()  # batches differ in scale
    batches = x.split(16)
    full_data_statistics(network, batches)
    torch.testing.assert_close(first.running_mean, x.mean(0))
    torch.testing.assert_close(first.running_var, torch.stack([b.var(0) for b in batches]).mean(0))
    inputs = network[:3](x)  # in evaluation mode
    assert not network.training
    torch.testing.assert_close(second.running_mean, inputs.mean(0).detach())
    torch.testing.assert_close(second.running_var, torch.stack([b.var(0) for b in inputs.split(16)]).mean(0).detach())
    assert not torch.allclose(second.running_mean, torch.stack([network[1:3](nn.functional.batch_norm(
        b, None, None, training=True)) for b in batches]).mean((0, 1)), atol=1e-3)  # fmt: skip


@pytest.mark.system("S46")
def test_scale_invariance_of_weights_before_normalization():
    """⟨g, w⟩ = 0, f(cw) = f(w), g(cw) = g(w)/c, and SGD with decay has ‖w′‖² = (1−αλ)²‖w‖² + α²‖g‖²."""
    x, y, w = normal(32, 5), normal(32, 4), normal(4, 5)

    def loss_and_gradient(w: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        w = w.clone().requires_grad_()
        outputs = nn.functional.batch_norm(x @ w.T, None, None, training=True, eps=1e-14)
        loss = (outputs.tanh() - y).square().mean()
        return loss.detach(), torch.autograd.grad(loss, w)[0]

    loss, g = loss_and_gradient(w)
    assert float((g * w).sum()) == pytest.approx(0, abs=1e-13)
    scaled_loss, scaled_g = loss_and_gradient(3 * w)
    assert float(scaled_loss) == pytest.approx(float(loss), rel=1e-13)
    torch.testing.assert_close(scaled_g, g / 3, atol=1e-13, rtol=1e-11)
    p = w.clone().requires_grad_()
    p.grad = g
    torch.optim.SGD([p], lr=0.3, weight_decay=0.1).step()
    squared = (1 - 0.03) ** 2 * w.square().sum() + 0.3**2 * g.square().sum()
    assert float(p.detach().square().sum()) == pytest.approx(float(squared), rel=1e-13)


@pytest.mark.system("S46")
def test_a_random_cnn_learns_by_its_normalization_alone(digits):
    x, y = digits
    images = x.reshape(-1, 1, 8, 8)
    torch.manual_seed(0)
    network = nn.Sequential(
        *(nn.Conv2d(1, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU()),
        *(nn.Conv2d(32, 32, 3, stride=2), nn.BatchNorm2d(32), nn.ReLU(), nn.Flatten(), nn.Linear(288, 10)),
    )
    learned = only_normalization(network)
    before = {name: p.clone() for name, p in network.named_parameters()}
    assert sum(p.numel() for p in learned) == 128
    train(network, images[:1400], y[:1400], lr=0.5, steps=60, batch_size=128, seed=0)
    network.eval()
    accuracy = float((network(images[1400:]).argmax(1) == y[1400:]).double().mean())
    assert accuracy > 0.4  # chance is 0.1
    changed = {name for name, p in network.named_parameters() if not torch.equal(p, before[name])}
    assert changed == {"1.weight", "1.bias", "4.weight", "4.bias"}


@pytest.mark.system("S46")
def test_normalization_makes_training_insensitive_to_the_scale_of_the_weights(digits):
    """Of 5 layers: weights times 0.2 and times 3 learn with batch normalization, and do not without it."""
    x, y = digits
    sizes = [64, 32, 32, 32, 32, 10]

    def loss(scale: float, normalized: bool) -> float:
        network = perceptron(sizes, normalized=normalized, scale=scale)
        return sum(train(network, x, y, lr=0.05, steps=80, batch_size=128, seed=0)[-10:]) / 10

    assert max(loss(scale, True) for scale in (0.2, 1.0, 3.0)) < 0.7
    assert not min(loss(0.2, False), loss(3.0, False)) < 1.5  # not a number counts as not learned


@pytest.mark.system("S46")
@pytest.mark.parametrize("normalized", [False, True])
def test_smoothness_is_that_of_finite_differences_and_restores_the_network(digits, normalized):
    x, y = digits[0][:64].double(), digits[1][:64]
    network = perceptron([64, 16, 16, 10], normalized=normalized).double()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    tiny = 1e-6
    result = smoothness(network, x, y, distances=[0.0, tiny], lr=0.1)
    weights = list(network.parameters())
    for name, value in before.items():
        assert torch.equal(network.state_dict()[name], value)
    gradient = torch.autograd.grad(nn.functional.cross_entropy(network.train()(x), y), weights)
    squared = sum(float(g.square().sum()) for g in gradient)
    assert (result.losses[0] - result.losses[1]) / tiny == pytest.approx(squared, rel=1e-3)
    assert result.gradients[0] == 0
    assert result.shift[0] == 0  # no layer is before the first
    assert result.cosine[0] == pytest.approx(1)
    assert min(result.shift[1:]) > 0
