"""GoogLeNet, with its two auxiliary classifiers, and a variant for small images."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from thalweg.models.classifiers.convnet import ConvNet
from thalweg.nn.dense import he_initialize
from thalweg.nn.inception import InceptionModule, conv

__all__ = ["IMAGENET_MIN_SIDE", "MODULES", "GoogLeNet"]

# Rows of Table 1: channels of 1×1; reduction for 3×3, 3×3; reduction for 5×5, 5×5; 1×1 after pooling
MODULES = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}
IMAGENET_MIN_SIDE = 64  # smallest side for the stem of the paper
MIN_SIDE = 4  # smallest side at all: three poolings of stride 2


class _Auxiliary(nn.Sequential):
    """A classifier of the maps inside the network: 5×5 mean pooling, 1×1 convolution, two linear layers."""

    def __init__(self, c_in: int, side: Sequence[int], classes: int) -> None:
        height, width = ((n - 5) // 3 + 1 for n in side)
        super().__init__(
            nn.AvgPool2d(5, 3), conv(c_in, 128, 1), nn.Flatten(),
            nn.Linear(128 * height * width, 1024), nn.ReLU(inplace=True), nn.Dropout(0.7), nn.Linear(1024, classes),
        )  # fmt: skip


class GoogLeNet(ConvNet):
    """GoogLeNet (Inception v1): a stem, nine Inception modules, global average pooling, dropout and a linear layer.

    With 3×224×224 images and 1,000 classes there are 6,998,552 parameters. `auxiliary` adds the classifiers of modules
    4a and 4d, with 6,379,728 parameters, which `heads` evaluates for training. Where a side is shorter than 64, the
    stem is one 3×3 convolution of 192 channels: 5,864,762 parameters with 3×32×32 images and ten classes. Such images
    have no auxiliary classifiers, whose pooling needs maps of 5×5.

    The paper has no batch normalization; with `batch_norm` every convolution has it in place of a bias, and the
    response normalization of the stem goes. Weights are initialized from N(0, 2/n_in).

    Raises ValueError for images with a side below 4, and for auxiliary classifiers of images with a side below 80.

    Reference: *Going Deeper with Convolutions*, Christian Szegedy, Wei Liu, Yangqing Jia, Pierre Sermanet, Scott Reed,
    Dragomir Anguelov, Dumitru Erhan, Vincent Vanhoucke, Andrew Rabinovich, 2014, arXiv:1409.4842.

    >>> sum(p.numel() for p in GoogLeNet((3, 32, 32), classes=10).parameters())
    5864762
    """

    def __init__(
        self,
        shape: Sequence[int],
        classes: int,
        *,
        auxiliary: bool = False,
        batch_norm: bool = False,
        mean: Sequence[float] = (),
        std: Sequence[float] = (),
    ) -> None:
        super().__init__(shape, mean, std)
        if min(shape[1:]) < MIN_SIDE:
            raise ValueError(f"googlenet: got images of {shape[1]}×{shape[2]}, wanted sides of at least {MIN_SIDE}")
        layers, c_in, side = _stem(shape, batch_norm)
        heads: dict[str, nn.Module] = {}
        for name, row in MODULES.items():
            if name in ("4a", "5a"):
                layers[f"pool{name[0]}"] = nn.MaxPool2d(3, 2, ceil_mode=True)
                side = [-(-(n - 1) // 2) for n in side]
            layers[name] = module = InceptionModule(c_in, *row, batch_norm=batch_norm)
            c_in = module.channels
            if auxiliary and name in ("4a", "4d"):
                if min(side) < 5:
                    raise ValueError(
                        f"auxiliary: got images of {shape[1]}×{shape[2]}, wanted sides of at least 80 for the auxiliary"
                        " classifiers"
                    )
                heads[name] = _Auxiliary(c_in, side, classes)
        self.features = nn.Sequential()
        for name, layer in layers.items():
            self.features.add_module(name, layer)
        self.classifier = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.4), nn.Linear(c_in, classes)
        )
        he_initialize(self)
        self.auxiliary = nn.ModuleDict(heads)
        for head in heads.values():
            he_initialize(head)

    def heads(self, x: Tensor) -> list[Tensor]:
        """Return the logits (B, K) of the network and of its auxiliary classifiers, in the order 4a, 4d."""
        x = self.preprocess(x)
        auxiliary = []
        for name, layer in self.features.named_children():
            x = layer(x)
            if name in self.auxiliary:
                auxiliary.append(self.auxiliary[name](x))
        return [self.classifier(x), *auxiliary]


def _stem(shape: Sequence[int], batch_norm: bool) -> tuple[dict[str, nn.Module], int, list[int]]:
    """Return the layers before the first module, their number of channels, and the height and width of their maps."""
    sides = list(shape[1:])
    if min(sides) < IMAGENET_MIN_SIDE:
        return {"conv": conv(shape[0], 192, 3, batch_norm=batch_norm)}, 192, sides
    normalize = nn.Identity if batch_norm else (lambda: nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0))
    layers: dict[str, nn.Module] = {
        "conv1": conv(shape[0], 64, 7, stride=2, batch_norm=batch_norm),
        "pool1": nn.MaxPool2d(3, 2, ceil_mode=True),
        "norm1": normalize(),
        "conv2": nn.Sequential(conv(64, 64, 1, batch_norm=batch_norm), conv(64, 192, 3, batch_norm=batch_norm)),
        "norm2": normalize(),
        "pool2": nn.MaxPool2d(3, 2, ceil_mode=True),
    }
    sides = [(n - 1) // 2 + 1 for n in sides]
    for _ in range(2):
        sides = [-(-(n - 1) // 2) for n in sides]
    return layers, 192, sides
