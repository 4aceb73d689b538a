"""The contract of flows: every flow of `tests/catalogue.py`, and further shapes and settings of some."""

import math
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import torch
from torch.autograd.functional import jacobian

from catalogue import MEMBERS, Member
from thalweg.data import class_target
from thalweg.models.class_conditional import ClassConditional
from thalweg.models.flows.affine import AffineFlow
from thalweg.models.flows.ffjord import FFJORD, Continuous
from thalweg.models.flows.flow_1d import Flow1D
from thalweg.models.flows.glow import Glow, ImageGlow
from thalweg.models.flows.nice import NICE
from thalweg.models.flows.nsf import NSF
from thalweg.models.flows.real_nvp import ImageRealNVP, RealNVP
from thalweg.nn.ode import Solver
from thalweg.randomness import generator
from thalweg.recipes import FAMILIES


@dataclass(frozen=True)
class Case:
    """A flow with tiny settings; `exact` is the accuracy of its inverse in float64, where a solver limits it."""

    make: Any
    shape: tuple[int, ...]
    settings: dict[str, Any] = field(default_factory=dict)
    exact: float = 1e-10

    def __str__(self) -> str:
        labels = [str(v.name if isinstance(v, Solver) else v) for k, v in self.settings.items() if k not in SMALL]
        return "-".join([self.make.__name__, "x".join(map(str, self.shape)), *labels])

    def flow(self, context: int = 0, dtype: torch.dtype = torch.float64) -> Any:
        """Build the flow with noise added to every parameter, since the identity would hide a wrong sign."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            if len(self.shape) == 3:
                data: dict[str, Any] = {"levels": 17}
            else:
                data = {"mean": [0.5] * self.shape[0], "std": [1.5] * self.shape[0]}
            flow = self.make(self.shape, **self.settings, **data, context=context)
        return with_noise_on_parameters(flow).to(dtype).eval()

    def raw(self, n: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> Any:
        """Draw raw data, images with their noise."""
        noise = generator(seed, "raw")
        if len(self.shape) == 3:
            return torch.rand(n, *self.shape, generator=noise, dtype=torch.float64).to(dtype) * 17
        return torch.randn(n, *self.shape, generator=noise, dtype=torch.float64).to(dtype) * 1.5 + 0.5


@dataclass(frozen=True)
class OfCatalogue:
    """A flow of the catalogue, with the interface of `Case`."""

    member: Member
    exact: float = 1e-10
    make: Any = None

    def __str__(self) -> str:
        return f"catalogue-{self.member}"

    @property
    def shape(self) -> tuple[int, ...]:
        """Of an example."""
        return self.member.spec.shape

    @property
    def settings(self) -> dict[str, Any]:
        """The recipe's options."""
        return self.member.options

    def flow(self, context: int = 0, dtype: torch.dtype = torch.float64) -> Any:
        """Build the flow with noise added to every parameter."""
        spec = replace(self.member.spec, target=class_target(tuple(map(str, range(context))) or None), discrete=())
        options = self.member.options | {"conditional": context > 0}
        model: Any = replace(self.member, spec=spec, options=options).run().model
        return with_noise_on_parameters(model.density if context else model).to(dtype).eval()

    def raw(self, n: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> Any:
        """Draw raw data, images with their noise."""
        noise, spec = generator(seed, "raw"), self.member.spec
        if spec.levels:
            return torch.rand(n, *self.shape, generator=noise, dtype=torch.float64).to(dtype) * spec.levels
        x = torch.randn(n, *self.shape, generator=noise, dtype=torch.float64)
        return (x * torch.tensor(spec.std) + torch.tensor(spec.mean)).to(dtype)


def with_noise_on_parameters(flow: Any) -> Any:
    """Add noise to every parameter: the identity would hide a wrong sign."""
    noise = generator(1, "moved")
    with torch.no_grad():
        for p in flow.parameters():
            p += torch.randn(p.shape, generator=noise) * 0.3 / math.sqrt(p[0].numel() if p.ndim > 1 else 4)
    return flow


SMALL = {"hidden", "depth", "layers", "components", "bins"}
STEPS = {"layers": 2, "hidden": 8}
COUPLED = {"hidden": 8, "depth": 2, "layers": 5}
FINE = {"hidden": 8, "depth": 2, "solver": Solver(steps=12)}
ADAPTIVE = {"hidden": 8, "depth": 2, "solver": Solver("dopri5", tolerance=1e-8)}
CASES: list[Any] = [
    *(
        Case(Flow1D, (1,), {"map": map, "base": base, "components": 4, "bins": 5})
        for map in ("gaussian", "logistic", "spline")
        for base in ("normal", "uniform", "beta")
    ),
    Case(AffineFlow, (1,)),
    Case(AffineFlow, (2,)),
    Case(AffineFlow, (1, 2, 3)),
    *(Case(make, shape, COUPLED) for make in (NICE, RealNVP, NSF) for shape in [(2,), (5,), (1, 2, 3)]),
    Case(NSF, (2,), COUPLED | {"bins": 5, "bound": 1.0}),
    Case(RealNVP, (2,), COUPLED | {"base": "logistic"}),
    *(Case(Glow, shape, STEPS | {"depth": 1}) for shape in [(2,), (5,), (1, 2, 3)]),
    Case(Glow, (2,), STEPS | {"depth": 1, "base": "logistic"}),
    *(Case(ImageGlow, shape, STEPS) for shape in [(1, 4, 4), (3, 4, 4), (1, 8, 8)]),
    *(Case(ImageRealNVP, shape, {"hidden": 4}) for shape in [(1, 4, 4), (1, 8, 8)]),
    Case(ImageRealNVP, (1, 5, 3), {"hidden": 4, "last_scale": "paper"}),
    Case(ImageRealNVP, (3, 4, 4), {"hidden": 4, "last_scale": "paper", "scales": 2}),
    Case(ImageRealNVP, (1, 4, 4), {"hidden": 4, "scales": 2, "batch_norm": True}),
    Case(FFJORD, (1,), FINE, 1e-6),
    Case(FFJORD, (2,), FINE, 1e-6),
    Case(FFJORD, (2,), FINE | {"adjoint": True}, 1e-6),
    Case(FFJORD, (1, 2, 3), FINE, 1e-6),
    Case(FFJORD, (2,), ADAPTIVE, 1e-6),
    Case(FFJORD, (2, 4, 3), FINE | {"architecture": "conv"}, 1e-6),
]
CASES += [
    OfCatalogue(member)
    for member in MEMBERS
    if member.recipe in FAMILIES["flows"]
    and member.recipe != "ffjord"  # with the catalogue's few steps it is inexact; the finer ones are above
    and math.prod(member.spec.shape) <= 100  # Jacobians
]
every_flow = pytest.mark.parametrize("case", CASES, ids=str)
VECTORS = [case for case in CASES if len(case.shape) == 1 and not case.settings.get("adjoint")]


@pytest.mark.system("S87")
@pytest.mark.oracle("O44")
@every_flow
def test_inverse(case: Case) -> None:
    for dtype, tolerance in ((torch.float32, 1e-5), (torch.float64, case.exact)):
        flow, x = case.flow(dtype=dtype), case.raw(50, dtype)
        scale = flow.levels or max(1.0, float(x.abs().max()))
        with torch.no_grad():
            z = flow.forward_and_log_det(x).value
            assert z.dtype == dtype
            assert (z - x.flatten(1)).abs().max() > 0.1
            back = flow.inverse(z)
            assert (back - x).abs().max() <= tolerance * scale
            torch.testing.assert_close(
                flow.forward_and_log_det(back).value, z, rtol=10 * tolerance, atol=10 * tolerance
            )


@pytest.mark.system("S87")
@pytest.mark.oracle("O44")
@every_flow
def test_log_det_is_that_of_the_autograd_jacobian(case: Case) -> None:
    flow, x = case.flow(), case.raw(4)
    moved = flow.forward_and_log_det(x)
    for point, value in zip(x, moved.log_det, strict=True):
        matrix = jacobian(lambda p: flow.forward_and_log_det(p.reshape(1, *case.shape)).value[0], point.flatten())
        torch.testing.assert_close(torch.linalg.slogdet(matrix).logabsdet, value, rtol=case.exact, atol=case.exact)
    torch.testing.assert_close(flow.log_prob(x, torch.zeros_like(x) if flow.levels else None),
                               moved.log_det + flow.base_distribution.log_prob(moved.value).sum(1))  # fmt: skip
    back = flow.inverse_and_log_det(moved.value)
    torch.testing.assert_close(back.log_det, moved.log_det, rtol=10 * case.exact, atol=10 * case.exact)


@pytest.mark.system("S87")
@pytest.mark.parametrize("case", [case for case in VECTORS if case.shape[0] <= 2], ids=str)
def test_density_integrates_to_one(case: Case) -> None:
    flow = case.flow()
    extent = 10 if flow.base == "normal" else 27  # standard deviations of the data
    n = 201 if case.make is FFJORD else 801  # a spline's density has kinks, its own is smooth
    if case.make is Glow:  # its random linear maps spread it
        extent, n = 6 * extent, 1401
    axis = torch.linspace(-extent, extent, n, dtype=torch.float64)
    grid = torch.cartesian_prod(*[axis] * case.shape[0]).reshape(-1, *case.shape)
    grid, cell = flow.data.inverse(grid), float(flow.data.std.prod()) * float(axis[1] - axis[0]) ** case.shape[0]
    with torch.no_grad():
        mass = torch.cat([flow.log_prob(part) for part in grid.split(20_000)]).exp().sum()
    assert float(mass) * cell == pytest.approx(1, abs=1e-3)


@pytest.mark.system("S87")
@pytest.mark.parametrize("case", VECTORS, ids=str)
def test_samples_follow_the_density(case: Case) -> None:
    """E of q/p over samples of p is 1, with q a Gaussian within."""
    flow = case.flow()
    x = flow.sample(20_000, generator(0, "s"))
    other = torch.distributions.Normal(x.mean(0), 0.5 * x.std(0))
    with torch.no_grad():
        ratio = (other.log_prob(x).sum(1) - flow.log_prob(x)).exp()
    assert float(ratio.mean()) == pytest.approx(1, abs=5 * float(ratio.std()) / math.sqrt(len(x)))


@every_flow
def test_draws_and_their_density_in_one_pass(case: Case) -> None:
    flow = case.flow()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        drawn = flow().rsample_and_log_prob((20,))
    inside = (drawn.value > 0) & (drawn.value < flow.levels) if flow.levels else drawn.value.isfinite()
    inside = inside.flatten(1).all(1)
    assert inside.any() or flow.size > 16  # of many pixels, one is always beyond the data's range
    again = flow().log_prob(drawn.value)
    torch.testing.assert_close(drawn.log_prob[inside], again[inside], rtol=10 * case.exact, atol=10 * case.exact)
    gradients = torch.autograd.grad(drawn.value.sum(), list(flow.parameters()), allow_unused=True)
    assert any(g is not None and g.abs().max() > 0 for g in gradients)


@pytest.mark.parametrize("case", [case for case in CASES if math.prod(case.shape) <= 16], ids=str)
def test_draws_are_differentiable(case: Case) -> None:
    flow = case.flow(context=2)
    z = flow.forward_and_log_det(case.raw(2), torch.zeros(2, 2).double()).value.detach().requires_grad_()
    context = torch.tensor([[0.5, -0.3], [0.1, 0.7]], dtype=torch.float64, requires_grad=True)
    loose = case.exact > 1e-8
    assert torch.autograd.gradcheck(lambda z, c: tuple(flow.inverse_and_log_det(z, c)), (z, context),
                                    atol=1e-4 if loose else 1e-6, rtol=1e-2 if loose else 1e-4)  # fmt: skip


@every_flow
def test_context_and_parameters_matter(case: Case) -> None:
    flow, x = case.flow(context=3), case.raw(6)
    context = torch.eye(3, dtype=torch.float64).repeat(2, 1).requires_grad_()
    noise = torch.full_like(x, 0.5) if flow.levels else None
    x = x.floor() if flow.levels else x
    log_prob = flow.log_prob(x, noise, context)
    swapped = flow.log_prob(x, noise, context.roll(1, 0))
    assert (log_prob - swapped).abs().min() > 1e-6
    each = torch.cat([flow.log_prob(x[i : i + 1], noise if noise is None else noise[:1], context[i : i + 1])
                      for i in range(6)])  # fmt: skip
    torch.testing.assert_close(each, log_prob, rtol=case.exact, atol=case.exact)
    for g in torch.autograd.grad(log_prob.sum(), [context, *flow.parameters()]):
        assert g.isfinite().all()
        assert g.abs().max() > 0


@every_flow
def test_training_and_evaluation_agree(case: Case) -> None:
    if case.settings.get("batch_norm"):
        pytest.skip("has statistics")
    flow, x = case.flow(), case.raw(5).floor()
    noise = torch.full_like(x, 0.5) if flow.levels else None
    train, evaluate = flow.train().log_prob(x, noise), flow.eval().log_prob(x, noise)
    if isinstance(getattr(flow, "transform", None), Continuous):  # evaluation takes finer steps
        torch.testing.assert_close(train, evaluate, rtol=1e-4, atol=1e-4)
    else:
        assert torch.equal(train, evaluate)


@every_flow
def test_temperature_shrinks_z_to_its_center(case: Case) -> None:
    flow = case.flow()
    z, half = (flow.draw(100, generator(0, "t"), t) - flow.base_distribution.center for t in (1.0, 0.5))
    torch.testing.assert_close(half, z / 2)
    cold = flow.sample(3, generator(0, "t"), temperature=0.0)
    expected = flow.to_levels(
        flow.inverse(torch.full((3, flow.size), flow.base_distribution.center, dtype=torch.float64))
    )
    assert torch.equal(cold, expected)


@every_flow
def test_classes_form_a_mixture_and_a_classifier(case: Case) -> None:
    model, x = ClassConditional(case.flow(context=3)).double(), case.raw(5).floor()
    noise = torch.full_like(x, 0.5) if model.density.levels else None
    logits = model.logits(x, noise)
    torch.testing.assert_close(model.log_prob(x, noise), logits.logsumexp(1))
    drawn = model.sample(4, generator(0, "c"), y=torch.tensor([0, 1, 2, 0]))
    assert drawn.shape == (4, *case.shape)
