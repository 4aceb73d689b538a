"""Recipes of generative adversarial networks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from thalweg.config import setting
from thalweg.recipes.requirements import number_of_classes, refuse_tokens

if TYPE_CHECKING:
    from collections.abc import Callable

    from thalweg.config import OptimizerConfig
    from thalweg.data import Spec
    from thalweg.training.run import Run

__all__ = ["GANOptions", "dcgan", "f_gan", "gan", "hinge_gan", "sn_gan", "wgan", "wgan_gp"]

Divergence = Literal["kl", "reverse-kl", "squared-hellinger", "js", "gan", "tv", "jeffreys", "pearson", "neyman"]


@dataclass(frozen=True, kw_only=True)
class GANOptions:
    """The options that all generative adversarial networks share."""

    latent_dim: int = setting(64, "number of latent dimensions")
    hidden: int = setting(256, "units of a hidden layer (vectors), or channels of the smallest feature map (images)")
    n_critic: int = setting(1, "critic steps per generator step")
    conditional: bool = setting(False, "condition both networks on the class")


def gan(
    spec: Spec,
    *,
    common: GANOptions = GANOptions(),
    loss: Literal["non-saturating", "minimax"] = "non-saturating",
    weight: float = 1.0,
) -> Run:
    """Generative adversarial network of dense layers, of images or vectors.

    Args:
        hidden: units of a hidden layer
        n_critic: discriminator steps per generator step
        loss: minimax: the generator minimizes E log(1 - D); non-saturating: it maximizes E log D
        weight: weight λ of the generated examples in the discriminator's loss

    Reference: *Generative Adversarial Networks*, Ian Goodfellow et al., 2014, arXiv:1406.2661.
    """
    from thalweg.checks import choice
    from thalweg.objectives.adversarial import minimax, non_saturating

    losses = {"non-saturating": non_saturating, "minimax": minimax}
    gan_loss = losses[choice("loss", loss, losses)](weight)
    model = _model("gan", spec, common, convolutional=False)
    return _adversarial_run(model, gan_loss, _adam(spec, 2e-4, 0.5), n_critic=common.n_critic)


def dcgan(spec: Spec, *, common: GANOptions = GANOptions(latent_dim=100)) -> Run:
    """Deep convolutional GAN of images: strided convolutions with batch normalization.

    The paper's network for 64x64 images has 1024 channels at 4x4: --hidden 1024.

    Args:
        hidden: channels of the smallest feature map
        n_critic: discriminator steps per generator step

    Reference: *Unsupervised Representation Learning with Deep Convolutional Generative Adversarial Networks*, Alec
    Radford, Luke Metz, Soumith Chintala, 2016, arXiv:1511.06434.
    """
    from thalweg.objectives.adversarial import non_saturating

    if spec.kind != "image":
        raise ValueError(f"dcgan: got data '{spec.name}' of {spec.kind}s, wanted images (gan takes vectors)")
    model = _model("dcgan", spec, common, batch_norm=True)
    optimizer = _adam(spec, 2e-4, 0.5)
    return _adversarial_run(model, non_saturating(), optimizer, n_critic=common.n_critic, batch_size=128)


def f_gan(
    spec: Spec, *, common: GANOptions = GANOptions(), divergence: Divergence = "kl", saturating: bool = False
) -> Run:
    """f-GAN: the critic maximizes a lower bound on an f-divergence, the generator minimizes it.

    Args:
        divergence: f-divergence of the data distribution from the generated one
        saturating: the generator minimizes the bound itself, in place of the paper's surrogate

    Reference: *f-GAN: Training Generative Neural Samplers using Variational Divergence Minimization*, Sebastian
    Nowozin, Botond Cseke, Ryota Tomioka, 2016, arXiv:1606.00709.
    """
    from thalweg.objectives import adversarial
    from thalweg.objectives.f_divergence import f_divergence

    model = _model("f-gan", spec, common)
    gan_loss = adversarial.f_gan(f_divergence(divergence), saturating)
    model.rising = divergence != "reverse-kl"  # whose scores estimate log q/p
    # The gradient is clipped because some of the bounds are exponential in the score.
    return _adversarial_run(model, gan_loss, _adam(spec, 2e-4, 0.5), n_critic=common.n_critic, clip_norm=1.0)


def wgan(spec: Spec, *, common: GANOptions = GANOptions(n_critic=5), clip: float = 0.01) -> Run:
    """Wasserstein GAN with weight clipping, of images (convolutional) or vectors (dense).

    Args:
        clip: every parameter of the critic is clipped to [-clip, clip] after its step

    Reference: *Wasserstein GAN*, Martin Arjovsky, Soumith Chintala, Léon Bottou, 2017, arXiv:1701.07875.
    """
    from thalweg.config import OptimizerConfig
    from thalweg.objectives.adversarial import wasserstein

    model = _model("wgan", spec, common)
    optimizer = OptimizerConfig(name="rmsprop", lr=5e-5)
    return _adversarial_run(model, wasserstein(), optimizer, n_critic=common.n_critic, clip=clip, ema=None)


def wgan_gp(spec: Spec, *, common: GANOptions = GANOptions(n_critic=5), penalty: float | None = None) -> Run:
    """Wasserstein GAN with a gradient penalty, of images (convolutional) or vectors (dense).

    Args:
        penalty: weight of (‖gradient‖ - 1)^2 between data and generated examples; by default 10 for images, 0.1 for
            vectors, where a larger weight blurs modes that are close to each other

    Reference: *Improved Training of Wasserstein GANs*, Ishaan Gulrajani et al., 2017, arXiv:1704.00028.
    """
    from thalweg.objectives.adversarial import wasserstein

    model = _model("wgan-gp", spec, common)
    if penalty is None:
        penalty = 10.0 if spec.kind == "image" else 0.1
    optimizer = _adam(spec, 1e-4, 0.0, 0.9)
    return _adversarial_run(model, wasserstein(), optimizer, n_critic=common.n_critic, penalty=penalty)


def sn_gan(
    spec: Spec,
    *,
    common: GANOptions = GANOptions(n_critic=5),
    loss: Literal["hinge", "non-saturating", "wasserstein"] = "hinge",
    method: Literal["normalize", "project"] = "normalize",
    norm: Literal["kernel", "map"] = "kernel",
) -> Run:
    """GAN with a spectrally normalized critic, of images (convolutional) or vectors (dense).

    Args:
        loss: loss of both players
        method: normalize divides the weights by their norm in the forward pass; project divides them by max(1, norm)
            after each step
        norm: spectral norm of a convolution's kernel as a matrix, as in the paper, or of the linear map itself

    Reference: *Spectral Normalization for Generative Adversarial Networks*, Takeru Miyato et al., 2018,
    arXiv:1802.05957.
    """
    from thalweg.checks import choice
    from thalweg.models.gans.sn_gan import bounded
    from thalweg.objectives.adversarial import GANLoss, hinge, non_saturating, wasserstein

    losses: dict[str, Callable[[], GANLoss]] = {
        "hinge": hinge,
        "non-saturating": non_saturating,
        "wasserstein": wasserstein,
    }
    gan_loss, of_map = losses[choice("loss", loss, losses)](), choice("norm", norm, ("kernel", "map")) == "map"
    model = bounded(_model("sn-gan", spec, common), method, of_map=of_map)
    return _adversarial_run(model, gan_loss, _adam(spec, 2e-4, 0.0, 0.9), n_critic=common.n_critic)


def hinge_gan(spec: Spec, *, common: GANOptions = GANOptions()) -> Run:
    """GAN with the hinge loss, of images (convolutional) or vectors (dense).

    Reference: *Geometric GAN*, Jae Hyun Lim, Jong Chul Ye, 2017, arXiv:1705.02894.
    """
    from thalweg.objectives.adversarial import hinge

    model = _model("hinge-gan", spec, common)
    return _adversarial_run(model, hinge(), _adam(spec, 2e-4, 0.5), n_critic=common.n_critic)


def _adam(spec: Spec, lr: float, beta1: float, beta2: float = 0.999) -> OptimizerConfig:
    """Return Adam with the paper's rate for images; small dense networks of vectors train better at a higher rate."""
    from thalweg.config import OptimizerConfig

    return OptimizerConfig(name="adam", lr=lr if spec.kind == "image" else 1e-3, beta1=beta1, beta2=beta2)


