"""The codes of a trained vq-vae or vq-vae-2 on its test images: how many are used, and the bits/dim of codes and image.

    python benchmarks/quality/codebook.py RUN [--limit EXAMPLES] [--keep LINE]

bits/dim, an upper bound, is the sum of the bits of the codes under their prior and of the image given its codes.
`--keep LINE` writes results/LINE.json with the commands.
"""

from __future__ import annotations

import argparse
import inspect
import json
import math
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from thalweg.config import RunConfig, TrainConfig
from thalweg.data import load
from thalweg.devices import fast_matmul
from thalweg.evaluation.estimates.intervals import mean_of
from thalweg.evaluation.examples import Examples, frozen
from thalweg.recipes import recipe
from thalweg.recipes.runs import open_run

BATCH_SIZE = 200


def train_command(config: RunConfig) -> str:
    """Return the command that trains a run: the settings that differ from the defaults."""
    train, default = asdict(config.train), asdict(TrainConfig())
    parameters = inspect.signature(recipe(config.recipe)).parameters
    chosen = {key: value for key, value in train.items() if value != default[key]} | {"seed": train["seed"]}
    chosen |= {key: value for key, value in config.options.items() if value != parameters[key].default}
    options = " ".join(f"--{key.replace('_', '-')} {value}" for key, value in chosen.items())
    return f"thalweg train {config.recipe} --data {config.data.source} {options}"


def main() -> None:
    """Measure and print; store the result if the command says so."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run")
    parser.add_argument("--limit", type=int, help="test examples, drawn by seed 0; default: all")
    parser.add_argument("--keep", help="name of the file in results/ that stores the result")
    arguments = parser.parse_args()
    opened = open_run(arguments.run, device="cpu")
    model, x = opened.model, load(opened.config.data).test.x
    if arguments.limit:
        x = x[np.sort(np.random.default_rng(0).permutation(len(x))[: arguments.limit])]
    scale, prior, total = 1 / (opened.spec.size * math.log(2)), [], []
    uses = {name: torch.zeros(q.count) for name, q in model.autoencoder.quantizers.items()}
    with frozen(model), fast_matmul(torch.device("cpu")):
        for _, part in Examples(x, seed=0, batch_size=BATCH_SIZE).batches():
            prior.append(-model.code_prior.log_prob(model.codes(part).long()) * scale)
            total.append(-model.elbo(part) * scale)
            for name, quantized in model.autoencoder(part, torch.rand(part.shape)).quantized.items():
                uses[name] += torch.bincount(quantized.codes.flatten(), minlength=len(uses[name]))
    shared = {"unit": "bits/dim", "better": "lower", "protocol": {"data": opened.spec.name, "examples": len(x)}}
    kinds = {"bits/dim": "upper bound"}
    values = {"prior": torch.cat(prior), "bits/dim": torch.cat(total)}
    values["reconstruction"] = values["bits/dim"] - values["prior"]
    document = {
        name: mean_of(name, v.double().numpy(), kind=kinds.get(name, "exact"), **shared).to_json()
        for name, v in values.items()
    }
    for name, count in uses.items():
        shares = count[count > 0] / count.sum()
        perplexity = round(float((-(shares * shares.log()).sum()).exp()), 1)
        document[name] = {"in use": int((count > 0).sum()), "of": len(count), "perplexity": perplexity}
    document["recipe"], document["options"] = opened.config.recipe, opened.config.options
    train = train_command(opened.config)
    limit = f" --limit {arguments.limit}" if arguments.limit else ""
    document["commands"] = [f"{train} --run DIR", f"python benchmarks/quality/codebook.py DIR{limit}"]
    text = json.dumps(document, indent=2, ensure_ascii=False)
    print(text)
    if arguments.keep:
        (Path(__file__).parent / "results" / f"{arguments.keep}.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
