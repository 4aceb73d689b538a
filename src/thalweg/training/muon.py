"""Muon: momentum whose update of each weight matrix is made orthogonal."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

__all__ = ["Muon", "orthogonalized"]

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
VECTOR_MOMENTUM = 0.85


def orthogonalized(matrix: Tensor, *, steps: int = 5) -> Tensor:
    """Return about U Vᵀ of a matrix with the singular value decomposition U S Vᵀ, by Newton-Schulz iterations.

    X ← aX + b(XXᵀ)X + c(XXᵀ)²X from X/‖X‖, with coefficients that lift small singular values fast: after 5 steps those
    above 1/300 of ‖X‖ (Frobenius) lie in [.65, 1.25], and are not exactly 1.

    Reference: *Muon: An optimizer for hidden layers in neural networks*, Keller Jordan, Yuchen Jin, Vlado Boza,
    Jiacheng You, Franz Cesista, Laker Newhouse, Jeremy Bernstein, 2024, https://kellerjordan.github.io/posts/muon.

    >>> values = torch.linalg.svdvals(orthogonalized(torch.diag(torch.tensor([3.0, 0.3, 0.03]))))
    >>> bool(((values > 0.65) & (values < 1.25)).all())
    True
    """
    a, b, c = COEFFICIENTS
    x: Tensor = matrix / (matrix.norm() + 1e-7)
    tall = len(x) > x.shape[1]
    x = x.T if tall else x
    for _ in range(steps):
        square = x @ x.T
        x = torch.addmm(x, torch.addmm(square, square, square, beta=b, alpha=c), x, beta=a)
    return x.T if tall else x


class Muon(Optimizer):
    """Muon for the hidden weights, SGD with Nesterov momentum for the output weights and all vectors.

    Of the parameters in order, the last with at least two dimensions is taken to be the weight of the output layer.
    Every other one with at least two dimensions, as a matrix (out, rest), is updated by
    v ← μv + g,  W ← (1 − lr·λ)W − lr·orthogonalized(g + μv). The output weight and the vectors (biases and scales) are
    updated by SGD with Nesterov momentum .85 and learning rates of their own, by default lr; their decay per step is
    lr·λ as well. This is the division of the authors, who use other optimizers for vectors and output weights.

    Reference: *Muon: An optimizer for hidden layers in neural networks*, Keller Jordan, Yuchen Jin, Vlado Boza,
    Jiacheng You, Franz Cesista, Laker Newhouse, Jeremy Bernstein, 2024, https://kellerjordan.github.io/posts/muon.
    """

    def __init__(self, params: Iterable[Tensor], *, lr: float, momentum: float = 0.9, weight_decay: float = 0.0,
                 vector_decay: bool = True, vector_lr: float | None = None,
                 output_lr: float | None = None) -> None:  # fmt: skip
        parameters = list(params)
        matrices = [p for p in parameters if p.dim() > 1]
        output, vectors = matrices[-1:], [p for p in parameters if p.dim() <= 1]
        rates = vector_lr or lr, output_lr or lr
        groups = [
            {"params": matrices[:-1], "orthogonal": True},
            {"params": output, "lr": rates[1], "weight_decay": weight_decay * lr / rates[1]},
            {"params": vectors, "lr": rates[0], "weight_decay": vector_decay * weight_decay * lr / rates[0]},
        ]
        defaults = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "orthogonal": False}
        super().__init__([group for group in groups if group["params"]], defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient."""
        assert closure is None
        for group in self.param_groups:
            parameters = [p for p in group["params"] if p.grad is not None]
            if not parameters:
                continue
            for p in parameters:
                if "momentum_buffer" not in self.state[p]:
                    self.state[p]["momentum_buffer"] = torch.zeros_like(p)
            (self._orthogonal if group["orthogonal"] else self._nesterov)(group, parameters)

    def _orthogonal(self, group: dict[str, Any], parameters: list[Tensor]) -> None:
        momentum, lr = group["momentum"], group["lr"]
        for p in parameters:
            velocity = self.state[p]["momentum_buffer"]
            velocity.mul_(momentum).add_(p.grad)
            direction = orthogonalized((p.grad + momentum * velocity).reshape(len(p), -1))
            p.mul_(1 - lr * group["weight_decay"]).add_(direction.view(p.shape), alpha=-lr)

    def _nesterov(self, group: dict[str, Any], parameters: list[Tensor]) -> None:
        gradients = [p.grad for p in parameters if p.grad is not None]
        if group["weight_decay"]:
            gradients = list(torch._foreach_add(gradients, parameters, alpha=group["weight_decay"]))
        velocities = [self.state[p]["momentum_buffer"] for p in parameters]
        torch._foreach_mul_(velocities, VECTOR_MOMENTUM)
        torch._foreach_add_(velocities, gradients)
        torch._foreach_add_(parameters, torch._foreach_add(gradients, velocities, alpha=VECTOR_MOMENTUM),
                            alpha=-group["lr"])  # fmt: skip
