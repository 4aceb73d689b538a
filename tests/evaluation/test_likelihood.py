"""Intervals of bits/dim have their coverage, and the standard deviation between dequantization draws."""

import math

import numpy as np
import pytest
import torch

from thalweg.data import Dataset, Spec, Split
from thalweg.evaluation.estimates.estimate import comparable
from thalweg.evaluation.examples import Examples
from thalweg.evaluation.groups import reference_of
from thalweg.evaluation.measures.likelihood import MEANINGS, likelihood, likelihood_measures

REPEATS, N = 300, 100


def gaussian():
    """Data of N(1, 2²) in five columns, their log-density, and their entropy in bits a column."""
    distribution = torch.distributions.Normal(torch.tensor(1.0).double(), torch.tensor(2.0).double())
    bits = 0.5 * math.log2(2 * math.pi * math.e * 4)
    return (
        lambda rng: rng.normal(1.0, 2.0, (N, 5)),
        lambda x: distribution.log_prob(x.double()).sum(dim=1),
        bits,
        "continuous",
    )


def levels():
    """Whole numbers 0..3 with unequal chances in six pixels."""
    chances = np.array([0.5, 0.25, 0.2, 0.05])
    table = torch.from_numpy(np.log(chances))
    bits = -float((chances * np.log2(chances)).sum())
    return (
        lambda rng: rng.choice(4, (N, 1, 2, 3), p=chances).astype(np.uint8),
        lambda x: table[x.long()].flatten(1).sum(dim=1),
        bits,
        "discrete",
    )


@pytest.mark.parametrize("distribution", [gaussian, levels])
def test_the_interval_of_bits_covers_the_truth_in_95_of_100(distribution):
    draw, log_prob, truth, observation = distribution()
    covered = 0
    for repeat in range(REPEATS):
        x = draw(np.random.default_rng(repeat))
        findings = likelihood(log_prob, Examples(x), observation=observation)[1]
        assert findings.unit == "bits/dim"
        covered += findings.low <= truth <= findings.high
    assert 0.92 <= covered / REPEATS <= 0.98


class Dequantized:
    """log_prob(x) = size·N(0, 1), new at each call: one draw of noise is shared by the examples of a batch."""

    observation = "dequantized"

    def log_prob(self, x):
        return torch.randn(()).expand(len(x)) - 10.0


def noise(n=40):
    part = Split(np.zeros((n, 1, 2, 2), dtype=np.uint8))
    return Dataset(Spec(name="noise", kind="image", shape=(1, 2, 2), levels=256), part, part, part)


def test_the_method_states_one_dequantization_draw():
    findings = likelihood_measures(Dequantized(), reference_of(noise()))
    for name in ("log-likelihood", "bits/dim"):
        assert findings[name].method["noise"] == "one dequantization draw"
        assert "standard deviation between draws" not in findings[name].method


def test_the_deviation_between_draws_has_the_unit_of_the_measure():
    many = likelihood_measures(Dequantized(), reference_of(noise(), draws=400))
    nats, bits = many["log-likelihood"], many["bits/dim"]
    spread = nats.method["standard deviation between draws"]
    assert spread == pytest.approx(1.0, abs=0.15)  # ten standard errors of 1/√800 would be .35
    assert bits.method["standard deviation between draws"] == pytest.approx(spread / (4 * math.log(2)), rel=1e-12)
    assert "noise" not in nats.method
    assert nats.value == pytest.approx(-10, abs=0.2)
    assert bits.value == pytest.approx(-nats.value / (4 * math.log(2)), rel=1e-12)


def test_the_deviation_between_draws_is_that_of_their_means():
    class Apart(Dequantized):
        def log_prob(self, x):
            return torch.arange(len(x)) * 100.0

    findings = likelihood_measures(Apart(), reference_of(noise(), draws=5))["log-likelihood"]
    assert findings.method["standard deviation between draws"] == 0.0
    exact = likelihood(lambda x: torch.zeros(len(x)), Examples(np.zeros((3, 2))), observation="continuous")
    assert "noise" not in exact[0].method


def test_estimates_of_one_and_of_many_draws_share_a_row():
    one, many = (likelihood_measures(Dequantized(), reference_of(noise(), draws=d))["bits/dim"] for d in (1, 5))
    assert comparable([one, many]) == [one, many]


def test_every_measure_has_a_meaning():
    findings = likelihood_measures(Dequantized(), reference_of(noise()))
    assert {e.name for e in findings.estimates} <= set(MEANINGS)
