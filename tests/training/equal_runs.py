"""Trains a small recipe of every family and prints the hash of each model: run by test_processes.py.

    python equal_runs.py

With the number of threads that torch takes by default.
"""

import hashlib
import tempfile
from pathlib import Path

import torch

from thalweg.config import DataConfig, RunConfig, TrainConfig
from thalweg.devices import deterministic
from thalweg.recipes.runs import train

RECIPES = {
    "lenet5": {},
    "autoencoder": {"latent_dim": 3, "hidden": 16},
    "vae": {"latent_dim": 2, "hidden": 16},
    "pixelcnn": {"hidden": 8, "layers": 1},
    "gmm": {"components": 3},
    "nsf": {"layers": 2, "hidden": 16, "bins": 4},
    "wgan": {"latent_dim": 4, "hidden": 32},
    "wae-mmd": {"latent_dim": 4, "hidden": 16},
}


def indexed() -> str:
    """Return the hash of a gradient that is a sum into indexed elements; with two threads it differs by default."""
    draw = torch.Generator().manual_seed(0)
    w, y = torch.randn(10, 512, generator=draw, requires_grad=True), torch.randint(10, (256,), generator=draw)
    with deterministic(torch.device("cpu")):
        w[y].backward(torch.randn(256, 512, generator=draw))
    assert w.grad is not None
    return hashlib.sha256(w.grad.numpy().tobytes()).hexdigest()


def main() -> None:
    print("threads", torch.get_num_threads())
    print("indexed", indexed())
    with tempfile.TemporaryDirectory() as place:
        for recipe, options in RECIPES.items():
            resident = "no" if recipe in ("vae", "wgan") else "auto"  # gathered by threads, too
            settings = TrainConfig(steps=4, batch_size=32, device="cpu", log_every=2, resident=resident, seed=7)
            data = DataConfig(source="digits")
            run = train(RunConfig(recipe=recipe, data=data, options=options, train=settings), Path(place) / recipe)
            print(recipe, hashlib.sha256((run / "model.safetensors").read_bytes()).hexdigest(), flush=True)


if __name__ == "__main__":
    main()
