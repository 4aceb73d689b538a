"""Random crops with a border of 4 pixels, flips and normalization of 32×32 color images, batches of 128: images/s.

    python benchmarks/speed/augment.py [--quick]

Thalweg gathers uint8 images in memory, transforms the batch at once and normalizes it in the model's first layer. The
classic pipeline is a DataLoader with two worker processes, in which PIL crops and flips each image; kornia transforms
batches of floats that are in memory. Kornia has an environment of its own, which the first run creates; if it cannot be
installed, a message says so and its line is left out.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import torch
from harness import alternate, quick, report
from peers import interpreter, theirs
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from thalweg.batch import Batch
from thalweg.data import Batches, Split
from thalweg.data.augment import Augment
from thalweg.nn.preprocess import Standardize

B, N, STEPS = 128, 20_000, 20 if quick() else 150
MEAN, STD = (125.3, 123.0, 113.9), (63.0, 62.1, 66.7)
X = np.random.default_rng(0).integers(0, 256, (N, 3, 32, 32), dtype=np.uint8)
KORNIA = (".venv-kornia", ("kornia",))


def thalweg() -> float:
    """Return the rate of Thalweg."""
    batches = Batches(Split(X, np.zeros(N, dtype=np.int64)), B, seed=0, device="cpu", resident="yes")
    augment, normalize = Augment(crop=4, hflip=True), Standardize(MEAN, STD, (3, 32, 32))
    began = time.perf_counter()
    for step in range(STEPS):
        x, y = batches.get(step)
        normalize(augment(Batch(x, y, step)).x)
    seconds = time.perf_counter() - began
    batches.close()
    return STEPS * B / seconds


class Pictures(Dataset[Tensor]):
    """One image at a time, cropped and flipped by PIL."""

    def __init__(self) -> None:
        self.images = np.ascontiguousarray(X.transpose(0, 2, 3, 1))

    def __len__(self) -> int:
        return N

    def __getitem__(self, i: int) -> Tensor:
        padded = Image.new("RGB", (40, 40))
        padded.paste(Image.fromarray(self.images[i]), (4, 4))
        left, top, flip = torch.randint(9, (3,)).tolist()
        image = padded.crop((left, top, left + 32, top + 32))
        if flip % 2:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        x = torch.from_numpy(np.array(image)).permute(2, 0, 1).float()
        return (x - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)


def endless(loader: DataLoader[Tensor]) -> Iterator[Tensor]:
    """Return the batches of one epoch after the other."""
    while True:
        yield from loader


def main() -> None:
    """Compare all contenders."""
    loader = endless(DataLoader(Pictures(), B, shuffle=True, num_workers=2, drop_last=True, persistent_workers=True))

    def classic() -> float:
        began = time.perf_counter()
        for _ in range(STEPS):
            next(loader)
        return STEPS * B / (time.perf_counter() - began)

    contenders = {"thalweg": thalweg, "DataLoader with PIL": classic}
    compared = {"thalweg / DataLoader with PIL": ("thalweg", "DataLoader with PIL", 9.0)}
    peer = theirs(interpreter(*KORNIA), "kornia", "peer_kornia.py", str(STEPS))
    if peer:
        contenders["kornia"] = lambda: peer()[0]
        compared["thalweg / kornia"] = ("thalweg", "kornia", 7.0)
    report("augment", "images/s", alternate(contenders, rounds=3 if quick() else 7), compared)


if __name__ == "__main__":
    main()
