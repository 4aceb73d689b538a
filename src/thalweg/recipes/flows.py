"""Recipes of coupling and autoregressive flows, and what all recipes of flows share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from thalweg.config import setting
from thalweg.recipes.requirements import number_of_classes, refuse_tokens

if TYPE_CHECKING:
    from thalweg.data import Spec
    from thalweg.training.run import Run

__all__ = ["FlowOptions", "chosen", "fitted", "flow_settings", "iaf", "maf", "nice", "nsf"]


@dataclass(frozen=True, kw_only=True)
class FlowOptions:
    """The options that all flows share."""

    alpha: float = setting(0.05, "images are scaled to [alpha, 1 - alpha] before the logit")
    conditional: bool = setting(False, "one density per class, which makes the model a classifier as well")


def nice(
    spec: Spec,
    *,
    layers: int = 4,
    hidden: int | None = None,
    depth: int | None = None,
    base: Literal["logistic", "normal"] = "logistic",
    common: FlowOptions = FlowOptions(alpha=1e-6),
) -> Run:
    """NICE: additive couplings and one scale per coordinate, on vectors or flattened images, by maximum likelihood.

    The network sizes for large images are those of the paper for MNIST. The paper models images scaled to [0, 1]; here
    they are mapped through a logit first, as in Real NVP.

    Args:
        layers: number of coupling layers
        hidden: units of a hidden layer; by default 1000 for images of more than 256 values, otherwise 128
        depth: hidden layers of a coupling's network; by default 5 for images of more than 256 values, otherwise 2
        base: base distribution

    Reference: *NICE: Non-linear Independent Components Estimation*, Laurent Dinh, David Krueger, Yoshua Bengio, 2015,
    arXiv:1410.8516.
    """
    from thalweg.models.flows.nice import NICE

    settings = flow_settings("nice", spec, common, min_size=2)
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
    common: FlowOptions = FlowOptions(),
) -> Run:
    """Neural spline flow: couplings with monotone rational-quadratic splines, by maximum likelihood.

    Args:
        layers: number of coupling layers
        bins: number of bins of each spline
        bound: the splines transform values in [-bound, bound], in standard deviations of the data
        hidden: units of a hidden layer of a coupling's network
        depth: hidden layers of a coupling's network

    Reference: *Neural Spline Flows*, Conor Durkan, Artur Bekasov, Iain Murray, George Papamakarios, 2019,
    arXiv:1906.04032.
    """
    from thalweg.models.flows.nsf import NSF

    settings = flow_settings("nsf", spec, common, min_size=2)
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
    common: FlowOptions = FlowOptions(alpha=1e-6),
) -> Run:
    """Masked autoregressive flow: each value is mapped with parameters computed from the values before it.

    Args:
        map: affine, as in the paper, or spline, a monotone rational-quadratic spline
        layers: number of autoregressive layers, in alternating order
        bins: number of bins of each spline
        bound: the splines transform values in [-bound, bound], in standard deviations of the data
        hidden: units of a hidden layer of a masked network
        depth: hidden layers of a masked network

    Reference: *Masked Autoregressive Flow for Density Estimation*, George Papamakarios, Theo Pavlakou, Iain Murray,
    2017, arXiv:1705.07057.
    """
    from thalweg.models.flows.maf import MAF

    settings = flow_settings("maf", spec, common, min_size=2)
    networks = {"layers": layers, "hidden": hidden, "depth": depth}
    return fitted(MAF(spec.shape, map=map, bins=bins, bound=bound, **networks, **settings), lr=1e-3)


def iaf(
    spec: Spec,
    *,
    layers: int = 5,
    hidden: int = 64,
    depth: int = 2,
    common: FlowOptions = FlowOptions(alpha=1e-6),
) -> Run:
    """Inverse autoregressive flow: samples take one pass; the density of data, and training, take one pass per value.

    Args:
        layers: number of autoregressive layers, in alternating order
        hidden: units of a hidden layer of a masked network
        depth: hidden layers of a masked network

    Reference: *Improving Variational Inference with Inverse Autoregressive Flow*, Diederik P. Kingma et al., 2016,
    arXiv:1606.04934.
    """
    from thalweg.models.flows.iaf import IAF

    settings = flow_settings("iaf", spec, common, min_size=2)
    return fitted(IAF(spec.shape, layers=layers, hidden=hidden, depth=depth, **settings), lr=1e-3)


def chosen(value: int | None, default: int) -> int:
    """Return the value, or the default for None; a value of 0 is kept, and refused where it is used."""
    return default if value is None else value


def fitted(
    flow: Any, *, lr: float = 2e-3, steps: int = 15_000, batch_size: int = 512, validate_every: int = 200
) -> Run:
    """Return the maximum-likelihood run of the flow or, if it has a context, of the class-conditional model of it."""
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
        clip_norm=1.0,  # a rare example at the edge of the support may have a very large gradient
        patience=25,  # with a thousand images a flow starts to memorize them after a few hundred steps
        optimizers={"model": OptimizerConfig(lr=lr)},
        schedules={"model": ScheduleConfig(name="cosine", warmup=200)},
        ema={"model": 0.999},
    )
    return Run(model, (stage,))


def flow_settings(name: str, spec: Spec, options: FlowOptions, *, min_size: int = 1) -> dict[str, Any]:
    """Return the arguments that every flow takes; raise ValueError for data that it cannot model."""
    refuse_tokens(name, spec)
    if spec.size < min_size:
        raise ValueError(f"{name}: got data '{spec.name}' of one number, wanted at least {min_size}; see flow-1d")
    context = number_of_classes(spec, options.conditional)
    if spec.kind == "image":
        return {"levels": spec.levels, "alpha": options.alpha, "context": context}
    return {"mean": spec.mean, "std": spec.std, "discrete": spec.discrete, "context": context}
