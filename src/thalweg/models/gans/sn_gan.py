"""Critics whose every layer has spectral norm 1, or at most 1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from thalweg.checks import choice
from thalweg.nn.spectral import normalize_spectrally, project_spectrally, track_spectral_norms

__all__ = ["ProjectedCritic", "bounded"]


class ProjectedCritic(nn.Module):
    """A critic whose weights are divided by max(1, σ) after every step, a projection onto norm at most 1.

    Unlike normalization, it leaves layers with a norm below 1 unchanged.

    >>> import torch
    >>> critic = ProjectedCritic(nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 1), nn.Flatten(0)))
    >>> critic.project()
    >>> bool(torch.linalg.matrix_norm(critic.network[0].weight.detach(), 2) < 1.001)
    True
    """

    def __init__(self, network: nn.Module, inputs: Sequence[int] | None = None) -> None:
        super().__init__()
        self.network, self.norms = network, track_spectral_norms(network, inputs)

    def forward(self, *inputs: Tensor) -> Tensor:
        """Return the network's scores."""
        scores: Tensor = self.network(*inputs)
        return scores

    def project(self) -> None:
        """Divide every weight by max(1, σ)."""
        project_spectrally(self.network, self.norms)


def bounded(model: Any, method: str = "normalize", of_map: bool = False) -> Any:
    """Bound the spectral norms of the critic's layers: "normalize" to 1 in the forward pass, or "project" to at most 1.

    The norm of a convolution is that of its kernel reshaped to a matrix or, with `of_map`, of the linear map itself.
    The model is changed in place and returned.

    Reference: *Spectral Normalization for Generative Adversarial Networks*, Takeru Miyato et al., 2018,
    arXiv:1802.05957.
    """
    # The inner network of a critic that is conditioned on the class
    network = getattr(model.critic, "network", model.critic)
    inputs = (model.shape[0] + getattr(model, "classes", 0), *model.shape[1:]) if of_map else None
    if choice("method", method, ("normalize", "project")) == "normalize":
        normalize_spectrally(network, inputs)
    elif network is model.critic:
        model.critic = ProjectedCritic(network, inputs)
    else:
        model.critic.network = ProjectedCritic(network, inputs)
    return model
