"""FFJORD: the linear flow in closed form, traces, the adjoint equation, solvers and their errors."""

import itertools
import math

import pytest
import torch
from torch import nn
from torch.autograd.functional import jacobian

from thalweg.models.class_conditional import ClassConditional
from thalweg.models.flows.ffjord import FFJORD, Continuous
from thalweg.models.flows.velocity import ConvVelocity, Velocity
from thalweg.nn.ode import Solver, solve, solve_by_adjoint
from thalweg.problems.likelihood import Likelihood
from thalweg.randomness import generator
from thalweg.training.problem import Batch, Rows

FINE = Solver(steps=20)
ADAPTIVE = Solver("dopri5", tolerance=1e-9)
both = pytest.mark.parametrize("solver", [FINE, ADAPTIVE], ids=["rk4", "dopri5"])


class Linear(nn.Module):
    """h(t, z) = Az times 1 or 2t, whose integral from 0 to 1 is A in both cases."""

    def __init__(self, a, timed=False):
        super().__init__()
        self.a, self.timed = nn.Parameter(a), timed

    def forward(self, t, z, vectors, context):
        factor = 2 * t if self.timed else 1.0
        return z @ self.a.T * factor, None if vectors is None else vectors.expand(-1, len(z), -1) @ self.a.T * factor


def alive(module):
    noise = generator(0, "alive")
    with torch.no_grad():
        for p in module.parameters():
            p += torch.randn(p.shape, generator=noise) / math.sqrt(p.shape[-1])
    return module.double()


def flow(dim=3, **settings):
    settings = {"hidden": 8, "depth": 2, "solver": FINE} | settings
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return alive(FFJORD((dim,), mean=[0.0] * dim, std=[1.0] * dim, **settings))


