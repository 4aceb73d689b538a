"""Disentanglement measures against codes whose answer is known, and mutual information against its definition."""

import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import mutual_info_score

from thalweg.data import Spec
from thalweg.evaluation.examples import Examples
from thalweg.evaluation.measures.disentanglement import disentanglement_measures
from thalweg.evaluation.reference import Reference, raw_features
from thalweg.evaluation.statistics.information import levels_of, mutual_information

N = 2000


@dataclass(frozen=True)
class Known(Examples):
    """Examples whose factors are known."""

    factors: Any = None


class Coder:
    """A model whose code of example i is a given row: the examples are their own numbers."""

    def __init__(self, codes: np.ndarray) -> None:
        self.codes = torch.from_numpy(codes)

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        return self.codes[x[:, 0].long()]


class NoisyCoder(Coder):
    """Its distribution of z given example i is a Gaussian around the row."""

    def __init__(self, codes: np.ndarray, std: tuple[float, ...]) -> None:
        super().__init__(codes)
        self.std = torch.tensor(std).double()

    def posterior(self, x: torch.Tensor) -> torch.distributions.Distribution:
        return torch.distributions.Independent(torch.distributions.Normal(self.encode(x), self.std), 1)


def factors(n: int = N) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "angle": rng.uniform(-20, 20, n).astype(np.float32),
        "size": rng.uniform(0.5, 1.5, n).astype(np.float32),
        "letter": rng.integers(8, size=n),
    }


def measured(codes: np.ndarray, known: dict[str, np.ndarray] | None = None, seed: int = 0, model: Any = None):
    known = factors(len(codes)) if known is None else known
    spec = Spec(name="numbers", kind="vector", shape=(1,), mean=(0.0,), std=(1.0,))
    test = Known(np.arange(len(codes), dtype=np.float32)[:, None], seed=seed, factors=known)
    return disentanglement_measures(model or Coder(codes), Reference(spec=spec, test=test, features=raw_features(spec)))


def aligned() -> np.ndarray:
    """Increasing functions of the factors, and two numbers that know nothing."""
    known, rng = factors(), np.random.default_rng(1)
    columns = [known["angle"] ** 3, -known["size"], known["letter"] * 1.0, *rng.normal(size=(2, N)) * 1e-3]
    return np.stack(columns, axis=1).astype(np.float64)


def test_mutual_information_is_its_definition_and_scikit_learns():
    rng = np.random.default_rng(0)
    a = rng.integers(5, size=300)
    b = (a + rng.integers(3, size=300)) % 4
    direct = 0.0
    for i, j in itertools.product(range(5), range(4)):
        p = np.mean((a == i) & (b == j))
        if p:
            direct += p * math.log(p / (np.mean(a == i) * np.mean(b == j)))
    assert direct == pytest.approx(mutual_info_score(a, b), abs=1e-12)
    cells = len({*zip(a.tolist(), b.tolist(), strict=True)})
    assert mutual_information(a, b) == pytest.approx(direct - (cells - 5 - 4 + 1) / 600, abs=1e-12)
    p = np.bincount(a) / 300
    assert mutual_information(a, a) == pytest.approx(-(p * np.log(p)).sum() + 4 / 600, abs=1e-12)


def test_mutual_information_of_few_examples_is_not_too_high():
    """Independent levels know nothing of each other, however few examples there are of each pair."""
    rng = np.random.default_rng(0)
    findings = [mutual_information(rng.integers(20, size=1000), rng.integers(10, size=1000)) for _ in range(50)]
    plain = [mutual_info_score(rng.integers(20, size=1000), rng.integers(10, size=1000)) for _ in range(50)]
    assert np.mean(plain) > 0.08
    assert abs(np.mean(findings)) < 0.01


def test_levels_have_equally_many_and_do_not_change_under_increasing_functions():
    values = np.random.default_rng(0).normal(size=1000)
    levels = levels_of(values, 10)
    assert np.bincount(levels).tolist() == [100] * 10
    assert np.array_equal(levels, levels_of(np.exp(values), 10))
    assert np.array_equal(levels_of(np.zeros(50), 10), np.zeros(50))
    tied = np.repeat([0.0, 1.0], 50) + np.r_[np.zeros(50), np.linspace(0, 0.1, 50)]
    assert len(np.unique(levels_of(tied, 10))) < 10  # one value is never in two bins


