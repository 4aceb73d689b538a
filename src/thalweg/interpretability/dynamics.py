"""How signals and gradients change with the depth of a network: during training, and in a trained network."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from thalweg.checks import positive
from thalweg.interpretability.figures import as_tiles, new_figure
from thalweg.interpretability.layers import activations_of
from thalweg.interpretability.state import frozen
from thalweg.nn.initialize import LAYERS, initialize
from thalweg.randomness import fold

if TYPE_CHECKING:
    from thalweg.interpretability.network import Network, Progress
    from thalweg.interpretability.result import Explanation

__all__ = ["GradientNorms", "activation_statistics", "gradient_norms"]


@dataclass(frozen=True)
class GradientNorms:
    """Norms ‖∂loss/∂W‖ (steps, layers) and losses (steps,) by initialization; `layers` are the names."""

    layers: list[str]
    norms: dict[str | float, Tensor]
    losses: dict[str | float, Tensor]


def gradient_norms(
    network: nn.Module,
    loss: Callable[[nn.Module, int], Tensor],
    initializations: Sequence[str | float],
    *,
    steps: int = 100,
    lr: float = 0.1,
    seed: int = 0,
) -> GradientNorms:
    """Return the norms of the gradients in the weights of each linear layer and convolution, by initialization.

    A copy of the network is initialized and trained by gradient descent with the step `lr`. `loss(network, step)` is
    the loss of a batch. An initialization is a name of `thalweg.nn.initialize.INITIALIZATIONS`, or a number: LeCun's,
    with weights multiplied by it. In a deep tanh network the gradients of all layers vanish if it is too small, and
    those of the first layers grow if it is too large.

    Raises ValueError for a network without such layers, an unknown name, and a number that is not positive.

    Reference: *Understanding the difficulty of training deep feedforward neural networks*, Xavier Glorot, Yoshua
    Bengio, 2010.

    >>> network = nn.Sequential(nn.Linear(2, 5), nn.Tanh(), nn.Linear(5, 1))
    >>> found = gradient_norms(network, lambda net, step: net(torch.ones(3, 2)).square().mean(), ["lecun", 0.01])
    >>> found.layers, found.norms["lecun"].shape
    (['0', '2'], torch.Size([100, 2]))
    """
    positive("steps", steps)
    norms, losses = {}, {}
    names = [name for name, module in network.named_modules() if isinstance(module, LAYERS)]
    if not names:
        raise ValueError("network: got no linear layer or convolution, wanted at least one")
    for one in initializations:
        if not isinstance(one, str) and not one > 0:
            raise ValueError(f"initializations: got {one}, wanted a name or a positive factor of LeCun's weights")
        net = copy.deepcopy(network)
        modules = dict(net.named_modules())
        with torch.random.fork_rng():
            torch.manual_seed(fold(seed, "initialization"))
            initialize(net, one if isinstance(one, str) else "lecun")
        weights = [modules[name].weight for name in names]
        if not isinstance(one, str):
            torch._foreach_mul_([w.data for w in weights], one)
        parameters = [p for p in net.parameters() if p.requires_grad]
        places = [next(i for i, p in enumerate(parameters) if p is w) for w in weights]
        rows, values = [], []
        for step in range(steps):
            value = loss(net, step)
            slopes = torch.autograd.grad(value, parameters, allow_unused=True, materialize_grads=True)
            rows.append(torch.stack(torch._foreach_norm([slopes[i] for i in places])))
            values.append(value.detach())
            with torch.no_grad():
                torch._foreach_add_([p.data for p in parameters], slopes, alpha=-lr)
        norms[one], losses[one] = torch.stack(rows).cpu(), torch.stack(values).cpu()
    return GradientNorms(names, norms, losses)


def activation_statistics(probe: Network, x: Tensor, *, progress: Progress | None = None) -> Explanation:
    """Return the mean, the standard deviation and the share of zeros of the outputs of each layer, (layers, 3).

    They are taken over the images and all units of a layer, in the order in which the network uses the layers, whose
    names are in `settings`; of a layer that is used several times it is the last output. Layers that return something
    else than a tensor are left out.
    """
    x = probe.images(x)
    parts: dict[str, list[tuple[int, Tensor]]] = {}
    layers = activations_of(probe.model, probe.layers(), tensors_only=False)
    with frozen(probe.model), torch.no_grad(), layers as kept:
        for _, part in probe.chunks(x, progress):
            kept.clear()
            probe.scores(part)
            for name, output in kept.items():
                variance, mean = torch.var_mean(output.float(), correction=0)
                zeros = (output == 0).float().mean()
                parts.setdefault(name, []).append((output.numel(), torch.stack([mean, variance, zeros])))
    rows = []
    for chunks in parts.values():
        weight = torch.tensor([n for n, _ in chunks]).double()
        weight, values = weight / weight.sum(), torch.stack([v for _, v in chunks]).cpu().double()
        mean = weight @ values[:, 0]
        variance = weight @ (values[:, 1] + (values[:, 0] - mean).square())
        rows.append(torch.stack([mean, variance.sqrt(), weight @ values[:, 2]]))
    settings = {"layers": list(parts), "columns": ["mean", "std", "zeros"]}
    result = torch.stack(rows).float()
    return probe.result("activation statistics", result, x, settings=settings, tiles=_chart(list(parts), result))


def _chart(layers: Sequence[str], values: Tensor) -> Tensor:
    """Return mean ± standard deviation, and the share of zeros, by layer, as the only tile."""
    figure = new_figure(max(6.4, 0.3 * len(layers)), 4.8)
    above, below = figure.subplots(2, 1, sharex=True)
    places = range(len(layers))
    mean, std, zeros = values.T.numpy()
    above.errorbar(places, mean, yerr=std, fmt="o", capsize=3)
    above.set(ylabel="mean ± std", title="activations by layer")
    below.bar(places, zeros)
    below.set(ylabel="share of zeros", ylim=(0, 1))
    below.set_xticks(list(places), layers, rotation=60, ha="right")
    return as_tiles(figure)
