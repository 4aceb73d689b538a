"""Draw saliency, guided backpropagation, DeconvNet and occlusion of SqueezeNet, and the first of Tiny Darknet.

    THALWEG_DATA=folder python docs/real_network_pictures.py

The folder holds weights/squeezenet1_0_deepcompression_torch.pth and weights/tinydarknet_torch.pth, both trained on
ImageNet. The five pictures are those that scikit-learn and matplotlib come with.
"""

from __future__ import annotations

import os
from pathlib import Path

import matplotlib
import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from sklearn.datasets import load_sample_images
from torch import Tensor, nn

from thalweg.interpretability import Probe
from thalweg.interpretability.result import montage, normalized

PICTURE = Path(__file__).parent / "images" / "looking-inside-imagenet.png"
LAYER = "features.7"  # whose strongest channel in each picture is projected by DeconvNet
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Fire(nn.Module):
    """A 1×1 convolution to few channels, then 1×1 and 3×3 convolutions side by side."""

    def __init__(self, c_in: int, squeeze: int, expand: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(c_in, squeeze, 1)
        self.expand1x1, self.expand3x3 = nn.Conv2d(squeeze, expand, 1), nn.Conv2d(squeeze, expand, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return both results as channels of one tensor."""
        x = F.relu(self.squeeze(x))
        return torch.cat([F.relu(self.expand1x1(x)), F.relu(self.expand3x3(x))], 1)


class SqueezeNet(nn.Module):
    """SqueezeNet 1.0 (Iandola et al., 2016, arXiv:1602.07360)."""

    def __init__(self) -> None:
        super().__init__()
        pool = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.features = nn.Sequential(
            nn.Conv2d(3, 96, 7, 2), nn.ReLU(), pool, Fire(96, 16, 64), Fire(128, 16, 64), Fire(128, 32, 128), pool,
            Fire(256, 32, 128), Fire(256, 48, 192), Fire(384, 48, 192), Fire(384, 64, 256), pool, Fire(512, 64, 256),
        )  # fmt: skip
        self.classifier = nn.Sequential(nn.Dropout(), nn.Conv2d(512, 1000, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1))

    def forward(self, x: Tensor) -> Tensor:
        """Return the scores of 1,000 classes."""
        return self.classifier(self.features(x)).flatten(1)


class TinyDarknet(nn.Module):
    """Tiny Darknet (Redmon, 2016), with leaky rectifiers."""

    def __init__(self) -> None:
        super().__init__()
        layers, channels = list[nn.Module](), 3
        for width in (16, 0, 32, 0, 16, 128, 16, 128, 0, 32, 256, 32, 256, 0, 64, 512, 64, 512, 128):
            if not width:
                layers.append(nn.MaxPool2d(2))
                continue
            kernel = 3 if width > channels else 1
            conv = nn.Conv2d(channels, width, kernel, padding=kernel // 2, bias=False)
            layers += [conv, nn.BatchNorm2d(width), nn.LeakyReLU(0.1)]
            channels = width
        self.features, self.classifier = nn.Sequential(*layers), nn.Conv2d(128, 1000, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the scores of 1,000 classes."""
        return self.classifier(self.features(x)).mean((2, 3))


def pictures(side: int) -> Tensor:
    """Return five pictures (5, 3, side, side) in [0, 1]."""
    china, flower = (Image.fromarray(image) for image in load_sample_images().images)
    samples = Path(matplotlib.get_data_path()) / "sample_data"
    hopper = Image.open(samples / "grace_hopper.jpg").convert("RGB")
    present = Image.open(samples / "Minduka_Present_Blue_Pack.png").convert("RGBA")
    present = Image.alpha_composite(Image.new("RGBA", present.size, "white"), present).convert("RGB")
    boxes = [(china, (0, 0, 427, 427)), (china, (213, 0, 640, 427)), (flower, (110, 0, 537, 427)),
             (hopper, (0, 0, 512, 512)), (present, (0, 0, *present.size))]  # fmt: skip
    images = [np.asarray(image.crop(box).resize((side, side), Image.Resampling.BILINEAR)) for image, box in boxes]
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 255


def probe(network: nn.Module, file: str, **settings: object) -> Probe:
    """Return a probe of the network with the weights of a file."""
    weights = Path(os.environ["THALWEG_DATA"]) / "weights" / file
    network.load_state_dict(torch.load(weights, weights_only=True))
    return Probe(network.eval(), **settings)


def main() -> None:
    """Compute all maps, print the classes, and write the picture."""
    squeezenet = probe(SqueezeNet(), "squeezenet1_0_deepcompression_torch.pth", normalize=(MEAN, STD))
    darknet = probe(TinyDarknet(), "tinydarknet_torch.pth")
    x, y = pictures(227), pictures(224)
    rows = [x.numpy()]
    for method, settings in (("saliency", {}), ("guided", {}), ("occlusion", {"size": 45, "stride": 14})):
        found = getattr(squeezenet, method)(x, **settings)
        print(method, found.target, [f"{p:.2f}" for p in found.probability or ()], *found.warnings)
        maps = found.values if found.values.ndim == 4 else found.values[:, None]
        rows.append(normalized(F.interpolate(maps, (227, 227)).numpy()))
    strongest = squeezenet.activations(x, LAYER).values.amax((2, 3)).argmax(1).tolist()
    print("strongest channels", strongest)
    projected = [squeezenet.deconv(image, layer=f"{LAYER}:{k}").values for image, k in zip(x, strongest, strict=True)]
    rows.append(normalized(torch.cat(projected).numpy()))
    found = darknet.saliency(y)
    print("Tiny Darknet: saliency", found.target, [f"{p:.2f}" for p in found.probability or ()])
    rows.append(normalized(F.interpolate(found.values[:, None], (227, 227)).numpy()))
    try:
        darknet.guided(y)
    except ValueError as error:
        print("Tiny Darknet: guided:", error)
    tiles = np.stack([np.broadcast_to(row, (5, 3, 227, 227)) for row in rows])
    page = Image.fromarray(montage(tiles))
    page = page.resize((page.width // 2, page.height // 2), Image.Resampling.BOX)
    page.quantize(96).save(PICTURE, optimize=True)


if __name__ == "__main__":
    main()
