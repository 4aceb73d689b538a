"""Spectral norms of linear maps by power iteration: weights divided by them, or projected onto norm at most 1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.grad import conv2d_input
from torch.nn.utils import parametrize

from thalweg.randomness import generator

__all__ = ["SpectralNorm", "normalize_spectrally", "project_spectrally", "track_spectral_norms"]

WARM = 50  # power iterations before the first use
EPS = 1e-12


class SpectralNorm(nn.Module):
    """σ(W) of one layer's weight, by power iteration; as a parametrization, W → W/σ(W).

    u ← Wᵀv/‖Wᵀv‖, v ← Wu/‖Wu‖, σ = vᵀWu. The gradient flows through W, with u and v constant. For a convolution the
    matrix is the kernel reshaped to (out, in·k·k), as in the paper; its norm is not that of the convolution as a linear
    map. With `size`, the shape (C, H, W) of the layer's input, W is the linear map itself, including zero padding and
    stride.

    Reference: *Spectral Normalization for Generative Adversarial Networks*, Takeru Miyato et al., 2018,
    arXiv:1802.05957. *Generalizable Adversarial Training via Spectral Normalization*, Farzan Farnia et al.,
    2018, arXiv:1811.07457.

    >>> layer = nn.Linear(2, 2, bias=False)
    >>> _ = layer.weight.data.copy_(torch.tensor([[2.0, 1.0], [1.0, 3.0]]))
    >>> SpectralNorm(layer).sigma(layer.weight).item()  # doctest: +ELLIPSIS
    3.61803...
    """

    u: Tensor
    v: Tensor

    def __init__(self, layer: nn.Linear | nn.Conv2d, size: Sequence[int] | None = None, seed: int = 0) -> None:
        super().__init__()
        self._conv: dict[str, Any] | None = None
        weight = layer.weight.detach()
        shape: Sequence[int] = (weight[0].numel(),)
        if size is not None and isinstance(layer, nn.Conv2d):
            self._conv = {"stride": layer.stride, "padding": layer.padding, "dilation": layer.dilation}
            self._conv["groups"] = layer.groups
            shape = (1, *size)
        noise = torch.randn(*shape, generator=generator(seed, "power iteration"))
        self.register_buffer("u", F.normalize(noise.flatten(), dim=0, eps=EPS).reshape(shape).to(weight))
        self.register_buffer("v", self._map(weight, self.u))
        for _ in range(WARM):
            self._step(weight)

    def forward(self, weight: Tensor) -> Tensor:
        """Return W/σ(W)."""
        if self._conv is not None:
            return weight / self.sigma(weight).clamp(min=EPS)
        sigma, u, v = self._step(weight.detach())
        divided: Tensor = _Divided.apply(weight, sigma, u.view(weight.shape[1:]), _column(v, weight))
        return divided

    def sigma(self, weight: Tensor) -> Tensor:
        """Return σ(W), differentiable in W."""
        if self.training:
            self._step(weight.detach())
        u, v = self.u.clone(), self.v.clone()  # the next call changes them in place
        return (v * self._map(weight, u)).sum()

    @torch.no_grad()
    def _step(self, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return σ = ‖Wᵀv‖, u = Wᵀv/σ and v, in training after one more step of power iteration."""
        v = self.v.clone()
        if self.training:
            v = self._map(weight, self.u)
            v /= torch.linalg.vector_norm(v).clamp_(min=EPS)
        u = self._adjoint(weight, v)
        sigma = torch.linalg.vector_norm(u).clamp_(min=EPS)
        u /= sigma
        if self.training:
            torch._foreach_copy_([self.u, self.v], [u, v])
        return sigma, u, v

    # For matrices by sums: matrix-vector products are many times slower here, and autocast rounds them.

    def _map(self, weight: Tensor, u: Tensor) -> Tensor:
        if self._conv is None:
            return (weight * u.view(weight.shape[1:])).flatten(1).sum(1)
        return F.conv2d(u, weight, **self._conv)

    def _adjoint(self, weight: Tensor, v: Tensor) -> Tensor:
        if self._conv is None:
            return (weight * _column(v, weight)).sum(0).flatten()
        return conv2d_input(self.u.shape, weight, v, **self._conv)