@pytest.mark.system("S91")
@pytest.mark.oracle("O45")
@both
@pytest.mark.parametrize("timed", [False, True])
@pytest.mark.parametrize("a", [-1.3, 0.4])
def test_linear_velocity(solver, a, timed):
    """h = az: f(x) = x eᵃ, log-determinant d·a."""
    f = Continuous(Linear(a * torch.eye(3, dtype=torch.float64), timed), solver)
    x = torch.randn(5, 3, dtype=torch.float64, generator=generator(0, "x"))
    z, log_det = f(x)
    torch.testing.assert_close(z, x * math.exp(a), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(log_det, torch.full((5,), 3 * a, dtype=torch.float64))
    back = f.inverse(z)
    torch.testing.assert_close(back.value, x, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(back.log_det, log_det)
    torch.testing.assert_close(f.inverse_alone(z), back.value)


@pytest.mark.system("S91")
def test_a_matrix_flows_to_its_exponential():
    a = torch.randn(3, 3, dtype=torch.float64, generator=generator(0, "a"))
    f, x = Continuous(Linear(a), FINE), torch.eye(3, dtype=torch.float64)
    torch.testing.assert_close(f(x).value, torch.linalg.matrix_exp(a).T, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(f(x).log_det, a.trace().expand(3))


@pytest.mark.system("S91")
def test_the_mean_over_all_probes_is_the_exact_trace():
    x, model = torch.randn(4, 3, dtype=torch.float64, generator=generator(0, "x")), flow(probed=True)
    exact = model.log_prob(x)
    probes = torch.tensor(list(itertools.product([-0.3, 2.0], repeat=3)), dtype=torch.float64)  # their signs count
    each = torch.stack([model.log_prob(x, probe=p.expand(4, 3)) for p in probes])
    torch.testing.assert_close(each.mean(0), exact)
    assert each.std(0).min() > 1e-3


@pytest.mark.system("S91")
def test_training_takes_its_probe_from_the_batch_and_evaluation_uses_none():
    x = torch.randn(4, 3, generator=generator(0, "x")).double()
    model = flow(probed=True)
    batch = Batch(x, seed=5)
    expected = -model.log_prob(x, probe=batch.normal("probe", 3))
    assert torch.equal(Likelihood(model).loss("model", batch).values, expected)
    assert not torch.equal(expected, Likelihood(model).loss("model", Batch(x, seed=6)).values)
    half = Likelihood(model).loss("model", Batch(x[2:], seed=5, rows=Rows(2, 4, 4))).values
    torch.testing.assert_close(half, expected[2:])
    torch.testing.assert_close(Likelihood(flow()).loss("model", batch).values, -flow().log_prob(x))
    classes = ClassConditional(flow(probed=True, context=2)).double()
    labeled = Batch(x, torch.tensor([0, 1, 1, 0]), seed=5)
    expected = -classes.log_joint(x, labeled.y, None, batch.normal("probe", 3))
    assert torch.equal(Likelihood(classes).loss("model", labeled).values, expected)


@pytest.mark.parametrize("context", [0, 2])
def test_products_with_the_jacobian_of_convolutions(context, monkeypatch):
    monkeypatch.setattr("thalweg.models.flows.velocity.VALUES", 3 * 2 * 12 * 5)  # five vectors at once
    h = alive(ConvVelocity((2, 3, 4), hidden=3, depth=2, context=context))
    z = torch.randn(2, 24, dtype=torch.float64, generator=generator(0, "z"))
    context_values = torch.randn(2, context, dtype=torch.float64, generator=generator(0, "c")) if context else None
    velocity, pushed = h(0.3, z, torch.eye(24, dtype=torch.float64)[:, None], context_values)
    torch.testing.assert_close(h(torch.tensor(0.3, dtype=torch.float64), z, None, context_values)[0], velocity)
    assert not torch.allclose(h(0.6, z, None, context_values)[0], velocity)
    for i in range(2):
        one = None if context_values is None else context_values[i : i + 1]
        matrix = jacobian(lambda p, one=one: h(0.3, p[None], None, one)[0][0], z[i])
        torch.testing.assert_close(pushed[:, i].T, matrix)


def test_time_is_a_channel_of_the_image_as_in_the_paper():
    """A layer is one convolution of the image and a channel of t, with zero padding."""
    h = alive(ConvVelocity((1, 4, 4), hidden=3, depth=1))
    z = torch.randn(2, 16, dtype=torch.float64, generator=generator(0, "z"))
    x = z.view(2, 1, 4, 4)
    for i, (layer, of_time) in enumerate(zip(h.layers, h.of_time, strict=True)):
        both = nn.functional.softplus(x) if i else x
        both = torch.cat([torch.full_like(both[:, :1], 0.7), both], 1)
        x = nn.functional.conv2d(both, torch.cat([of_time.weight, layer.weight], 1), of_time.bias, padding=1)
    torch.testing.assert_close(h(0.7, z)[0], x.flatten(1))


@pytest.mark.system("S91")
@pytest.mark.parametrize("adjoint", [False, True])
def test_images_have_an_exact_trace_or_a_probe_of_the_batch(adjoint):
    settings = {"levels": 17, "architecture": "conv", "hidden": 4, "depth": 2, "probed": True, "adjoint": adjoint}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = alive(FFJORD((1, 8, 8), **settings))
    x = torch.randint(0, 17, (3, 1, 8, 8), generator=generator(0, "x"), dtype=torch.uint8)
    noise = torch.full(x.shape, 0.3, dtype=torch.float64)
    exact = model.log_prob(x, noise)
    each = torch.stack([
        model.log_prob(x, noise, probe=torch.randn(3, 64, generator=generator(i, "p"), dtype=torch.float64))
        for i in range(60)
    ]).detach()  # fmt: skip
    assert ((each.mean(0) - exact).abs() < 4 * each.std(0) / math.sqrt(60)).all()
    assert each.std(0).min() > 1e-3
    batch = Batch(x, seed=5)
    loss = Likelihood(model).loss("model", batch).values
    wanted = model.log_prob(x, batch.uniform("dequantize", 1, 8, 8), probe=batch.normal("probe", 64))
    assert torch.equal(loss, -wanted)
    gradients = torch.autograd.grad(loss.mean(), list(model.parameters()))
    assert all(g.isfinite().all() and g.abs().max() > 0 for g in gradients)


@pytest.mark.system("S91")
def test_evaluation_of_large_images_is_an_estimate(monkeypatch):
    monkeypatch.setattr("thalweg.models.flows.ffjord.EXACT", 10)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = alive(FFJORD((1, 4, 4), levels=17, architecture="conv", hidden=4, depth=1))
        x, noise = torch.full((2, 1, 4, 4), 3.0), torch.full((2, 1, 4, 4), 0.5)
        result = torch.stack([model.log_prob(x, noise) for _ in range(60)]).detach()
    monkeypatch.setattr("thalweg.models.flows.ffjord.EXACT", 16)
    assert result.std(0).min() > 1e-4
    assert ((result.mean(0) - model.log_prob(x, noise)).abs() < 4 * result.std(0) / math.sqrt(60)).all()


@pytest.mark.parametrize("context", [0, 2])
def test_products_with_the_jacobian(context):
    h = alive(Velocity(3, hidden=8, depth=2, context=context))
    z = torch.randn(4, 3, dtype=torch.float64, generator=generator(0, "z"))
    context_values = torch.randn(4, context, dtype=torch.float64) if context else None
    velocity, pushed = h(0.3, z, torch.eye(3, dtype=torch.float64)[:, None], context_values)
    torch.testing.assert_close(h(torch.tensor(0.3, dtype=torch.float64), z, None, context_values)[0], velocity)
    assert not torch.allclose(h(0.6, z, None, context_values)[0], velocity)
    for i in range(4):
        one = None if context_values is None else context_values[i : i + 1]
        matrix = jacobian(lambda p, one=one: h(0.3, p[None], None, one)[0][0], z[i])
        torch.testing.assert_close(pushed[:, i].T, matrix)


@pytest.mark.system("S91")
@pytest.mark.parametrize("solver", [Solver(steps=60), ADAPTIVE], ids=["rk4", "dopri5"])
def test_the_adjoint_equation_gives_the_gradients(solver):
    x = torch.randn(4, 2, dtype=torch.float64, generator=generator(0, "x"))
    context = torch.randn(4, 2, dtype=torch.float64, generator=generator(0, "c"))
    result = []
    for adjoint in (False, True):
        model, context_values = flow(2, solver=solver, adjoint=adjoint, context=2), context.clone().requires_grad_()
        log_prob = model.log_prob(x.requires_grad_(), None, context_values)
        result.append([log_prob, *torch.autograd.grad(log_prob.sum(), [x, context_values, *model.parameters()])])
    for through, by_adjoint in zip(*result, strict=True):
        torch.testing.assert_close(through, by_adjoint, rtol=1e-6, atol=1e-6)


def test_runge_kutta_is_of_order_four():
    def error(steps):
        end = solve(lambda t, s: (s[0] * math.cos(5 * t),), (torch.ones(1).double(),), 0.0, 1.0, Solver(steps=steps))
        return abs(float(end[0]) - math.exp(math.sin(5) / 5))

    for steps in (10, 20, 40):
        assert 12 < error(steps) / error(2 * steps) < 24


@pytest.mark.system("S91")
def test_solvers_agree():
    x = torch.randn(20, 3, dtype=torch.float64, generator=generator(0, "x"))
    torch.testing.assert_close(flow().log_prob(x), flow(solver=ADAPTIVE).log_prob(x), rtol=1e-4, atol=1e-4)


def explodes(t, state):
    """dz/dt = z²: infinite at t = 1/z₀."""
    return (state[0] ** 2,)


LINE = r"^dopri5 at tolerance 0.0001 could not go on \(.*\); wanted a larger tolerance, .*$"


def test_a_failing_solver_raises_an_error_of_one_line():
    with pytest.raises(ArithmeticError, match=LINE):
        solve(explodes, (torch.full((1,), 2.0),), 0.0, 1.0, Solver("dopri5", tolerance=1e-4))


def test_a_failing_adjoint_equation_raises_an_error_of_one_line():
    turned = [False]  # the forward solution exists, the backward one does not
    start = torch.full((1,), 2.0, requires_grad=True)
    field = lambda t, s: explodes(t, s) if turned[0] else (0 * s[0],)  # noqa: E731
    end = solve_by_adjoint(field, (start,), 1.0, 0.0, Solver("dopri5", tolerance=1e-4), [])[0]
    turned[0] = True
    with pytest.raises(ArithmeticError, match=LINE):
        end.backward()


def test_refusals():
    with pytest.raises(ValueError, match="solver: got 'euler'"):
        Continuous(Velocity(2), Solver("euler"))
    with pytest.raises(ValueError, match="architecture: got conv for examples of shape"):
        FFJORD((3,), mean=[0.0] * 3, std=[1.0] * 3, architecture="conv")
    with pytest.raises(ValueError, match="steps: got 0"):
        Continuous(Velocity(2), Solver(steps=0))
    with pytest.raises(ValueError, match="tolerance: got -1"):
        Continuous(Velocity(2), Solver(tolerance=-1))


def test_evaluation_takes_finer_steps():
    """Training may exploit the solver's error, so that the density has mass above 1."""
    flow = FFJORD((2,), mean=[0.0] * 2, std=[1.0] * 2, hidden=16, solver=Solver(steps=1)).double()
    with torch.no_grad():
        for parameter in flow.transform.velocity.parameters():
            parameter += 0.7 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(3))
    x = torch.randn(50, 2, dtype=torch.float64)
    train, evaluate = flow.train().log_prob(x), flow.eval().log_prob(x)
    flow.transform.solver = Solver(steps=64)
    exact = flow.log_prob(x)
    assert (evaluate - exact).abs().mean() < 0.3 * (train - exact).abs().mean()
