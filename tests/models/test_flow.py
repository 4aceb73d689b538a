"""The base class of flows: distributions, base distributions, temperature, classes."""

import math

import pytest
import torch
from scipy import stats

from thalweg.models.class_conditional import ClassConditional
from thalweg.models.flows.base import base_distribution
from thalweg.models.flows.real_nvp import RealNVP
from thalweg.randomness import generator


def moved(flow):
    noise = generator(0, "moved")
    with torch.no_grad():
        for p in flow.parameters():
            p += 0.1 * torch.randn(p.shape, generator=noise)
    return flow.double()


def vector_flow(context=0, **settings):
    return moved(RealNVP((3,), layers=4, hidden=16, mean=[1.0] * 3, std=[2.0] * 3, context=context, **settings))


@pytest.mark.parametrize(
    ("name", "distribution"),
    [
        ("normal", stats.norm()),
        ("logistic", stats.logistic()),
        ("uniform", stats.uniform()),
        ("beta", stats.beta(5, 5)),
    ],
)
def test_base_distributions_are_those_of_scipy(name, distribution):
    base = base_distribution(name)
    z = base.draw((4000,), like=torch.zeros(1, dtype=torch.float64), generator=generator(0, name))
    assert stats.kstest(z.numpy(), distribution.cdf).pvalue > 1e-3
    torch.testing.assert_close(base.log_prob(z), torch.from_numpy(distribution.logpdf(z.numpy())))
    assert base.center == pytest.approx(distribution.mean(), abs=1e-12)


def test_the_density_is_zero_outside_of_the_support():
    assert base_distribution("uniform").log_prob(torch.tensor([-0.1, 1.1])).tolist() == [-math.inf, -math.inf]
    assert base_distribution("beta").log_prob(torch.tensor([-0.1])).tolist() == [-math.inf]


def test_a_call_returns_a_distribution_over_raw_data():
    flow = vector_flow()
    distribution = flow()
    x = distribution.sample((4, 5))
    assert x.shape == (4, 5, 3)
    torch.testing.assert_close(distribution.log_prob(x).reshape(-1), flow.log_prob(x.reshape(-1, 3)))
    drawn = distribution.rsample_and_log_prob((6,))
    torch.testing.assert_close(drawn.log_prob, distribution.log_prob(drawn.value))
    assert drawn.value.requires_grad
    assert not x.requires_grad


def test_the_context_is_broadcast_and_matters():
    flow = vector_flow(context=2)
    contexts = torch.randn(5, 2, dtype=torch.float64)
    distribution, x = flow(contexts), torch.randn(3, dtype=torch.float64)
    assert (distribution.batch_shape, distribution.event_shape) == ((5,), (3,))
    each = torch.stack([flow(c).log_prob(x) for c in contexts])
    torch.testing.assert_close(distribution.log_prob(x), each)
    assert distribution.rsample((7,)).shape == (7, 5, 3)
    assert len(set(each.tolist())) == 5
    with pytest.raises(ValueError, match=r"context: got none, wanted \(..., 2\)"):
        flow()
    with pytest.raises(ValueError, match=r"context: got shape \(5, 3\), wanted \(..., 2\)"):
        flow(torch.zeros(5, 3))


def test_images_in_one_pass():
    flow = moved(RealNVP((1, 2, 3), layers=4, hidden=16, levels=17))
    drawn = flow().rsample_and_log_prob((50,))
    inside = ((drawn.value > 0) & (drawn.value < 17)).flatten(1).all(1)
    torch.testing.assert_close(drawn.log_prob[inside], flow().log_prob(drawn.value)[inside], rtol=1e-6, atol=1e-6)


def test_temperature_scales_z():
    flow = vector_flow()
    cold = flow.sample(5, generator(0, "t"), temperature=0.0)
    torch.testing.assert_close(cold, cold[:1].expand(5, 3))
    torch.testing.assert_close(flow.encode(cold), torch.zeros(5, 3, dtype=torch.float64), atol=1e-9, rtol=0)
    hot, warm = (flow.encode(flow.sample(2000, generator(0, "t"), temperature=t)).std() for t in (1.0, 0.5))
    assert float(warm.detach() / hot.detach()) == pytest.approx(0.5, abs=1e-6)


def test_compile_compiles_the_density(monkeypatch):
    flow, asked = vector_flow(), []

    def compiled(function):
        def recorded(*arguments):
            asked.append(arguments)
            return function(*arguments)

        return recorded

    x = torch.randn(4, 3, dtype=torch.float64)
    before = flow.log_prob(x)
    monkeypatch.setattr(torch, "compile", compiled)
    flow.compile()
    assert torch.equal(flow.log_prob(x), before)
    assert len(asked) == 1


def test_classes_make_a_mixture_and_a_classifier():
    model = moved(ClassConditional(vector_flow(context=3)))
    x, y = torch.randn(6, 3, dtype=torch.float64), torch.tensor([0, 1, 2, 0, 1, 2])
    logits = model.logits(x)
    torch.testing.assert_close(model.log_joint(x, y), logits[torch.arange(6), y])
    torch.testing.assert_close(model.log_prob(x).exp(), logits.exp().sum(1))
    shares = model.frequencies.softmax(0)
    torch.testing.assert_close(
        model.log_joint(x, y).exp(), shares[y] * model.density.log_prob(x, None, torch.eye(3)[y]).exp()
    )


def test_samples_follow_the_class_and_the_generator():
    model = moved(ClassConditional(vector_flow(context=3)))
    with torch.no_grad():
        model.frequencies.copy_(torch.tensor([0.0, -100.0, -100.0]))
    anything = model.sample(5, generator(0, "s"))
    again = model.sample(5, generator(0, "s"))
    assert torch.equal(anything, again)
    samples = [model.sample(4, generator(0, "s"), y=torch.full((4,), k)) for k in range(3)]
    assert not torch.equal(samples[0], samples[1])
