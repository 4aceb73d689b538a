"""Recipes of coupling flows, and what all recipes of flows share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from thalweg.data import Spec
    from thalweg.training.run import Run

__all__ = ["chosen", "fitted", "flow_settings", "iaf", "maf", "nice", "nsf"]


def nice(
    spec: Spec,
    *,
    layers: int = 4,
    hidden: int | None = None,
    depth: int | None = None,
    base: Literal["logistic", "normal"] = "logistic",
    alpha: float = 1e-6,
    conditional: bool = False,
) -> Run:
    """NICE, additive couplings and one scale a coordinate, on vectors or flattened images, by maximum likelihood.

    The widths of large images are the paper's, for MNIST; the paper takes images scaled to [0, 1], here they go through
    a logit first, as in Real NVP.

    Args:
        layers: number of couplings
        hidden: units of a hidden layer; by default 1000 for images of more than 256 values, else 128
        depth: hidden layers of a coupling's network; by default 5 for images of more than 256 values, else 2
        base: distribution of z
        alpha: how far the logit of an image's values stays from its ends
        conditional: a density for each class, and so a classifier too

    Reference: NICE: Non-linear Independent Components Estimation, Laurent Dinh, David Krueger, Yoshua Bengio, 2015,
    arXiv 1410.8516.
    """
    from thalweg.models.flows.nice import NICE

    settings = flow_settings("nice", spec, alpha=alpha, conditional=conditional, least=2)
    large = spec.kind == "image" and spec.size > 256
    hidden, depth = chosen(hidden, 1000 if large else 128), chosen(depth, 5 if large else 2)
    return fitted(NICE(spec.shape, layers=layers, hidden=hidden, depth=depth, base=base, **settings), lr=1e-3)


def nsf(
    spec: Spec,
    *,
    layers: int = 6,
    bins: int = 16,
    bound: float = 4.0,
    hidden: int = 64,
    depth: int = 2,
    alpha: float = 0.05,
    conditional: bool = False,
) -> Run:
    """Neural spline flow: couplings that move values by monotone rational-quadratic splines, by maximum likelihood.

    Args:
        layers: number of couplings
        bins: of each spline
        bound: the splines move what is in [-bound, bound], in standard deviations of the data
        hidden: units of a hidden layer of a coupling's network
        depth: hidden layers of a coupling's network
        alpha: how far the logit of an image's values stays from its ends
        conditional: a density for each class, and so a classifier too

    Reference: Neural Spline Flows, Conor Durkan, Artur Bekasov, Iain Murray, George Papamakarios, 2019,
    arXiv 1906.04032.
    """
    from thalweg.models.flows.nsf import NSF

    settings = flow_settings("nsf", spec, alpha=alpha, conditional=conditional, least=2)
    return fitted(NSF(spec.shape, layers=layers, bins=bins, bound=bound, hidden=hidden, depth=depth, **settings))


def maf(
    spec: Spec,
    *,
    map: Literal["affine", "spline"] = "affine",
    layers: int = 5,
    bins: int = 8,
    bound: float = 4.0,
    hidden: int = 128,
    depth: int = 2,
    alpha: float = 1e-6,
    conditional: bool = False,
) -> Run:
    """Masked autoregressive flow: each value is mapped by parameters read from those before it, by maximum likelihood.

    Args:
        map: affine, as in the paper, or spline, a monotone rational-quadratic spline
        layers: number of autoregressive layers, in alternating order
        bins: of each spline
        bound: the splines map values in [-bound, bound], in standard deviations of the data
        hidden: units of a hidden layer of a masked network
        depth: hidden layers of a masked network
        alpha: how far the logit of an image's values stays from its ends
        conditional: a density for each class, and so a classifier too

    Reference: Masked Autoregressive Flow for Density Estimation, George Papamakarios, Theo Pavlakou, Iain Murray, 2017,
    arXiv 1705.07057.
    """
    from thalweg.models.flows.maf import MAF

    settings = flow_settings("maf", spec, alpha=alpha, conditional=conditional, least=2)
    networks = {"layers": layers, "hidden": hidden, "depth": depth}
    return fitted(MAF(spec.shape, map=map, bins=bins, bound=bound, **networks, **settings), lr=1e-3)


def iaf(
    spec: Spec,
    *,
    layers: int = 5,
    hidden: int = 64,
    depth: int = 2,
    alpha: float = 1e-6,
    conditional: bool = False,
) -> Run:
    """Inverse autoregressive flow: samples in one pass; the density of data, and so training, value after value.

    Args:
        layers: number of autoregressive layers, in alternating order
        hidden: units of a hidden layer of a masked network
        depth: hidden layers of a masked network
        alpha: how far the logit of an image's values stays from its ends
        conditional: a density for each class, and so a classifier too

    Reference: Improving Variational Inference with Inverse Autoregressive Flow, Diederik P. Kingma et al., 2016,
    arXiv 1606.04934.
    """
    from thalweg.models.flows.iaf import IAF

    settings = flow_settings("iaf", spec, alpha=alpha, conditional=conditional, least=2)
    return fitted(IAF(spec.shape, layers=layers, hidden=hidden, depth=depth, **settings), lr=1e-3)


def chosen(value: int | None, default: int) -> int:
    """Return what was given, a 0 too, so that it is refused where it is used; else the default."""
    return default if value is None else value


def fitted(
    flow: Any, *, lr: float = 2e-3, steps: int = 15_000, batch_size: int = 512, validate_every: int = 200
) -> Run:
    """Return the run of the flow, or of the class-conditional model around it, by maximum likelihood."""
    from thalweg.config import OptimizerConfig, ScheduleConfig
    from thalweg.models.class_conditional import ClassConditional
    from thalweg.problems.likelihood import Likelihood
    from thalweg.training.run import Run, Stage

    model = ClassConditional(flow) if getattr(flow, "context", 0) else flow
    stage = Stage(
        problem=Likelihood(model),
        steps=steps,
        batch_size=batch_size,
        validate_every=validate_every,
        clip_norm=1.0,  # a rare example at the edge of the support may have a huge gradient
        patience=25,  # on a thousand scans a flow begins to learn them by heart after a few hundred steps
        optimizers={"model": OptimizerConfig(lr=lr)},
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
    return {"mean": spec.mean, "std": spec.std, "discrete": spec.discrete, "context": context}
