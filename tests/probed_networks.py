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