def _model(name: str, spec: Spec, options: GANOptions, *, convolutional: bool = True, batch_norm: bool = False) -> Any:
    """Return generator and critic: convolutional for images unless `convolutional` is False, otherwise dense."""
    from functools import partial

    from thalweg.checks import positive
    from thalweg.models.gans.conditional_gan import ConditionalGAN
    from thalweg.models.gans.dcgan import conv_networks
    from thalweg.models.gans.gan import GAN, dense_networks

    refuse_tokens(name, spec)
    classes = number_of_classes(spec, options.conditional)
    latent_dim, hidden = positive("latent_dim", options.latent_dim), positive("hidden", options.hidden)
    settings: dict[str, Any] = {"latent_dim": latent_dim}
    settings |= (
        {"levels": spec.levels}
        if spec.kind == "image"
        else {"mean": spec.mean, "std": spec.std, "discrete": spec.discrete}
    )
    build_networks: Any = partial(dense_networks, hidden=hidden)
    if spec.kind == "image" and convolutional:
        build_networks = partial(conv_networks, hidden=hidden, batch_norm=batch_norm)
    if classes:
        return ConditionalGAN(build_networks, spec.shape, classes=classes, **settings)
    return GAN(build_networks(spec.shape, latent_dim), spec.shape, **settings)


def _adversarial_run(
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
    """Return the run of the two players; `ema` is the decay of the generator's averaged weights."""
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
