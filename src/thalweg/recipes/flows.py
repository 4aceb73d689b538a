"""Recipes of normalizing flows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

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
    conditional: bool = False,
) -> Run:
    """Real NVP, a normalizing flow of affine couplings on vectors or flattened images, by maximum likelihood.

    Args:
        layers: number of couplings
        hidden: units of a hidden layer of a coupling's network
        depth: hidden layers of a coupling's network
        alpha: how far the logit of an image's values stays from its ends
        conditional: a density for each class, and so a classifier too

    Reference: Density estimation using Real NVP, Laurent Dinh, Jascha Sohl-Dickstein, Samy Bengio, 2017,
    arXiv 1605.08803.
    """
    from thalweg.config import OptimizerConfig, ScheduleConfig
    from thalweg.models.flows.real_nvp import RealNVP
    from thalweg.problems.likelihood import Likelihood
    from thalweg.training.run import Run, Stage

    settings = flow_settings("real-nvp", spec, alpha=alpha, conditional=conditional, least=2)
    model = conditioned(RealNVP(spec.shape, layers=layers, hidden=hidden, depth=depth, **settings))
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


def flow_settings(
    name: str, spec: Spec, *, alpha: float = 0.05, conditional: bool = False, least: int = 1
) -> dict[str, Any]:
    """Return what every flow is told of the data; refuse data it cannot take."""
    if spec.kind == "tokens":
        raise ValueError(f"{name}: got data '{spec.name}' of tokens, wanted images or vectors")
    if spec.size < least:
        raise ValueError(
            f"{name}: got data '{spec.name}' of one number, wanted at least {least} (a coupling has two parts)"
        )
    if conditional and not spec.classes:
        raise ValueError(f"conditional: got data '{spec.name}' without classes, wanted labels to condition on")
    context = len(spec.classes or ()) if conditional else 0
    if spec.kind == "image":
        return {"levels": spec.levels, "alpha": alpha, "context": context}
    return {"mean": spec.mean, "std": spec.std, "context": context}


def conditioned(flow: Any) -> nn.Module:
    """Return the flow, or the class-conditional model around it where it has a context."""
    from thalweg.models.flows.conditional import ClassConditional

    return ClassConditional(flow) if flow.context else flow
