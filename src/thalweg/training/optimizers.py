"""Optimizers by name: those of torch, Muon, Lookahead, and RMSprop and Adam with ε under the square root."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from thalweg.config import OptimizerConfig
from thalweg.training.lookahead import Lookahead
from thalweg.training.muon import Muon

__all__ = ["AdamEpsInside", "RMSpropEpsInside", "make_optimizer"]


def make_optimizer(config: OptimizerConfig, parameters: Iterable[Tensor]) -> Optimizer:
    """Return the optimizer that `config` names, in torch's fused implementation where there is one.

    >>> weights = [torch.zeros(2, requires_grad=True)]
    >>> make_optimizer(OptimizerConfig(name="momentum", lr=0.1), weights).defaults["momentum"]
    0.9
    """
    if config.name == "muon":
        return Muon(parameters, lr=config.lr, momentum=config.momentum, weight_decay=config.weight_decay,
                    vector_decay=not config.no_decay, vector_lr=config.vector_lr,
                    output_lr=config.output_lr)  # fmt: skip
    groups = _groups(config, list(parameters))
    betas, decay = (config.beta1, config.beta2), config.weight_decay
    adam: dict[str, Any] = {"lr": config.lr, "betas": betas, "eps": config.eps, "weight_decay": decay}
    rmsprop: dict[str, Any] = {"lr": config.lr, "alpha": config.alpha, "eps": config.eps, "weight_decay": decay}
    match config.name:
        case "sgd":
            return torch.optim.SGD(groups, lr=config.lr, weight_decay=decay, fused=True)
        case "momentum" | "lookahead":
            momentum: dict[str, Any] = {"momentum": config.momentum, "nesterov": config.nesterov}
            sgd = Lookahead if config.name == "lookahead" else torch.optim.SGD
            return sgd(groups, lr=config.lr, weight_decay=decay, fused=True, **momentum)
        case "rmsprop":
            kind = RMSpropEpsInside if config.eps_inside else torch.optim.RMSprop
            return kind(groups, **rmsprop)
        case "adam":
            return AdamEpsInside(groups, **adam) if config.eps_inside else torch.optim.Adam(groups, **adam, fused=True)
        case "amsgrad":
            return torch.optim.Adam(groups, **adam, amsgrad=True, fused=True)
        case "adamw":
            return torch.optim.AdamW(groups, **adam, fused=True)


def _groups(config: OptimizerConfig, parameters: list[Tensor]) -> list[Tensor] | list[dict[str, Any]]:
    """Return the parameters, those without weight decay in a group of their own."""
    if not (config.no_decay and config.weight_decay):
        return parameters
    decayed = {"params": [p for p in parameters if p.dim() > 1]}
    others = {"params": [p for p in parameters if p.dim() <= 1], "weight_decay": 0.0}
    return [group for group in (decayed, others) if group["params"]]


class _EpsInside(Optimizer):
    """The common part of both variants: lists of parameters, coupled weight decay, state created at the first step."""

    moments: tuple[str, ...] = ()

    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient."""
        assert closure is None
        for group in self.param_groups:
            parameters = [p for p in group["params"] if p.grad is not None]
            if not parameters:
                continue
            with torch.no_grad():
                gradients = [p.grad for p in parameters if p.grad is not None]
                if group["weight_decay"]:
                    gradients = list(torch._foreach_add(gradients, parameters, alpha=group["weight_decay"]))
                for p in parameters:
                    if not self.state[p]:
                        self.state[p] = {"step": torch.zeros(())} | {m: torch.zeros_like(p) for m in self.moments}
                    self.state[p]["step"] += 1
                self._update(group, parameters, list(gradients), int(self.state[parameters[0]]["step"]))

    def _lists(self, parameters: list[Tensor]) -> list[list[Tensor]]:
        return [[self.state[p][m] for p in parameters] for m in self.moments]

    def _update(self, group: dict[str, Any], parameters: list[Tensor], gradients: list[Tensor], step: int) -> None:
        raise AssertionError("abstract")


class RMSpropEpsInside(_EpsInside):
    """RMSprop with ε under the square root: v ← αv + (1−α)g²,  θ ← θ − lr·g/√(v+ε).

    torch adds ε outside, lr·g/(√v+ε); the two differ where g² ≲ ε.

    Reference: *Lecture 6.5: RMSprop*, Tijmen Tieleman, Geoffrey Hinton, Coursera, 2012.
    """

    moments = ("square_avg",)

    def __init__(self, params: Iterable[Any], *, lr: float, alpha: float = 0.99, eps: float = 1e-8,
                 weight_decay: float = 0.0) -> None:  # fmt: skip
        super().__init__(params, {"lr": lr, "alpha": alpha, "eps": eps, "weight_decay": weight_decay})

    def _update(self, group: dict[str, Any], parameters: list[Tensor], gradients: list[Tensor], step: int) -> None:
        square = self._lists(parameters)[0]
        torch._foreach_mul_(square, group["alpha"])
        torch._foreach_addcmul_(square, gradients, gradients, 1 - group["alpha"])
        root = torch._foreach_sqrt(torch._foreach_add(square, group["eps"]))
        torch._foreach_addcdiv_(parameters, gradients, root, -group["lr"])


class AdamEpsInside(_EpsInside):
    """Adam with ε under the square root: θ ← θ − lr·m̃/√(ṽ+ε), m̃ and ṽ the bias-corrected moments.

    The paper and torch add ε outside, √ṽ+ε.

    Reference: *Adam: A Method for Stochastic Optimization*, Diederik Kingma, Jimmy Ba, 2015, arXiv:1412.6980.
    """

    moments = ("exp_avg", "exp_avg_sq")

    def __init__(self, params: Iterable[Any], *, lr: float, betas: tuple[float, float] = (0.9, 0.999),
                 eps: float = 1e-8, weight_decay: float = 0.0) -> None:  # fmt: skip
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    def _update(self, group: dict[str, Any], parameters: list[Tensor], gradients: list[Tensor], step: int) -> None:
        beta1, beta2 = group["betas"]
        first, second = self._lists(parameters)
        torch._foreach_lerp_(first, gradients, 1 - beta1)
        torch._foreach_mul_(second, beta2)
        torch._foreach_addcmul_(second, gradients, gradients, 1 - beta2)
        corrected = torch._foreach_div(second, 1 - beta2**step)
        root = torch._foreach_sqrt(torch._foreach_add(corrected, group["eps"]))
        torch._foreach_addcdiv_(parameters, first, root, -group["lr"] / (1 - beta1**step))
