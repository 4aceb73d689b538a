"""Recipes of variational autoencoders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from thalweg.data import Spec
    from thalweg.training.run import Run

__all__ = ["beta_vae", "iwae", "vae"]

ARCHITECTURES, ACTIVATIONS = ("auto", "dense", "conv"), ("relu", "tanh")
LIKELIHOODS = ("auto", "bernoulli", "gaussian", "discretized-logistic")


def vae(
    spec: Spec,
    *,
    latent_dim: int = 20,
    hidden: int = 400,
    depth: int = 1,
    activation: Literal["relu", "tanh"] = "relu",
    architecture: Literal["auto", "dense", "conv"] = "auto",
    likelihood: Literal["auto", "bernoulli", "gaussian", "discretized-logistic"] = "auto",
    sigma: float = 1.0,
    learn_sigma: bool = True,
    gradient: Literal["reparameterized", "score-function"] = "reparameterized",
) -> Run:
    """Variational autoencoder of images or vectors, trained on its evidence lower bound.

    Args:
        latent_dim: numbers in the latent code z
        hidden: units of a hidden layer (dense), or between the convolutions and z (conv)
        depth: hidden layers each way (dense); 0 is affine, as in probabilistic PCA
        activation: of hidden layers (dense)
        architecture: dense is fully connected; conv halves images down to 4×4; auto is conv for images
        likelihood: distribution of x given z; auto: discretized-logistic, bernoulli of images with 2 levels, gaussian
            of vectors
        sigma: scale of x given z, in standard deviations of the data; the starting point where it is learned
        learn_sigma: let the decoder say the scale of every value
        gradient: how the expectation over z is differentiated; score-function is unbiased too, and far noisier

    Reference: Kingma, Welling, *Auto-Encoding Variational Bayes*, 2014, arXiv:1312.6114.
    """
    from thalweg.models.vaes.vae import VAE

    parts = _parts("vae", spec, latent_dim, hidden, depth, activation, architecture, likelihood, sigma, learn_sigma)
    return _run(VAE(*parts, latent_dim, gradient))


def beta_vae(
    spec: Spec,
    *,
    beta: float = 4.0,
    latent_dim: int = 10,
    hidden: int = 400,
    depth: int = 1,
    activation: Literal["relu", "tanh"] = "relu",
    architecture: Literal["auto", "dense", "conv"] = "auto",
    likelihood: Literal["auto", "bernoulli", "gaussian", "discretized-logistic"] = "auto",
    sigma: float = 1.0,
    learn_sigma: bool = True,
) -> Run:
    """β-VAE of images or vectors: its code pays β times for every nat, so that its dimensions come apart.

    Args:
        beta: weight of the KL term in training; the ELBO that is measured has weight 1
        latent_dim: numbers in the latent code z
        hidden: units of a hidden layer (dense), or between the convolutions and z (conv)
        depth: hidden layers each way (dense)
        activation: of hidden layers (dense)
        architecture: dense is fully connected; conv halves images down to 4×4; auto is conv for images
        likelihood: distribution of x given z; auto: discretized-logistic, bernoulli of images with 2 levels, gaussian
            of vectors
        sigma: scale of x given z, in standard deviations of the data; the starting point where it is learned
        learn_sigma: let the decoder say the scale of every value

    Reference: Higgins et al., *β-VAE: learning basic visual concepts with a constrained variational framework*, 2017.
    Burgess et al., *Understanding disentangling in β-VAE*, 2018, arXiv:1804.03599.
    """
    from thalweg.models.vaes.beta_vae import BetaVAE

    parts = _parts(
        "beta-vae", spec, latent_dim, hidden, depth, activation, architecture, likelihood, sigma, learn_sigma
    )
    return _run(BetaVAE(*parts, latent_dim, beta))


def iwae(
    spec: Spec,
    *,
    draws: int = 5,
    gradient: Literal["reparameterized", "doubly-reparameterized"] = "reparameterized",
    latent_dim: int = 20,
    hidden: int = 400,
    depth: int = 1,
    activation: Literal["relu", "tanh"] = "relu",
    architecture: Literal["auto", "dense", "conv"] = "auto",
    likelihood: Literal["auto", "bernoulli", "gaussian", "discretized-logistic"] = "auto",
    sigma: float = 1.0,
    learn_sigma: bool = True,
) -> Run:
    """Importance-weighted autoencoder of images or vectors, trained on a bound of several draws of z.

    Args:
        draws: of z an example, K; 1 is the VAE
        gradient: doubly-reparameterized keeps the encoder's signal as K grows
        latent_dim: numbers in the latent code z
        hidden: units of a hidden layer (dense), or between the convolutions and z (conv)
        depth: hidden layers each way (dense)
        activation: of hidden layers (dense)
        architecture: dense is fully connected; conv halves images down to 4×4; auto is conv for images
        likelihood: distribution of x given z; auto: discretized-logistic, bernoulli of images with 2 levels, gaussian
            of vectors
        sigma: scale of x given z, in standard deviations of the data; the starting point where it is learned
        learn_sigma: let the decoder say the scale of every value

    Reference: Burda, Grosse, Salakhutdinov, *Importance weighted autoencoders*, 2016, arXiv:1509.00519.
    """
    from thalweg.models.vaes.iwae import IWAE

    parts = _parts("iwae", spec, latent_dim, hidden, depth, activation, architecture, likelihood, sigma, learn_sigma)
    return _run(IWAE(*parts, latent_dim, draws, gradient))


def _parts(
    name: str,
    spec: Spec,
    latent_dim: int,
    hidden: int,
    depth: int,
    activation: str,
    architecture: str,
    likelihood: str,
    sigma: float,
    learn_sigma: bool,
) -> tuple[Any, Any, Any]:
    """Return the encoder, the decoder and the likelihood."""
    from torch import nn

    from thalweg.checks import choice, in_range, positive
    from thalweg.models.vaes.networks import conv_networks, dense_networks
    from thalweg.models.vaes.observations import observation_of

    if spec.kind == "tokens":
        raise ValueError(f"{name}: got data '{spec.name}' of tokens, wanted images or vectors")
    choice("architecture", architecture, ARCHITECTURES)
    choice("activation", activation, ACTIVATIONS)
    choice("likelihood", likelihood, LIKELIHOODS)
    positive("latent_dim", latent_dim)
    positive("hidden", hidden)
    in_range("depth", depth, 0, 20)
    image = spec.kind == "image"
    if architecture == "conv" and not image:
        raise ValueError(f"architecture: got 'conv' with vectors '{spec.name}', wanted dense")
    usual = ("bernoulli" if spec.levels == 2 else "discretized-logistic") if image else "gaussian"
    kind: Any = usual if likelihood == "auto" else likelihood
    levels = spec.levels if image else None
    observation: Any = observation_of(
        kind, spec.shape, levels, spec.mean, spec.std, discrete=spec.discrete, sigma=sigma, learn_sigma=learn_sigma
    )
    if architecture == "conv" or (architecture == "auto" and image and min(spec.shape[1:]) >= 8):
        for option, value, default in (("depth", depth, 1), ("activation", activation, "relu")):
            if value != default:
                raise ValueError(
                    f"{option}: got {value} with the conv architecture, wanted {default}, or dense networks"
                )
        return *conv_networks(spec.shape, observation.outputs, latent_dim, hidden), observation
    unit = {"relu": nn.ReLU, "tanh": nn.Tanh}[activation]
    return *dense_networks(spec.shape, observation.outputs, latent_dim, hidden, depth, unit), observation


def _run(model: Any) -> Run:
    from thalweg.config import OptimizerConfig
    from thalweg.problems.variational import Variational
    from thalweg.training.run import Run, Stage

    stage = Stage(
        problem=Variational(model),
        steps=10_000,
        batch_size=128,
        optimizers={"model": OptimizerConfig(lr=1e-3)},
        validate_every=500,
        patience=5,  # on a thousand images it begins to learn them by heart after some 1,500 steps
    )
    return Run(model, (stage,))
