"""Sampling through the inverse of a distribution function, with and without atoms."""

import math

import pytest
import torch
from scipy.stats import kstest, norm

from thalweg.inference.inverse_cdf import generalized_inverse, sample_by_inverse

U = torch.tensor([1e-6, 0.01, 0.3, 0.5, 0.77, 0.999999], dtype=torch.float64)


@pytest.mark.system("S75")
def test_inverse_of_a_continuous_distribution():
    torch.testing.assert_close(
        generalized_inverse(torch.special.ndtr, U), torch.special.ndtri(U), rtol=1e-9, atol=1e-15
    )
    far = generalized_inverse(lambda x: torch.special.ndtr((x - 1e6) / 1e-3), U)
    torch.testing.assert_close(far, 1e6 + 1e-3 * torch.special.ndtri(U), rtol=0, atol=1e-8)


@pytest.mark.system("S75")
def test_exponential_by_its_inverse():
    rate = 2.5
    inverse = lambda u: -(-u).log1p() / rate  # noqa: E731
    torch.testing.assert_close(generalized_inverse(lambda x: -torch.expm1(-rate * x.clamp(min=0)), U), inverse(U))
    x = sample_by_inverse(inverse, 20_000)
    assert kstest(x.numpy(), "expon", args=(0, 1 / rate)).pvalue > 0.01
    assert kstest(x.numpy(), "expon", args=(0, 1.05 / rate)).pvalue < 0.01
    assert torch.equal(x, sample_by_inverse(inverse, 20_000))
    assert not torch.equal(x, sample_by_inverse(inverse, 20_000, seed=1))


def half_atom(x):
    """½ δ₂ + ½ of the uniform distribution on [0, 1]: a gap from 1 to 2, then a jump."""
    return 0.5 * x.clamp(0, 1) + 0.5 * (x >= 2)


@pytest.mark.system("S75")
def test_generalized_inverse_at_atoms_and_gaps():
    u = torch.tensor([0.1, 0.25, 0.5, 0.500001, 0.7, 1 - 1e-12], dtype=torch.float64)
    expected = torch.tensor([0.2, 0.5, 1.0, 2.0, 2.0, 2.0], dtype=torch.float64)
    torch.testing.assert_close(generalized_inverse(half_atom, u), expected, rtol=1e-12, atol=1e-12)
    # inf {x: F(x) ≥ u}: F reaches u there, and not before
    x = generalized_inverse(half_atom, u)
    assert (half_atom(x) >= u).all()
    assert (half_atom(x - 1e-9) < u).all()


@pytest.mark.system("S75")
def test_left_end_of_a_gap_within():
    gap = lambda x: (x / 0.6).clamp(0, 0.5) + 0.5 * (x >= 0.6)  # noqa: E731
    result = generalized_inverse(gap, torch.tensor([0.25, 0.5, 0.75], dtype=torch.float64))
    assert result.tolist() == pytest.approx([0.15, 0.3, 0.6], abs=1e-12)


@pytest.mark.system("S75")
def test_samples_of_a_distribution_with_an_atom():
    x = sample_by_inverse(lambda u: generalized_inverse(half_atom, u), 20_000)
    atom = x == 2
    assert float(atom.double().mean()) == pytest.approx(0.5, abs=4 * math.sqrt(0.25 / 20_000))
    assert kstest(x[~atom].numpy(), "uniform").pvalue > 0.01
    distribution = torch.tensor([0.2, 0.5, 0.3])
    steps = lambda x: (distribution * (x[..., None] >= torch.tensor([-1.0, 0.0, 4.0]))).sum(-1)  # noqa: E731
    drawn = sample_by_inverse(lambda u: generalized_inverse(steps, u), 20_000).round(decimals=9)
    values, counts = drawn.unique(return_counts=True)
    assert values.abs().tolist() == [1.0, 0.0, 4.0]
    torch.testing.assert_close(counts / 20_000, distribution, rtol=0, atol=0.015)


@pytest.mark.system("S75")
def test_refusals():
    with pytest.raises(ValueError, match="u: got values outside"):
        generalized_inverse(torch.special.ndtr, torch.tensor([0.5, 1.0]))
    with pytest.raises(ValueError, match="cdf: got a function that does not reach u"):
        generalized_inverse(lambda x: 0.5 * torch.ones_like(x), torch.tensor([0.7]))
    x = torch.from_numpy(norm.rvs(size=3, random_state=0))
    assert generalized_inverse(torch.special.ndtr, torch.special.ndtr(x)).tolist() == pytest.approx(x.tolist())
