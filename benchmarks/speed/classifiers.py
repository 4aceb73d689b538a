"""Training of ResNet-18 and VGG on 32×32 color images, batches of 128, and inference with folded normalization.

    python benchmarks/speed/classifiers.py [--quick]

Rates of training are in GFLOP/s: 6 times the multiply-adds of one image, for the forward pass and twice as much for the
backward pass, times images per second. The peak is that of a large matrix product by oneDNN, in the same run and with
the same threads. The first two steps, in which kernels are chosen and compiled, are not timed. The bare loop has the
layers of the recipe and the same optimizer, tensors in memory, channels_last.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from harness import alternate, quick, report

from thalweg.config import TrainConfig
from thalweg.data import Batches, Spec, Split, class_target
from thalweg.devices import fast_matmul
from thalweg.nn.folding import folded
from thalweg.recipes import recipe
from thalweg.training import RunFolder, Sources, train
from thalweg.training.optimizers import make_optimizer
from thalweg.training.run import Run

B, N, WARMUP, STEPS = 128, 2_000, 2, 3 if quick() else 8
SPEC = Spec(name="pixels", kind="image", shape=(3, 32, 32), levels=256, mean=(125.0, 123.0, 114.0), std=(63.0,) * 3,
            target=class_target(tuple("0123456789")))  # fmt: skip
DRAW = np.random.default_rng(0)
X, Y = DRAW.integers(0, 256, (N, 3, 32, 32), dtype=np.uint8), DRAW.integers(0, 10, N)
MULTIPLY_ADDS = {"resnet": 555.4e6, "vgg": 286.2e6}  # of one image, held by tests/models/test_convnet_sizes.py
SETTINGS = {"steps": WARMUP + STEPS, "batch_size": B, "device": "cpu", "log_every": 1, "schedule": "constant"}


def made(name: str, settings: TrainConfig) -> Run:
    """Return the run of the recipe, with weights from seed 0."""
    torch.manual_seed(0)
    return recipe(name)(SPEC).configured(settings)


def work(name: str, seconds: float) -> float:
    """Return GFLOP/s of STEPS steps."""
    return STEPS * B * 6 * MULTIPLY_ADDS[name] / seconds / 1e9


def ours(name: str, **settings: object) -> Callable[[], float]:
    """Return a contender that trains the recipe by the engine."""

    def go() -> float:
        train_config = TrainConfig(**SETTINGS, **settings)
        run, path = made(name, train_config), Path(tempfile.mkdtemp()) / "run"
        batches = Batches(Split(X, Y), B, seed=0, device="cpu", resident="yes")
        with RunFolder.create(path, {}) as folder:
            train(run, lambda stage, world: Sources(batches, []), train_config, folder=folder)
        lines = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
        shutil.rmtree(path.parent)
        seconds = {line["step"]: line["seconds"] for line in lines if "seconds" in line}
        return work(name, seconds[WARMUP + STEPS] - seconds[WARMUP])

    return go


def bare(name: str, *, bf16: bool = False) -> Callable[[], float]:
    """Return a contender that is a bare loop."""

    def go() -> float:
        run = made(name, TrainConfig(**SETTINGS))
        model = run.model.to(memory_format=torch.channels_last).train()
        steps = make_optimizer(run.stages[0].optimizers["model"], list(model.parameters()))
        x, y = torch.from_numpy(X), torch.from_numpy(Y)
        torch.set_float32_matmul_precision("medium")
        began = 0.0
        for step in range(WARMUP + STEPS):
            if step == WARMUP:
                began = time.perf_counter()
            index = torch.randint(N, (B,))
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                loss = F.cross_entropy(model(x[index]).float(), y[index])
            steps.zero_grad()
            loss.backward()
            steps.step()
        seconds = time.perf_counter() - began
        torch.set_float32_matmul_precision("highest")
        return work(name, seconds)

    return go


def peak(dtype: torch.dtype) -> float:
    """Return GFLOP/s of a product of two 2048×2048 matrices by oneDNN."""
    a = torch.ones(2048, 2048, dtype=dtype)
    with fast_matmul(torch.device("cpu")):
        a @ a
        began = time.perf_counter()
        for _ in range(4):
            a @ a
        return 4 * 2 * 2048**3 / (time.perf_counter() - began) / 1e9


@torch.no_grad()
def inference(fold: bool) -> Callable[[], float]:
    """Return a contender: images per second of ResNet-18 in evaluation mode."""
    model = made("resnet", TrainConfig(**SETTINGS)).model.to(memory_format=torch.channels_last).eval()
    model = folded(model) if fold else model
    x = torch.from_numpy(X[: B if quick() else 4 * B])

    @torch.no_grad()
    def go() -> float:
        began = time.perf_counter()
        for part in x.split(B):
            model(part)
        return len(x) / (time.perf_counter() - began)

    return go


def main() -> None:
    """Compare all contenders."""
    rounds = 2 if quick() else 5
    contenders: dict[str, Callable[[], float]] = {
        "peak float32": partial(peak, torch.float32),
        "peak bf16": partial(peak, torch.bfloat16),
        "thalweg": ours("resnet"),
        "thalweg compiled": ours("resnet", compile=True),
        "thalweg bf16": ours("resnet", precision="bf16"),
        "bare loop": bare("resnet"),
        "bare loop bf16": bare("resnet", bf16=True),
    }
    compared = {
        "thalweg / peak float32": ("thalweg", "peak float32", 0.7),
        "thalweg compiled / peak float32": ("thalweg compiled", "peak float32", 0.8),
        "thalweg bf16 / peak bf16": ("thalweg bf16", "peak bf16", 0.7),
        "thalweg / bare loop": ("thalweg", "bare loop", 0.95),
        "thalweg bf16 / bare loop bf16": ("thalweg bf16", "bare loop bf16", 0.95),
    }
    report("classifiers-resnet-18", "GFLOP/s", alternate(contenders, rounds), compared)
    rates = alternate({"thalweg": ours("vgg"), "bare loop": bare("vgg")}, rounds)
    report("classifiers-vgg", "GFLOP/s", rates, {"thalweg / bare loop": ("thalweg", "bare loop", 0.95)})
    rates = alternate({"folded": inference(True), "as trained": inference(False)}, rounds)
    report("classifiers-folded", "images/s", rates, {"folded / as trained": ("folded", "as trained", 1.3)})


if __name__ == "__main__":
    main()
