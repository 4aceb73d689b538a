"""Recipes of sparse and of stacked autoencoders: one fully connected layer each way, or a stack of such layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from thalweg.recipes.autoencoders import CorruptionOptions, one_stage, scaling_of

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
    """Sparse autoencoder of images or vectors: a penalty on the activations keeps most latent dimensions at 0.

    Args:
        latent_dim: number of latent dimensions, more than a dense code needs
        penalty: l1 is the sum of a ReLU code; kl is the divergence of a sigmoid code's mean activations from the target
        weight: weight of the penalty, relative to the squared error
        target: share of the examples for which a unit should be active (kl)

    Reference: *Efficient Learning of Sparse Representations with an Energy-Based Model*, Marc'Aurelio Ranzato,
    Christopher Poultney, Sumit Chopra, Yann LeCun, 2007. *Sparse Feature Learning for Deep Belief Networks*,
    Marc'Aurelio Ranzato, Y-Lan Boureau, Yann LeCun, 2008.
    """
    from thalweg.models.autoencoders import sparse_autoencoder as own
    from thalweg.problems.autoencoding import SparseAutoencoding

    unit = "sigmoid" if penalty == "kl" else "relu"
    model = own.sparse_autoencoder(spec.shape, latent_dim, activation=unit, **scaling_of("sparse-autoencoder", spec))
    return one_stage(model, SparseAutoencoding(model, penalty=penalty, weight=weight, target=target))


def k_sparse_autoencoder(spec: Spec, *, latent_dim: int = 256, k: int = 15, alpha: float = 1.0) -> Run:
    """k-sparse autoencoder of images or vectors: of a linear code only the k largest values are kept.

    Args:
        latent_dim: number of latent dimensions, more than a dense code needs
        k: number of values that are kept in training; with a small k some units are never trained
        alpha: alpha * k values are kept after training

    Reference: *k-Sparse Autoencoders*, Alireza Makhzani, Brendan Frey, 2013, arXiv:1312.5663.
    """
    from thalweg.models.autoencoders import k_sparse_autoencoder as own
    from thalweg.problems.autoencoding import Autoencoding

    scaling = scaling_of("k-sparse-autoencoder", spec)
    model = own.k_sparse_autoencoder(spec.shape, latent_dim, k, alpha=alpha, **scaling)
    return one_stage(model, Autoencoding(model))


def stacked_denoising_autoencoder(
    spec: Spec,
    *,
    latent_dim: int = 64,
    hidden: int = 256,
    layers: int = 3,
    noise: CorruptionOptions = CorruptionOptions(corruption="masking", level=0.25),
) -> Run:
    """Stacked denoising autoencoder of images or vectors: pretrained layer by layer, then trained as a whole.

    Args:
        latent_dim: number of dimensions of the top layer's code
        hidden: number of dimensions of the codes below it
        layers: number of layers, each with its own training stage; the last stage trains all layers

    Reference: *Stacked Denoising Autoencoders: Learning Useful Representations in a Deep Network with a Local Denoising
    Criterion*, Pascal Vincent, Hugo Larochelle, Isabelle Lajoie, Yoshua Bengio, Pierre-Antoine Manzagol, 2010.
    """
    from thalweg.checks import in_range, positive
    from thalweg.config import OptimizerConfig, ScheduleConfig
    from thalweg.models.autoencoders import stacked_denoising_autoencoder as own
    from thalweg.problems.autoencoding import Denoising, LayerDenoising
    from thalweg.training.run import Run, Stage

    scaling = scaling_of("stacked-denoising-autoencoder", spec)
    in_range("layers", layers, 1, 20)
    sizes = (positive("hidden", hidden),) * (layers - 1) + (positive("latent_dim", latent_dim),)
    corruption = noise.build(spec)
    model = own.StackedDenoisingAutoencoder(spec.shape, sizes, **scaling)
    adam, cosine = OptimizerConfig(lr=3e-3), ScheduleConfig(name="cosine")  # sigmoids allow a higher rate than ReLUs
    pretraining = [
        Stage(
            problem=LayerDenoising(model, i, corruption),
            steps=2_000,
            batch_size=128,
            optimizers={"layer": adam},
            schedules={"layer": cosine},
            name=f"layer-{i + 1}",
        )
        for i in range(layers)
    ]
    fine_tuning = Stage(
        problem=Denoising(model, corruption),
        steps=5_000,
        batch_size=128,
        optimizers={"model": adam},
        schedules={"model": cosine},
        name="fine-tuning",
    )
    return Run(model, (*pretraining, fine_tuning))
