"""Recipes of generative adversarial networks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

    from thalweg.config import OptimizerConfig
    from thalweg.data import Spec
    from thalweg.training.run import Run

__all__ = ["dcgan", "f_gan", "gan", "hinge_gan", "sn_gan", "wgan", "wgan_gp"]


def gan(
    spec: Spec,
    *,
    latent_dim: int = 64,
    hidden: int = 256,
    loss: Literal["non-saturating", "minimax"] = "non-saturating",
    weight: float = 1.0,
    n_critic: int = 1,
    conditional: bool = False,
) -> Run:
    """Generative adversarial network of dense layers, of images or vectors.

    Args:
        latent_dim: numbers in the latent code z
        hidden: units of a hidden layer
        loss: the generator descends E log(1 - D) in the minimax game; the non-saturating one ascends E log D
        weight: lambda, what it costs the discriminator to take a generated example for data
        n_critic: steps of the discriminator for one of the generator
        conditional: give both networks the class

    Reference: Generative Adversarial Networks, Ian Goodfellow et al., 2014, arXiv 1406.2661.
    """
    from thalweg.checks import choice
    from thalweg.objectives.adversarial import minimax, non_saturating

    games = {"non-saturating": non_saturating, "minimax": minimax}
    gan_loss = games[choice("loss", loss, games)](weight)
    model = _model("gan", spec, latent_dim, hidden, conditional, convolutional=False)
    return _played(model, gan_loss, _adam(spec, 2e-4, 0.5), n_critic=n_critic)


def dcgan(spec: Spec, *, latent_dim: int = 100, hidden: int = 256, n_critic: int = 1, conditional: bool = False) -> Run:
    """Deep convolutional GAN of images: strided convolutions, normalized over the batch.

    The paper's network for 64x64 has 1024 channels at 4x4: --hidden 1024.

    Args:
        latent_dim: numbers in the latent code z
        hidden: channels of the smallest map
        n_critic: steps of the discriminator for one of the generator
        conditional: give both networks the class

    Reference: Unsupervised Representation Learning with Deep Convolutional Generative Adversarial Networks, Alec
    Radford, Luke Metz, Soumith Chintala, 2016, arXiv 1511.06434.
    """
    from thalweg.objectives.adversarial import non_saturating

    if spec.kind != "image":
        raise ValueError(f"dcgan: got data '{spec.name}' of {spec.kind}s, wanted images (gan takes vectors)")
    model = _model("dcgan", spec, latent_dim, hidden, conditional, batch_norm=True)
    return _played(model, non_saturating(), _adam(spec, 2e-4, 0.5), n_critic=n_critic, batch_size=128)


def f_gan(
    spec: Spec,
    *,
    latent_dim: int = 64,
    hidden: int = 256,
    divergence: Literal[
        "kl", "reverse-kl", "squared-hellinger", "js", "gan", "tv", "jeffreys", "pearson", "neyman"
    ] = "kl",
    saturating: bool = False,
    n_critic: int = 1,
    conditional: bool = False,
) -> Run:
    """f-GAN: the critic bounds an f-divergence from below, the generator brings it down.

    Args:
        latent_dim: numbers in the latent code z
        hidden: units of a hidden layer (vectors), or channels of the smallest map (images)
        divergence: of the data from what is generated
        saturating: the generator descends the bound itself, in place of the paper's surrogate
        n_critic: steps of the critic for one of the generator
        conditional: give both networks the class

    Reference: f-GAN: Training Generative Neural Samplers using Variational Divergence Minimization, Sebastian Nowozin,
    Botond Cseke, Ryota Tomioka, 2016, arXiv 1606.00709.
    """
    from thalweg.objectives import adversarial
    from thalweg.objectives.f_divergence import f_divergence

    model = _model("f-gan", spec, latent_dim, hidden, conditional)
    gan_loss = adversarial.f_gan(f_divergence(divergence), saturating)
    model.rising = divergence != "reverse-kl"  # its scores are of log q/p
    # some of the bounds are exponential in the score
    return _played(model, gan_loss, _adam(spec, 2e-4, 0.5), n_critic=n_critic, clip_norm=1.0)


def wgan(
    spec: Spec,
    *,
    latent_dim: int = 64,
    hidden: int = 256,
    clip: float = 0.01,
    n_critic: int = 5,
    conditional: bool = False,
) -> Run:
    """Wasserstein GAN with weight clipping, of images (convolutional) or vectors (dense).

    Args:
        latent_dim: numbers in the latent code z
        hidden: units of a hidden layer (vectors), or channels of the smallest map (images)
        clip: every parameter of the critic is clipped to [-clip, clip] after its step
        n_critic: steps of the critic for one of the generator
        conditional: give both networks the class

    Reference: Wasserstein GAN, Martin Arjovsky, Soumith Chintala, Léon Bottou, 2017, arXiv 1701.07875.
    """
    from thalweg.config import OptimizerConfig
    from thalweg.objectives.adversarial import wasserstein

    model = _model("wgan", spec, latent_dim, hidden, conditional)
    optimizer = OptimizerConfig(name="rmsprop", lr=5e-5)
    return _played(model, wasserstein(), optimizer, n_critic=n_critic, clip=clip, ema=None)


def wgan_gp(
    spec: Spec,
    *,
    latent_dim: int = 64,
    hidden: int = 256,
    penalty: float | None = None,
    n_critic: int = 5,
    conditional: bool = False,
) -> Run:
    """Wasserstein GAN whose critic is held to slope one by a penalty, of images (convolutional) or vectors (dense).

    Args:
        latent_dim: numbers in the latent code z
        hidden: units of a hidden layer (vectors), or channels of the smallest map (images)
        penalty: weight of (slope - 1)^2 between data and generated examples; by default 10 of images, 0.1 of vectors,
            where a larger one blurs modes that lie close
        n_critic: steps of the critic for one of the generator
        conditional: give both networks the class

    Reference: Improved Training of Wasserstein GANs, Ishaan Gulrajani et al., 2017, arXiv 1704.00028.
    """
    from thalweg.objectives.adversarial import wasserstein

    model = _model("wgan-gp", spec, latent_dim, hidden, conditional)
    if penalty is None:
        penalty = 10.0 if spec.kind == "image" else 0.1
    return _played(model, wasserstein(), _adam(spec, 1e-4, 0.0, 0.9), n_critic=n_critic, penalty=penalty)


def sn_gan(
    spec: Spec,
    *,
    latent_dim: int = 64,
    hidden: int = 256,
    loss: Literal["hinge", "non-saturating", "wasserstein"] = "hinge",
    method: Literal["normalize", "project"] = "normalize",
    norm: Literal["kernel", "map"] = "kernel",
    n_critic: int = 5,
    conditional: bool = False,
) -> Run:
    """GAN with a spectrally normalized critic, of images (convolutional) or vectors (dense).

    Args:
        latent_dim: numbers in the latent code z
        hidden: units of a hidden layer (vectors), or channels of the smallest map (images)
        loss: what the players lose
        method: divide weights by their norm in the forward pass, or by max(1, norm) after each step
        norm: of a convolution's kernel as a matrix, as in the paper, or of the map that it is
        n_critic: steps of the critic for one of the generator
        conditional: give both networks the class

    Reference: Spectral Normalization for Generative Adversarial Networks, Takeru Miyato et al., 2018, arXiv 1802.05957.
    """
    from thalweg.checks import choice
    from thalweg.models.gans.sn_gan import bounded
    from thalweg.objectives.adversarial import GANLoss, hinge, non_saturating, wasserstein

    games: dict[str, Callable[[], GANLoss]] = {
        "hinge": hinge,
        "non-saturating": non_saturating,
        "wasserstein": wasserstein,
    }
    gan_loss, of_map = games[choice("loss", loss, games)](), choice("norm", norm, ("kernel", "map")) == "map"
    model = bounded(_model("sn-gan", spec, latent_dim, hidden, conditional), method, of_map=of_map)
    return _played(model, gan_loss, _adam(spec, 2e-4, 0.0, 0.9), n_critic=n_critic)


def hinge_gan(
    spec: Spec, *, latent_dim: int = 64, hidden: int = 256, n_critic: int = 1, conditional: bool = False
) -> Run:
    """GAN with the hinge loss, of images (convolutional) or vectors (dense).

    Args:
        latent_dim: numbers in the latent code z
        hidden: units of a hidden layer (vectors), or channels of the smallest map (images)
        n_critic: steps of the critic for one of the generator
        conditional: give both networks the class

    Reference: Geometric GAN, Jae Hyun Lim, Jong Chul Ye, 2017, arXiv 1705.02894.
    """
    from thalweg.objectives.adversarial import hinge

    model = _model("hinge-gan", spec, latent_dim, hidden, conditional)
    return _played(model, hinge(), _adam(spec, 2e-4, 0.5), n_critic=n_critic)


def _adam(spec: Spec, lr: float, beta1: float, beta2: float = 0.999) -> OptimizerConfig:
    """Return Adam with the paper's rate for images; small dense networks of vectors bear, and want, more."""
    from thalweg.config import OptimizerConfig

    return OptimizerConfig(name="adam", lr=lr if spec.kind == "image" else 1e-3, beta1=beta1, beta2=beta2)


