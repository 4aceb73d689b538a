"""Recipes of variational autoencoders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from thalweg.data import Spec
    from thalweg.training.run import Run

__all__ = ["vae"]


def vae(
    spec: Spec,
    *,
    latent_dim: int = 20,
    hidden: int = 400,
    architecture: Literal["auto", "dense", "conv"] = "auto",
    likelihood: Literal["auto", "bernoulli", "gaussian", "discretized-logistic"] = "auto",
    sigma: float = 1.0,
    learn_sigma: bool = True,
) -> Run:
    """Variational autoencoder of images or vectors, trained on its evidence lower bound.

    Args:
        latent_dim: numbers in the latent code z
        hidden: units of the hidden layer (dense), or between the convolutions and z (conv)
        architecture: dense is one hidden layer each way; conv halves images down to 4×4; auto is conv for images
        likelihood: law of x given z; auto is discretized-logistic for images and gaussian for vectors
        sigma: scale of x given z, in standard deviations of the data; the starting point where it is learned
        learn_sigma: let the decoder say the scale of every value

    Reference: Kingma, Welling, *Auto-Encoding Variational Bayes*, 2014, arXiv:1312.6114.
    """
    from thalweg.checks import choice, positive
    from thalweg.config import OptimizerConfig
    from thalweg.models.vaes.vae import VAE, conv_networks, dense_networks, observation_of
    from thalweg.problems.variational import Variational
    from thalweg.training.run import Run, Stage

    if spec.kind == "tokens":
        raise ValueError(f"vae: got data '{spec.name}' of tokens, wanted images or vectors")
    choice("architecture", architecture, ("auto", "dense", "conv"))
    choice("likelihood", likelihood, ("auto", "bernoulli", "gaussian", "discretized-logistic"))
    positive("latent_dim", latent_dim)
    positive("hidden", hidden)
    image = spec.kind == "image"
    if architecture == "conv" and not image:
        raise ValueError(f"architecture: got 'conv' with vectors '{spec.name}', wanted dense")
    law = ("discretized-logistic" if image else "gaussian") if likelihood == "auto" else likelihood
    levels = spec.levels if image else None
    observation = observation_of(law, spec.shape, levels, spec.mean, spec.std, sigma=sigma, learn_sigma=learn_sigma)
    conv = architecture == "conv" or (architecture == "auto" and image and min(spec.shape[1:]) >= 8)
    networks = conv_networks if conv else dense_networks
    outputs: int = getattr(observation, "outputs")  # noqa: B009
    model = VAE(*networks(spec.shape, outputs, latent_dim, hidden), observation, latent_dim)
    stage = Stage(
        problem=Variational(model),
        steps=10_000,
        batch_size=128,
        optimizers={"model": OptimizerConfig(lr=1e-3)},
        validate_every=500,
        patience=5,  # on a thousand images it begins to learn them by heart after some 1,500 steps
    )
    return Run(model, (stage,))