class _Divided(torch.autograd.Function):
    """W̄ = W/σ with σ = vᵀWu; for a gradient G in W̄ the gradient in W is (G − ⟨G, W̄⟩ v uᵀ)/σ."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, sigma: Tensor, u: Tensor, v: Tensor) -> Tensor:
        ctx.save_for_backward(weight, sigma, u, v)
        return weight / sigma

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None, None, None]:
        weight, sigma, u, v = ctx.saved_tensors
        if torch.is_grad_enabled():  # the gradient will be differentiated, and σ with it
            sigma = (weight * u * v).sum()
        share = (slope * weight).sum() / sigma.square()
        return (slope / sigma).addcmul_(v * -share, u), None, None, None


def _column(v: Tensor, weight: Tensor) -> Tensor:
    return v.view(-1, *[1] * (weight.dim() - 1))


def normalize_spectrally(network: nn.Module, inputs: Sequence[int] | None = None) -> nn.Module:
    """Divide the weight of every linear layer and convolution of `network` by its spectral norm, at each forward pass.

    Each layer then has norm 1. With `inputs`, the shape of one input of the network, norms are those of the linear
    maps. Raises ValueError for convolutions other than Conv2d.

    >>> network = normalize_spectrally(nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1)))
    >>> round(torch.linalg.matrix_norm(network[0].weight, 2).item(), 2)
    1.0
    """
    for name, (layer, norm) in _norms(network, inputs).items():
        assert not parametrize.is_parametrized(layer), name
        parametrize.register_parametrization(layer, "weight", norm)
    return network


def track_spectral_norms(network: nn.Module, inputs: Sequence[int] | None = None) -> nn.ModuleDict:
    """Return the `SpectralNorm` of each layer, which `project_spectrally` takes, stored outside of the network."""
    return nn.ModuleDict({name.replace(".", "/"): norm for name, (_, norm) in _norms(network, inputs).items()})


@torch.no_grad()
def project_spectrally(network: nn.Module, norms: nn.ModuleDict) -> None:
    """Divide every weight by max(1, σ), as a projection after each step of the critic.

    Unlike normalization, this leaves layers with a norm below 1 unchanged.
    """
    for name, norm in norms.items():
        weight = network.get_submodule(name.replace("/", ".")).weight
        assert isinstance(norm, SpectralNorm)
        assert isinstance(weight, Tensor)
        weight /= norm.sigma(weight).clamp(min=1)


def _norms(network: nn.Module, inputs: Sequence[int] | None) -> dict[str, tuple[nn.Linear | nn.Conv2d, SpectralNorm]]:
    for name, layer in network.named_modules():
        if isinstance(layer, nn.modules.conv._ConvNd) and not isinstance(layer, nn.Conv2d):
            raise ValueError(f"{name}: got a {type(layer).__name__}, wanted linear layers and Conv2d only")
    sizes = _input_sizes(network, inputs) if inputs is not None else {}
    return {
        name: (layer, SpectralNorm(layer, sizes.get(name), seed=k))
        for k, (name, layer) in enumerate(network.named_modules())
        if isinstance(layer, (nn.Linear, nn.Conv2d))
    }


def _input_sizes(network: nn.Module, inputs: Sequence[int]) -> dict[str, tuple[int, ...]]:
    """Return the shape of the input of each convolution."""
    sizes: dict[str, tuple[int, ...]] = {}
    hooks = [
        layer.register_forward_pre_hook(lambda _, inputs, name=name: sizes.update({name: tuple(inputs[0].shape[1:])}))
        for name, layer in network.named_modules()
        if isinstance(layer, nn.Conv2d)
    ]
    with torch.no_grad():
        network(next(network.parameters()).new_zeros(1, *inputs))
    for hook in hooks:
        hook.remove()
    return sizes
