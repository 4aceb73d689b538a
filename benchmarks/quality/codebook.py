"""The codes of a trained vq-vae or vq-vae-2 on its test images: how many are in use, and what they and the rest cost.

    python benchmarks/quality/codebook.py RUN [--limit EXAMPLES] [--keep LINE]

bits/dim is the sum of two: of the law of the codes (the prior), and of the image given its codes. `--keep LINE` writes
results/LINE.json.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path

import numpy as np
import torch

from thalweg.data import load
from thalweg.devices import fast_matmul
from thalweg.evaluation.estimates.intervals import mean_of
from thalweg.evaluation.examples import Examples, frozen
from thalweg.recipes.runs import open_run

AT_ONCE = 200  # examples


def main() -> None:
    """Measure, print, and keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run")
    parser.add_argument("--limit", type=int, help="test examples, drawn by seed 0; default: all")
    parser.add_argument("--keep", help="name of the file in results/")
    given = parser.parse_args()
    opened = open_run(given.run, device="cpu")
    model, x = opened.model, load(opened.config.data).test.x
    if given.limit:
        x = x[np.sort(np.random.default_rng(0).permutation(len(x))[: given.limit])]
    scale, prior, total = 1 / (opened.spec.size * math.log(2)), [], []
    uses = {name: torch.zeros(q.count) for name, q in model.autoencoder.quantizers.items()}
    with frozen(model), fast_matmul(torch.device("cpu")):
        for _, part in Examples(x, seed=0, batch_size=AT_ONCE).batches():
            prior.append(-model.code_prior.log_prob(model.codes(part).long()) * scale)
            total.append(-model.elbo(part) * scale)
            for name, quantized in model.autoencoder(part, torch.rand(part.shape)).quantized.items():
                uses[name] += torch.bincount(quantized.codes.flatten(), minlength=len(uses[name]))
    shared = {"unit": "bits/dim", "better": "lower", "protocol": {"data": opened.spec.name, "examples": len(x)}}
    values = {"prior": torch.cat(prior), "bits/dim": torch.cat(total)}
    values["reconstruction"] = values["bits/dim"] - values["prior"]
    document = {name: mean_of(name, v.double().numpy(), **shared).to_json() for name, v in values.items()}
    for name, count in uses.items():
        shares = count[count > 0] / count.sum()
        perplexity = round(float((-(shares * shares.log()).sum()).exp()), 1)
        document[name] = {"in use": int((count > 0).sum()), "of": len(count), "perplexity": perplexity}
    document["recipe"], document["options"] = opened.config.recipe, opened.config.options
    text = json.dumps(document, indent=2, ensure_ascii=False)
    print(text)
    if given.keep:
        (Path(__file__).parent / "results" / f"{given.keep}.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
