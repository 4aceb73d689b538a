"""Eight optimizers, each tuned by the same random search, on LeNet5 with Fashion-MNIST.

    THALWEG_DATA=folder/with/fashion-mnist.npz OMP_NUM_THREADS=1 python benchmarks/quality/optimizers.py

Trial i is a pair of a learning rate and a weight decay that is a function of i only, so every optimizer is tried with
the same 16 pairs: rates log-uniform in [1e-4, 1], decays log-uniform in [1e-6, 1e-1]. Each trial is a training of 600
steps of 128 images with a cosine schedule and seed 0. The pair with the highest accuracy on the 5,000 validation images
is trained with five other seeds, which are evaluated on the test images; the interval is over these seeds. If the loss
is no longer finite, the trial counts as one with accuracy 0.

Writes results/optimizers.json after every training, and continues there when it is called again.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from thalweg.config import DataConfig, RunConfig, TrainConfig
from thalweg.data import Batches, Dataset, load
from thalweg.evaluation.estimates.intervals import over_seeds, rate
from thalweg.files import write_atomic
from thalweg.recipes.runs import build
from thalweg.training import Sources, train

RESULT = Path(__file__).parent / "results" / "optimizers.json"
TRIALS, SEEDS, STEPS = 16, (1, 2, 3, 4, 5), 600
OPTIMIZERS: dict[str, dict[str, Any]] = {
    "SGD": {"optimizer": "sgd"},
    "momentum": {"optimizer": "momentum", "nesterov": False},
    "Nesterov": {"optimizer": "momentum", "nesterov": True},
    "RMSprop": {"optimizer": "rmsprop"},
    "Adam": {"optimizer": "adam"},
    "AMSGrad": {"optimizer": "amsgrad"},
    "AdamW": {"optimizer": "adamw"},
    "Muon": {"optimizer": "muon"},
}
DATA = DataConfig(source="fashion-mnist")


def trial(i: int) -> dict[str, float]:
    """Return the settings of trial `i`, a function of the number only."""
    a, b = np.random.default_rng([2012, i]).random(2)
    return {"lr": float(f"{10 ** (-4 + 4 * a):.3g}"), "weight_decay": float(f"{10 ** (-6 + 5 * b):.3g}")}


def hits(dataset: Dataset, split: str, chosen: dict[str, Any], seed: int) -> tuple[int, int]:
    """Train LeNet5 and return how many of the examples of the split are classified correctly, and their number."""
    settings = TrainConfig(seed=seed, steps=STEPS, device="cpu", no_decay=True, **chosen)
    config = RunConfig(recipe="lenet5", data=DATA, train=settings)
    run, part = build(config, dataset.spec), dataset.split(split)
    batches = Batches(dataset.train, run.stages[0].batch_size, scheme="shuffled", seed=seed, device="cpu")
    try:
        train(run, lambda stage, world: Sources(batches, []), settings)
    except FloatingPointError:
        return 0, len(part)
    finally:
        batches.close()
    return correct(run.model, part.x, part.y), len(part)


@torch.no_grad()
def correct(model: nn.Module, x: np.ndarray, y: np.ndarray) -> int:
    """Return how many examples have the label as their most probable class."""
    model.eval()
    logits = torch.cat([model.logits(torch.from_numpy(x[i : i + 1000])) for i in range(0, len(x), 1000)])
    return int((logits.argmax(1).numpy() == y).sum())


def main() -> None:
    """Search, choose on the validation images, and evaluate on the test images."""
    dataset = load(DATA)
    document = json.loads(RESULT.read_text()) if RESULT.is_file() else {}
    document |= {"command": "python benchmarks/quality/optimizers.py", "recipe": "lenet5", "data": DATA.source,
                 "steps": STEPS, "trials": TRIALS}  # fmt: skip
    results = document.setdefault("optimizers", {})
    for name, fixed in OPTIMIZERS.items():
        result = results.setdefault(name, {"trials": [], "seeds": []})
        for i in range(len(result["trials"]), TRIALS):
            began = time.perf_counter()
            found, of = hits(dataset, "validation", fixed | trial(i), seed=0)
            result["trials"].append(trial(i) | {"accuracy, %": 100 * found / of})
            print(f"{name} {i}: {result['trials'][-1]}  {time.perf_counter() - began:.1f} s", flush=True)
            write_atomic(RESULT, (json.dumps(document, indent=2) + "\n").encode())
        best = max(range(TRIALS), key=lambda i: result["trials"][i]["accuracy, %"])
        result["best"] = best
        for seed in SEEDS[len(result["seeds"]) :]:
            result["seeds"].append(hits(dataset, "test", fixed | trial(best), seed=seed))
            write_atomic(RESULT, (json.dumps(document, indent=2) + "\n").encode())
        accuracy = over_seeds([rate("accuracy", found, of) for found, of in result["seeds"]])
        result["estimate"] = accuracy.to_json()
        write_atomic(RESULT, (json.dumps(document, indent=2) + "\n").encode())
        print(f"{name}: {trial(best)}  {accuracy}", flush=True)


if __name__ == "__main__":
    main()
