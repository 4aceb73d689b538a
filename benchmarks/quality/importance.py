"""The importance-weighted bound of a trained run with many draws, by which papers report likelihoods (IWAE-5000).

python benchmarks/quality/importance.py RUN [--draws 5000] [--limit EXAMPLES]
"""

from __future__ import annotations

import argparse
import json
import time

import numpy as np
import torch

from thalweg.data import load
from thalweg.devices import fast_matmul
from thalweg.evaluation.estimates.intervals import mean_of
from thalweg.evaluation.examples import Examples, frozen
from thalweg.evaluation.measures.importance import log_weights
from thalweg.objectives.elbo import importance_bound
from thalweg.recipes.runs import open_run

BATCH_SIZE = 500


def main() -> None:
    """Print the bound and the ELBO of the test examples as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run")
    parser.add_argument("--draws", type=int, default=5000)
    parser.add_argument("--limit", type=int, help="test examples, drawn by seed 0; default: all")
    arguments = parser.parse_args()
    opened, began = open_run(arguments.run, device="cpu"), time.process_time()
    x = load(opened.config.data).test.x
    if arguments.limit:
        x = x[np.sort(np.random.default_rng(0).permutation(len(x))[: arguments.limit])]
    bounds, elbos = [], []
    with frozen(opened.model), fast_matmul(torch.device("cpu")):
        for start in range(0, len(x), BATCH_SIZE):
            part = Examples(x[start : start + BATCH_SIZE], seed=start, batch_size=BATCH_SIZE)
            weights = torch.from_numpy(log_weights(opened.model, part, arguments.draws))
            bounds.append(importance_bound(weights).numpy())
            elbos.append(weights.mean(1).numpy())
    shared = {"unit": "nats", "better": "higher", "kind": "lower bound", "protocol": {"data": opened.spec.name}}
    for name, values in ((f"IWAE-{arguments.draws}", bounds), ("ELBO", elbos)):
        print(json.dumps(mean_of(name, np.concatenate(values), **shared).to_json(), ensure_ascii=False))
    print(json.dumps({"CPU minutes": round((time.process_time() - began) / 60, 2)}))


if __name__ == "__main__":
    main()
