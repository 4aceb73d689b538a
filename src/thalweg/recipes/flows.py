"""Recipes of normalizing flows."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from thalweg.data import Spec
    from thalweg.training.run import Run

__all__ = ["real_nvp"]


def real_nvp(
    spec: Spec,
    *,
    layers: int = 12,
    hidden: int = 64,
    depth: int = 2,
    alpha: float = 0.05,
) -> Run:
    """Real NVP, a normalizing flow of affine couplings on vectors or flattened images, by maximum likelihood.

    Args:
        layers: number of couplings
        hidden: units of a hidden layer of a coupling's network
        depth: hidden layers of a coupling's network
        alpha: how far the logit of an image's values stays from its ends

    Reference: Density estimation using Real NVP, Laurent Dinh, Jascha Sohl-Dickstein, Samy Bengio, 2017,
    arXiv 1605.08803.
    """
    from thalweg.config import OptimizerConfig, ScheduleConfig
    from thalweg.models.flows.real_nvp import RealNVP
    from thalweg.problems.likelihood import Likelihood
    from thalweg.training.run import Run, Stage

    if spec.kind == "tokens":
        raise ValueError(f"real-nvp: got data '{spec.name}' of tokens, wanted images or vectors")
    if spec.size < 2:
        raise ValueError(
            f"real-nvp: got data '{spec.name}' of one number, wanted at least 2 (a coupling has two parts)"
        )
    if spec.kind == "image":
        model = RealNVP(spec.shape, layers=layers, hidden=hidden, depth=depth, levels=spec.levels, alpha=alpha)
    else:
        model = RealNVP(spec.shape, layers=layers, hidden=hidden, depth=depth, mean=spec.mean, std=spec.std)
    stage = Stage(
        problem=Likelihood(model),
        steps=15_000,
        batch_size=512,
        validate_every=200,
        clip_norm=1.0,  # a rare example at the edge of the support may have a huge gradient
        patience=25,  # on a thousand scans a flow begins to learn them by heart after a few hundred steps
        optimizers={"model": OptimizerConfig(lr=2e-3)},
        schedules={"model": ScheduleConfig(name="cosine", warmup=200)},
        ema={"model": 0.999},
    )
    return Run(model, (stage,))
