"""Recipes of generative adversarial networks."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from thalweg.data import Spec
    from thalweg.training.run import Run

__all__ = ["wgan"]


def wgan(
    spec: Spec,
    *,
    latent_dim: int = 64,
    hidden: int = 256,
    clip: float = 0.01,
    n_critic: int = 5,
) -> Run:
    """Wasserstein GAN with weight clipping, of images (convolutional) or vectors (dense).

    Args:
        latent_dim: numbers in the latent code z
        hidden: units of a hidden layer (vectors), or channels of the smallest map (images)
        clip: every parameter of the critic is clipped to [-clip, clip] after its step
        n_critic: steps of the critic for one of the generator

    Reference: Wasserstein GAN, Martin Arjovsky, Soumith Chintala, Léon Bottou, 2017, arXiv 1701.07875.
    """
    from thalweg.checks import positive
    from thalweg.config import OptimizerConfig
    from thalweg.models.gans.wgan import WGAN, conv_networks, dense_networks
    from thalweg.objectives.adversarial import wasserstein
    from thalweg.problems.adversarial import AdversarialGame
    from thalweg.training.run import Run, Stage
    from thalweg.training.updates import Alternating

    if spec.kind == "tokens":
        raise ValueError(f"wgan: got data '{spec.name}' of tokens, wanted images or vectors")
    for name, value in {"latent_dim": latent_dim, "hidden": hidden, "n_critic": n_critic}.items():
        positive(name, value)
    if spec.kind == "image":
        networks = conv_networks(spec.shape, latent_dim, hidden)
        model = WGAN(networks, spec.shape, latent_dim=latent_dim, levels=spec.levels)
    else:
        networks = dense_networks(spec.shape, latent_dim, hidden)
        model = WGAN(networks, spec.shape, latent_dim=latent_dim, mean=spec.mean, std=spec.std)
    optimizer = OptimizerConfig(name="rmsprop", lr=5e-5)
    stage = Stage(
        problem=AdversarialGame(model, wasserstein(), clip=clip),
        steps=10_000,
        batch_size=64,
        optimizers={"critic": optimizer, "generator": optimizer},
        update=Alternating({"critic": n_critic, "generator": 1}),
    )
    return Run(model, (stage,))
