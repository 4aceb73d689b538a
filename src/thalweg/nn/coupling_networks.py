"""Networks that compute s and t of couplings: network(x, context), with last layers initialized with zeros."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from thalweg.checks import positive
from thalweg.nn.coupling import conditioner, joined
from thalweg.nn.squeeze import squeeze, unsqueeze

__all__ = ["DenseNetwork", "PlainNetwork", "ResidualNetwork"]


class ResidualNetwork(nn.Module):
    """A convolution, `depth` residual blocks (ReLU, 3×3, ReLU, 1×1), and a 1×1 convolution initialized with zeros.

    There is no batch normalization: the output for an example does not depend on other examples, nor on the mode. With
    `shrink`, images of even sides are processed in blocks of 2×2 pixels, at a quarter of the cost.

    Args:
        inputs: number of input channels.
        outputs: number of output channels.
        hidden: number of hidden channels.
        depth: number of residual blocks.
        context: number of context values, the same at every position.
        shrink: compute on 2×2 blocks.

    Reference: *Density estimation using Real NVP*, Laurent Dinh, Jascha Sohl-Dickstein, Samy Bengio, 2017, section 4.1,
    arXiv:1605.08803.
    """

    def __init__(
        self, inputs: int, outputs: int, *, hidden: int, depth: int = 1, context: int = 0, shrink: bool = False
    ) -> None:
        super().__init__()
        positive("hidden", hidden)
        positive("depth", depth)
        self.shrink, times = shrink, 4 if shrink else 1
        self.first = nn.Conv2d(times * inputs, hidden, 3, padding=1)
        self.from_context = nn.Linear(context, hidden, bias=False) if context else None
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.ReLU(), nn.Conv2d(hidden, hidden, 3, padding=1), nn.ReLU(inplace=True), nn.Conv2d(hidden, hidden, 1)
            )
            for _ in range(depth)
        )
        self.last = from_zero(nn.Conv2d(hidden, times * outputs, 1))

    def __repr__(self) -> str:
        sizes = f"{self.first.in_channels} → {self.first.out_channels} → {self.last.out_channels}"
        return f"{type(self).__name__}({sizes}, depth={len(self.blocks)})"

    def forward(self, x: Float[Tensor, "B I H W"], context: Tensor | None = None) -> Float[Tensor, "B O H W"]:
        """Return the unconstrained parameters of s and t."""
        h = self.first(squeeze(x) if self.shrink else x)
        if self.from_context is not None:
            h = h + self.from_context(context)[:, :, None, None]
        for block in self.blocks:
            h = h + block(h)
        out = self.last(h.relu_())
        return unsqueeze(out) if self.shrink else out


class PlainNetwork(nn.Module):
    """Three convolutions, 3×3, 1×1 and 3×3, with ReLUs in between; the last is initialized with zeros.

    Args:
        inputs: number of input channels.
        outputs: number of output channels.
        hidden: number of hidden channels.
        context: number of context values, the same at every position.

    Reference: *Glow: Generative Flow with Invertible 1×1 Convolutions*, Diederik P. Kingma, Prafulla Dhariwal, 2018,
    section 3.3, arXiv:1807.03039.
    """

    def __init__(self, inputs: int, outputs: int, *, hidden: int, context: int = 0) -> None:
        super().__init__()
        positive("hidden", hidden)
        self.first = nn.Conv2d(inputs, hidden, 3, padding=1)
        self.from_context = nn.Linear(context, hidden, bias=False) if context else None
        self.second = nn.Conv2d(hidden, hidden, 1)
        self.last = from_zero(nn.Conv2d(hidden, outputs, 3, padding=1))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.first.in_channels} → {self.first.out_channels} → {self.last.out_channels})"

    def forward(self, x: Float[Tensor, "B I H W"], context: Tensor | None = None) -> Float[Tensor, "B O H W"]:
        """Return the unconstrained parameters of s and t."""
        h = self.first(x)
        if self.from_context is not None:
            h = h + self.from_context(context)[:, :, None, None]
        out: Tensor = self.last(self.second(h.relu_()).relu_())
        return out


class DenseNetwork(nn.Module):
    """Linear layers with ReLUs in between, of vectors joined with a context; the last is initialized with zeros."""

    def __init__(self, inputs: int, outputs: int, *, hidden: int, depth: int = 2, context: int = 0) -> None:
        super().__init__()
        self.network = conditioner(inputs + context, outputs, hidden, depth)

    def forward(self, x: Float[Tensor, "B I"], context: Tensor | None = None) -> Float[Tensor, "B O"]:
        """Return the unconstrained parameters of s and t."""
        out: Tensor = self.network(joined(x, context))
        return out


def from_zero(layer: nn.Conv2d) -> nn.Conv2d:
    """Set weight and bias to zero."""
    nn.init.zeros_(layer.weight)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer
