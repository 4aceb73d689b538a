"""Rules of the backward pass at rectifiers: the gradient, DeconvNet, and guided backpropagation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from thalweg.checks import choice

__all__ = ["RULES", "ReluRule", "Rule"]

Rule = Literal["gradient", "deconv", "guided"]
RULES: tuple[Rule, ...] = ("gradient", "deconv", "guided")
RELU = {torch.relu, torch.Tensor.relu, F.relu}
RELU_IN_PLACE = {torch.relu_, torch.Tensor.relu_, F.relu_}
CLAMP = {torch.clamp, torch.Tensor.clamp, torch.clamp_min, torch.Tensor.clamp_min}
CLAMP_IN_PLACE = {torch.clamp_, torch.Tensor.clamp_, torch.clamp_min_, torch.Tensor.clamp_min_}
NAMES = (
    "celu", "elu", "gelu", "hardsigmoid", "hardswish", "hardtanh", "leaky_relu", "logsigmoid", "mish", "prelu",
    "relu6", "rrelu", "selu", "sigmoid", "silu", "softplus", "softsign", "tanh", "tanhshrink", "threshold",
)  # fmt: skip
OTHERS = {getattr(place, name): name for name in NAMES for place in (F, torch, torch.Tensor) if hasattr(place, name)}


class _Rectified(torch.autograd.Function):
    """max(x, 0), with the rule in place of the derivative.

    It stores x, since the output may be changed later, as by a residual sum in place; or the output, in place of x.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, rule: Rule, in_place: bool) -> Tensor:
        ctx.rule = rule
        if in_place:
            ctx.mark_dirty(x)
        y = x.clamp_(min=0) if in_place else x.clamp(min=0)
        if rule != "deconv":
            ctx.save_for_backward(x)
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        g = gradients[0]
        if ctx.rule != "gradient":
            g = g.clamp(min=0)
        if ctx.rule != "deconv":
            g = torch.ops.aten.threshold_backward(g, ctx.saved_tensors[0], 0)  # g where the stored value is positive
        return g, None, None


class ReluRule(TorchFunctionMode):
    """Within the context, every rectifier f = max(x, 0) passes the signal R of the backward pass on by the rule.

    - gradient: R · [f > 0], the derivative
    - deconv: R · [R > 0], Zeiler and Fergus's DeconvNet, with max pooling's own derivative as the switches
    - guided: R · [f > 0] · [R > 0], guided backpropagation

    It replaces calls, not modules, so that `nn.ReLU`, in place or used several times, `F.relu`, `torch.relu`, `relu_`
    and `clamp(min=0)` are all covered and nothing of the network is changed. `hits` counts the rectifiers of the
    forward passes within, `others` the calls of other nonlinearities by name, whose derivative stays.

    References: *Visualizing and Understanding Convolutional Networks*, Matthew Zeiler, Rob Fergus, 2013,
    arXiv:1311.2901; *Striving for Simplicity: The All Convolutional Net*, Jost Tobias Springenberg, Alexey Dosovitskiy,
    Thomas Brox, Martin Riedmiller, 2014, arXiv:1412.6806.

    >>> x = torch.tensor([1.0, -1.0], requires_grad=True)
    >>> with ReluRule("deconv") as rule:
    ...     y = torch.relu(x)
    >>> torch.autograd.grad(y, x, torch.tensor([-2.0, 3.0]))[0].tolist(), rule.hits
    ([0.0, 3.0], 1)
    """

    def __init__(self, rule: Rule) -> None:
        super().__init__()
        choice("rule", rule, RULES)
        self.rule = rule
        self.hits, self.others = 0, dict[str, int]()

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        in_place = func in RELU_IN_PLACE or func in CLAMP_IN_PLACE or (func is F.relu and _argument(args, kwargs, 1))
        if func in RELU or func in RELU_IN_PLACE or (func in CLAMP | CLAMP_IN_PLACE and _at_zero(func, args, kwargs)):
            self.hits += 1
            x = args[0] if args else kwargs["input"]
            return _Rectified.apply(x, self.rule, in_place)
        if func in OTHERS:
            self.others[OTHERS[func]] = self.others.get(OTHERS[func], 0) + 1
        return func(*args, **kwargs)


def _argument(args: Sequence[Any], kwargs: Mapping[str, Any], place: int) -> bool:
    return bool(kwargs.get("inplace", args[place] if len(args) > place else False))


def _at_zero(func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    """Return whether a call of clamp is max(x, 0)."""
    low = kwargs.get("min", args[1] if len(args) > 1 else None)
    high = kwargs.get("max", args[2] if len(args) > 2 else None)
    return high is None and isinstance(low, int | float) and low == 0
