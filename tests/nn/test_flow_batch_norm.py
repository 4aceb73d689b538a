"""Batch normalization as a transform: definition, log-determinant, gradients, and evaluation mode."""

import pytest
import torch
from torch.autograd.functional import jacobian

from thalweg.nn.flow_batch_norm import FlowBatchNorm

X = torch.randn(7, 3, 2, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 3 + 1
OVER = (0, 2, 3)


def norm(**settings):
    layer = FlowBatchNorm(3, **settings).double()
    layer.mean.copy_(torch.tensor([1.0, -2.0, 0.5]))
    layer.variance.copy_(torch.tensor([4.0, 0.25, 9.0]))
    return layer


@pytest.mark.system("S89")
@pytest.mark.parametrize("shape", [(3,), (3, 2, 4)], ids=str)
def test_log_det_in_evaluation_is_that_of_the_autograd_jacobian(shape):
    evaluated = norm().eval()
    x = X[:2, :, 0, 0] if len(shape) == 1 else X[:2]
    for point, value in zip(x, evaluated(x).log_det, strict=True):
        matrix = jacobian(lambda p: evaluated(p.reshape(1, *shape)).value.flatten(), point.flatten())
        torch.testing.assert_close(torch.linalg.slogdet(matrix).logabsdet, value)


@pytest.mark.system("S89")
def test_training_is_by_the_definition():
    rho, eps = 0.7, 1e-3
    layer = norm(rho=rho, eps=eps)
    mean = rho * layer.mean + (1 - rho) * X.mean(OVER)
    variance = rho * layer.variance + (1 - rho) * X.var(OVER, correction=0)
    z, log_det = layer(X)
    torch.testing.assert_close(z, (X - mean[:, None, None]) / (variance + eps).sqrt()[:, None, None])
    torch.testing.assert_close(log_det, (-0.5 * 8 * (variance + eps).log().sum()).repeat(7))
    torch.testing.assert_close(layer.mean, mean)
    torch.testing.assert_close(layer.variance, variance)


def test_running_variance_starts_at_one():
    fresh = FlowBatchNorm(3)
    assert torch.equal(fresh.variance, torch.ones(3))
    assert torch.equal(fresh.mean, torch.zeros(3))


@pytest.mark.system("S89")
def test_gradients_pass_through_the_statistics_of_the_batch():
    layer = norm(rho=0.7)
    x = X.clone().requires_grad_()

    def by_hand(x):
        mean = 0.7 * torch.tensor([1.0, -2.0, 0.5]).double() + 0.3 * x.mean(OVER)
        variance = 0.7 * torch.tensor([4.0, 0.25, 9.0]).double() + 0.3 * x.var(OVER, correction=0)
        z = (x - mean[:, None, None]) / (variance + 1e-5).sqrt()[:, None, None]
        return z.pow(3).sum() - 0.5 * 8 * (variance + 1e-5).log().sum()

    z, log_det = layer(x)
    (got,) = torch.autograd.grad(z.pow(3).sum() + log_det[0], x)
    (wanted,) = torch.autograd.grad(by_hand(x), x)
    torch.testing.assert_close(got, wanted)
    assert not layer.mean.requires_grad
    assert not layer.variance.requires_grad


@pytest.mark.system("S89")
def test_evaluation_has_the_running_statistics_and_an_inverse():
    layer = norm()
    layer(X)
    layer.eval()
    before = layer.state_dict()["mean"].clone()
    z, log_det = layer(X)
    assert torch.equal(layer.mean, before)
    torch.testing.assert_close(layer(X[:1]).value, z[:1])
    back = layer.inverse(z)
    torch.testing.assert_close(back.value, X, rtol=0, atol=1e-12)
    torch.testing.assert_close(back.log_det, log_det)


def test_refusals():
    with pytest.raises(ValueError, match="rho"):
        FlowBatchNorm(2, rho=1.5)
    with pytest.raises(ValueError, match="eps"):
        FlowBatchNorm(2, eps=0.0)
