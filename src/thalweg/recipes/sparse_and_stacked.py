"""Recipes of sparse and of stacked autoencoders: one fully connected layer each way, or a stack of such."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from thalweg.recipes.autoencoders import corruption_of, data_of, one_stage

if TYPE_CHECKING:
    from thalweg.data import Spec
    from thalweg.training.run import Run

__all__ = ["k_sparse_autoencoder", "sparse_autoencoder", "stacked_denoising_autoencoder"]


def sparse_autoencoder(
    spec: Spec,
    *,
    latent_dim: int = 256,
    penalty: Literal["l1", "kl"] = "l1",
    weight: float = 0.1,
    target: float = 0.05,
) -> Run:
    """Sparse autoencoder of images or vectors: a long code that is mostly 0, by a penalty on its activity.

    Args:
        latent_dim: numbers in the code, rather more than needed
        penalty: l1 is the sum of a ReLU code; kl the divergence of a sigmoid code's mean activities from the target
        weight: of the penalty, beside the squared error
        target: share of the time that a unit should be active (kl)

    Reference: Ranzato, Poultney, Chopra, LeCun, *Efficient learning of sparse representations with an energy-based
    model*, 2007. Ranzato, Boureau, LeCun, *Sparse feature learning for deep belief networks*, 2008.
    """
    from thalweg.models.autoencoders import sparse_autoencoder as own
    from thalweg.problems.autoencoding import SparseAutoencoding

    unit = "sigmoid" if penalty == "kl" else "relu"
    model = own.sparse_autoencoder(spec.shape, latent_dim, activation=unit, **data_of("sparse-autoencoder", spec))
    return one_stage(model, SparseAutoencoding(model, penalty=penalty, weight=weight, target=target))


def k_sparse_autoencoder(spec: Spec, *, latent_dim: int = 256, k: int = 15, alpha: float = 1.0) -> Run:
    """k-sparse autoencoder of images or vectors: a long linear code of which only the k largest numbers are kept.

    Args:
        latent_dim: numbers in the code, rather more than needed
        k: numbers that are kept; with few, some units never learn
        alpha: times as many are kept after training

    Reference: k-Sparse Autoencoders, Alireza Makhzani, Brendan Frey, 2013, arXiv 1312.5663.
    """
    from thalweg.models.autoencoders import k_sparse_autoencoder as own
    from thalweg.problems.autoencoding import Autoencoding

    data = data_of("k-sparse-autoencoder", spec)
    model = own.k_sparse_autoencoder(spec.shape, latent_dim, k, alpha=alpha, **data)
    return one_stage(model, Autoencoding(model))


def stacked_denoising_autoencoder(
    spec: Spec,
    *,
    latent_dim: int = 64,
    hidden: int = 256,
    layers: int = 3,
    corruption: Literal["gaussian", "masking", "salt-and-pepper"] = "masking",
    level: float = 0.25,
) -> Run:
    """Stacked denoising autoencoder of images or vectors: pretrained layer by layer, then trained as a whole.

    Args:
        latent_dim: numbers in the top layer's code
        hidden: numbers in the codes below it
        layers: how many layers, each a stage of the training; the last stage trains them all
        corruption: gaussian adds noise; masking sets values to 0; salt-and-pepper, of images, to black or white
        level: standard deviation of the noise (images in [0, 1], vectors standardized), or the share of damaged values

    Reference: Vincent, Larochelle, Lajoie, Bengio, Manzagol, *Stacked denoising autoencoders: learning useful
    representations in a deep network with a local denoising criterion*, 2010.
    """
    from thalweg.checks import in_range, positive
    from thalweg.config import OptimizerConfig, ScheduleConfig
    from thalweg.models.autoencoders import stacked_denoising_autoencoder as own
    from thalweg.problems.autoencoding import Denoising, LayerDenoising
    from thalweg.training.run import Run, Stage

    data = data_of("stacked-denoising-autoencoder", spec)
    in_range("layers", layers, 1, 20)
    sizes = (positive("hidden", hidden),) * (layers - 1) + (positive("latent_dim", latent_dim),)
    noise = corruption_of(spec, corruption, level)
    model = own.StackedDenoisingAutoencoder(spec.shape, sizes, **data)
    adam, cosine = OptimizerConfig(lr=3e-3), ScheduleConfig(name="cosine")  # sigmoids bear more than ReLUs do
    below = [
        Stage(
            problem=LayerDenoising(model, i, noise),
            steps=2_000,
            batch_size=128,
            optimizers={"layer": adam},
            schedules={"layer": cosine},
            name=f"layer-{i + 1}",
        )
        for i in range(layers)
    ]
    whole = Stage(
        problem=Denoising(model, noise),
        steps=5_000,
        batch_size=128,
        optimizers={"model": adam},
        schedules={"model": cosine},
        name="fine-tuning",
    )
    return Run(model, (*below, whole))
