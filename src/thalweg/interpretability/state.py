"""A network that is looked at: in evaluation mode, without gradients of its parameters, and unchanged afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from thalweg.devices import fast_matmul

__all__ = ["check_normalization", "frozen"]


@contextmanager
def frozen(model: nn.Module) -> Iterator[torch.device]:
    """Put the model in evaluation mode without gradients of its parameters; restore it afterwards, also after an error.

    Restored are the mode of each module, `requires_grad`, `.grad` and the forward hooks. Yields the model's device.
    Gradients in the input are computed, also where the caller has switched them off.
    """
    modes = [(module, module.training) for module in model.modules()]
    parameters = [(p, p.requires_grad, p.grad) for p in model.parameters()]
    hooks = [(module, dict(module._forward_hooks)) for module in model.modules()]
    first = next(model.parameters(), None)
    device = torch.device("cpu") if first is None else first.device
    try:
        model.eval()
        for p, _, _ in parameters:
            p.requires_grad_(False)
        eager = torch.compiler.set_stance("force_eager")  # within compiled code no call of a rectifier is seen
        with torch.inference_mode(False), torch.enable_grad(), fast_matmul(device), eager:
            yield device
    finally:
        for module, mode in modes:
            module.training = mode
        for p, wanted, gradient in parameters:
            p.requires_grad_(wanted)
            p.grad = gradient
        for module, known in hooks:
            for key in [key for key in module._forward_hooks if key not in known]:
                del module._forward_hooks[key]


def check_normalization(model: nn.Module) -> None:
    """Raise ValueError for batch normalization that uses the statistics of the batch: a map would depend on it.

    >>> check_normalization(nn.Sequential(nn.BatchNorm2d(3)).eval())
    """
    for name, module in model.named_modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and (module.training or module.running_mean is None):
            state = "in training mode" if module.training else "without running statistics"
            raise ValueError(
                f"model: got batch normalization '{name}' {state}, with which an image's result depends on the others "
                "of its batch; wanted evaluation mode, model.eval(), with running statistics"
            )