@pytest.mark.system("S83")
def test_gaps_of_aligned_rotated_and_random_codes():
    axes = measured(aligned())
    assert axes["MIG"].value > 0.97
    assert axes["beta-VAE score"].value > 99
    assert axes.tables["disentanglement"]["factors"] == ["angle", "size", "letter"]
    information = np.array(axes.tables["disentanglement"]["information"])
    assert information.shape == (3, 5)
    assert (information.argmax(1) == [0, 1, 2]).all()

    codes = aligned()[:, :3]
    standard = (codes - codes.mean(0)) / codes.std(0)
    rotation, _ = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)) + 0.3)
    even = standard @ np.array([[1, 1, 1], [1, -1, 0], [1, 1, -2]]).T
    assert measured(even)["MIG"].value < 0.35
    assert measured(standard @ rotation)["MIG"].value < 0.6
    both = measured(np.concatenate([standard, standard], axis=1))  # everything twice: no gap at all
    assert both["MIG"].value == pytest.approx(0.0, abs=1e-12)
    assert both["beta-VAE score"].value > 99

    noise = measured(np.random.default_rng(4).normal(size=(N, 5)))
    assert noise["MIG"].value < 0.02
    assert noise["MIG"].low == 0.0
    assert noise["beta-VAE score"].value < 45  # of three factors, a third by chance


@pytest.mark.system("S83")
def test_a_latent_dimension_with_large_variance_has_no_information():
    """Three numbers that follow the factors, and three that would, were their means not a thousandth of their σ."""
    codes = aligned()[:, :3]
    standard = (codes - codes.mean(0)) / codes.std(0)
    twice = np.concatenate([standard, 1e-3 * standard], axis=1)
    noisy = measured(twice, model=NoisyCoder(twice, (1e-4,) * 3 + (1.0,) * 3))
    assert noisy["MIG"].value > 0.95
    assert measured(twice)["MIG"].value == pytest.approx(0.0, abs=1e-12)


@pytest.mark.system("S83")
def test_gap_is_the_direct_definition():
    """(I₁ − I₂) / H of a code that repeats a factor with errors, and of another with more errors."""
    rng = np.random.default_rng(5)
    letter = rng.integers(6, size=N)

    def damaged(share: float) -> np.ndarray:
        return np.where(rng.random(N) < share, rng.integers(6, size=N), letter)

    one, two, none = damaged(0.2), damaged(0.5), rng.integers(6, size=N)
    findings = measured(np.stack([two, none, one], axis=1).astype(np.float64), {"letter": letter})
    entropy = mutual_info_score(letter, letter) + 5 / (2 * N)  # all pairs of levels occur: else the bias cancels
    wanted = (mutual_info_score(one, letter) - mutual_info_score(two, letter)) / entropy
    assert findings["MIG"].value == pytest.approx(wanted, abs=1e-12)
    assert findings["MIG"].low < wanted < findings["MIG"].high
    assert [e.name for e in findings] == ["MIG"]  # of one factor there is nothing to tell apart


def test_the_interval_covers_the_value_of_many_examples():
    rng, widths = np.random.default_rng(6), []
    for n in (1000, 20_000):
        letter, size = rng.integers(6, size=n), rng.uniform(size=n)
        codes = np.stack(
            [letter + rng.normal(size=n), size + 0.3 * rng.normal(size=n), letter + 2 * rng.normal(size=n)]
        )
        widths.append(measured(codes.T, {"letter": letter, "size": size})["MIG"])
    few, many = widths
    assert few.low < many.value < few.high
    assert many.high - many.low < 0.5 * (few.high - few.low)


def test_evaluations_are_reproducible_and_depend_on_the_seed():
    codes = aligned()
    one, two, other = (
        measured(codes),
        measured(codes),
        measured(codes + np.random.default_rng(0).normal(size=codes.shape), seed=1),
    )
    assert [e.to_json() for e in one] == [e.to_json() for e in two]
    assert other["beta-VAE score"].method["seed"] == 1


def test_missing_measures_have_a_reason_of_one_line():
    assert not measured(aligned(), {}).estimates
    few = measured(aligned()[:50], {name: v[:50] for name, v in factors().items()})
    assert "got 50 examples, wanted at least 200" in few.missing[0].reason
    assert "codes of 1" in measured(aligned()[:, :1]).missing[0].reason
    same = measured(aligned(), {"letter": np.zeros(N, dtype=np.int64)})
    assert "0 factors that vary" in same.missing[0].reason
    broken = aligned()
    broken[3, 2] = math.nan
    assert "not finite" in measured(broken).missing[0].reason
