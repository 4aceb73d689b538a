"""`thalweg sample DIR -n 64 --out FILE`: samples of a trained model."""

from __future__ import annotations

from typing import Any

from thalweg.cli.arguments import Parser
from thalweg.cli.options import Option
from thalweg.cli.shared import device_option, out_file, seed_option

HELP = "draw samples from a trained model, into a picture, a table or text"
N = 64
SUFFIXES = (".png", ".npz", ".csv", ".txt")


def parser(arguments: list[str]) -> Parser:
    """Return the parser: the run folder, the number of samples, and the file to write."""
    about = f"{HELP}\n\n.png shows images in a grid and points as a scatter; .npz and .csv hold raw values."
    result = Parser("sample", about, usage="sample DIR -n 64 --out FILE")
    result.aliases["run"] = "DIR"
    result.positional("dir", "a run folder")
    options = [
        Option("n", int, N, "number of samples", ("-n",)),
        Option("out", str, None, "file to write: .png, .npz, .csv or .txt"),
        seed_option("the samples"),
        Option(
            "temperature",
            float,
            None,
            "scale of the latent noise, for models that have this setting; below 1, samples are nearer to the mode",
        ),
        Option(
            "truncation",
            float,
            None,
            "largest absolute value of a latent coordinate, in standard deviations, for GANs and WAEs",
        ),
        Option("label", str, None, "class to sample, for class-conditional models (default: all classes)"),
        device_option(),
    ]
    result.group("sampling", options)
    return result


def run(arguments: dict[str, Any]) -> dict[str, Any]:
    """Draw the samples, and write the file."""
    path = out_file(arguments.get("out"), SUFFIXES)
    names = ("n", "seed", "temperature", "truncation", "label", "device")
    settings = {name: arguments[name] for name in names if name in arguments}

    from thalweg.applications.files import check_fits
    from thalweg.applications.sample import BATCH, sample
    from thalweg.recipes.runs import open_run
    from thalweg.training.progress import progress

    opened = open_run(arguments["dir"])
    check_fits(path, opened.spec, settings.get("n", N))  # checked before samples are drawn
    shown = progress() if settings.get("n", N) > BATCH else None
    result = sample(opened, **settings, progress=shown)
    result.save(path)
    n, *shape = result.x.shape
    return {"run": str(arguments["dir"]), "out": str(path), "n": n, "seed": result.seed, "shape": shape}


def show(document: dict[str, Any]) -> None:
    """Print how many samples were written, and where."""
    from thalweg.report.words import counted

    print(f"{counted(document['n'], 'sample')}: {document['out']}")
