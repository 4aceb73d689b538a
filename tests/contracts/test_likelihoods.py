"""The contract of likelihoods: mixtures integrate to 1, autoregressive models sum to 1, bounds are below log p(x).

Every mixture, autoregressive model and VAE of `tests/catalogue.py` is tested.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from catalogue import LINE, MEMBERS, PLANE, Member
from thalweg.data import Spec, class_target
from thalweg.randomness import generator
from thalweg.recipes import FAMILIES

TOY = Spec(
    name="toy", kind="image", shape=(1, 2, 2), levels=3, mean=(1.0,), std=(0.8,), target=class_target(("a", "b"))
)
MIXTURES = [m for m in MEMBERS if m.recipe in FAMILIES["mixtures"] and m.spec in (PLANE, LINE)]
AUTOREGRESSIVE = [m for m in MEMBERS if m.recipe in FAMILIES["autoregressive"]]
VARIATIONAL = [
    m for m in MEMBERS if m.recipe in FAMILIES["vaes"] and m.spec.size <= 100 and not m.recipe.startswith("vq")
]


@pytest.mark.parametrize("member", MIXTURES, ids=str)
def test_mixtures_integrate_to_one(member: Member) -> None:
    model: Any = member.trained()
    extent, n = (8, 401) if member.spec.size == 2 else (30, 20_001)
    axis = torch.linspace(-extent, extent, n, dtype=torch.float64)
    grid = torch.cartesian_prod(*[axis] * member.spec.size).reshape(-1, member.spec.size)
    with torch.no_grad():
        density = torch.cat([model.log_prob(part).double().exp() for part in model.data.inverse(grid).split(20_000)])
    cell = float(model.data.std.prod()) * float(axis[1] - axis[0]) ** member.spec.size
    assert float(density.sum()) * cell == pytest.approx(1, abs=2e-3)


@pytest.mark.parametrize("member", AUTOREGRESSIVE, ids=str)
def test_autoregressive_probabilities_of_all_toy_images_sum_to_one(member: Member) -> None:
    levels = 2 if member.options.get("binarized") else 3
    channels = member.spec.shape[0] if member.spec.shape[0] == 1 else 2  # two channels of a 1×2 image: four values
    shape = (1, 2, 2) if channels == 1 else (2, 1, 2)
    spec = replace(TOY, shape=shape, levels=levels, mean=(1.0,) * channels, std=(0.8,) * channels)
    model: Any = replace(member, spec=spec).trained().eval()
    images = torch.tensor(list(itertools.product(range(levels), repeat=4)), dtype=torch.uint8).reshape(-1, *shape)
    with torch.no_grad():
        total = float(model.log_prob(images).double().exp().sum())
    assert total == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("member", VARIATIONAL, ids=str)
def test_bounds_are_ordered_and_below_the_exact_likelihood(member: Member) -> None:
    """ELBO ≤ bound of 64 draws ≤ log p(x) in expectation, with log p(x) from a fine grid over at most two latent
    dimensions."""
    options = member.options | {"latent_dim": 1}
    model: Any = replace(member, options=options).trained().eval()
    x, count = member.examples(3), 1024
    noise = torch.full(x.shape, 0.5) if model.observation == "dequantized" else None
    with torch.no_grad():
        log_weights = torch.stack([_log_weight(model, x, noise, k) for k in range(count)], 1)
        elbo, elbo_error = _mean(log_weights)
        bound, bound_error = _mean(log_weights.view(3, -1, 64).logsumexp(2) - math.log(64))
        z = torch.linspace(-10, 10, 1601)[:, None]
        joint = torch.stack(
            [
                model.log_likelihood(_repeat(x[i], len(z)), z, None if noise is None else _repeat(noise[i], len(z)))
                + model.prior.log_prob(z)
                for i in range(3)
            ]
        )
        exact = joint.double().logsumexp(1) + math.log(float(z[1, 0] - z[0, 0]))
    assert (elbo <= bound + 4 * (elbo_error + bound_error) + 1e-3).all()
    assert (bound <= exact + 4 * bound_error + 1e-3).all()
    assert (elbo < exact + 4 * elbo_error + 1e-3).all()
    assert (exact - bound < 1.0).all()  # 64 samples of a good approximate posterior are close


def _repeat(x: Tensor, n: int) -> Tensor:
    return x[None].expand(n, *x.shape)


def _mean(values: Tensor) -> tuple[Tensor, Tensor]:
    values = values.double()
    return values.mean(1), values.std(1) / math.sqrt(values.shape[1])


def _log_weight(model: Any, x: Tensor, noise: Tensor | None, k: int) -> Tensor:
    q = model.posterior(x, noise)
    eps = torch.randn(len(x), 1, generator=generator(0, "z", k))
    z = q.mean + q.stddev * eps
    return model.log_likelihood(x, z, noise) + model.prior.log_prob(z) - q.log_prob(z)


@pytest.mark.parametrize("member", VARIATIONAL, ids=str)
def test_the_elbo_is_the_mean_log_weight(member: Member) -> None:
    model: Any = replace(member, options=member.options | {"latent_dim": 1}).trained().eval()
    x = member.examples(2)
    noise = torch.full(x.shape, 0.5) if model.observation == "dequantized" else None
    with torch.no_grad():
        weights = torch.stack([_log_weight(model, x, noise, k) for k in range(400)], 1)
        draws = [torch.randn(2, 1, generator=generator(1, "z", k)) for k in range(400)]
        elbos = torch.stack([model.elbo(x, eps, noise) for eps in draws], 1)
    (a, a_error), (b, b_error) = _mean(weights), _mean(elbos)
    assert ((a - b).abs() < 5 * (a_error + b_error) + 1e-4).all()
