"""The affine flow is a Gaussian; compositions; the properties of determinants that flows use."""

import pytest
import torch
from scipy import stats
from torch.autograd.functional import jacobian

from thalweg.models.flows.affine import AffineFlow, TriangularAffine
from thalweg.nn.coupling import Coupling, Couplings
from thalweg.nn.elementwise import AffineMap
from thalweg.nn.transform import Composed, Scaling
from thalweg.randomness import generator


def moved(module):
    noise = generator(0, "moved")
    with torch.no_grad():
        for p in module.parameters():
            p += 0.4 * torch.randn(p.shape, generator=noise)
    return module.double()


def in_raw_units(flow):
    """The mean and the matrix of X = AZ + b in raw units."""
    std, mean = flow.data.std.double(), flow.data.mean.double()
    return flow.transform.shift * std + mean, flow.transform.matrix() * std[:, None]


@pytest.mark.system("S87")
@pytest.mark.parametrize("dim", [1, 2, 5])
def test_density_is_that_of_the_gaussian(dim):
    flow = moved(AffineFlow((dim,), mean=[1.0] * dim, std=[3.0] * dim))
    b, a = (t.detach() for t in in_raw_units(flow))
    x = 4 * torch.randn(20, dim, generator=generator(0, "x"), dtype=torch.float64)
    expected = stats.multivariate_normal(b.numpy(), (a @ a.T).numpy()).logpdf(x.numpy()).reshape(-1)
    torch.testing.assert_close(flow.log_prob(x), torch.from_numpy(expected))
    log_det = flow.forward_and_log_det(x).log_det
    torch.testing.assert_close(log_det, -torch.linalg.det(a).log().expand(20))
    z = torch.randn(20, dim, generator=generator(0, "z"), dtype=torch.float64)
    torch.testing.assert_close(flow.decode(z), z @ a.T + b)


@pytest.mark.system("S87")
def test_likelihood_is_greatest_at_the_sample_mean_and_covariance():
    x = torch.randn(500, 3, generator=generator(0, "x"), dtype=torch.float64) @ torch.randn(3, 3).double() + 2
    flow = AffineFlow((3,), mean=[0.0] * 3, std=[1.0] * 3).double()
    a = torch.linalg.cholesky(torch.cov(x.T, correction=0))
    with torch.no_grad():
        flow.transform.shift.copy_(x.mean(0))
        flow.transform.log_scale.copy_(a.diagonal().log())
        flow.transform.below.copy_((a / a.diagonal()[:, None])[*torch.tril_indices(3, 3, -1)])
    torch.testing.assert_close(flow.transform.matrix(), a)
    for g in torch.autograd.grad(flow.log_prob(x).mean(), list(flow.parameters())):
        torch.testing.assert_close(g, torch.zeros_like(g), atol=1e-10, rtol=0)


@pytest.mark.system("S87")
def test_affine_of_affine_is_affine():
    first, second = moved(TriangularAffine(3)), moved(TriangularAffine(3))
    with torch.no_grad():
        second.shift += 1
    both = Composed(first, second)
    a = first.matrix() @ second.matrix()
    b = first.shift + first.matrix() @ second.shift
    x = torch.randn(6, 3, dtype=torch.float64, generator=generator(0, "x"))
    z, log_det = both(x)
    torch.testing.assert_close(z, torch.linalg.solve(a, (x - b).T).T)
    torch.testing.assert_close(log_det, -torch.linalg.slogdet(a).logabsdet.expand(6))
    torch.testing.assert_close(both.inverse(z).value, x)
    torch.testing.assert_close(both.inverse(z).log_det, log_det)


@pytest.mark.system("S87")
def test_a_composition_adds_log_determinants_and_is_undone_in_reverse():
    couplings = Couplings(4, 3, lambda kept, moves: Coupling(kept, moves, AffineMap(moves), hidden=8))
    f = moved(Composed(couplings, Scaling(4), TriangularAffine(4)))
    x = torch.randn(4, dtype=torch.float64, generator=generator(0, "x"))
    matrix = jacobian(lambda p: f(p[None]).value[0], x)
    torch.testing.assert_close(f(x[None]).log_det[0], torch.linalg.slogdet(matrix).logabsdet)
    parts, at = [], x[None]
    for part in f.transforms:
        parts.append(jacobian(lambda p, part=part: part(p[None]).value[0], at[0]))
        at = part(at).value
    torch.testing.assert_close(torch.linalg.multi_dot(parts[::-1]), matrix)
    product = torch.stack([torch.linalg.det(part) for part in parts]).prod()
    torch.testing.assert_close(torch.linalg.det(matrix), product)
    torch.testing.assert_close(f.inverse(f(x[None]).value).value[0], x)


@pytest.mark.system("S87")
def test_a_coupling_is_block_triangular_and_its_determinant_that_of_the_blocks():
    coupling = moved(Coupling(2, 3, AffineMap(3), hidden=8))
    x = torch.randn(5, dtype=torch.float64, generator=generator(0, "x"))
    matrix = jacobian(lambda p: torch.cat([p[:2], coupling(p[None, :2], p[None, 2:]).value[0]]), x)
    assert torch.equal(matrix[:2, 2:], torch.zeros(2, 3, dtype=torch.float64))
    blocks = torch.linalg.det(matrix[:2, :2]) * torch.linalg.det(matrix[2:, 2:])
    torch.testing.assert_close(torch.linalg.det(matrix), blocks)
    triangle = matrix[2:, 2:]
    assert torch.equal(triangle, torch.diag(triangle.diagonal()))
    torch.testing.assert_close(torch.linalg.det(triangle), triangle.diagonal().prod())


def test_a_context_moves_and_stretches():
    flow = moved(AffineFlow((2,), mean=[0.0] * 2, std=[1.0] * 2, context=2))
    context = torch.tensor([[0.7, -0.2]], dtype=torch.float64)
    shift, log_scale = flow.transform.of_context(context)[0].detach().chunk(2)
    b, a = flow.transform.shift + shift, flow.transform.matrix() * log_scale.exp()[:, None]
    x = torch.randn(5, 2, dtype=torch.float64, generator=generator(0, "x"))
    distribution = torch.distributions.MultivariateNormal(b, a @ a.T)
    torch.testing.assert_close(flow.log_prob(x, None, context.expand(5, 2)), distribution.log_prob(x))
