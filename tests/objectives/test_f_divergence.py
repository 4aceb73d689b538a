"""f-divergences against closed forms, quadrature, a numeric conjugate, and worked examples."""

import math
from itertools import pairwise

import pytest
import torch
from torch.distributions import Normal

from thalweg.objectives.f_divergence import F_DIVERGENCES, f_divergence, from_f
from thalweg.objectives.gaussian_divergence import gaussian_divergence

P, Q = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64), torch.tensor([0.2, 0.2, 0.6], dtype=torch.float64)
NAMES = list(F_DIVERGENCES)
U = torch.logspace(-4, 4, 4001, dtype=torch.float64)


def normal(mean, std):
    return Normal(torch.tensor([mean], dtype=torch.float64), torch.tensor([std], dtype=torch.float64))


def inside(d, n=41):
    """Points of the open domain of f*: f′ on u between .05 and 20."""
    return d.derivative(torch.logspace(math.log10(0.05), math.log10(20), n, dtype=torch.float64))


@pytest.mark.oracle("O3")
@pytest.mark.oracle("O4")
@pytest.mark.system("S92")
@pytest.mark.parametrize(
    ("name", "value"),
    [("kl", 0.3600624), ("reverse-kl", 0.3948162), ("js", 0.0905658), ("squared-hellinger", 0.1848262), ("tv", 0.4)],
)
def test_a_discrete_example(name, value):
    assert f_divergence(name).discrete(P, Q).item() == pytest.approx(value, abs=1e-7)


@pytest.mark.system("S94")
@pytest.mark.parametrize(
    ("name", "direct"),
    [
        ("jeffreys", ((P - Q) * (P / Q).log()).sum()),
        ("pearson", ((P - Q) ** 2 / Q).sum()),
        ("neyman", ((P - Q) ** 2 / P).sum()),
        ("gan", 2 * F_DIVERGENCES["js"].discrete(P, Q)),
    ],
)
def test_definitions(name, direct):
    assert f_divergence(name).discrete(P, Q).item() == pytest.approx(direct.item(), rel=1e-12)


@pytest.mark.system("S92")
@pytest.mark.parametrize("name", NAMES)
def test_slopes_of_discrete_distributions(name):
    """f′(p/q) in p, −f*(f′(p/q)) in q are finite, though mass where only one distribution is positive may cost +∞."""
    d, p, q = f_divergence(name), P.clone().requires_grad_(), Q.clone().requires_grad_()
    d.discrete(p, q).backward()
    torch.testing.assert_close(p.grad, d.derivative(P / Q))
    torch.testing.assert_close(q.grad, -d.conjugate(d.derivative(P / Q)))


def test_a_distribution_almost_without_mass_somewhere():
    assert f_divergence("neyman").discrete(torch.tensor([0.5, 0.5]), torch.tensor([1.0, 1e-20])).item() == 1.0


@pytest.mark.oracle("O41")
@pytest.mark.parametrize(
    ("name", "pq", "qp"),
    [
        ("kl", math.inf, math.inf), ("reverse-kl", math.inf, math.inf), ("js", math.log(2), math.log(2)),
        ("gan", 2 * math.log(2), 2 * math.log(2)), ("squared-hellinger", 2.0, 2.0), ("tv", 1.0, 1.0),
        ("jeffreys", math.inf, math.inf), ("pearson", math.inf, math.inf), ("neyman", math.inf, math.inf),
    ],
)  # fmt: skip
def test_disjoint_distributions(name, pq, qp):
    a, b = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    assert f_divergence(name).discrete(a, b).item() == pytest.approx(pq)
    assert f_divergence(name).discrete(b, a).item() == pytest.approx(qp)


def test_mass_of_only_one_distribution_costs_the_limits_of_f():
    half, whole = torch.tensor([0.5, 0.5]), torch.tensor([1.0, 0.0])
    assert f_divergence("kl").discrete(whole, half).item() == pytest.approx(math.log(2))
    assert f_divergence("kl").discrete(half, whole).item() == math.inf
    assert f_divergence("reverse-kl").discrete(half, whole).item() == pytest.approx(math.log(2))
    assert f_divergence("pearson").discrete(whole, half).item() == pytest.approx(1.0)


