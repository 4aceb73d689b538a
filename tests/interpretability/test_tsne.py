"""t-SNE against the example of three points, autograd, scikit-learn's perplexities, and groups that are known."""

import math

import pytest
import torch

from thalweg.interpretability.tsne import (
    conditional,
    divergence,
    gradient,
    joint,
    similarities,
    squared_distances,
    tsne,
)
from thalweg.randomness import generator

pytestmark = pytest.mark.system("S106")


def points(n=30, d=4, seed=0):
    return torch.randn(n, d, generator=generator(seed, "points")).double()


@pytest.mark.oracle("O52")
def test_similarities_of_three_points():
    """The denominator runs over all pairs k ≠ l: at 0, 1 and 3 it is 2(1/2 + 1/10 + 1/5)."""
    q = similarities(torch.tensor([[0.0], [1.0], [3.0]]).double())
    assert q[0, 1].item() == pytest.approx(0.3125, abs=1e-12)
    assert q[0, 2].item() == pytest.approx(0.0625, abs=1e-12)
    assert q[1, 2].item() == pytest.approx(0.125, abs=1e-12)
    assert torch.equal(q, q.T)
    assert not q.diagonal().any()
    assert q.sum().item() == pytest.approx(1, abs=1e-12)


@pytest.mark.oracle("O63")
@pytest.mark.parametrize("d", [1, 2, 3])
def test_the_gradient_equals_autograd(d):
    """4 Σ_j (p_ij − q_ij)(y_i − y_j)/(1 + ‖y_i − y_j‖²)."""
    p, y = joint(points(), 7.0), points(d=d, seed=1).requires_grad_()
    (expected,) = torch.autograd.grad(divergence(p, y), y)
    torch.testing.assert_close(gradient(p, y.detach()), expected, atol=1e-12, rtol=1e-10)


@pytest.mark.parametrize("perplexity", [1.5, 2.0, 5.0, 20.0, 28.5])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e4])
def test_each_point_has_the_wanted_perplexity(perplexity, scale):
    """2^H of every row, at any scale of the points and with one that is far away; σ gives the same p."""
    x = scale * points()
    x[0] *= 30
    p, sigma = conditional(x, perplexity)
    assert not p.diagonal().any()
    entropy = -torch.xlogy(p, p).sum(1) / math.log(2)
    torch.testing.assert_close(torch.exp2(entropy), torch.full((30,), perplexity).double(), atol=1e-4, rtol=0)
    logits = (-squared_distances(x) / (2 * sigma[:, None] ** 2)).fill_diagonal_(-torch.inf)
    torch.testing.assert_close(logits.softmax(1), p, atol=1e-10, rtol=1e-6)


def test_joint_similarities_are_those_of_scikit_learn():
    """Its search of the perplexity stops at a tolerance of 1e-5 in the entropy."""
    from scipy.spatial.distance import squareform
    from sklearn.manifold._t_sne import _joint_probabilities

    x = points()
    p = joint(x, 6.0)
    theirs = squareform(_joint_probabilities(squared_distances(x).numpy(), 6.0, 0))
    torch.testing.assert_close(p, torch.from_numpy(theirs), atol=1e-6, rtol=1e-3)
    assert p.sum().item() == pytest.approx(1, abs=1e-12)


def groups():
    label = torch.arange(60) % 3
    return points(60, 10) + 8 * torch.eye(3, 10).double()[label], label


def test_three_groups_stay_apart():
    """Every distance within a group is smaller than every distance between groups, and KL is near a minimum."""
    x, label = groups()
    y = tsne(x, perplexity=15, steps=500)
    distance, same = torch.cdist(y, y), label[:, None] == label
    assert distance[same].max() < 0.5 * distance[~same].min()
    p = joint(x, 15)
    assert divergence(p, y) < 0.15
    assert gradient(p, y).abs().max() < 1e-3
    assert torch.equal(y, tsne(x, perplexity=15, steps=500))


def test_a_rigid_motion_of_the_points_changes_no_distance():
    """A rotation with a reflection and a shift."""
    x, _ = groups()
    rotation = torch.linalg.qr(points(10, 10, seed=2)).Q
    y, moved = tsne(x, perplexity=15, steps=400), tsne(x @ rotation + 3, perplexity=15, steps=400)
    torch.testing.assert_close(torch.cdist(moved, moved), torch.cdist(y, y), atol=1e-4, rtol=0)


def test_bad_arguments():
    with pytest.raises(ValueError, match="perplexity: got 29 for 30 points, wanted more than 1 and less than 29"):
        tsne(points(), perplexity=29)
    with pytest.raises(ValueError, match=r"x: got shape \(30, 1\), wanted points \(n, m\) with at least 2 dimensions"):
        tsne(points(d=1))
