"""LeNet-5 as the paper of 1998 describes it, layer by layer."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from thalweg.models.classifiers.lenet5 import geometry
from thalweg.randomness import generator

__all__ = ["OriginalLeNet5", "PartialConv2d", "RBFCodes", "ScaledTanh", "Subsampling"]

# Table I of the paper: the feature maps of S2 that each feature map of C3 is connected to.
C3_TABLE = (
    (0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5), (0, 4, 5), (0, 1, 5),
    (0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5), (0, 3, 4, 5), (0, 1, 4, 5), (0, 1, 2, 5),
    (0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5), (0, 1, 2, 3, 4, 5),
)  # fmt: skip


class ScaledTanh(nn.Module):
    """The paper's activation 1.7159·tanh(2x/3), with f(±1) = ±1.

    >>> round(ScaledTanh()(torch.tensor(1.0)).item(), 4)
    1.0
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return the activation of `x`."""
        return 1.7159 * torch.tanh(x * (2.0 / 3.0))


class Subsampling(nn.Module):
    """The sum over each 2×2 window times one trainable coefficient per feature map, plus one trainable bias.

    >>> layer = Subsampling(6)
    >>> layer(torch.zeros(1, 6, 4, 4)).shape, sum(p.numel() for p in layer.parameters())
    (torch.Size([1, 6, 2, 2]), 12)
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.coefficient = nn.Parameter(torch.full((channels, 1, 1), 0.5))  # preserves the variance of a sum of four
        self.bias = nn.Parameter(torch.zeros(channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Return feature maps of half the size."""
        return nn.functional.avg_pool2d(x, 2) * (4.0 * self.coefficient) + self.bias


class PartialConv2d(nn.Module):
    """A convolution whose output k is connected to the inputs `table[k]` only, with one kernel per connection.

    >>> sum(p.numel() for p in PartialConv2d(6, C3_TABLE, kernel=5).parameters())
    1516
    """

    index: Tensor
    fan_in: Tensor

    def __init__(self, channels: int, table: Sequence[Sequence[int]], kernel: int) -> None:
        super().__init__()
        self.shape = (len(table), channels, kernel, kernel)
        index = [out * channels + c for out, inputs in enumerate(table) for c in inputs]
        self.register_buffer("index", torch.tensor(index), persistent=False)
        self.kernels = nn.Parameter(torch.empty(len(index), kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(len(table)))
        fan_in = [len(inputs) * kernel * kernel for inputs in table for _ in inputs]
        self.register_buffer("fan_in", torch.tensor(fan_in)[:, None, None], persistent=False)

    def weight(self) -> Tensor:
        """Return the whole weight (out, in, k, k), zero where there is no connection."""
        out, channels, kernel, _ = self.shape
        full = self.kernels.new_zeros(out * channels, kernel, kernel)
        return full.index_copy(0, self.index, self.kernels).view(self.shape)

    def forward(self, x: Tensor) -> Tensor:
        """Return the convolved feature maps."""
        return nn.functional.conv2d(x, self.weight(), self.bias)


class RBFCodes(nn.Module):
    """Negative squared distances to a fixed ±1 code per class, −Σ_j (f_j − w_kj)²: logits of a Gaussian output.

    >>> RBFCodes(84, 10)(torch.zeros(1, 84))[0, 0].item()
    -84.0
    """

    codes: Tensor

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        bits = torch.randint(0, 2, (classes, features), generator=generator(0, "lenet5 codes", features))
        self.register_buffer("codes", 2.0 * bits - 1.0)

    def forward(self, f: Tensor) -> Tensor:
        """Return logits (B, K) of features (B, F), in float32: small differences of large numbers."""
        return -(f.float()[:, None] - self.codes).square().sum(2)


class OriginalLeNet5(nn.Module):
    """LeNet-5 of 1998: 60,000 trainable parameters at one channel.

    As in the paper: pixels are scaled to −0.1 (black here) .. 1.175; the activation 1.7159·tanh(2x/3) follows every
    layer, including subsampling with a trainable coefficient and bias; C3 has partial connections; F6 has 84 units; the
    outputs are distances to ±1 codes, whose negatives are the logits.

    Unlike in the paper: the codes are fixed random signs, which the paper mentions as a possibility, in place of
    character bitmaps, so that classes may be arbitrary; the loss is the cross-entropy of the logits, which is the
    paper's criterion without the constant "rubbish" class; weights are initialized from N(0, 1/n_in), since with the
    paper's ±2.4/n_in activations vanish and first-order methods stay near a linear classifier; and images of other
    sizes are padded as in `LeNet5`.

    Reference: *Gradient-Based Learning Applied to Document Recognition*, Yann LeCun, Léon Bottou, Yoshua Bengio,
    Patrick Haffner, 1998.

    >>> sum(p.numel() for p in OriginalLeNet5((1, 28, 28), classes=10, levels=256).parameters())
    60000
    """

    def __init__(self, shape: Sequence[int], classes: int, *, levels: int) -> None:
        super().__init__()
        padding, left = geometry(shape)
        self.factor = 1.275 / (levels - 1)
        self.pad = nn.ConstantPad2d((padding[1], padding[1], padding[0], padding[0]), -0.1)
        self.features = nn.Sequential(
            nn.Conv2d(shape[0], 6, 5), ScaledTanh(), Subsampling(6), ScaledTanh(),
            PartialConv2d(6, C3_TABLE, 5), ScaledTanh(), Subsampling(16), ScaledTanh(),
        )  # fmt: skip
        self.classifier = nn.Sequential(
            nn.Linear(16 * left[0] * left[1], 120),
            ScaledTanh(),
            nn.Linear(120, 84),
            ScaledTanh(),
            RBFCodes(84, classes),
        )
        self.apply(_lecun_1998)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (B, K) of raw `x`."""
        return self.classifier(self.features(self.pad(x * self.factor - 0.1)).flatten(1))

    def logits(self, x: Tensor) -> Float[Tensor, "B K"]:
        """Return the scores whose softmax gives the class probabilities."""
        return self(x)


@torch.no_grad()
def _lecun_1998(layer: nn.Module) -> None:
    """Weights N(0, 1/n_in), biases 0."""
    if isinstance(layer, PartialConv2d):
        layer.kernels.normal_().div_(layer.fan_in.sqrt())
    elif isinstance(layer, (nn.Conv2d, nn.Linear)):
        layer.weight.normal_(std=layer.weight[0].numel() ** -0.5)
        layer.bias.zero_()  # type: ignore[union-attr]