def _model(
    name: str,
    spec: Spec,
    latent_dim: int,
    hidden: int,
    conditional: bool,
    *,
    convolutional: bool = True,
    batch_norm: bool = False,
) -> Any:
    """Return the generator and critic: convolutional for images where that is wanted, dense else."""
    from functools import partial

    from thalweg.checks import positive
    from thalweg.models.gans.conditional_gan import ConditionalGAN
    from thalweg.models.gans.dcgan import conv_networks
    from thalweg.models.gans.gan import GAN, dense_networks

    if spec.kind == "tokens":
        raise ValueError(f"{name}: got data '{spec.name}' of tokens, wanted images or vectors")
    if conditional and not spec.classes:
        raise ValueError(f"conditional: got data '{spec.name}' without classes, wanted labels to condition on")
    positive("latent_dim", latent_dim)
    positive("hidden", hidden)
    settings: dict[str, Any] = {"latent_dim": latent_dim}
    settings |= (
        {"levels": spec.levels}
        if spec.kind == "image"
        else {"mean": spec.mean, "std": spec.std, "discrete": spec.discrete}
    )
    make: Any = partial(dense_networks, hidden=hidden)
    if spec.kind == "image" and convolutional:
        make = partial(conv_networks, hidden=hidden, batch_norm=batch_norm)
    if conditional and spec.classes:
        return ConditionalGAN(make, spec.shape, classes=len(spec.classes), **settings)
    return GAN(make(spec.shape, latent_dim), spec.shape, **settings)


def _played(
    model: Any,
    gan_loss: Any,
    optimizer: OptimizerConfig,
    *,
    n_critic: int = 1,
    clip: float | None = None,
    penalty: float = 0.0,
    batch_size: int = 64,
    clip_norm: float | None = None,
    ema: float | None = 0.999,
) -> Run:
    """Return the run of the game, the generator's weights averaged by `ema`."""
    from thalweg.checks import positive
    from thalweg.problems.adversarial import AdversarialGame
    from thalweg.training.run import Run, Stage
    from thalweg.training.updates import Alternating

    stage = Stage(
        problem=AdversarialGame(model, gan_loss, clip=clip, penalty=penalty),
        steps=10_000,
        batch_size=batch_size,
        optimizers={"critic": optimizer, "generator": optimizer},
        update=Alternating({"critic": positive("n_critic", n_critic), "generator": 1}),
        clip_norm=clip_norm,
        ema={"generator": ema} if ema else {},
    )
    return Run(model, (stage,))
