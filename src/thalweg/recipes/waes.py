"""Recipes of Wasserstein autoencoders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from thalweg.config import setting
from thalweg.recipes.autoencoders import AutoencoderNetwork

if TYPE_CHECKING:
    from thalweg.data import Spec
    from thalweg.training.run import Run

__all__ = ["WAEOptions", "wae_gan", "wae_mmd"]


@dataclass(frozen=True, kw_only=True)
class WAEOptions:
    """The options that both Wasserstein autoencoders share."""

    latent_dim: int = setting(8, "number of latent dimensions; for vectors at most their number of columns")
    hidden: int = setting(256, "units of a hidden layer")
    weight: float | None = setting(None, "weight λ of the divergence between codes and prior")
    sigma: float = setting(1.0, "standard deviation of the prior")
    architecture: Literal["auto", "dense", "conv"] = setting(
        "auto", "dense layers, convolutions, or (auto) convolutions for images of at least 8x8"
    )


def wae_mmd(spec: Spec, *, common: WAEOptions = WAEOptions()) -> Run:
    """Wasserstein autoencoder of images or vectors, with the MMD between the codes and the prior as penalty.

    Args:
        weight: weight λ of the MMD between codes and prior; by default 10 for images, 300 for vectors

    Reference: *Wasserstein Auto-Encoders*, Ilya Tolstikhin et al., 2018, arXiv:1711.01558.
    """
    from thalweg.problems.wasserstein_autoencoding import KernelMatching

    weight = common.weight
    if weight is None:
        weight = 10.0 if spec.kind == "image" else 300.0
    model = _model("wae-mmd", spec, common, adversarial=False)
    return _run(model, KernelMatching(model, weight=weight), {"model": 1e-3})


def wae_gan(spec: Spec, *, common: WAEOptions = WAEOptions(), n_critic: int | None = None) -> Run:
    """Wasserstein autoencoder of images or vectors, with a critic that compares the codes with the prior.

    Args:
        weight: weight λ of the critic's loss of the codes; by default 10, or 1 for images smaller than 28x28
        n_critic: critic steps per autoencoder step, in alternation; by default both players step at the same time

    Reference: *Wasserstein Auto-Encoders*, Ilya Tolstikhin et al., 2018, arXiv:1711.01558.
    """
    from thalweg.problems.wasserstein_autoencoding import LatentGame

    weight = common.weight
    if weight is None:
        weight = 1.0 if spec.kind == "image" and spec.size < 784 else 10.0
    model = _model("wae-gan", spec, common, adversarial=True)
    return _run(model, LatentGame(model, weight=weight), {"critic": 5e-4, "autoencoder": 1e-3}, n_critic)


def _model(name: str, spec: Spec, options: WAEOptions, *, adversarial: bool) -> Any:
    from thalweg.models.waes.wae import WAE, code_critic

    latent_dim, depth = options.latent_dim, 1
    if spec.kind == "vector":
        # Codes of fewer dimensions than the latent space lie on a surface and cannot have the prior's distribution.
        latent_dim, depth = min(latent_dim, spec.size), 2
    network = AutoencoderNetwork(
        latent_dim=latent_dim, hidden=options.hidden, depth=depth, architecture=options.architecture
    )
    autoencoder = network.build(name, spec)
    critic = code_critic(latent_dim, options.hidden) if adversarial else None
    levels = spec.levels if spec.kind == "image" else None
    settings: dict[str, Any] = {"latent_dim": latent_dim, "levels": levels, "discrete": spec.discrete}
    return WAE(autoencoder, sigma=options.sigma, critic=critic, **settings)


def _run(model: Any, problem: Any, rates: dict[str, float], n_critic: int | None = None) -> Run:
    from thalweg.checks import positive
    from thalweg.config import OptimizerConfig, ScheduleConfig
    from thalweg.training.run import Run, Stage
    from thalweg.training.updates import Alternating, Simultaneous

    alternating = n_critic is not None and Alternating({"critic": positive("n_critic", n_critic), "autoencoder": 1})
    stage = Stage(
        problem=problem,
        steps=10_000,
        batch_size=128,
        update=alternating or Simultaneous(),
        optimizers={
            player: OptimizerConfig(lr=lr, beta1=0.5 if player == "critic" else 0.9) for player, lr in rates.items()
        },
        schedules=dict.fromkeys(rates, ScheduleConfig(name="cosine")),
    )
    return Run(model, (stage,))
