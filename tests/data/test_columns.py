"""Columns with large offsets, discrete columns, and columns without a density."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from thalweg.config import DataConfig, Discrete
from thalweg.data import load
from thalweg.data.columns import degenerate_columns, discrete_columns

N = 400
RNG = np.random.default_rng(0)
NORMAL = RNG.normal(size=N)

DISCRETE = {
    "integers": (RNG.integers(0, 7, N).astype(float), Discrete()),
    "0 and 1": (RNG.integers(0, 2, N).astype(float), Discrete()),
    "negative integers": (-RNG.poisson(3.0, N).astype(float), Discrete()),
    "identifiers": (1_700_000_001.0 + np.arange(N), Discrete()),
    "half steps": (RNG.integers(0, 5, N) / 2, Discrete(0.5, (0.0, 0.5, 1.0, 1.5, 2.0))),
    "uneven values": (RNG.choice([0.25, 0.5, 3.0], N), Discrete(0.25, (0.25, 0.5, 3.0))),
    "normal": (NORMAL, None),
    "rounded, most values once": (np.round(NORMAL, 4), None),
    "zeros and normal": (np.where(np.arange(N) % 10 == 0, NORMAL, 0.0), None),
}


@pytest.mark.parametrize("name", DISCRETE)
def test_discrete_columns(name: str) -> None:
    column, wanted = DISCRETE[name]
    result = discrete_columns(np.column_stack([NORMAL, column]))
    assert result == ((None, wanted) if wanted else ())


DEGENERATE = {
    "zeros": ([NORMAL, DISCRETE["zeros and normal"][0]], ["'b' is 0 in 90 % of the rows"]),
    "twice the same": ([NORMAL, NORMAL], ["'b' is a linear function"]),
    "a sum": ([NORMAL, NORMAL[::-1], NORMAL - 3 * NORMAL[::-1] + 5], ["'c' is a linear function"]),
    "large offset": ([NORMAL, NORMAL[::-1] + 1e7], []),
    "nearly the same": ([NORMAL, NORMAL + 1e-4 * NORMAL[::-1]], []),
    "integers may repeat": ([NORMAL, DISCRETE["integers"][0]], []),
}


@pytest.mark.parametrize("name", DEGENERATE)
def test_degenerate_columns(name: str) -> None:
    columns, wanted = DEGENERATE[name]
    x = np.column_stack(columns)
    result = degenerate_columns(x, discrete_columns(x), "abc"[: x.shape[1]])
    assert len(result) == len(wanted)
    for text, part in zip(result, wanted, strict=True):
        assert part in text


@pytest.mark.parametrize("offset", [0.0, 1e7, 1e12])
def test_columns_of_large_numbers_keep_their_digits(tmp_path: Path, offset: float) -> None:
    values = np.round(NORMAL * 1024) / 1024  # so that adding 1e12 is exact
    path = tmp_path / "t.csv"
    path.write_text("a,b\n" + "\n".join(f"{v + offset!r},{v!r}" for v in values.tolist()) + "\n")
    data = load(DataConfig(source=str(path)))
    x = np.concatenate([data.train.x, data.validation.x, data.test.x])
    assert x.dtype == np.float64
    assert np.array_equal(x[:, 0] - offset, x[:, 1])
    assert data.spec.mean[0] - offset == pytest.approx(data.spec.mean[1], abs=2e-4)
    assert data.spec.std[0] == pytest.approx(data.spec.std[1], rel=1e-6)


def test_integers_that_a_float_would_merge_stay_distinct(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("id\n" + "\n".join(str(1_700_000_001 + i) for i in range(60)) + "\n")
    data = load(DataConfig(source=str(path)))
    assert data.spec.discrete == (Discrete(),)
    assert sum(len(data.split(s)) for s in ("train", "validation", "test")) == 60
