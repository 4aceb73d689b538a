"""NICE: volume preservation before the final scales, alternating parts, the paper's architecture."""

import math

import pytest
import torch
from scipy import stats
from torch import nn
from torch.autograd.functional import jacobian

from thalweg.data.dataset import Spec
from thalweg.models.flows.nice import NICE
from thalweg.nn.coupling import Coupling
from thalweg.nn.elementwise import AdditiveMap
from thalweg.randomness import generator
from thalweg.recipes import recipe


def moved(module):
    noise = generator(0, "moved")
    with torch.no_grad():
        for p in module.parameters():
            p += torch.randn(p.shape, generator=noise) / math.sqrt(p.shape[-1])
    return module.double()


def small(dim=5, **settings):
    return moved(NICE((dim,), hidden=16, depth=2, mean=[0.0] * dim, std=[1.0] * dim, **settings))


@pytest.mark.system("S88")
@pytest.mark.oracle("O44")
def test_before_the_scales_the_jacobian_has_determinant_one():
    couplings, scaling = small().transform.transforms
    x = torch.randn(3, 5, dtype=torch.float64, generator=generator(0, "x"))
    for point in x:
        matrix = jacobian(lambda p: couplings(p[None]).value[0], point)
        assert (matrix - torch.eye(5)).abs().max() > 0.1
        torch.testing.assert_close(torch.linalg.det(matrix).abs(), torch.ones((), dtype=torch.float64))
    assert torch.equal(couplings(x).log_det, torch.zeros(3, dtype=torch.float64))
    torch.testing.assert_close(scaling(x).value, x * scaling.log_scale.exp())


@pytest.mark.system("S88")
def test_log_prob_is_the_logistic_density_of_z_and_the_sum_of_the_scales():
    flow = small()
    x = torch.randn(4, 5, dtype=torch.float64, generator=generator(0, "x"))
    z = flow.encode(x).detach()
    log_scale = flow.transform.transforms[1].log_scale.detach()
    expected = torch.from_numpy(stats.logistic.logpdf(z.numpy())).sum(1) + log_scale.sum()
    torch.testing.assert_close(flow.log_prob(x).detach(), expected)


@pytest.mark.system("S88")
@pytest.mark.parametrize("dim", [2, 3, 6, 7])
def test_parts_are_disjoint_and_take_turns(dim):
    flow = small(dim, layers=1)
    kept, moves = flow.transform.transforms[0].sizes
    assert (kept, moves) == (dim - dim // 2, dim // 2)
    matrix = jacobian(lambda p: flow.encode(p[None])[0], torch.zeros(dim, dtype=torch.float64))
    alone = (matrix != 0).sum(1) == 1  # what a single coupling leaves unchanged, up to its scale
    assert int(alone.sum()) == kept
    matrix = jacobian(lambda p: small(dim, layers=3).encode(p[None])[0], torch.zeros(dim, dtype=torch.float64))
    assert ((matrix != 0).sum(1) > 1).all()


@pytest.mark.system("S88")
@pytest.mark.oracle("O44")
def test_additive_coupling_is_undone_to_the_last_digit_but_one():
    coupling = moved(Coupling(2, 3, AdditiveMap(), hidden=8))
    kept, moves = torch.randn(50, 2).double(), torch.randn(50, 3).double()
    back = coupling.inverse(kept, coupling(kept, moves).value).value
    assert (back - moves).abs().max() <= 1e-15


@pytest.mark.system("S88")
def test_architecture_of_the_paper_for_mnist():
    spec = Spec(name="mnist", kind="image", shape=(1, 28, 28), levels=256, mean=(33.0,), std=(78.0,))
    model = recipe("nice")(spec).model
    assert model.base == "logistic"
    couplings = model.transform.transforms[0].layers
    assert len(couplings) == 4
    for coupling in couplings:
        widths = [(m.in_features, m.out_features) for m in coupling.modules() if isinstance(m, nn.Linear)]
        assert widths == [(392, 1000), *[(1000, 1000)] * 4, (1000, 392)]
    assert len(model.transform.transforms[0].order) == 1  # nothing is permuted


def test_starts_as_the_identity():
    flow = NICE((3,), hidden=8, mean=[0.0] * 3, std=[1.0] * 3)
    x = torch.randn(5, 3, generator=generator(0, "x"))
    torch.testing.assert_close(flow.log_prob(x), torch.from_numpy(stats.logistic.logpdf(x.numpy())).sum(1).float())
