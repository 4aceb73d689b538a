"""MMD², KID and the C2ST: definitions, closed forms, torchmetrics, levels of tests, coverage of intervals."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from thalweg.evaluation import jackknifed, mmd2
from thalweg.evaluation.measures.two_sample import classify
from thalweg.evaluation.statistics.distances import kid


def normal(n, d=2, seed=0, mean=0.0, std=1.0):
    return mean + std * torch.randn(n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def quantiles(n, mean=0.0, std=1.0):
    return torch.from_numpy(stats.norm.ppf((np.arange(n) + 0.5) / n, mean, std))


def interval(findings, n):
    return jackknifed("MMD²", findings.value, findings.left_out, n=n, better="lower")


def gaussian(sigma):
    return lambda a, b: math.exp(-((a - b) ** 2).sum().item() / (2 * sigma**2))


def cubic(a, b):
    return ((a * b).sum().item() / len(a) + 1) ** 3


def slow(x, y, k):
    n, m = len(x), len(y)
    xx = sum(k(x[i], x[j]) for i in range(n) for j in range(n) if i != j)
    yy = sum(k(y[i], y[j]) for i in range(m) for j in range(m) if i != j)
    return xx / (n * (n - 1)) + yy / (m * (m - 1)) - 2 * sum(k(a, b) for a in x for b in y) / (n * m)


@pytest.mark.system("S93")
@pytest.mark.parametrize("chunk", [1, 7, 1024])
def test_both_are_their_definition(chunk):
    x, y = normal(23, 3), normal(31, 3, seed=1, mean=0.4)
    for kernel, findings in (
        (gaussian(1.3), mmd2(x, y, bandwidth=1.3, blocks=4, permutations=0, chunk=chunk)),
        (cubic, kid(x, y, blocks=4, chunk=chunk)),
    ):
        assert findings.value == pytest.approx(slow(x, y, kernel), rel=1e-10)
        assert len(findings.left_out) == 4
        for block in range(4):
            left_x, left_y = (z[torch.arange(len(z)) % 4 != block] for z in (x, y))
            assert findings.left_out[block] == pytest.approx(slow(left_x, left_y, kernel), rel=1e-10)


def test_the_p_value_is_that_of_shuffled_labels():
    x, y, count = normal(9, 2), normal(13, 2, seed=1, mean=0.7), 50
    findings = mmd2(x, y, bandwidth=1.0, permutations=count, generator=torch.Generator().manual_seed(3), chunk=5)
    both, again = torch.cat([x, y]), torch.Generator().manual_seed(3)
    above = 0
    for _ in range(count):
        first = torch.zeros(22, dtype=torch.bool)
        first[torch.randperm(22, generator=again)[:9]] = True
        above += slow(both[first], both[~first], gaussian(1.0)) >= findings.value - 1e-12
    assert findings.p_value == (1 + above) / (1 + count)
    assert 0 < above < count


# closed forms


@pytest.mark.system("S93")
@pytest.mark.oracle("O42")
def test_mmd_of_two_gaussians():
    n = 3000
    x, y = quantiles(n)[:, None], quantiles(n, mean=1.0)[:, None]
    # quantiles have the distribution's mean kernel with the diagonal, which the unbiased form leaves out
    diagonal = 2 * (1 - 1 / math.sqrt(3)) / (n - 1)
    findings = mmd2(x, y, bandwidth=1.0, permutations=0).value
    assert findings + diagonal == pytest.approx(0.1772676, abs=5e-5)
    sampled = interval(mmd2(normal(n, 1), normal(n, 1, seed=1, mean=1.0), bandwidth=1.0, permutations=0, blocks=10), n)
    assert sampled.low < 0.1772676 < sampled.high
    assert sampled.high - sampled.low < 0.06


@pytest.mark.system("S93")
def test_mmd_is_unbiased_and_its_test_has_its_size():
    # equal distributions: of mean 0, so negative about half of the time, and rejected at 5 % in 5 % of the trials
    findings = []
    for trial in range(400):
        generator = torch.Generator().manual_seed(trial)
        x, y = torch.randn(2, 25, 2, generator=generator)
        findings.append(mmd2(x, y, permutations=99, generator=generator))
    values = np.array([f.value for f in findings])
    assert abs(values.mean()) < 3 * values.std() / math.sqrt(400)
    assert 0.3 < (values < 0).mean() < 0.8
    assert np.mean([f.p_value <= 0.05 for f in findings]) == pytest.approx(0.05, abs=0.02)
    assert mmd2(normal(25), normal(25, seed=1, mean=3.0), permutations=99).p_value == 0.01


def test_mmd_interval_covers():
    held_out, generator = [], torch.Generator().manual_seed(0)
    for _ in range(600):
        x, y = torch.randn(2, 150, 1, generator=generator)
        findings = interval(mmd2(x, y + 1.0, bandwidth=1.0, permutations=0, blocks=10), 150)
        held_out.append(findings.low <= 0.1772676 <= findings.high)
    assert np.mean(held_out) == pytest.approx(0.95, abs=0.03)


def test_kid_is_unbiased_and_its_interval_covers():
    # E (ab + 1)³ = 1 + 3 Ea Eb + 3 Ea² Eb² + Ea³ Eb³, so the truth is 3 Δ₁² + 3 Δ₂² + Δ₃² of the first three moments
    true, held_out, values = 3 * (1 / 2 - 1 / 3) ** 2 + 3 * (1 / 3 - 1 / 5) ** 2 + (1 / 4 - 1 / 7) ** 2, [], []
    generator = torch.Generator().manual_seed(0)
    for _ in range(600):
        x, y = torch.rand(2, 150, 1, generator=generator)
        findings = interval(kid(x, y.square(), blocks=10), 150)
        held_out.append(findings.low <= true <= findings.high)
        values.append(findings.value)
    assert np.mean(values) == pytest.approx(true, abs=3 * np.std(values) / math.sqrt(600))
    assert np.mean(held_out) == pytest.approx(0.95, abs=0.03)


def test_kid_is_torchmetrics():
    from torchmetrics.image.kid import poly_mmd

    x, y = normal(300, 64), normal(300, 64, seed=1, mean=0.05)
    findings = kid(x, y).value
    assert findings == pytest.approx(poly_mmd(x, y).item(), rel=1e-4)
    assert kid(normal(300, 64), normal(300, 64, seed=2)).value < 0  # of one distribution, and not clipped


def test_constant_features():
    x = torch.ones(30, 2)
    findings = mmd2(x, x, blocks=10)
    assert (findings.value, findings.p_value, findings.bandwidth) == (0.0, 1.0, 1.0)
    assert set(findings.left_out) == {0.0}
    assert kid(x, x, blocks=10).value == pytest.approx(0.0, abs=1e-12)
    with pytest.raises(ValueError, match="bandwidth: got 0"):
        mmd2(x, x, bandwidth=0.0)
    for measure in (mmd2, kid):
        with pytest.raises(ValueError, match="n, m ≥ 2"):
            measure(x[:1], x)


# a classifier


def test_the_classifier_is_at_chance_level_for_equal_distributions():
    findings = [classify(normal(60, seed=2 * s), normal(60, seed=2 * s + 1), s) for s in range(12)]
    assert {f.n for f in findings} == {60}
    accuracy = np.mean([f.hits / f.n for f in findings])
    assert accuracy == pytest.approx(0.5, abs=3 * 0.5 / math.sqrt(12 * 60))
    assert sum(f.p_value <= 0.05 for f in findings) <= 2  # of 12 at 5 %: more, 2 times in 100


def test_the_classifiers_p_value_is_binomial():
    findings = classify(normal(101, mean=0.5), normal(101, seed=1))
    assert findings.n == 2 * (101 - 50)
    wanted = stats.binomtest(findings.hits, findings.n, 0.5, alternative="greater").pvalue
    assert findings.p_value == pytest.approx(wanted, rel=1e-9)
    assert classify(normal(101, mean=0.5), normal(101, seed=1)) == findings


@pytest.mark.parametrize("what", ["mean", "spread", "correlation", "mode"])
def test_the_classifier_detects_differences(what):
    n = 400
    x, y = normal(n, 4), normal(n, 4, seed=1)
    if what == "mean":
        y += 0.5
    elif what == "spread":
        y *= 1.5
    elif what == "correlation":
        y = torch.cat([y[:, :3], y[:, :1] + 0.3 * y[:, 3:]], dim=1)
    else:  # one of two is lost
        x[::2] += 4.0
    findings = classify(x, y)
    assert findings.p_value < 1e-4
    assert findings.hits / findings.n > 0.6


def test_the_classifier_refuses_samples_of_different_sizes():
    with pytest.raises(ValueError, match=r"got shapes \(10, 2\) and \(8, 2\)"):
        classify(normal(10), normal(8))


@pytest.mark.parametrize("far", [1e4, 1e8, 1e12])
@pytest.mark.parametrize("factor", [1e-14, 1.0, 1e14])
def test_far_points_in_both_samples_and_any_unit(far, factor):
    """MMD² against its kernel of differences: between the far point and itself it is 1, with the others 0."""
    draw = torch.Generator().manual_seed(0)
    x, y = (torch.randn(30, 3, generator=draw, dtype=torch.float64) + mean for mean in (0.0, 0.5))
    x, y = (torch.cat([z, torch.full((1, 3), far, dtype=torch.float64)]) for z in (x, y))

    def kernel(a, b):
        return (-(a[:, None] - b[None]).square().sum(dim=-1) / 2).exp()

    own = [(k.sum() - k.diagonal().sum()) / (31 * 30) for k in (kernel(x, x), kernel(y, y))]
    wanted = (sum(own) - 2 * kernel(x, y).mean()).item()
    findings = mmd2(factor * x, factor * y, bandwidth=factor, permutations=0)
    assert findings.value == pytest.approx(wanted, rel=1e-9)
