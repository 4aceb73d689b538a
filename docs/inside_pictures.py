"""Draw the pictures of the page on looking inside: each method on a LeNet5 that is trained on glyphs for a minute.

    python docs/inside_pictures.py [RUNS]

RUNS (by default runs/) has the run folder lenet5-glyphs, which is trained if it is missing.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import Tensor

from thalweg.config import DataConfig, RunConfig, TrainConfig
from thalweg.interpretability import Probe
from thalweg.interpretability.methods import last_hidden, searched
from thalweg.interpretability.result import montage, normalized
from thalweg.recipes.runs import open_run, train

IMAGES = Path(__file__).parent / "images"
FIRST, LAST = "features.0", "features.3"  # the convolutions of LeNet5


def trained(runs: Path) -> Path:
    """Return the run folder, trained here if it does not exist."""
    folder = runs / "lenet5-glyphs"
    if not (folder / "model.safetensors").is_file():
        config = RunConfig(recipe="lenet5", data=DataConfig(source="glyphs"), train=TrainConfig(steps=1200))
        train(config, folder, overwrite=True)
    return folder


def tiles(images: Tensor) -> np.ndarray:
    """Return one row of images (n, C, H, W) in [0, 1] as a picture."""
    return montage(images[None].numpy())


def rows(name: str, pictures: Sequence[tuple[str, np.ndarray]], width: float = 7.0) -> None:
    """Draw pictures below each other, each with its title, and save them as inside-NAME.png."""
    heights = [picture.shape[0] / picture.shape[1] for _, picture in pictures]
    height = sum(width * h + 0.25 for h in heights)
    figure, axes = plt.subplots(
        len(pictures), 1, figsize=(width, height), layout="constrained", height_ratios=heights, squeeze=False
    )
    for panel, (title, picture) in zip(axes[:, 0], pictures, strict=True):
        panel.imshow(picture, interpolation="nearest")
        panel.set_title(title, fontsize=9, loc="left", pad=3)
        panel.axis("off")
    path = IMAGES / f"inside-{name}.png"
    figure.savefig(path, dpi=90, pil_kwargs={"optimize": True})
    plt.close(figure)
    print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


def maps(values: Tensor, like: Tensor) -> Tensor:
    """Return maps scaled by themselves, in the size of the images."""
    shown = torch.from_numpy(normalized(values.numpy()))
    return torch.nn.functional.interpolate(shown, like.shape[2:], mode="nearest")


def draw(folder: Path) -> None:
    """Draw the picture of each method."""
    opened = open_run(folder, device="cpu")
    probe, data = Probe.of(opened), opened.data()
    x = torch.from_numpy(data.test.x[:7].astype(np.float32)) / 255
    images = searched(data.train.x, 256)
    accuracy = np.mean(probe.scores(torch.from_numpy(data.test.x / np.float32(255))).argmax(1).numpy() == data.test.y)
    print(f"accuracy: {100 * accuracy:.1f} %")
    first = ("test images", tiles(x))
    rows("saliency", [first, ("saliency", tiles(maps(probe.saliency(x).values, x)))])
    found = {rule: getattr(probe, rule)(x).values for rule in ("gradient", "guided", "deconv")}
    rows("gradients", [first, *((rule, tiles(maps(values, x))) for rule, values in found.items())])
    covered = probe.occlusion(x, stride=2)
    rows("occlusion", [
        first,
        ("probability of the class, black 0, white 1", tiles(torch.nn.functional.interpolate(
            covered.values[:, None], x.shape[2:], mode="nearest"))),
        ("mean change of the score, gray 0", tiles(maps(-covered.extra["attribution"], x))),
    ])  # fmt: skip
    weights = probe.filters(FIRST).tiles
    assert weights is not None
    activated = probe.activations(x[:1], FIRST).values[0]
    rows("filters", [
        ("filters of the first convolution", tiles(weights.flatten(0, 1)[:6])),
        ("their activations for the first image", tiles(maps(activated.clamp(min=0), x[:1]))),
    ])  # fmt: skip
    patches = [(f"{LAST}:{k}", tiles(probe.top_patches(images, f"{LAST}:{k}").values)) for k in (1, 4, 9)]
    rows("top-patches", patches)
    near = probe.neighbors(x[[0, 3]], images, last_hidden(probe, x)).tiles
    assert near is not None
    names = "by the last hidden layer", "by pixels"
    rows("neighbors", [(f"image and its neighbors {names[i % 2]}", tiles(row)) for i, row in enumerate(near)])
    ascended = torch.cat([probe.ascend(name, blur=0.7).input for name in "AEHOT7"])
    rows("ascend", [("images that raise the score of A, E, H, O, T and 7", tiles(ascended))])
    attacked = probe.adversary(x, method="pgd", epsilon=32 / 255)
    assert attacked.tiles is not None
    assert attacked.target
    assert probe.classes
    names_after = ", ".join(probe.classes[k] for k in attacked.target)
    rows("adversary", [
        first,
        ("change, magnified", tiles(attacked.tiles[1])),
        (f"sum, at most 32/255 per pixel: now {names_after}", tiles(attacked.tiles[2])),
    ])  # fmt: skip
    rows("segment", [first, ("the object of the class", tiles(probe.segment(x).values[:, None].float()))])
    embedded = probe.embed(images[:500], last_hidden(probe, x))
    print("embed", embedded.settings)
    embedded.save(IMAGES / "inside-embed.png")
    for method in ("gradient", "guided"):
        checked = probe.sanity(x, method)
        print(method, checked.settings, checked.values.numpy().round(2).tolist())
        checked.save(IMAGES / f"inside-sanity-{method}.png")
    known = torch.from_numpy(data.train.x[:256].astype(np.float32)) / 255
    slices = probe.landscape(known, torch.from_numpy(data.train.y[:256]))
    print("landscape", float(slices.values.min()), float(slices.values.max()))
    slices.save(IMAGES / "inside-landscape.png")
    for name in ("fgsm", "pgd", "lbfgs"):
        result = probe.adversary(x, method=name)
        print(name, int(result.extra["success"].sum()), "of", len(x), "rms", result.extra["rms"].numpy().round(4))


if __name__ == "__main__":
    draw(trained(Path(sys.argv[1] if len(sys.argv) > 1 else "runs")))
