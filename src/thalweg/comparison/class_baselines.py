"""Baselines of classifiers: the majority class, the nearest neighbor, and a linear classifier of the raw values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from thalweg.data import Dataset
from thalweg.evaluation import raw_features
from thalweg.randomness import fold

__all__ = ["CLASS_BASELINES", "LinearBaseline", "MajorityClass", "NearestNeighbor", "class_baseline"]

CLASS_BASELINES = ("majority-class", "nearest-neighbor", "linear-classifier")
CHUNK = 2**25  # entries of a matrix of distances
MAX_FITTED = 20_000  # training examples of the linear classifier
PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1)  # candidates for the weight of the squared norm, chosen on validation examples
ITERATIONS = 60


def class_baseline(name: str, dataset: Dataset, seed: int = 0) -> Any:
    """Return the baseline of that name, fitted to the training examples; `logits(x)` returns (B, K).

    >>> from thalweg.config import DataConfig
    >>> from thalweg.data import load
    >>> class_baseline("majority-class", load(DataConfig(source="digits"))).logits(torch.zeros(2, 1, 8, 8)).shape
    torch.Size([2, 10])
    """
    assert dataset.spec.classes
    assert dataset.train.y is not None
    extract = raw_features(dataset.spec).extract
    if name == "majority-class":
        return MajorityClass(dataset.train.y, len(dataset.spec.classes))
    if name == "nearest-neighbor":
        return NearestNeighbor(extract, dataset.train.x, dataset.train.y, len(dataset.spec.classes))
    return LinearBaseline(extract, dataset, seed)


class MajorityClass:
    """The share of each class in the training examples, whatever the example is; its logits are the shares' logarithms.

    >>> MajorityClass(np.array([0, 1, 1, 1]), 2).logits(torch.zeros(1, 3)).softmax(1).round(decimals=4).tolist()
    [[0.25, 0.75]]
    """

    def __init__(self, y: np.ndarray[Any, Any], classes: int) -> None:
        counts = np.bincount(y, minlength=classes)
        self.log_shares = torch.from_numpy(counts / counts.sum()).clamp_min(1e-12).log()

    def logits(self, x: Tensor) -> Tensor:
        """Return the logarithms of the shares, (B, K)."""
        return self.log_shares.to(x.device).expand(len(x), -1)


class NearestNeighbor:
    """The class of the nearest training example; the logit of a class is minus the distance to its nearest example.

    Distances are Euclidean, between pixels in [0, 1] or standardized columns.
    """

    def __init__(
        self, extract: Callable[[Tensor], Tensor], x: np.ndarray[Any, Any], y: np.ndarray[Any, Any], classes: int
    ) -> None:
        self.extract = extract
        order = np.argsort(y, kind="stable")  # the examples of a class stand together
        self.known = torch.cat([extract(torch.from_numpy(np.array(x[part]))).float() for part in _parts(order)])
        self.counts = np.bincount(y, minlength=classes).tolist()
        self.squares = self.known.square().sum(1)

    def logits(self, x: Tensor) -> Tensor:
        """Return minus the smallest distance to an example of each class, (B, K); −∞ where it has none."""
        if self.known.device != x.device:
            self.known, self.squares = self.known.to(x.device), self.squares.to(x.device)
        z = self.extract(x).float()
        size = max(1, CHUNK // len(self.known))
        nearest = []
        for start in range(0, len(z), size):
            part = z[start : start + size]
            squared = part.square().sum(1, keepdim=True) + self.squares - 2 * part @ self.known.T
            columns = squared.clamp_min_(0).split(self.counts, dim=1)
            nearest.append(
                torch.stack([c.amin(1) if c.shape[1] else c.new_full((len(c),), torch.inf) for c in columns], 1)
            )
        return -torch.cat(nearest).sqrt()


class LinearBaseline:
    """Multinomial logistic regression of pixels or standardized columns, W z + b, by L-BFGS on at most 20,000 examples.

    The weight of the penalty λ‖W‖² is the one of four whose label loss on validation examples is lowest.
    """

    def __init__(self, extract: Callable[[Tensor], Tensor], dataset: Dataset, seed: int) -> None:
        self.extract = extract
        train, held_out = dataset.train, dataset.validation
        assert train.y is not None
        assert dataset.spec.classes
        order = np.random.default_rng(fold(seed, "linear")).permutation(len(train))[:MAX_FITTED]
        chosen = np.sort(order)
        z = torch.cat([extract(torch.from_numpy(np.array(train.x[part]))).float() for part in _parts(chosen)])
        self.mean, self.std = z.mean(0), z.std(0).clamp_min(1e-3)
        z, y = (z - self.mean) / self.std, torch.from_numpy(train.y[chosen]).long()
        best = np.inf
        for penalty in PENALTIES:
            weight, bias = _fitted(z, y, len(dataset.spec.classes), penalty)
            loss = penalty
            if len(held_out):
                assert held_out.y is not None
                parts = [(self._z(held_out.x[p]) @ weight.T + bias, held_out.y[p])
                         for p in _parts(np.arange(len(held_out)))]  # fmt: skip
                total = sum(float(F.cross_entropy(a, torch.from_numpy(b).long(), reduction="sum")) for a, b in parts)
                loss = total / len(held_out)
            if loss < best:
                best, self.weight, self.bias = loss, weight, bias

    def _z(self, x: np.ndarray[Any, Any]) -> Tensor:
        return (self.extract(torch.from_numpy(np.array(x))).float() - self.mean) / self.std

    def logits(self, x: Tensor) -> Tensor:
        """Return W z + b, (B, K)."""
        mean, std, weight, bias = (t.to(x.device) for t in (self.mean, self.std, self.weight, self.bias))
        return (self.extract(x).float() - mean) / std @ weight.T + bias


def _fitted(z: Tensor, y: Tensor, classes: int, penalty: float) -> tuple[Tensor, Tensor]:
    weight = torch.zeros(classes, z.shape[1], requires_grad=True)
    bias = torch.zeros(classes, requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=ITERATIONS, line_search_fn="strong_wolfe")

    def objective() -> float:
        optimizer.zero_grad()
        loss = F.cross_entropy(z @ weight.T + bias, y) + penalty * weight.square().sum()
        loss.backward()
        return float(loss.detach())

    optimizer.step(objective)
    return weight.detach(), bias.detach()


def _parts(indices: np.ndarray[Any, Any], size: int = 5_000) -> list[np.ndarray[Any, Any]]:
    return [indices[start : start + size] for start in range(0, len(indices), size)]
