"""Sparse autoencoders: penalties in closed form, columns of unit length, and the selection of k values."""

import math

import numpy as np
import pytest
import torch
from torch.distributions import Bernoulli, kl_divergence

from catalogue import AUTOENCODERS, DIGITS, PLANE, Member
from thalweg.models.autoencoders.k_sparse_autoencoder import Largest, k_sparse_autoencoder
from thalweg.models.autoencoders.sparse_autoencoder import sparse_autoencoder
from thalweg.objectives.sparsity import activity_divergence, l1_norm
from thalweg.problems.autoencoding import Autoencoding, SparseAutoencoding
from thalweg.training.problem import Batch


@pytest.mark.system("S70")
def test_the_divergence_is_that_of_bernoulli_distributions():
    code = torch.rand(50, 7)
    expected = kl_divergence(Bernoulli(torch.tensor(0.1)), Bernoulli(code.mean(0))).sum()
    torch.testing.assert_close(activity_divergence(code, 0.1), expected)
    assert activity_divergence(torch.full((4, 3), 0.1), 0.1).item() == pytest.approx(0, abs=1e-7)
    dead = torch.zeros(4, 3, requires_grad=True)
    activity_divergence(dead, 0.1).backward()
    assert activity_divergence(dead, 0.1).isfinite()
    torch.testing.assert_close(l1_norm(code - 0.5), (code - 0.5).abs().sum(1))


@pytest.mark.system("S70")
@pytest.mark.parametrize("penalty", ["l1", "kl"])
def test_the_loss_is_the_error_and_the_weighted_penalty(penalty):
    member = Member("sparse-autoencoder", DIGITS, {"latent_dim": 12, "penalty": penalty})
    run, batch = member.moved(), member.batch(9)
    problem = SparseAutoencoding(run.model, penalty=penalty, weight=0.7, target=0.2)
    loss = problem.loss("model", batch)
    code = run.model.encode(batch.x)
    mean = code.double().mean(0)
    expected = {
        "l1": code.sum(1),
        "kl": (0.2 * (0.2 / mean).log() + 0.8 * (0.8 / (1 - mean)).log()).sum().float(),
    }[penalty]
    torch.testing.assert_close(loss.values, run.model.score(batch.x) + 0.7 * expected)
    torch.testing.assert_close(loss.extras["active"], (code > 0.01).float().mean())
    assert (code >= 0).all()


@pytest.mark.system("S70")
def test_parts_of_a_batch_have_their_own_mean_activity_and_no_less_divergence():
    member = Member("sparse-autoencoder", DIGITS, {"latent_dim": 12, "penalty": "kl"})
    model, batch = member.trained(), member.batch(12)
    code = model.encode(batch.x)
    joint, parts = activity_divergence(code, 0.05), [activity_divergence(part, 0.05) for part in code.split(6)]
    assert sum(parts) / 2 >= joint


@pytest.mark.system("S70")
def test_scaling_the_decoder_does_not_reduce_the_penalty():
    model = sparse_autoencoder((6,), 4, mean=[0.0] * 6, std=[1.0] * 6)
    weight = model.decoder[0].weight
    with torch.no_grad():
        weight.copy_(torch.randn(6, 4) * torch.tensor([0.01, 0.1, 3.0, 30.0]))
    before = weight.detach().clone()
    with torch.no_grad():
        SparseAutoencoding(model).project("model")
        torch.testing.assert_close(weight, before / before.norm(dim=0).clamp(min=1))
        assert weight.norm(dim=0).max() <= 1 + 1e-6
        weight.copy_(before)
        SparseAutoencoding(model, penalty="kl").project("model")
    assert torch.equal(weight, before)


def descended(model, problem, x, steps):
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for step in range(steps):
        optimizer.zero_grad()
        problem.loss("model", Batch(x, seed=step)).values.mean().backward()
        optimizer.step()
        with torch.no_grad():
            problem.project("model")
    return model


def parts(n=400, d=8):
    """Sums of one or two of `d` orthogonal components, which a sparse code should recover."""
    random = np.random.default_rng(0)
    active = np.zeros((n, d))
    for row in active:
        row[random.permutation(d)[: random.integers(1, 3)]] = 1
    basis = np.linalg.qr(random.normal(size=(d, d)))[0]
    return torch.tensor(active @ basis, dtype=torch.float32), basis


