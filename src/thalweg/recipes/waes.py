"""Recipes of Wasserstein autoencoders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from thalweg.data import Spec
    from thalweg.training.run import Run

__all__ = ["wae_gan", "wae_mmd"]

Architecture = Literal["auto", "dense", "conv"]


def wae_mmd(
    spec: Spec,
    *,
    latent_dim: int = 8,
    hidden: int = 256,
    weight: float | None = None,
    sigma: float = 1.0,
    architecture: Architecture = "auto",
) -> Run:
    """Wasserstein autoencoder whose codes are brought to the prior by a kernel: MMD, of images or vectors.

    Args:
        latent_dim: numbers in the code; of vectors at most as many as they have
        hidden: units of a hidden layer
        weight: lambda, of the discrepancy between codes and prior; by default 10 of images, 300 of vectors
        sigma: standard deviation of the prior
        architecture: dense layers, convolutions, or (auto) convolutions for images of at least 8x8

    Reference: Wasserstein Auto-Encoders, Ilya Tolstikhin et al., 2018, arXiv 1711.01558.
    """
    from thalweg.problems.wasserstein_autoencoding import KernelMatching

    if weight is None:
        weight = 10.0 if spec.kind == "image" else 300.0
    model = _model("wae-mmd", spec, latent_dim, hidden, sigma, architecture, adversarial=False)
    return _fitted(model, KernelMatching(model, weight=weight), {"model": 1e-3})


def wae_gan(
    spec: Spec,
    *,
    latent_dim: int = 8,
    hidden: int = 256,
    weight: float | None = None,
    sigma: float = 1.0,
    n_critic: int | None = None,
    architecture: Architecture = "auto",
) -> Run:
    """Wasserstein autoencoder whose codes are brought to the prior by a critic, of images or vectors.

    Args:
        latent_dim: numbers in the code; of vectors at most as many as they have
        hidden: units of a hidden layer
        weight: lambda, of the critic's verdict on the codes; by default 10, and 1 of images smaller than 28x28
        sigma: standard deviation of the prior
        n_critic: steps of the critic for one of the autoencoder, in turn; by default both move at once
        architecture: dense layers, convolutions, or (auto) convolutions for images of at least 8x8

    Reference: Wasserstein Auto-Encoders, Ilya Tolstikhin et al., 2018, arXiv 1711.01558.
    """
    from thalweg.problems.wasserstein_autoencoding import LatentGame

    if weight is None:
        weight = 1.0 if spec.kind == "image" and spec.size < 784 else 10.0
    model = _model("wae-gan", spec, latent_dim, hidden, sigma, architecture, adversarial=True)
    return _fitted(model, LatentGame(model, weight=weight), {"critic": 5e-4, "autoencoder": 1e-3}, n_critic)


def _model(
    name: str, spec: Spec, latent_dim: int, hidden: int, sigma: float, architecture: str, *, adversarial: bool
) -> Any:
    from thalweg.models.waes.wae import WAE, code_critic
    from thalweg.recipes.autoencoders import network_of

    if spec.kind == "vector":
        latent_dim = min(latent_dim, spec.size)  # codes on a surface cannot match the prior
    depth = 2 if spec.kind == "vector" else 1
    autoencoder = network_of(name, spec, latent_dim, hidden, depth, architecture, tied=False)
    critic = code_critic(latent_dim, hidden) if adversarial else None
    levels = spec.levels if spec.kind == "image" else None
    settings: dict[str, Any] = {"latent_dim": latent_dim, "levels": levels, "discrete": spec.discrete}
    return WAE(autoencoder, sigma=sigma, critic=critic, **settings)


def _fitted(model: Any, problem: Any, rates: dict[str, float], n_critic: int | None = None) -> Run:
    from thalweg.checks import positive
    from thalweg.config import OptimizerConfig, ScheduleConfig
    from thalweg.training.run import Run, Stage
    from thalweg.training.updates import Alternating, Simultaneous

    in_turn = n_critic is not None and Alternating({"critic": positive("n_critic", n_critic), "autoencoder": 1})
    stage = Stage(
        problem=problem,
        steps=10_000,
        batch_size=128,
        update=in_turn or Simultaneous(),
        optimizers={
            player: OptimizerConfig(lr=lr, beta1=0.5 if player == "critic" else 0.9) for player, lr in rates.items()
        },
        schedules=dict.fromkeys(rates, ScheduleConfig(name="cosine")),
    )
    return Run(model, (stage,))
