"""One object that looks inside a network of images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from thalweg.interpretability.adversary import adversary
from thalweg.interpretability.ascent import ascend
from thalweg.interpretability.dynamics import activation_statistics
from thalweg.interpretability.embed import embed
from thalweg.interpretability.filters import activations, filters, top_patches
from thalweg.interpretability.gradients import backpropagated, saliency
from thalweg.interpretability.landscape import landscape
from thalweg.interpretability.neighbors import neighbors
from thalweg.interpretability.network import Network, Progress, Target
from thalweg.interpretability.occlusion import occlusion
from thalweg.interpretability.result import Explanation
from thalweg.interpretability.sanity import sanity
from thalweg.interpretability.segmentation import segment

if TYPE_CHECKING:
    from thalweg.recipes.runs import Opened

__all__ = ["Probe"]


class Probe(Network):
    """Looks inside any `nn.Module` that maps images to the scores (logits) of K classes.

    Images are (B, C, H, W), or one image (C, H, W), with values in [0, 1]. `normalize` maps them to what the model
    wants: a mean and a standard deviation per channel, or a function; it is part of what is differentiated. `score` is
    the name of the model's method that maps normalized images to scores. `classes` are the names of the classes.
    `layers` are the names of the modules that can be selected, by default all; `layers()` then lists those without
    submodules.

    The model is never changed: within a method it is in evaluation mode, and afterwards its mode, hooks and gradients
    are as before. Images are processed in chunks that fit into the memory.

    Raises ValueError for batch normalization that would use the statistics of the batch.

    >>> import torch
    >>> from torch import nn
    >>> network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 5))
    >>> probe = Probe(network)
    >>> probe.layers()
    ['0', '1', '2', '3']
    >>> probe.saliency(torch.rand(3, 1, 4, 4), target=2).values.shape
    torch.Size([3, 4, 4])
    """

    @classmethod
    def of(cls, run: Path | str | Opened) -> Probe:
        """Return a probe of a run's model; its raw units are those of the run's data, converted from [0, 1].

        `run` is a run folder, or a run that `thalweg.recipes.runs.open_run` has opened.

        Raises ValueError for a run of other data than images, and for a model that does not classify.
        """
        from thalweg.abilities import Classifies, has_ability
        from thalweg.recipes.runs import Opened, open_run

        opened = run if isinstance(run, Opened) else open_run(run, device="cpu")
        spec, model = opened.spec, opened.model
        if spec.kind != "image" or not has_ability(model, Classifies):
            raise ValueError(f"run: got {opened.config.recipe} on {spec.name}, wanted a classifier of images")
        assert spec.levels
        top = spec.levels - 1
        model.eval()
        return cls(model, normalize=lambda x: x * top, classes=spec.classes, score="logits", shape=spec.shape)

    def saliency(self, x: Tensor, target: Target = None, *, progress: Progress | None = None) -> Explanation:
        """Return the maps max_c |∂S/∂x_c|, (B, H, W); see `thalweg.interpretability.gradients.saliency`."""
        return saliency(self, x, target, progress=progress)

    def occlusion(self, x: Tensor, target: Target = None, **settings: Any) -> Explanation:
        """Return Zeiler's maps of a covered square; see `thalweg.interpretability.occlusion.occlusion`."""
        return occlusion(self, x, target, **settings)

    def segment(self, x: Tensor, target: Target = None, *, progress: Progress | None = None) -> Explanation:
        """Return the pixels of the object, (B, H, W); see `thalweg.interpretability.segmentation.segment`."""
        return segment(self, x, target, progress=progress)

    def filters(self, layer: str) -> Explanation:
        """Return the filters of a convolution, (K, C, h, w); see `thalweg.interpretability.filters.filters`."""
        return filters(self, layer)

    def activations(self, x: Tensor, layer: str, **settings: Any) -> Explanation:
        """Return the activations of a layer; see `thalweg.interpretability.filters.activations`."""
        return activations(self, x, layer, **settings)

    def top_patches(self, images: Tensor, layer: str, **settings: Any) -> Explanation:
        """Return the patches that activate a channel most; see `thalweg.interpretability.filters.top_patches`."""
        return top_patches(self, images, layer, **settings)

    def neighbors(self, x: Tensor, images: Tensor, layer: str, **settings: Any) -> Explanation:
        """Return the nearest images in feature space; see `thalweg.interpretability.neighbors.neighbors`."""
        return neighbors(self, x, images, layer, **settings)

    def embed(self, images: Tensor, layer: str, **settings: Any) -> Explanation:
        """Return a layer's images in the plane by t-SNE, (n, 2); see `thalweg.interpretability.embed.embed`."""
        return embed(self, images, layer, **settings)

    def ascend(self, target: int | str, shape: tuple[int, ...] | None = None, **settings: Any) -> Explanation:
        """Return the image that a class or unit responds to most; see `thalweg.interpretability.ascent.ascend`."""
        return ascend(self, target, shape, **settings)

    def adversary(self, x: Tensor, target: Target = None, **settings: Any) -> Explanation:
        """Return images of another class near x; see `thalweg.interpretability.adversary.adversary`."""
        return adversary(self, x, target, **settings)

    def gradient(self, x: Tensor, target: Target = None, **settings: Any) -> Explanation:
        """Return ∂S/∂x, (B, C, H, W); see `thalweg.interpretability.gradients.backpropagated`."""
        return backpropagated(self, x, "gradient", target, **settings)

    def guided(self, x: Tensor, target: Target = None, **settings: Any) -> Explanation:
        """Return guided backpropagation; see `thalweg.interpretability.gradients.backpropagated`."""
        return backpropagated(self, x, "guided", target, **settings)

    def deconv(self, x: Tensor, target: Target = None, **settings: Any) -> Explanation:
        """Return the DeconvNet's projection; see `thalweg.interpretability.gradients.backpropagated`."""
        return backpropagated(self, x, "deconv", target, **settings)

    def sanity(self, x: Tensor, method: Any = "gradient", target: Target = None, **settings: Any) -> Explanation:
        """Return whether maps depend on the weights, (layers, 2); see `thalweg.interpretability.sanity.sanity`."""
        return sanity(self, x, method, target, **settings)

    def activation_statistics(self, x: Tensor, *, progress: Progress | None = None) -> Explanation:
        """Return mean, std and share of zeros by layer; see `thalweg.interpretability.dynamics`."""
        return activation_statistics(self, x, progress=progress)

    def landscape(
        self, x: Tensor, labels: Target, directions: Any = ("random", "random"), **settings: Any
    ) -> Explanation:
        """Return the loss on a slice of the weights; see `thalweg.interpretability.landscape.landscape`."""
        return landscape(self, x, labels, directions, **settings)
