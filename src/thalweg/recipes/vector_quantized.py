"""Recipes of vector-quantized autoencoders: the autoencoder is trained first, then a prior of its codes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from thalweg.config import setting
from thalweg.recipes.requirements import number_of_classes, refuse_tokens
from thalweg.recipes.vaes import Likelihood, likelihood_of

if TYPE_CHECKING:
    from thalweg.data import Spec
    from thalweg.training.run import Run

__all__ = ["VQOptions", "vq_vae", "vq_vae_2"]


@dataclass(frozen=True, kw_only=True)
class VQOptions:
    """The options that vector-quantized autoencoders share."""

    codes: int | None = setting(None, "vectors in each codebook")
    dim: int = setting(64, "dimensions of a code vector")
    hidden: int = setting(64, "channels of the convolutions, and features of the prior of the codes")
    layers: int = setting(6, "gated layers of each PixelCNN, the prior of an image's codes")
    likelihood: Likelihood = setting(
        "auto",
        "distribution of x given its codes; auto: discretized-logistic for images, bernoulli for images with 2 levels, "
        "gaussian for vectors",
    )
    codebook: Literal["ema", "loss"] = setting(
        "ema",
        "ema: each code vector is a running mean of the encoder outputs assigned to it; loss: it minimizes the squared "
        "distance to them by gradient descent",
    )
    commitment: float = setting(0.25, "weight of the squared distance between encoder outputs and their codes")
    restart: bool = setting(True, "restart rarely used codes at encoder outputs of the batch")
    conditional: bool = setting(False, "condition the prior of the codes on the class")


def vq_vae(spec: Spec, *, common: VQOptions = VQOptions(), places: int = 1) -> Run:
    """VQ-VAE of images or vectors: an autoencoder with discrete codes, then a prior of the codes.

    Args:
        codes: vectors in the codebook; by default 512 for images, 64 for vectors
        hidden: channels of the convolutions, units of the layers, and features of the prior of the codes
        places: codes per example of vectors; an image has a grid of a quarter of its sides (half, below 16 pixels)

    Reference: *Neural Discrete Representation Learning*, Aäron van den Oord, Oriol Vinyals, Koray Kavukcuoglu, 2017,
    arXiv:1711.00937.
    """
    from thalweg.models.autoregressive.pixelcnn import PixelCNN
    from thalweg.models.autoregressive.table import CodeTable
    from thalweg.models.vaes.vq_networks import dense_networks, downward, grid_sizes, upward
    from thalweg.models.vaes.vq_vae import QuantizedAutoencoder
    from thalweg.nn.quantize import Quantizer

    likelihood = _likelihood("vq-vae", spec, common)
    codes = common.codes if common.codes is not None else 512 if spec.kind == "image" else 64
    dim, hidden, outputs = common.dim, common.hidden, likelihood.outputs
    quantizer = Quantizer(codes, dim, moving=_moving(common))
    context = number_of_classes(spec, common.conditional)
    encoder: Any
    decoder: Any
    prior: Any
    if spec.kind == "image":
        if places != 1:
            raise ValueError(f"places: got {places} with images '{spec.name}', wanted vectors")
        sizes = grid_sizes(spec.shape, halvings(spec))
        grid: tuple[int, ...] = sizes[-1]
        encoder = downward(spec.shape[0], dim, hidden, sizes)
        decoder = upward(dim, outputs * spec.shape[0], hidden, sizes)
        prior = PixelCNN((1, *grid), codes, hidden=hidden, layers=common.layers, context=context, embedding=hidden)
    else:
        grid = (places,)
        encoder, decoder = dense_networks(spec.shape, outputs, dim, places, hidden)
        prior = CodeTable(places, codes, context=context)
    return _run(QuantizedAutoencoder(encoder, quantizer, decoder, likelihood, grid), prior, common)


def vq_vae_2(spec: Spec, *, common: VQOptions = VQOptions(codes=512)) -> Run:
    """VQ-VAE-2 of images: an autoencoder with a coarse and a fine grid of codes, then a prior of the codes.

    Args:
        likelihood: distribution of x given its codes; auto: discretized-logistic, or bernoulli for images with 2 levels

    Reference: *Generating Diverse High-Fidelity Images with VQ-VAE-2*, Ali Razavi, Aäron van den Oord, Oriol Vinyals,
    2019, arXiv:1906.00446.
    """
    from thalweg.models.vaes.vq_vae_2 import HierarchicalAutoencoder, HierarchicalPrior

    if spec.kind == "vector":
        raise ValueError(f"vq-vae-2: got data '{spec.name}' of vectors, wanted images (vq-vae takes vectors)")
    likelihood = _likelihood("vq-vae-2", spec, common)
    context = number_of_classes(spec, common.conditional)
    codes, hidden = 512 if common.codes is None else common.codes, common.hidden
    autoencoder = HierarchicalAutoencoder(
        spec.shape,
        likelihood,
        codes=codes,
        dim=common.dim,
        hidden=hidden,
        halvings=halvings(spec),
        moving=_moving(common),
    )
    grids = autoencoder.top_grid, autoencoder.bottom_grid
    prior = HierarchicalPrior(*grids, codes, hidden=hidden, layers=common.layers, context=context)
    return _run(autoencoder, prior, common)


def halvings(spec: Spec) -> int:
    """Return how often an image is halved: twice as in the paper, once where that would leave less than 4×4."""
    return 2 if min(spec.shape[1:]) >= 16 else 1


def _moving(options: VQOptions) -> bool:
    """Return whether the code vectors are running means."""
    from thalweg.checks import choice

    return choice("codebook", options.codebook, ("ema", "loss")) == "ema"


def _likelihood(name: str, spec: Spec, options: VQOptions) -> Any:
    from thalweg.checks import positive

    refuse_tokens(name, spec)
    positive("hidden", options.hidden)
    return likelihood_of(spec, options.likelihood)


def _run(autoencoder: Any, prior: Any, options: VQOptions) -> Run:
    from thalweg.config import OptimizerConfig, ScheduleConfig
    from thalweg.models.vaes.vq_vae import VQVAE
    from thalweg.problems.quantizing import CodeLikelihood, Quantizing
    from thalweg.recipes.autoregressive import conditioned
    from thalweg.training.run import Run, Stage

    model = VQVAE(autoencoder, conditioned(prior))
    first = Stage(
        problem=Quantizing(model, commitment=options.commitment, restart=options.restart),
        steps=4_000,
        batch_size=64,
        validate_every=250,
        patience=5,
        optimizers={"autoencoder": OptimizerConfig(lr=1e-3)},
        name="autoencoder",
    )
    second = Stage(
        problem=CodeLikelihood(model),
        steps=4_000,
        batch_size=64,
        validate_every=250,
        patience=5,
        optimizers={"prior": OptimizerConfig(lr=1e-3)},
        schedules={"prior": ScheduleConfig(name="cosine", warmup=50)},
        name="prior",
    )
    return Run(model, (first, second))