@pytest.mark.oracle("O36")
@pytest.mark.oracle("O37")
@pytest.mark.parametrize(
    ("name", "wider", "shifted"),
    [
        ("kl", 0.4431472, 0.5),
        ("reverse-kl", 1.3068528, 0.5),
        ("js", 0.1281750, 0.1114215),
        ("squared-hellinger", 0.2983891, 0.2350062),
        ("tv", 0.3900657, 0.3829249),
    ],
)
def test_gaussian_examples(name, wider, shifted):
    assert gaussian_divergence(name, normal(0, 1), normal(1, 2)).item() == pytest.approx(wider, abs=1e-7)
    assert gaussian_divergence(name, normal(0, 1), normal(1, 1)).item() == pytest.approx(shifted, abs=1e-7)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("p", "q"), [((0, 1), (1, 2)), ((0.5, 1.2), (0, 1)), ((0, 1), (1, 0.8))])
def test_closed_forms_of_gaussians_are_the_quadrature(name, p, q):
    a, b = normal(*p), normal(*q)
    result = gaussian_divergence(name, a, b)
    if name == "tv":  # by the points where the densities cross
        roots = torch.linspace(-30, 30, 60_001, dtype=torch.float64)
        sign = (a.log_prob(roots) > b.log_prob(roots)).diff().nonzero().flatten()
        ends = [-math.inf, *roots[sign].tolist(), math.inf]
        masses = [
            [float(distribution.cdf(torch.tensor(r)) - distribution.cdf(torch.tensor(l))) for distribution in (a, b)]
            for l, r in pairwise(ends)  # noqa: E741
        ]
        assert result.item() == pytest.approx(sum(abs(x - y) for x, y in masses) / 2, abs=1e-4)
    elif result == math.inf:  # the second distribution's tails are heavier than twice the first one's
        assert (name, p, q) == ("neyman", (0, 1), (1, 2))
    else:
        direct = f_divergence(name).densities(lambda x: a.log_prob(x), lambda x: b.log_prob(x), -25.0, 25.0, 100_001)
        assert result.item() == pytest.approx(direct.item(), rel=1e-6)


@pytest.mark.parametrize(
    ("q", "tv"),
    [
        ((0, 1e-4), math.erf(4.2919 / math.sqrt(2)) - math.erf(4.2919e-4 / math.sqrt(2))),
        ((1e6, 1), 1.0),
        ((1e6, 1e-3), 1.0),
    ],
)
def test_a_narrow_distribution_and_one_far_away(q, tv):
    """A grid between two fixed ends might miss them."""
    a, b = normal(0, 1), normal(*q)
    for p, q in ((a, b), (b, a)):
        assert gaussian_divergence("tv", p, q).item() == pytest.approx(tv, abs=1e-6)
        assert tv**2 / 2 <= gaussian_divergence("js", p, q).item() <= math.log(2) * tv + 1e-9
    if tv == 1.0:
        assert gaussian_divergence("gan", a, b).item() == pytest.approx(2 * math.log(2))


def test_high_peaks_far_apart():
    a, b = normal(0, 1e-3), normal(3, 1e-3)
    assert gaussian_divergence("js", a, b).item() == pytest.approx(math.log(2))


def test_slope_of_a_quadrature():
    mean = torch.tensor([0.3], dtype=torch.float64, requires_grad=True)
    gaussian_divergence("tv", Normal(mean, torch.ones_like(mean)), normal(1, 1)).backward()
    assert mean.grad.item() == pytest.approx(-math.exp(-(0.35**2) / 2) / math.sqrt(2 * math.pi), abs=1e-3)


