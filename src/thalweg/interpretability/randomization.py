"""Networks with random weights in some layers, and the rank correlation of maps."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from thalweg.interpretability.layers import activations_of
from thalweg.interpretability.state import frozen
from thalweg.nn.initialize import LAYERS, fans
from thalweg.randomness import generator

if TYPE_CHECKING:
    from thalweg.interpretability.network import Network

__all__ = ["random_weights", "rank_correlations", "weighted_layers"]


def weighted_layers(probe: Network, x: Tensor) -> list[str]:
    """Return the names of the linear layers and convolutions, in the order in which the forward pass uses them."""
    names = [
        name
        for name, module in probe.model.named_modules()
        if isinstance(module, LAYERS) and "weight" in module._parameters
    ]
    with frozen(probe.model), torch.no_grad(), activations_of(probe.model, names) as kept:
        probe.scores(x[:1])
        return list(kept)


@contextmanager
def random_weights(model: nn.Module, names: Sequence[str], seed: int) -> Iterator[None]:
    """Within the context the named layers have other weights, U(±√(6/n_in)) of variance 2/n_in, and biases of 0.

    The model's own parameters are replaced, not written to, and are put back afterwards. A layer's random weights
    depend on the seed and its name only.
    """
    modules = dict(model.named_modules())
    own = [(modules[name], dict(modules[name]._parameters)) for name in names]
    try:
        for name, (module, parameters) in zip(names, own, strict=True):
            bound, draw = math.sqrt(6 / fans(module)[0]), generator(seed, f"random weights of {name}")
            with torch.inference_mode(False):
                for key, p in parameters.items():
                    if p is not None:
                        new = torch.zeros(p.shape)
                        new = new.uniform_(-bound, bound, generator=draw) if key == "weight" else new
                        module._parameters[key] = nn.Parameter(new.to(p), requires_grad=False)
        yield
    finally:
        for module, parameters in own:
            module._parameters.update(parameters)


def rank_correlations(a: Tensor, b: Tensor, where: Tensor | None = None) -> Tensor:
    """Return Spearman's rank correlation of each image's values, (B,), optionally only `where` a mask is true.

    It is 0 if one of both is constant.

    >>> rank_correlations(torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([[1.0, 8.0, 9.0]]))
    tensor([1.])
    """
    from scipy.stats import rankdata

    correlations = []
    for i, (one, other) in enumerate(zip(a.detach().cpu().flatten(1), b.detach().cpu().flatten(1), strict=True)):
        rows = slice(None) if where is None else where[i].cpu().flatten()
        ranks = [rankdata(values[rows].numpy()) for values in (one, other)]
        u, v = (r - r.mean() if r.size else r for r in ranks)
        scale = math.sqrt(float(u @ u) * float(v @ v))
        correlations.append(float(u @ v) / scale if scale > 0 else 0.0)
    return torch.tensor(np.array(correlations), dtype=torch.float32)
