"""The β-VAE."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from thalweg.checks import positive
from thalweg.models.vaes.variational import VariationalModel
from thalweg.objectives.elbo import Objective

__all__ = ["BetaVAE"]


class BetaVAE(VariationalModel):
    """β-VAE: training maximizes E_q log p(x|z) − β·KL(q(z|x) ‖ N(0, I)); `elbo` is the ELBO for every β.

    β = 1 is the VAE. A larger β increases the cost of information in the code, so that latent dimensions often
    correspond to single factors of variation, at the cost of the reconstruction. For a Gaussian likelihood with fixed
    σ, β and σ² are equivalent: up to a constant, σ² times the ELBO is this objective at σ = 1 with β = σ².

    Reference: *beta-VAE: Learning Basic Visual Concepts with a Constrained Variational Framework*, Irina Higgins et
    al., 2017. *Understanding disentangling in β-VAE*, Christopher Burgess et al., 2018, arXiv:1804.03599.

    >>> import torch
    >>> from thalweg.models.vaes.observations import Gaussian
    >>> likelihood = Gaussian((0.0,), (1.0,), (1,), sigma=1.0, learn_sigma=False)
    >>> model = BetaVAE(nn.Linear(1, 4), nn.Linear(2, 1), likelihood, latent_dim=2, beta=4.0)
    >>> x, eps = torch.ones(5, 1), torch.zeros(5, 2)
    >>> elbo, reconstruction, kl = model.terms(x, eps)
    >>> bool(torch.allclose(model(x, eps).values, elbo - 3 * kl))
    True
    """

    def __init__(
        self, encoder: nn.Module, decoder: nn.Module, likelihood: Any, latent_dim: int, beta: float = 4.0
    ) -> None:
        super().__init__(encoder, decoder, likelihood, latent_dim)
        self.beta = positive("beta", beta)

    def forward(self, x: Tensor, eps: Tensor, noise: Tensor | None = None) -> Objective:
        """Return reconstruction − β·KL, with the ELBO and both terms."""
        elbo, reconstruction, kl = self.terms(x, eps, noise)
        return Objective(reconstruction - self.beta * kl, {"elbo": elbo, "reconstruction": reconstruction, "kl": kl})

    def extra_repr(self) -> str:
        return f"beta={self.beta:g}"