def test_several_coordinates():
    p = Normal(torch.zeros(2), torch.ones(2))
    q = Normal(torch.tensor([1.0, 0.0]), torch.tensor([1.0, 2.0]))
    x = Normal(0.0, 1.0).sample((400_000, 2))
    ratio = (q.log_prob(x) - p.log_prob(x)).sum(1)
    assert gaussian_divergence("kl", p, q).item() == pytest.approx(-ratio.mean().item(), abs=0.01)
    assert gaussian_divergence("squared-hellinger", p, q).item() == pytest.approx(
        2 - 2 * (ratio / 2).exp().mean().item(), abs=0.01
    )
    assert gaussian_divergence("pearson", q, Normal(torch.zeros(2), torch.ones(2))).item() == math.inf
    one = Normal(torch.zeros(1), torch.ones(1))
    for distributions in ((p, q), (one, q), (q, one)):
        with pytest.raises(ValueError, match=r"tv: got Gaussians of shape \(2,\), wanted one coordinate"):
            gaussian_divergence("tv", *distributions)


@pytest.mark.oracle("O39")
@pytest.mark.system("S94")
@pytest.mark.parametrize("name", NAMES)
class TestConjugate:
    def test_is_the_supremum_on_a_grid(self, name):
        d = f_divergence(name)
        for t in inside(d, 9):
            assert d.conjugate(t).item() == pytest.approx((U * t - d.f(U)).max().item(), rel=1e-4, abs=1e-4)

    def test_derivatives(self, name):
        d = f_divergence(name)
        u = torch.logspace(-2, 2, 40, dtype=torch.float64).requires_grad_()
        (slope,) = torch.autograd.grad(d.f(u).sum(), u)
        torch.testing.assert_close(d.derivative(u.detach()), slope)
        t = inside(d, 40).requires_grad_()
        if name != "tv":  # whose f′ has two values
            (slope,) = torch.autograd.grad(d.conjugate(t).sum(), t)
            torch.testing.assert_close(d.conjugate_derivative(t.detach()), slope, rtol=1e-6, atol=1e-9)
            torch.testing.assert_close(d.conjugate_derivative(d.derivative(u.detach())), u.detach())

    def test_is_infinite_beyond_its_domain(self, name):
        d = f_divergence(name)
        for result in (d, from_f(name, d.f)):
            beyond = result.conjugate(torch.tensor([min(result.below, 100.0) + 0.5], dtype=torch.float64))
            assert (beyond == math.inf).item() == math.isfinite(result.below)
        assert d.conjugate(inside(d)).isfinite().all()

    def test_score_is_where_the_activation_is_the_slope(self, name):
        d = f_divergence(name)
        log_ratio = torch.tensor([-8.0, -2.0, -0.1, 0.1, 2.0, 8.0], dtype=torch.float64)
        torch.testing.assert_close(d.activation(d.score(log_ratio)), d.derivative(log_ratio.exp()))

    def test_activation_ends_in_the_domain(self, name):
        d = f_divergence(name)
        r = torch.linspace(-6, 6, 61, dtype=torch.float64)
        t = d.activation(r)
        assert (t <= d.below).all()
        torch.testing.assert_close(d.conjugate_of_activation(r), d.conjugate(t), rtol=1e-6, atol=1e-9)

    def test_limits(self, name):
        d = f_divergence(name)
        tiny, huge = torch.tensor(1e-12, dtype=torch.float64), torch.tensor(1e12, dtype=torch.float64)
        if math.isfinite(d.at_zero):
            assert d.f(tiny).item() == pytest.approx(d.at_zero, abs=1e-5)
        else:
            assert d.f(tiny) > 20
        if math.isfinite(d.slope):
            assert (d.f(huge) / huge).item() == pytest.approx(d.slope, abs=1e-5)
        else:
            assert d.f(huge) / huge > 20
        assert d.f(torch.ones(())).item() == 0.0


@pytest.mark.oracle("O40")
@pytest.mark.parametrize(
    ("name", "score", "value"),
    [
        ("kl", (P / Q).log(), 0.3600624),
        ("squared-hellinger", 0.5 * (P / Q).log(), 0.1848262),
        ("reverse-kl", (Q / P).log(), 0.3948162),
        ("gan", (P / Q).log(), 0.1811317),
    ],
)
def test_where_the_bound_is_tight(name, score, value):
    d = f_divergence(name)
    real, fake = d.terms(score, score)
    assert ((P * real).sum() - (Q * fake).sum()).item() == pytest.approx(value, abs=1e-7)
    torch.testing.assert_close(d.score((P / Q).log()), score)


