"""Batch normalization: its statistics layer by layer, training of only γ and β, initialization, and smoothness."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from thalweg.training.statistics import normalizing_layers, re_estimate

__all__ = ["Smoothness", "full_data_statistics", "only_normalization", "perceptron", "smoothness", "train"]


def full_data_statistics(network: nn.Module, batches: Sequence[Tensor]) -> None:
    """Set the statistics of each normalizing layer to those of all batches, in the order of the layers.

    A layer is estimated after all earlier ones have their final statistics: its inputs are then those of evaluation.
    Estimating all layers in one pass gives a later layer the inputs that are normalized by the statistics of each
    batch. The mean of each layer is exact for batches of equal size; the variance is the mean over the batches.
    The network is in evaluation mode afterwards. The layers must be registered in the order of the forward pass.

    Reference: *Batch normalization: accelerating deep network training by reducing internal covariate shift*, Sergey
    Ioffe, Christian Szegedy, 2015, arXiv:1502.03167, algorithm 2.

    >>> network = nn.Sequential(nn.BatchNorm1d(1), nn.BatchNorm1d(1, affine=False))
    >>> full_data_statistics(network, [torch.tensor([[0.0], [1.0]]), torch.tensor([[2.0], [3.0]])])
    >>> network[0].running_mean.item(), network[1].running_mean.item()
    (1.5, 0.0)
    """
    network.eval()
    with torch.no_grad():
        for layer in normalizing_layers(network):
            re_estimate([layer], network, batches)


def only_normalization(network: nn.Module) -> list[nn.Parameter]:
    """Stop the gradients of all parameters but γ and β of batch normalization, and return these.

    Reference: *Training BatchNorm and only BatchNorm*, Jonathan Frankle, David Schwab, Ari Morcos, 2021,
    arXiv:2003.00152.

    >>> network = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    >>> [p.numel() for p in only_normalization(network)], network[0].weight.requires_grad
    ([3, 3], False)
    """
    network.requires_grad_(False)
    learned = [p for layer in normalizing_layers(network) for p in layer.parameters(recurse=False)]
    for p in learned:
        p.requires_grad_()
    return learned


def perceptron(sizes: Sequence[int], *, normalized: bool, scale: float = 1.0, seed: int = 0) -> nn.Sequential:
    """Return an MLP with ReLU whose weights are He's, multiplied by `scale`, with batch normalization or without.

    >>> len(perceptron([4, 8, 8, 2], normalized=True)), len(perceptron([4, 8, 8, 2], normalized=False))
    (7, 5)
    """
    random = torch.Generator().manual_seed(seed)
    layers: list[nn.Module] = []
    for i, (n, m) in enumerate(pairwise(sizes)):
        last = i == len(sizes) - 2
        linear = nn.Linear(n, m, bias=last or not normalized)
        with torch.no_grad():
            linear.weight.normal_(0, scale * (2 / n) ** 0.5, generator=random)
            if linear.bias is not None:
                linear.bias.zero_()
        layers += [linear] + ([] if last else [nn.BatchNorm1d(m)] * normalized + [nn.ReLU()])
    return nn.Sequential(*layers)


def train(
    network: nn.Module, x: Tensor, y: Tensor, *, lr: float, steps: int, batch_size: int, seed: int
) -> list[float]:
    """Minimize the cross-entropy by momentum on random batches; return the loss of the batch before each step.

    >>> network = perceptron([2, 8, 2], normalized=True)
    >>> losses = train(network, torch.eye(2), torch.arange(2), lr=0.1, steps=50, batch_size=2, seed=0)
    >>> losses[-1] < losses[0]
    True
    """
    random, batches = torch.Generator().manual_seed(seed), []
    parameters = [p for p in network.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(parameters, lr=lr, momentum=0.9)
    network.train()
    for _ in range(steps):
        rows = torch.randperm(len(x), generator=random)[:batch_size]
        loss = nn.functional.cross_entropy(network(x[rows]), y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        batches.append(loss.detach())
    return torch.stack(batches).tolist()


@dataclass(frozen=True)
class Smoothness:
    """How the loss and its gradient change along the direction of the gradient, and with the earlier layers.

    `losses`: the loss at each distance; `gradients`: ‖g(θ − ηg) − g(θ)‖ at each distance η; `shift` and `cosine`: the
    norm of g′ − g and the cosine of g′ and g for each weight matrix, where g′ is its gradient after a step of the
    earlier layers alone, the internal covariate shift of Santurkar et al.
    """

    losses: list[float]
    gradients: list[float]
    shift: list[float]
    cosine: list[float]


def smoothness(network: nn.Module, x: Tensor, y: Tensor, *, distances: Sequence[float], lr: float) -> Smoothness:
    """Measure the smoothness of the loss at the network's parameters. The network itself is left unchanged.

    `distances` are multiples η of the gradient; `lr` is the step of the earlier layers in `shift`. Batch normalization
    uses the statistics of the batch (x, y).

    Reference: *How does batch normalization help optimization?*, Shibani Santurkar, Dimitris Tsipras, Andrew Ilyas,
    Aleksander Mądry, 2018, arXiv:1805.11604.

    >>> network = perceptron([2, 4, 2], normalized=False)
    >>> result = smoothness(network, torch.eye(2), torch.arange(2), distances=[0.0, 0.1], lr=0.1)
    >>> result.gradients[0], result.shift[0], result.losses[1] < result.losses[0]
    (0.0, 0.0, True)
    """
    network = deepcopy(network).train()
    parameters = list(network.parameters())

    def gradient() -> tuple[Tensor, list[Tensor]]:
        loss = nn.functional.cross_entropy(network(x), y)
        return loss.detach(), list(torch.autograd.grad(loss, parameters))

    _, start = gradient()
    losses, changes, shift, cosine = [], [], [], []
    for distance in distances:
        with _moved(parameters, [distance * g for g in start]):
            loss, moved = gradient()
        losses.append(float(loss))
        changes.append(
            float(torch.stack([(a - b).square().sum() for a, b in zip(moved, start, strict=True)]).sum().sqrt())
        )
    for k, weight in enumerate(parameters):
        if weight.dim() > 1:
            earlier = [lr * g if i < k else torch.zeros_like(g) for i, g in enumerate(start)]
            with _moved(parameters, earlier):
                _, moved = gradient()
            shift.append(float((moved[k] - start[k]).norm()))
            cosine.append(float(nn.functional.cosine_similarity(moved[k].flatten(), start[k].flatten(), dim=0)))
    return Smoothness(losses, changes, shift, cosine)


@contextmanager
def _moved(parameters: list[nn.Parameter], steps: list[Tensor]) -> Iterator[None]:
    """Within, the parameters are θ − step."""
    before = [p.detach().clone() for p in parameters]
    with torch.no_grad():
        for p, step in zip(parameters, steps, strict=True):
            p.sub_(step)
    try:
        yield
    finally:
        with torch.no_grad():
            for p, value in zip(parameters, before, strict=True):
                p.copy_(value)
