"""Squared distances of pairs against differences, also far from the origin."""

import pytest
import torch

from thalweg.objectives.pairwise import middle, squared_distances


def cloud(n, seed):
    return torch.randn(n, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("offset", [0.0, 1e3, 1e8])
@pytest.mark.parametrize("far", [0.0, 1e8])
@pytest.mark.parametrize(("dtype", "rel"), [(torch.float64, 1e-9), (torch.float32, 1e-4)])
def test_differences_and_their_gradients(offset, far, dtype, rel):
    x, y = (cloud(n, n).add(offset).to(dtype) for n in (20, 30))
    x[0] = y[0] = y[1] = far
    x, y = x.requires_grad_(), y.requires_grad_()
    result, expected = squared_distances(x, y), (x[:, None].double() - y[None].double()).square().sum(-1)
    torch.testing.assert_close(result.double(), expected, rtol=rel, atol=0)
    weight = torch.rand(20, 30, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    slopes = torch.autograd.grad((result.double() / (1 + expected.detach()) * weight).sum(), (x, y))
    wanted = torch.autograd.grad((expected / (1 + expected.detach()) * weight).sum(), (x, y))
    for a, b in zip(slopes, wanted, strict=True):
        if dtype == torch.float64 and not offset and not far:
            torch.testing.assert_close(a, b)
        assert a.isfinite().all()


def test_the_middle_is_close_to_most_points():
    x = cloud(21, 0)
    x[:10] += 1e9
    assert middle(x).abs().max() < 10
