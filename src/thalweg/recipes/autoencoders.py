"""Recipes of autoencoders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from thalweg.data import Spec
    from thalweg.training.run import Run

__all__ = ["autoencoder"]


def autoencoder(
    spec: Spec,
    *,
    latent_dim: int = 20,
    hidden: int = 256,
    architecture: Literal["auto", "dense", "conv"] = "auto",
    tied: bool = False,
) -> Run:
    """Autoencoder of images or vectors: a short code and its reconstruction, trained on the squared error.

    Args:
        latent_dim: numbers in the code
        hidden: units of the hidden layer each way
        architecture: dense is one hidden layer each way; conv halves images down to 4×4; auto is conv for images
        tied: the decoder's weights are the encoder's, transposed (dense only)

    Reference: Hinton, Salakhutdinov, *Reducing the dimensionality of data with neural networks*, 2006.
    """
    from thalweg.checks import choice, positive
    from thalweg.config import OptimizerConfig, ScheduleConfig
    from thalweg.models.autoencoders.autoencoder import conv_autoencoder, dense_autoencoder
    from thalweg.problems.autoencoding import Autoencoding
    from thalweg.training.run import Run, Stage

    if spec.kind == "tokens":
        raise ValueError(f"autoencoder: got data '{spec.name}' of tokens, wanted images or vectors")
    choice("architecture", architecture, ("auto", "dense", "conv"))
    positive("hidden", hidden)
    levels = spec.levels if spec.kind == "image" else None
    if architecture == "conv" and levels is None:
        raise ValueError(f"architecture: got 'conv' with vectors '{spec.name}', wanted dense")
    conv = architecture == "conv" or (architecture == "auto" and levels is not None and min(spec.shape[1:]) >= 8)
    if conv and tied:
        raise ValueError("tied: got conv, wanted --architecture dense")
    if conv and levels is not None:
        model = conv_autoencoder(spec.shape, latent_dim, hidden, levels=levels)
    else:
        model = dense_autoencoder(
            spec.shape, latent_dim, (hidden,), tied=tied, levels=levels, mean=spec.mean, std=spec.std
        )
    stage = Stage(
        problem=Autoencoding(model),
        steps=5_000,
        batch_size=128,
        optimizers={"model": OptimizerConfig(lr=1e-3)},
        schedules={"model": ScheduleConfig(name="cosine")},
    )
    return Run(model, (stage,))
