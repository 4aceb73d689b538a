"""Recipes of autoencoders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from thalweg.config import setting
from thalweg.recipes.requirements import refuse_tokens

if TYPE_CHECKING:
    from thalweg.data import Spec
    from thalweg.training.run import Run

__all__ = [
    "AutoencoderNetwork",
    "CorruptionOptions",
    "autoencoder",
    "denoising_autoencoder",
    "linear_autoencoder",
    "one_stage",
    "scaling_of",
]


@dataclass(frozen=True, kw_only=True)
class AutoencoderNetwork:
    """Encoder and decoder: the options that autoencoders share, and the network that they describe."""

    latent_dim: int = setting(20, "number of latent dimensions")
    hidden: int = setting(256, "units of a hidden layer")
    depth: int = setting(1, "hidden layers of the encoder and of the decoder (dense)")
    architecture: Literal["auto", "dense", "conv"] = setting(
        "auto", "dense is fully connected; conv halves images down to 4×4; auto is conv for images"
    )
    tied: bool = setting(False, "the decoder's weights are the encoder's, transposed (dense only)")

    def build(self, name: str, spec: Spec) -> Any:
        """Return the network; raise ValueError, naming the recipe or the option, where it does not fit the data."""
        from thalweg.checks import choice, in_range, positive
        from thalweg.models.autoencoders.autoencoder import conv_autoencoder, dense_autoencoder

        scaling = scaling_of(name, spec)
        levels = scaling["levels"]
        choice("architecture", self.architecture, ("auto", "dense", "conv"))
        positive("hidden", self.hidden)
        in_range("depth", self.depth, 0, 20)
        if self.architecture == "conv" and levels is None:
            raise ValueError(f"architecture: got 'conv' with vectors '{spec.name}', wanted dense")
        large_image = levels is not None and min(spec.shape[1:]) >= 8
        if self.architecture == "conv" or (self.architecture == "auto" and large_image):
            if self.tied:
                raise ValueError("tied: got conv, wanted --architecture dense")
            if self.depth != 1:
                raise ValueError(
                    f"depth: got {self.depth} with the conv architecture, wanted 1, or --architecture dense"
                )
            return conv_autoencoder(spec.shape, self.latent_dim, self.hidden, levels=levels)
        return dense_autoencoder(spec.shape, self.latent_dim, (self.hidden,) * self.depth, tied=self.tied, **scaling)


@dataclass(frozen=True, kw_only=True)
class CorruptionOptions:
    """How denoising autoencoders corrupt their inputs."""

    corruption: Literal["gaussian", "masking", "salt-and-pepper"] = setting(
        "gaussian",
        "gaussian adds noise; masking sets values to 0; salt-and-pepper (images) sets them to black or white",
    )
    level: float = setting(
        0.3,
        "standard deviation of the noise (images in [0, 1], vectors standardized), or the share of corrupted values",
    )

    def build(self, spec: Spec) -> Any:
        """Return the corruption; raise ValueError for salt-and-pepper noise of vectors."""
        from thalweg.models.autoencoders.denoising_autoencoder import Corruption

        corruption = Corruption(self.corruption, self.level)
        if self.corruption == "salt-and-pepper" and spec.kind != "image":
            raise ValueError(
                f"corruption: got '{self.corruption}' with vectors '{spec.name}', wanted gaussian or masking"
            )
        return corruption


def autoencoder(spec: Spec, *, network: AutoencoderNetwork = AutoencoderNetwork()) -> Run:
    """Autoencoder of images or vectors: a code of few dimensions and its reconstruction, trained on the squared error.

    Reference: *Reducing the Dimensionality of Data with Neural Networks*, Geoffrey Hinton, Ruslan Salakhutdinov, 2006.
    """
    from thalweg.problems.autoencoding import Autoencoding

    model = network.build("autoencoder", spec)
    return one_stage(model, Autoencoding(model))


def denoising_autoencoder(
    spec: Spec,
    *,
    noise: CorruptionOptions = CorruptionOptions(),
    network: AutoencoderNetwork = AutoencoderNetwork(),
) -> Run:
    """Denoising autoencoder of images or vectors: it reconstructs examples from corrupted ones.

    Reference: *Extracting and Composing Robust Features with Denoising Autoencoders*, Pascal Vincent, Hugo Larochelle,
    Yoshua Bengio, Pierre-Antoine Manzagol, 2008.
    """
    from thalweg.problems.autoencoding import Denoising

    model = network.build("denoising-autoencoder", spec)
    return one_stage(model, Denoising(model, noise.build(spec)))


def linear_autoencoder(spec: Spec, *, latent_dim: int = 20, tied: bool = False) -> Run:
    """Linear autoencoder of images or vectors: x̂ = W₁W₂x of centered data; the optimum spans the subspace of PCA.

    Args:
        latent_dim: number of latent dimensions, at most the number of values of an example
        tied: W₂ is W₁ transposed

    Reference: *Auto-Association by Multilayer Perceptrons and Singular Value Decomposition*, Hervé Bourlard, Yves Kamp,
    1988. *Neural Networks and Principal Component Analysis*, Pierre Baldi, Kurt Hornik, 1989.
    """
    from thalweg.models.autoencoders import linear_autoencoder as own
    from thalweg.problems.autoencoding import Autoencoding

    scaling = scaling_of("linear-autoencoder", spec)
    model = own.linear_autoencoder(spec.shape, latent_dim, tied=tied, **scaling)
    return one_stage(model, Autoencoding(model))


def scaling_of(name: str, spec: Spec) -> dict[str, Any]:
    """Return the levels of images, or None, and the mean and std of the data; raise ValueError for tokens."""
    refuse_tokens(name, spec)
    return {"levels": spec.levels if spec.kind == "image" else None, "mean": spec.mean, "std": spec.std}


def one_stage(model: Any, problem: Any) -> Run:
    """Return a run of one stage: Adam with a learning rate that decays to 0 along a cosine."""
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
