"""Precision, recall, density and coverage against their definitions, with all examples and without each block."""

import math

import numpy as np
import pytest
import torch

from thalweg.evaluation import prdc
from thalweg.evaluation.measures import neighbors as rooms
from thalweg.evaluation.measures.neighbors import prdc_left_out


def normal(n, d=2, seed=0, mean=0.0, std=1.0):
    return mean + std * torch.randn(n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def slow(real, fake, k):
    def distance(a, b):
        return math.sqrt(((a - b) ** 2).sum())

    def reach(points):
        return [sorted(distance(p, q) for j, q in enumerate(points) if j != i)[k - 1] for i, p in enumerate(points)]

    reals, fakes = reach(real), reach(fake)
    precision = np.mean([any(distance(r, f) <= d for r, d in zip(real, reals, strict=True)) for f in fake])
    recall = np.mean([any(distance(r, f) <= d for f, d in zip(fake, fakes, strict=True)) for r in real])
    density = np.mean([sum(distance(r, f) <= d for r, d in zip(real, reals, strict=True)) for f in fake]) / k
    coverage = np.mean([any(distance(r, f) <= d for f in fake) for r, d in zip(real, reals, strict=True)])
    return precision, recall, density, coverage


@pytest.mark.parametrize("tile", [1000, 7])
@pytest.mark.parametrize("k", [1, 3, 5])
def test_is_its_definition(k, tile, monkeypatch):
    monkeypatch.setattr(rooms, "TILE", tile)
    real, fake = normal(40, 3), normal(30, 3, seed=1, mean=0.8, std=0.7)
    findings = prdc(real, fake, k)
    assert findings == pytest.approx(slow(real.numpy(), fake.numpy(), k), abs=1e-12)
    assert 0 < findings.precision < 1 or 0 < findings.recall < 1


@pytest.mark.parametrize("tile", [1000, 3])
def test_values_without_a_block_are_those_of_the_other_examples(tile, monkeypatch):
    monkeypatch.setattr(rooms, "TILE", tile)
    real, fake, blocks = normal(43, 3), normal(35, 3, seed=1, mean=0.8, std=0.7), 4
    findings = prdc_left_out(real, fake, 3, blocks)
    assert len(findings) == 1 + blocks
    assert findings[0] == pytest.approx(slow(real.numpy(), fake.numpy(), 3), abs=1e-12)
    for block in range(blocks):
        rest = [z[torch.arange(len(z)) % blocks != block].numpy() for z in (real, fake)]
        assert findings[1 + block] == pytest.approx(slow(*rest, 3), abs=1e-12)
    assert len(set(findings)) > 2


@pytest.mark.parametrize(("d", "k"), [(3, 3), (2, 1), (2, 3)])
def test_on_a_lattice_where_distances_are_equal(d, k):
    random = np.random.default_rng(0)
    real, fake = (random.integers(0, 4, (60, d)).astype(float) for _ in range(2))
    fake += d * (fake == 3)
    findings = prdc(*(torch.from_numpy(z) / 255 + 1.7 for z in (real, fake)), k=k)
    assert findings == pytest.approx(slow(real, fake, k), abs=1e-12)


def test_copies():
    x = normal(200, 3, mean=1e3)
    x[:20] = x[0]
    findings = prdc(x, x)
    assert (findings.precision, findings.recall, findings.coverage) == (1.0, 1.0, 1.0)
    repeated = normal(10, 50, mean=3.0).repeat(6, 1)  # every ball is a point
    assert prdc(repeated, repeated[torch.arange(59, -1, -3)]) == pytest.approx((1.0, 1.0, 1.2, 1.0))
    constant = torch.ones(60, 3)
    assert set(prdc_left_out(constant, constant, 5, 10)) == {(1.0, 1.0, 12.0, 1.0), (1.0, 1.0, 10.8, 1.0)}


def test_invalid_arguments_are_refused():
    x = normal(200, 3)
    with pytest.raises(ValueError, match="k: got 5, wanted from 1 to below the 5 examples"):
        prdc(x, x[:5])
    with pytest.raises(ValueError, match="k: got 5, wanted from 1 to below the 5 examples"):
        prdc_left_out(x, x[:6], 5, 10)
    with pytest.raises(ValueError, match="real, fake: got shapes"):
        prdc(x, x[:, :2])


def ring(n, modes, seed):
    angle = torch.arange(n) % modes * (math.pi / 4)
    return 5 * torch.stack([angle.cos(), angle.sin()], dim=1) + normal(n, 2, seed=seed, std=0.3)


def test_missing_modes_are_detected():
    full, half = prdc(ring(800, 8, 0), ring(800, 8, 1)), prdc(ring(800, 8, 0), ring(800, 4, 1))
    assert min(full.precision, full.recall, full.coverage) > 0.9
    assert full.density == pytest.approx(1.0, abs=0.15)
    assert half.precision > 0.9
    assert max(half.recall, half.coverage) < 0.55
    collapsed = prdc(ring(800, 8, 0), ring(1, 1, 1).repeat(800, 1))
    assert collapsed.recall == 0.0
    assert collapsed.coverage < 0.1


@pytest.mark.parametrize("far", [1e8, 1e12])
@pytest.mark.parametrize("factor", [1e-14, 1.0, 1e14])
def test_far_points_in_both_samples_and_any_unit(far, factor):
    """Copies at one far point have balls of radius 0; the balls of all others are as without them."""
    real, fake = (torch.cat([z, torch.full((4, 3), far)]) for z in (normal(40, 3), normal(30, 3, seed=1, mean=0.8)))
    findings = prdc(factor * real, factor * fake, 3)
    assert findings == pytest.approx(slow(real.numpy(), fake.numpy(), 3), abs=1e-12)
