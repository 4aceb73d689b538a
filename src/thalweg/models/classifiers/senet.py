"""SENet: residual networks with squeeze-and-excitation."""

from __future__ import annotations

from collections.abc import Sequence

from thalweg.models.classifiers.resnet import ResNet

__all__ = ["SENet"]


class SENet(ResNet):
    """SE-ResNet: a ResNet whose residual branches are scaled, channel by channel, before the addition.

    The weights of the channels are computed from the means of the branch over the image by two linear layers with
    biases, reduced by 16, and a sigmoid. `depth` is that of `ResNet`. With 3×224×224 images and 1,000 classes, 18 and
    50 layers have 11,778,592 and 28,088,024 parameters.

    Reference: *Squeeze-and-Excitation Networks*, Jie Hu, Li Shen, Samuel Albanie, Gang Sun, Enhua Wu, 2017,
    arXiv:1709.01507.

    >>> sum(p.numel() for p in SENet((3, 32, 32), classes=10, depth=18).parameters())
    11263042
    """

    def __init__(
        self,
        shape: Sequence[int],
        classes: int,
        *,
        depth: int = 18,
        mean: Sequence[float] = (),
        std: Sequence[float] = (),
    ) -> None:
        super().__init__(shape, classes, depth=depth, excitation=True, mean=mean, std=std)