@pytest.mark.parametrize("name", NAMES)
def test_the_bound_never_passes_the_divergence(name):
    d = f_divergence(name)
    exact = d.discrete(P, Q)
    best = d.score((P / Q).log())
    real, fake = d.terms(best, best)
    assert ((P * real).sum() - (Q * fake).sum()).item() == pytest.approx(exact.item(), abs=1e-9)
    for seed in range(50):
        scores = torch.randn(3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        real, fake = d.terms(scores, scores)
        assert (P * real).sum() - (Q * fake).sum() <= exact + 1e-12


@pytest.mark.system("S94")
@pytest.mark.parametrize("name", [n for n in NAMES if n != "tv"])
def test_constructed_from_f(name):
    d = f_divergence(name)
    numeric = from_f(name, d.f)
    assert (numeric.at_zero, numeric.slope) == pytest.approx((d.at_zero, d.slope), abs=1e-12)
    assert from_f(name, d.f, at_zero=3.0, slope=4.0).at_zero == 3.0
    assert numeric.discrete(P, Q) == d.discrete(P, Q)
    t = inside(d, 15)
    torch.testing.assert_close(numeric.conjugate(t), d.conjugate(t), rtol=1e-6, atol=1e-8)
    torch.testing.assert_close(numeric.conjugate_derivative(t), d.conjugate_derivative(t), rtol=1e-6, atol=1e-8)
    score = numeric.score((P / Q).log())
    real, fake = numeric.terms(score, score)
    assert ((P * real).sum() - (Q * fake).sum()).item() == pytest.approx(d.discrete(P, Q).item(), abs=1e-9)
    r = torch.randn(6, dtype=torch.float64, requires_grad=True)
    value = numeric.bound(r[:3], r[3:])
    value.backward()
    u = r.detach().exp()  # d/dr of f′(e^r) is e^r f″; of e^r f′ − f it is e^{2r} f″
    second = torch.autograd.functional.jacobian(lambda v: d.derivative(v), u).diagonal()
    expected = torch.cat([u[:3] * second[:3], -(u[3:] ** 2) * second[3:]]) / 3
    torch.testing.assert_close(r.grad, expected)


@pytest.mark.system("S92")
@pytest.mark.parametrize(("p", "q"), [((0, 1), (1, 2)), ((0, 1), (0.3, 1.1)), ((0, 1), (4, 1))])
def test_inequalities(p, q):
    a, b = normal(*p), normal(*q)
    tv, kl, js, h = (gaussian_divergence(n, a, b).item() for n in ("tv", "kl", "js", "squared-hellinger"))
    assert tv <= math.sqrt(kl / 2)  # Pinsker
    assert js <= math.log(2) * tv + 1e-12
    assert h / 2 <= tv <= math.sqrt(h)


@pytest.mark.oracle("O38")
@pytest.mark.system("S95")
@pytest.mark.parametrize(("q", "value"), [((1, 2), -1.1299444), ((1, 1), -1.1634514)])
def test_the_gans_value_at_the_best_discriminator(q, value):
    a, b = normal(0, 1), normal(*q)
    assert gaussian_divergence("gan", a, b).item() - math.log(4) == pytest.approx(value, abs=1e-7)
    x = torch.linspace(-20, 20, 200_001, dtype=torch.float64)
    logit = a.log_prob(x) - b.log_prob(x)
    p, q = a.log_prob(x).exp(), b.log_prob(x).exp()
    direct = torch.trapezoid(p * torch.nn.functional.logsigmoid(logit) + q * torch.nn.functional.logsigmoid(-logit), x)
    assert direct.item() == pytest.approx(value, abs=1e-7)


def test_unknown():
    with pytest.raises(ValueError, match="divergence: got 'kll', wanted one of kl"):
        f_divergence("kll")
