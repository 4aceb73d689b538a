"""Recipes of variational autoencoders with Gaussian latent codes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from thalweg.config import setting
from thalweg.recipes.requirements import refuse_tokens

if TYPE_CHECKING:
    from thalweg.data import Spec
    from thalweg.training.run import Run

__all__ = ["VAEOptions", "beta_vae", "iwae", "likelihood_of", "vae"]

Likelihood = Literal["auto", "bernoulli", "gaussian", "discretized-logistic"]


@dataclass(frozen=True, kw_only=True)
class VAEOptions:
    """The options that all variational autoencoders share: their networks and their likelihood."""

    latent_dim: int = setting(20, "number of latent dimensions")
    hidden: int = setting(400, "units of a hidden layer (dense), or between the convolutions and z (conv)")
    depth: int = setting(1, "hidden layers of the encoder and of the decoder (dense)")
    activation: Literal["relu", "tanh"] = setting("relu", "activation of the hidden layers (dense)")
    architecture: Literal["auto", "dense", "conv"] = setting(
        "auto", "dense is fully connected; conv halves images down to 4×4; auto is conv for images"
    )
    likelihood: Likelihood = setting(
        "auto",
        "distribution of x given z; auto: discretized-logistic for images, bernoulli for images with 2 levels, "
        "gaussian for vectors",
    )
    sigma: float = setting(
        1.0, "scale of x given z, in standard deviations of the data; the initial value where it is learned"
    )
    learn_sigma: bool = setting(True, "let the decoder predict the scale of every value")


def vae(
    spec: Spec,
    *,
    common: VAEOptions = VAEOptions(),
    gradient: Literal["reparameterized", "score-function"] = "reparameterized",
) -> Run:
    """Variational autoencoder of images or vectors, trained on its evidence lower bound.

    Args:
        depth: hidden layers of the encoder and of the decoder (dense); 0 is affine, as in probabilistic PCA
        gradient: estimator of the gradient of the expectation over z; score-function is unbiased as well, but has a
            much larger variance

    Reference: *Auto-Encoding Variational Bayes*, Diederik P. Kingma, Max Welling, 2014, arXiv:1312.6114.
    """
    from thalweg.models.vaes.vae import VAE

    return _run(VAE(*_parts("vae", spec, common), common.latent_dim, gradient))


def beta_vae(spec: Spec, *, beta: float = 4.0, common: VAEOptions = VAEOptions(latent_dim=10)) -> Run:
    """β-VAE of images or vectors: a VAE whose KL term has weight β, which favors disentangled latent dimensions.

    Args:
        beta: weight of the KL term in training; the ELBO that is measured has weight 1

    Reference: *beta-VAE: Learning Basic Visual Concepts with a Constrained Variational Framework*, Irina Higgins et
    al., 2017. *Understanding disentangling in β-VAE*, Christopher Burgess et al., 2018, arXiv:1804.03599.
    """
    from thalweg.models.vaes.beta_vae import BetaVAE

    return _run(BetaVAE(*_parts("beta-vae", spec, common), common.latent_dim, beta))


def iwae(
    spec: Spec,
    *,
    draws: int = 5,
    gradient: Literal["reparameterized", "doubly-reparameterized"] = "reparameterized",
    common: VAEOptions = VAEOptions(),
) -> Run:
    """Importance-weighted autoencoder of images or vectors, trained on a bound from several samples of z.

    Args:
        draws: samples of z per example, K; 1 is the VAE
        gradient: doubly-reparameterized keeps the signal-to-noise ratio of the encoder's gradient as K grows

    Reference: *Importance Weighted Autoencoders*, Yuri Burda, Roger Grosse, Ruslan Salakhutdinov, 2016,
    arXiv:1509.00519.
    """
    from thalweg.models.vaes.iwae import IWAE

    return _run(IWAE(*_parts("iwae", spec, common), common.latent_dim, draws, gradient))


def _parts(name: str, spec: Spec, options: VAEOptions) -> tuple[Any, Any, Any]:
    """Return the encoder, the decoder and the likelihood."""
    from torch import nn

    from thalweg.checks import choice, in_range, positive
    from thalweg.models.vaes.networks import conv_networks, dense_networks

    refuse_tokens(name, spec)
    architecture = choice("architecture", options.architecture, ("auto", "dense", "conv"))
    units = {"relu": nn.ReLU, "tanh": nn.Tanh}
    choice("activation", options.activation, units)
    positive("latent_dim", options.latent_dim)
    positive("hidden", options.hidden)
    in_range("depth", options.depth, 0, 20)
    image = spec.kind == "image"
    if architecture == "conv" and not image:
        raise ValueError(f"architecture: got 'conv' with vectors '{spec.name}', wanted dense")
    likelihood = likelihood_of(spec, options.likelihood, sigma=options.sigma, learn_sigma=options.learn_sigma)
    sizes = spec.shape, likelihood.outputs, options.latent_dim, options.hidden
    if architecture == "conv" or (architecture == "auto" and image and min(spec.shape[1:]) >= 8):
        for option, value, default in (("depth", options.depth, 1), ("activation", options.activation, "relu")):
            if value != default:
                raise ValueError(f"{option}: got {value} with the conv architecture, wanted {default}, or dense")
        return *conv_networks(*sizes), likelihood
    return *dense_networks(*sizes, options.depth, units[options.activation]), likelihood


def likelihood_of(spec: Spec, name: str, **scale: Any) -> Any:
    """Return the likelihood of that name for the data, `auto` being the usual one; raise ValueError for others."""
    from thalweg.checks import choice
    from thalweg.models.vaes.observations import observation_of

    choice("likelihood", name, ("auto", "bernoulli", "gaussian", "discretized-logistic"))
    image = spec.kind == "image"
    usual = ("bernoulli" if spec.levels == 2 else "discretized-logistic") if image else "gaussian"
    kind: Any = usual if name == "auto" else name
    levels = spec.levels if image else None
    return observation_of(kind, spec.shape, levels, spec.mean, spec.std, discrete=spec.discrete, **scale)


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
        patience=5,  # with a thousand images it starts to memorize them after about 1,500 steps
    )
    return Run(model, (stage,))
