"""Recipes of vector-quantized autoencoders: the autoencoder first, then a prior of its codes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from thalweg.data import Spec
    from thalweg.training.run import Run

__all__ = ["vq_vae", "vq_vae_2"]

Likelihoods = Literal["auto", "bernoulli", "gaussian", "discretized-logistic"]


def vq_vae(
    spec: Spec,
    *,
    codes: int | None = None,
    dim: int = 64,
    places: int = 1,
    hidden: int = 64,
    layers: int = 6,
    likelihood: Likelihoods = "auto",
    codebook: Literal["ema", "loss"] = "ema",
    commitment: float = 0.25,
    restart: bool = True,
    conditional: bool = False,
) -> Run:
    """VQ-VAE of images or vectors: an autoencoder through the nearest vectors of a codebook, then a prior of the codes.

    Args:
        codes: vectors in the codebook; by default 512 for images, 64 for vectors
        dim: numbers in such a vector
        places: codes of one example of vectors; an image has a grid of a quarter of its sides (half, below 16)
        hidden: channels of the convolutions, units of the layers, and features of the prior of the codes
        layers: gated layers of the PixelCNN, which is the prior of an image's codes
        likelihood: distribution of x given its codes; auto: discretized-logistic, bernoulli of 2 levels, gaussian of
            vectors
        codebook: ema keeps running means of what each code is nearest to; loss descends the squared distance
        commitment: weight of the squared distance that draws the encoder to the codes
        restart: codes that are hardly used begin again on vectors of the batch
        conditional: one prior of the codes for each class

    Reference: Neural Discrete Representation Learning, Aäron van den Oord, Oriol Vinyals, Koray Kavukcuoglu, 2017,
    arXiv 1711.00937.
    """
    from thalweg.checks import choice
    from thalweg.models.autoregressive.pixelcnn import PixelCNN
    from thalweg.models.autoregressive.table import CodeTable
    from thalweg.models.vaes.vq_networks import dense_networks, downward, grid_sizes, upward
    from thalweg.models.vaes.vq_vae import QuantizedAutoencoder
    from thalweg.nn.quantize import Quantizer
    from thalweg.recipes.autoregressive import classes

    observation = _observation("vq-vae", spec, likelihood, hidden)
    count = codes if codes is not None else 512 if spec.kind == "image" else 64
    outputs: int = observation.outputs
    quantizer = Quantizer(count, dim, moving=choice("codebook", codebook, ("ema", "loss")) == "ema")
    context = classes("conditional", spec) if conditional else 0
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
        prior = PixelCNN((1, *grid), count, hidden=hidden, layers=layers, context=context, embedding=hidden)
    else:
        grid = (places,)
        encoder, decoder = dense_networks(spec.shape, outputs, dim, places, hidden)
        prior = CodeTable(places, count, context=context)
    autoencoder = QuantizedAutoencoder(encoder, quantizer, decoder, observation, grid)
    return _run(autoencoder, prior, commitment, restart)


def vq_vae_2(
    spec: Spec,
    *,
    codes: int = 512,
    dim: int = 64,
    hidden: int = 64,
    layers: int = 6,
    likelihood: Likelihoods = "auto",
    codebook: Literal["ema", "loss"] = "ema",
    commitment: float = 0.25,
    restart: bool = True,
    conditional: bool = False,
) -> Run:
    """VQ-VAE-2 of images: a coarse and a fine grid of codes, then a prior of the coarse codes and of the fine codes
    given them.

    Args:
        codes: vectors in either codebook
        dim: numbers in such a vector
        hidden: channels of the convolutions, and features of the prior of the codes
        layers: gated layers of either PixelCNN
        likelihood: distribution of x given its codes; auto: discretized-logistic, bernoulli of 2 levels
        codebook: ema keeps running means of what each code is nearest to; loss descends the squared distance
        commitment: weight of the squared distance that draws the encoder to the codes
        restart: codes that are hardly used begin again on vectors of the batch
        conditional: one prior of the codes for each class

    Reference: Generating Diverse High-Fidelity Images with VQ-VAE-2, Ali Razavi, Aäron van den Oord, Oriol Vinyals,
    2019, arXiv 1906.00446.
    """
    from thalweg.checks import choice
    from thalweg.models.vaes.vq_vae_2 import HierarchicalAutoencoder, HierarchicalPrior
    from thalweg.recipes.autoregressive import classes

    if spec.kind == "vector":
        raise ValueError(f"vq-vae-2: got data '{spec.name}' of vectors, wanted images (vq-vae takes vectors)")
    observation = _observation("vq-vae-2", spec, likelihood, hidden)
    context = classes("conditional", spec) if conditional else 0
    autoencoder = HierarchicalAutoencoder(
        spec.shape,
        observation,
        codes=codes,
        dim=dim,
        hidden=hidden,
        halvings=halvings(spec),
        moving=choice("codebook", codebook, ("ema", "loss")) == "ema",
    )
    grids = autoencoder.top_grid, autoencoder.bottom_grid
    prior = HierarchicalPrior(*grids, codes, hidden=hidden, layers=layers, context=context)
    return _run(autoencoder, prior, commitment, restart)


def halvings(spec: Spec) -> int:
    """Return how often an image is halved: twice as in the paper, once where that would leave less than 4×4."""
    return 2 if min(spec.shape[1:]) >= 16 else 1


def _observation(name: str, spec: Spec, likelihood: str, hidden: int) -> Any:
    from thalweg.checks import choice, positive
    from thalweg.models.vaes.observations import observation_of

    if spec.kind == "tokens":
        raise ValueError(f"{name}: got data '{spec.name}' of tokens, wanted images or vectors")
    choice("likelihood", likelihood, ("auto", "bernoulli", "gaussian", "discretized-logistic"))
    positive("hidden", hidden)
    image = spec.kind == "image"
    usual = ("bernoulli" if spec.levels == 2 else "discretized-logistic") if image else "gaussian"
    kind: Any = usual if likelihood == "auto" else likelihood
    levels = spec.levels if image else None
    return observation_of(kind, spec.shape, levels, spec.mean, spec.std, discrete=spec.discrete)


def _run(autoencoder: Any, prior: Any, commitment: float, restart: bool) -> Run:
    from thalweg.config import OptimizerConfig, ScheduleConfig
    from thalweg.models.vaes.vq_vae import VQVAE
    from thalweg.problems.quantizing import CodeLikelihood, Quantizing
    from thalweg.recipes.autoregressive import conditioned
    from thalweg.training.run import Run, Stage

    model = VQVAE(autoencoder, conditioned(prior))
    first = Stage(
        problem=Quantizing(model, commitment=commitment, restart=restart),
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
