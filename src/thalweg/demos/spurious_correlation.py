"""A spurious correlation: in training, the side of an image tells the class; flips remove the correlation."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from thalweg.batch import Batch
from thalweg.data import Batches
from thalweg.data.augment import Augment
from thalweg.randomness import fold, generator

__all__ = ["Accuracies", "crosses_and_rings", "train_linear"]

FIGURES = ([[1, 0, 1], [0, 1, 0], [1, 0, 1]], [[1, 1, 1], [1, 0, 1], [1, 1, 1]])  # a cross and a ring


class Accuracies(NamedTuple):
    """Shares of correct classes: training images, other images with the correlation, and with its opposite."""

    train: float
    same: float
    opposite: float


def crosses_and_rings(n: int, *, opposite: bool = False, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return n noisy images (n, 1, 4, 8) of a cross (class 0) or a ring (class 1), in 0..70, and their classes (n,).

    Crosses are on the left and rings on the right, or, with `opposite`, the other way round.

    >>> x, y = crosses_and_rings(4)
    >>> tuple(x.shape), y.tolist(), bool((x[0, 0, :, :4].sum() > x[0, 0, :, 4:].sum()).item())
    ((4, 1, 4, 8), [0, 1, 0, 1], True)
    """
    y = torch.arange(n) % 2
    figures = F.pad(40.0 * torch.tensor(FIGURES), (0, 5, 0, 1))  # on the left
    on_the_right = (1 - y if opposite else y).bool()
    x = figures[y]
    x = torch.where(on_the_right[:, None, None], x.flip(-1), x)  # both figures are symmetric
    noise = 30 * torch.rand(n, 1, 4, 8, generator=generator(seed, "noise"))
    return noise + x[:, None], y


def train_linear(*, flip: bool, n: int = 400, steps: int = 300) -> Accuracies:
    """Train softmax regression on `crosses_and_rings`, with images flipped at random or not; return its accuracies.

    Without flips it learns the side, and is wrong on the images with the opposite correlation.
    """
    augment = Augment(hflip=flip)
    x, y = crosses_and_rings(n)
    linear = torch.nn.Linear(32, 2)
    torch.nn.init.zeros_(linear.weight)
    torch.nn.init.zeros_(linear.bias)
    optimizer = torch.optim.Adam(linear.parameters(), lr=0.01)
    with Batches((x, y), 50, seed=0) as batches:
        for step in range(steps):
            images, labels = batches.get(step)
            assert labels is not None
            augmented = augment(Batch(images, labels, fold(0, step))).x
            loss = F.cross_entropy(linear(augmented.flatten(1) / 255), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    tests = (x, y), crosses_and_rings(n, seed=1), crosses_and_rings(n, opposite=True, seed=2)
    with torch.no_grad():
        return Accuracies(*(float((linear(a.flatten(1) / 255).argmax(1) == b).float().mean()) for a, b in tests))
