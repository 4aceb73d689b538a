"""`thalweg sample DIR -n 64 --out FILE`: draws from a trained model."""

from __future__ import annotations

import inspect
from typing import Any

from thalweg.cli.arguments import Parser
from thalweg.cli.options import Option
from thalweg.cli.shared import device_option, out_file, seed_option

HELP = "draw from a trained model, into a picture, table or text"
SUFFIXES = (".png", ".npz", ".csv", ".txt")
AT_ONCE = 500


def parser(arguments: list[str]) -> Parser:
    """The run folder, how many draws, and where to."""
    about = f"{HELP}\n\n.png shows images in a grid and points as a scatter; .npz and .csv hold raw values."
    made = Parser("sample", about, usage="sample DIR -n 64 --out FILE")
    made.aliases["run"] = "DIR"
    made.positional("dir", "a run folder")
    options = [
        Option("n", int, 64, "how many", ("-n",)),
        Option("out", str, None, "file to write: .png, .npz, .csv or .txt"),
        seed_option("the draws"),
        Option("temperature", float, None, "of models that have one: below 1 keeps to what is likely"),
        Option("truncation", float, None, "of GANs and WAEs: keep each number of z within so many standard deviations"),
        Option("label", str, None, "of class-conditional models: the class to draw (default: any)"),
        device_option(),
    ]
    made.group("sampling", options)
    return made


def run(given: dict[str, Any]) -> dict[str, Any]:
    """Draw and write."""
    if "out" not in given:
        raise ValueError(f"out: got nothing, wanted a file name ending in {', '.join(SUFFIXES)}")
    path = out_file(given["out"], SUFFIXES)

    from thalweg.applications.files import check_fits, write_values
    from thalweg.checks import choice, positive
    from thalweg.devices import resolve_device
    from thalweg.recipes.runs import open_run

    n, seed = positive("n", given.get("n", 64)), given.get("seed", 0)
    device = resolve_device(given.get("device", "auto"))
    opened = open_run(given["dir"])
    model: Any = opened.model
    if not hasattr(model, "sample"):
        raise ValueError(f"dir: got {given['dir']}, a {opened.config.recipe}, wanted a model that can sample")
    check_fits(path, opened.spec)
    settings, takes = {}, inspect.signature(model.sample).parameters
    if "temperature" in given:
        if "temperature" not in takes:
            raise ValueError(f"temperature: got {given['temperature']}, but {opened.config.recipe} has none")
        settings["temperature"] = positive("temperature", given["temperature"])
    if "truncation" in given:
        if "truncation" not in takes:
            raise ValueError(f"truncation: got {given['truncation']}, but {opened.config.recipe} has none")
        settings["truncation"] = positive("truncation", given["truncation"])
    if "label" in given:
        if not getattr(model, "classes", 0):
            raise ValueError(
                f"label: got '{given['label']}', but this {opened.config.recipe} knows no classes, "
                "wanted one trained with --conditional"
            )
        classes = opened.spec.classes or ()
        settings["label"] = classes.index(choice("label", given["label"], classes))
    write_values(path, draw(model.to(device), n, seed, **settings), opened.spec)
    return {"run": str(given["dir"]), "out": str(path), "n": n, "seed": seed, "shape": list(opened.spec.shape)}


def draw(model: Any, n: int, seed: int, label: int | None = None, **settings: Any) -> Any:
    """Return `n` raw samples (n, *shape), numpy, in eval mode; of the class `label` where there is one."""
    import numpy as np
    import torch

    from thalweg.evaluation.examples import frozen, seeded
    from thalweg.randomness import generator

    parts = []
    with frozen(model) as device:
        for start in range(0, n, AT_ONCE):
            source, count = generator(seed, "sample", start, device=device), min(AT_ONCE, n - start)
            if label is not None:
                settings["y"] = torch.full((count,), label, device=device)
            with seeded(seed, "sample", start, device=device):
                part = model.sample(count, generator=source, **settings)
            parts.append(torch.as_tensor(part).cpu().numpy())
    return np.concatenate(parts)


def show(document: dict[str, Any]) -> None:
    """Print where the samples are."""
    print(f"{document['n']} samples: {document['out']}")