@pytest.mark.system("S70")
def test_more_weight_is_a_sparser_code_and_a_worse_reconstruction():
    x, _ = parts()
    result = []
    for weight in (0.001, 0.2):
        torch.manual_seed(0)
        model = sparse_autoencoder((8,), 16, mean=[0.0] * 8, std=[1.0] * 8)
        descended(model, SparseAutoencoding(model, weight=weight), x, 400)
        code = model.encode(x)
        result.append(((code > 0.01).float().mean().item(), model.score(x).mean().item()))
    assert result[1][0] < 0.75 * result[0][0]
    assert result[1][1] > result[0][1]


@pytest.mark.system("S70")
def test_the_mean_activity_goes_to_the_target():
    x, _ = parts()
    torch.manual_seed(0)
    model = sparse_autoencoder((8,), 16, activation="sigmoid", mean=[0.0] * 8, std=[1.0] * 8)
    assert model.encode(x).mean().item() > 0.3
    descended(model, SparseAutoencoding(model, penalty="kl", weight=5.0, target=0.1), x, 300)
    assert model.encode(x).mean(0).detach().numpy() == pytest.approx(np.full(16, 0.1), abs=0.03)


@pytest.mark.system("S70")
def test_k_sparse_finds_the_parts():
    x, _ = parts()
    torch.manual_seed(0)
    model = k_sparse_autoencoder((8,), 8, 2, mean=[0.0] * 8, std=[1.0] * 8)
    before = model.score(x).mean().item()
    descended(model, Autoencoding(model), x, 600)
    assert model.score(x).mean().item() < 0.1 * before
    assert (model.encode(x) != 0).sum(1).max() <= 2


@pytest.mark.system("S70")
def test_only_the_largest_are_kept_and_learn():
    z = torch.tensor([[1.0, -5.0, 3.0, 2.0], [-4.0, -3.0, -2.0, -1.0]], requires_grad=True)
    kept = Largest(2)(z)
    assert kept.tolist() == [[0, 0, 3, 2], [0, 0, -2, -1]]  # the largest, not the farthest from 0
    kept.sum().backward()
    assert z.grad.tolist() == [[0, 0, 1, 1], [0, 0, 1, 1]]
    assert Largest(1, 3).eval()(z.detach()).count_nonzero(dim=1).tolist() == [3, 3]


@pytest.mark.system("S70")
@pytest.mark.parametrize("member", [m for m in AUTOENCODERS if m.recipe == "k-sparse-autoencoder"], ids=str)
def test_k_sparse_by_an_explicit_formula(member):
    model, x = member.trained(), member.examples(5)
    linear, bias = model.encoder[1][0], model.decoder[0].biases[0]
    y = model.preprocess(x).flatten(1)
    activity = (y @ linear.weight.T + linear.bias).detach().numpy()
    k = member.options["k"]
    for row, code in zip(activity, model.encode(x).detach().numpy(), strict=True):
        kept = np.argsort(row)[-k:]
        expected = np.zeros_like(row)
        expected[kept] = row[kept]
        assert code == pytest.approx(expected, abs=1e-5)
    expected = model.encode(x) @ linear.weight + bias
    torch.testing.assert_close(model(model.preprocess(x)).flatten(1), expected)


@pytest.mark.system("S70")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": 300}, "k: got 300, wanted a number from 1 to 256"),
        ({"k": 0}, "k: got 0"),
        ({"k": 200, "alpha": 2.0}, "alpha: got 2.0"),
        ({"k": 2, "alpha": math.nan}, "alpha: got nan"),
    ],
)
def test_refusals(options, message):
    with pytest.raises(ValueError, match=message):
        Member("k-sparse-autoencoder", PLANE, options).run()


@pytest.mark.system("S70")
@pytest.mark.parametrize(
    ("options", "message"), [({"target": 0.0}, "target: got 0"), ({"weight": -1.0}, "weight: got")]
)
def test_refusals_of_the_penalty(options, message):
    with pytest.raises(ValueError, match=message):
        Member("sparse-autoencoder", PLANE, options).run()
