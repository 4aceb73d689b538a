"""Small networks that write their rectifiers in different ways, with the same weights."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from thalweg.randomness import generator


class Net(nn.Module):
    """Two convolutions, pooling and a linear layer; `relu` is called three times."""

    def __init__(self, relu: Callable[[Tensor], Tensor], *, classes: int = 4, channels: int = 1) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv1, self.conv2 = nn.Conv2d(channels, 6, 3, padding=1), nn.Conv2d(6, 8, 3)
        self.pool, self.fc1, self.fc2 = nn.MaxPool2d(2), nn.Linear(8 * 4 * 4, 10), nn.Linear(10, classes)
        self.act = relu  # a module is registered, a function is not

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.act(self.conv1(x)))
        x = self.act(self.conv2(x)).flatten(1)
        return self.fc2(self.act(self.fc1(x)))


def images(n: int = 3, channels: int = 1, seed: int = 0) -> Tensor:
    """Return random images of 12×12 in [0, 1]."""
    return torch.rand(n, channels, 12, 12, generator=generator(seed, "images"))


RELUS = {
    "module": nn.ReLU(),
    "in place": nn.ReLU(inplace=True),
    "F.relu": F.relu,
    "F.relu in place": lambda x: F.relu(x, inplace=True),
    "torch.relu": torch.relu,
    "relu_": lambda x: x.relu_(),
    "clamp": lambda x: x.clamp(min=0),
    "clamp positional": lambda x: torch.clamp(x, 0),
    "clamp_": lambda x: x.clamp_(min=0),
    "clamp_min": lambda x: x.clamp_min(0),
}


def state(model: nn.Module) -> tuple:
    """Return the tensors, modes, gradients and numbers of hooks of a model."""
    hooks = [len(m._forward_hooks) + len(m._forward_pre_hooks) + len(m._backward_hooks) for m in model.modules()]
    return (
        {name: t.clone() for name, t in model.state_dict().items()},
        [m.training for m in model.modules()],
        [(p.requires_grad, None if p.grad is None else p.grad.clone()) for p in model.parameters()],
        hooks,
    )


def same(a: tuple, b: tuple) -> None:
    """Assert that two states are equal."""
    assert all(torch.equal(a[0][name], b[0][name]) for name in a[0])
    assert a[1] == b[1]
    for (needed, one), (wanted, other) in zip(a[2], b[2], strict=True):
        assert needed == wanted
        assert one is other is None or torch.equal(one, other)
    assert a[3] == b[3]
