"""Likelihoods refer to the raw data: accurate at any offset, and probabilities for discrete columns."""

from __future__ import annotations

import inspect
import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from catalogue import LINE, MEMBERS, PLANE, Member
from thalweg.abilities import HasLogProb, Samples, abilities_of
from thalweg.config import Discrete
from thalweg.data import Spec
from thalweg.nn.preprocess import Standardize
from thalweg.problems.fitting import Fitting

VECTORS = [m for m in MEMBERS if m.spec in (PLANE, LINE)]


def answers(model: Any, x: Tensor) -> dict[str, Tensor]:
    result = {}
    for ability in abilities_of(model):
        if ability in ("log_prob", "elbo", "score", "encode", "logits"):
            wanted = inspect.signature(getattr(model, ability)).parameters
            noise = {"eps": torch.zeros(len(x), model.latent_dim)} if "eps" in wanted else {}
            result[ability] = getattr(model, ability)(x, **noise).detach()
    return result


@pytest.mark.parametrize("member", VECTORS, ids=str)
@pytest.mark.parametrize("offset", [1e7, 1e12])
def test_an_offset_changes_nothing(member: Member, offset: float) -> None:
    def at(shift: float) -> tuple[Any, Tensor]:
        spec = replace(member.spec, mean=tuple(m + shift for m in member.spec.mean))
        run = replace(member, spec=spec).run()
        x = (member.examples(40) * 1024).round() / 1024 + shift  # so that adding 1e12 is exact
        for stage in run.stages:
            if isinstance(stage.problem, Fitting):
                stage.problem.model.fit(x, None, torch.rand(40, stage.problem.model.keys, generator=seed()))
        return run.model.eval(), x

    (model, x), (shifted, y) = at(0.0), at(offset)
    here, there = answers(model, x), answers(shifted, y)
    assert here or isinstance(model, Samples)
    for ability, value in here.items():
        torch.testing.assert_close(value, there[ability], rtol=1e-3, atol=1e-3)
    if isinstance(model, Samples):
        a, b = (m.sample(20, generator=seed()) for m in (model, shifted))
        torch.testing.assert_close(b - offset, a.double(), rtol=1e-3, atol=2e-3)


def seed() -> torch.Generator:
    return torch.Generator().manual_seed(0)


COUNTS = Spec(name="n", kind="vector", shape=(1,), mean=(3.0,), std=(1.7,), discrete=(Discrete(),))
DENSITIES = [
    Member("kde", COUNTS),
    Member("gmm", COUNTS, {"components": 3}),
    Member("flow-1d", COUNTS, {"components": 3}),
    Member("affine-flow", COUNTS),
    Member("vae", COUNTS, {"latent_dim": 1, "hidden": 8}),
]


@pytest.mark.parametrize("member", DENSITIES, ids=str)
@pytest.mark.parametrize("step", [1.0, 0.25])
def test_probabilities_of_discrete_values_sum_to_at_most_one(member: Member, step: float) -> None:
    """exp E_u log p(x + step·u) · step ≤ P(x), summed over all x: at most 1, and near it for a smooth density."""
    values = tuple(step * i for i in range(40)) if step != 1.0 else ()
    spec = replace(COUNTS, mean=(3 * step,), std=(1.7 * step,), discrete=(Discrete(step, values),))
    model: Any = replace(member, spec=spec).trained().eval()
    x = step * torch.arange(-60.0, 60.0)[:, None].double()
    within = (torch.arange(32) + 0.5) / 32
    with torch.no_grad():
        if isinstance(model, HasLogProb):
            of = [model.log_prob(x, torch.full(x.shape, float(u))) for u in within]
        else:  # a decoder that does not depend on z: p(x|z) is the density
            z = torch.zeros(len(x), 1)
            of = [model.log_likelihood(x, z, torch.full(x.shape, float(u))) for u in within]
    total = float(torch.stack(of).double().mean(0).exp().sum())
    assert 0.8 < total < 1 + 1e-3


def test_log_step_is_what_a_change_of_unit_costs() -> None:
    """Counts written in quarters have the same probabilities as counts written in ones."""
    ones = Standardize((3.0,), (1.5,), (1,), (Discrete(),))
    quarters = Standardize((0.75,), (0.375,), (1,), (Discrete(0.25, (0.0, 0.25)),))
    x, u = torch.tensor([[2.0]]).double(), 0.3
    torch.testing.assert_close(ones(ones.dequantize(x, u)), quarters(quarters.dequantize(x / 4, u)))
    densities = [float(s.log_det()) + s.log_steps for s in (ones, quarters)]
    assert densities[0] == pytest.approx(densities[1])
    assert quarters.log_steps == pytest.approx(math.log(0.25))
