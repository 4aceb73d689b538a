"""Recipes of autoencoders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from thalweg.data import Spec
    from thalweg.training.run import Run

__all__ = ["autoencoder", "data_of", "denoising_autoencoder", "linear_autoencoder", "network_of", "one_stage"]


def autoencoder(
    spec: Spec,
    *,
    latent_dim: int = 20,
    hidden: int = 256,
    depth: int = 1,
    architecture: Literal["auto", "dense", "conv"] = "auto",
    tied: bool = False,
) -> Run:
    """Autoencoder of images or vectors: a short code and its reconstruction, trained on the squared error.

    Args:
        latent_dim: numbers in the code
        hidden: units of a hidden layer
        depth: hidden layers each way (dense)
        architecture: dense is fully connected; conv halves images down to 4×4; auto is conv for images
        tied: the decoder's weights are the encoder's, transposed (dense only)

    Reference: Hinton, Salakhutdinov, *Reducing the dimensionality of data with neural networks*, 2006.
    """
    from thalweg.problems.autoencoding import Autoencoding

    model = network_of("autoencoder", spec, latent_dim, hidden, depth, architecture, tied)
    return one_stage(model, Autoencoding(model))


def denoising_autoencoder(
    spec: Spec,
    *,
    corruption: Literal["gaussian", "masking", "salt-and-pepper"] = "gaussian",
    level: float = 0.3,
    latent_dim: int = 20,
    hidden: int = 256,
    depth: int = 1,
    architecture: Literal["auto", "dense", "conv"] = "auto",
    tied: bool = False,
) -> Run:
    """Denoising autoencoder of images or vectors: it restores examples from damaged ones.

    Args:
        corruption: gaussian adds noise; masking sets values to 0; salt-and-pepper, of images, to black or white
        level: standard deviation of the noise (images in [0, 1], vectors standardized), or the share of damaged values
        latent_dim: numbers in the code
        hidden: units of a hidden layer
        depth: hidden layers each way (dense)
        architecture: dense is fully connected; conv halves images down to 4×4; auto is conv for images
        tied: the decoder's weights are the encoder's, transposed (dense only)

    Reference: Vincent, Larochelle, Bengio, Manzagol, *Extracting and composing robust features with denoising
    autoencoders*, 2008.
    """
    from thalweg.problems.autoencoding import Denoising

    model = network_of("denoising-autoencoder", spec, latent_dim, hidden, depth, architecture, tied)
    return one_stage(model, Denoising(model, corruption_of(spec, corruption, level)))


def linear_autoencoder(spec: Spec, *, latent_dim: int = 20, tied: bool = False) -> Run:
    """Linear autoencoder of images or vectors: x̂ = W₁W₂x of centered data; the optimum spans the subspace of PCA.

    Args:
        latent_dim: latent dimensions, at most as many as an example has values
        tied: W₂ is W₁ transposed

    Reference: Bourlard, Kamp, *Auto-association by multilayer perceptrons and singular value decomposition*, 1988.
    Baldi, Hornik, *Neural networks and principal component analysis*, 1989.
    """
    from thalweg.models.autoencoders import linear_autoencoder as own
    from thalweg.problems.autoencoding import Autoencoding

    model = own.linear_autoencoder(spec.shape, latent_dim, tied=tied, **data_of("linear-autoencoder", spec))
    return one_stage(model, Autoencoding(model))


def data_of(name: str, spec: Spec) -> dict[str, Any]:
    """Return the levels of images, or the mean and std of vectors; raise ValueError for tokens."""
    if spec.kind == "tokens":
        raise ValueError(f"{name}: got data '{spec.name}' of tokens, wanted images or vectors")
    return {"levels": spec.levels if spec.kind == "image" else None, "mean": spec.mean, "std": spec.std}


def corruption_of(spec: Spec, kind: str, level: float) -> Any:
    """Return the corruption; raise ValueError for salt and pepper on vectors, which have no black and white."""
    from thalweg.models.autoencoders.denoising_autoencoder import Corruption

    corruption = Corruption(kind, level)
    if kind == "salt-and-pepper" and spec.kind != "image":
        raise ValueError(f"corruption: got '{kind}' with vectors '{spec.name}', wanted gaussian or masking")
    return corruption


def one_stage(model: Any, problem: Any) -> Run:
    """Return a run of one stage: Adam, and a rate that falls to 0 along a cosine."""
    from thalweg.config import OptimizerConfig, ScheduleConfig
    from thalweg.training.run import Run, Stage

    stage = Stage(
        problem=problem,
        steps=5_000,
        batch_size=128,
        optimizers={"model": OptimizerConfig(lr=1e-3)},
        schedules={"model": ScheduleConfig(name="cosine")},
    )
    return Run(model, (stage,))


def network_of(name: str, spec: Spec, latent_dim: int, hidden: int, depth: int, architecture: str, tied: bool) -> Any:
    """Return the autoencoder of that architecture; raise ValueError where it does not go with the data."""
    from thalweg.checks import choice, in_range, positive
    from thalweg.models.autoencoders.autoencoder import conv_autoencoder, dense_autoencoder

    data = data_of(name, spec)
    levels = data["levels"]
    choice("architecture", architecture, ("auto", "dense", "conv"))
    positive("hidden", hidden)
    in_range("depth", depth, 0, 20)
    if architecture == "conv" and levels is None:
        raise ValueError(f"architecture: got 'conv' with vectors '{spec.name}', wanted dense")
    if architecture == "conv" or (architecture == "auto" and levels is not None and min(spec.shape[1:]) >= 8):
        if tied:
            raise ValueError("tied: got conv, wanted --architecture dense")
        if depth != 1:
            raise ValueError(f"depth: got {depth} with the conv architecture, wanted 1, or --architecture dense")
        return conv_autoencoder(spec.shape, latent_dim, hidden, levels=levels)
    return dense_autoencoder(spec.shape, latent_dim, (hidden,) * depth, tied=tied, **data)
