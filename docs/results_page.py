"""The page results.md: the quality of trained models, from the files in benchmarks/quality/results."""

from __future__ import annotations

from typing import Any

from results_of_seeds import comparisons, gaussian_fits, mixtures, modes
from tables import MISSING, command, seed, stored, table, text


def results_page() -> str:
    """Return the page of what trained models reach."""
    files = stored("quality")
    lines = [
        "# Results",
        "",
        "This page is generated from the files in `benchmarks/quality/results`. Every number has the command that",
        "reproduces it, its 95 % interval, what that interval is over, the number n of examples, samples or",
        "trainings behind it, and the seeds of the trainings. `≤` and `≥` mark bounds. Where the interval is over test",
        "examples or samples, it does not include the variation between trainings.",
        "",
        *single_runs(files),
        *densities(files["densities"]),
        *codebooks(files),
        *modes(files["modes"]),
        *comparisons(files),
        *gaussian_fits(files["f-gan-mixture"]),
        *mixtures(files["mixtures"]),
        *minutes_of_one_core(files["cifar10"]),
        *optimizers(files["optimizers"]),
        *double_descent(files["double-descent"]),
    ]
    return "\n".join(lines).rstrip() + "\n"


def single_runs(files: dict[str, Any]) -> list[str]:
    """Return the section of the recipes that are trained once and evaluated once."""
    rows = []
    for name, file in files.items():
        if "estimate" not in file:
            continue
        reference = next((f"{file[key]} ({key})" for key in ("goal", "paper", "published") if file.get(key)), "–")
        unit = next((key for key in file if key.endswith("minutes of training")), None)
        time = f"{file[unit]} {unit.split(' of')[0]}" if unit and file[unit] is not None else MISSING
        estimate = file["estimate"]
        rows.append(
            (name, estimate["name"], text(estimate), reference, estimate["n"], estimate["varies"],
             seed(file["commands"][0]), time, command(file["commands"]))
        )  # fmt: skip
    header = ("result", "measure", "value", "reference", "n", "interval over", "seed", "training", "commands")
    intro = ["## Recipes on real data", "", "The reference is a goal of this project or a value from a paper.", ""]
    return intro + table(header, rows)


def densities(file: dict[str, Any]) -> list[str]:
    """Return the section of the flows on densities of the plane."""
    rows = []
    for name, cell in sorted(file["cells"].items(), key=lambda item: item[0].split()[::-1]):
        flow, density = name.split()
        estimate, train = cell["estimate"], cell["commands"][0]
        rows.append(
            (
                density,
                f"`{flow}`",
                text(estimate),
                estimate["n"],
                seed(train),
                cell["CPU minutes"],
                command(cell["commands"]),
            )
        )
    header = ("density", "recipe", "KL from truth", "n", "seed", "CPU minutes", "commands")
    intro = [
        "## Flows on densities of the plane",
        "",
        "The Kullback-Leibler divergence from the true density to the flow, on new points; the interval is over these",
        "points.",
        "",
    ]
    return intro + table(header, rows)


def codebooks(files: dict[str, Any]) -> list[str]:
    """Return the section of the vector-quantized autoencoders."""
    rows = []
    for name, file in files.items():
        if "prior" not in file:
            continue
        uses = [f"{use['in use']} of {use['of']}" for use in file.values() if isinstance(use, dict) and "in use" in use]
        values = [text(file[key]) for key in ("bits/dim", "prior", "reconstruction")]
        recorded = file.get("commands", [])
        commands = command(recorded) if recorded else f"{MISSING}; recipe `{file['recipe']}`"
        n, drawn = file["prior"]["n"], seed(recorded[0]) if recorded else MISSING
        rows.append((name, file["prior"]["protocol"]["data"], *values, ", ".join(uses), n, drawn, commands))
    header = ("result", "data", "total", "prior of the codes", "image given its codes", "codes in use", "n", "seed")
    intro = [
        "## Vector-quantized autoencoders",
        "",
        "The total is an upper bound on bits/dim, the sum of the two parts. The intervals are over test examples.",
        "",
    ]
    return intro + table((*header, "commands"), rows)


def minutes_of_one_core(file: dict[str, Any]) -> list[str]:
    """Return the section of the classifiers of CIFAR-10 that are trained for some minutes of one core."""
    rows = []
    for name, line in file.items():
        source, reference = list(line.items())[-1]
        one, six = (text(line["views"][views]) for views in ("one", "six"))
        epochs, work = (max(line[key]) for key in ("epochs", "PFLOP"))
        rows.append((name, one, six, f"{reference} ({source})", line["seeds"], f"{epochs:.1f}", f"{work:.3f}",
                     f"`{line['command']}`"))  # fmt: skip
    intro = [
        "## CIFAR-10 in minutes of one core",
        "",
        "Accuracy on the 10,000 test images, with one view and with the mean of six views. Each training has one",
        "thread of one core, so that 20 minutes are the work of two cores in 10 minutes. With several seeds the",
        "interval is over them, else over test images. The test images were used once, after all settings were fixed.",
        "PFLOP counts 6 × MACs of each training image. The file is `cifar10`, the script",
        "`python benchmarks/quality/airbench.py`.",
        "",
    ]
    header = (
        "training",
        "accuracy, one view",
        "accuracy, six views",
        "reference",
        "seeds",
        "epochs",
        "PFLOP",
        "command",
    )
    return intro + table(header, rows)


def optimizers(file: dict[str, Any]) -> list[str]:
    """Return the section of the optimizers that are tuned by the same random search."""
    rows = []
    for name, found in file["optimizers"].items():
        best = found["trials"][found["best"]]
        scores = sorted(trial["accuracy, %"] for trial in found["trials"])
        half = scores[len(scores) // 2]
        rows.append((name, text(found["estimate"]), best["lr"], best["weight_decay"], f"{best['accuracy, %']:.2f}",
                     f"{half:.2f}", len(found["seeds"])))  # fmt: skip
    intro = [
        "## Optimizers",
        "",
        f"LeNet5 on Fashion-MNIST, {file['steps']} steps of 128 images with a cosine schedule. Every optimizer is",
        f"tried with the same {file['trials']} random pairs of a learning rate (log-uniform in [1e-4, 1]) and a weight",
        "decay (log-uniform in [1e-6, 1e-1]); the pair with the highest accuracy on the validation images is trained",
        "with other seeds, over which the interval is. The median of the trials says how much the choice matters. The",
        f"file is `optimizers`, the command `{file['command']}`.",
        "",
    ]
    header = ("optimizer", "test accuracy", "rate", "decay", "best trial, %", "median trial, %", "seeds")
    return intro + table(header, rows)


def double_descent(file: dict[str, Any]) -> list[str]:
    """Return the section of double descent: the test error of random features over their number."""
    features = file["random features"]
    n, by_ridge = features["examples"], features["by ridge"]
    ridges, widths = list(by_ridge), next(iter(by_ridge.values()))["features"]

    def cell(ridge: str, i: int) -> str:
        return f"{by_ridge[ridge]['mse, median'][i]:.3g} · {by_ridge[ridge]['error, %'][i]:.1f} %"

    rows = [(f"{width / n:.2f}", *(cell(ridge, i) for ridge in ridges)) for i, width in enumerate(widths)]
    intro = [
        "## Double descent",
        "",
        f"Random ReLU features of {n} images of MNIST, {features['seeds']} seeds, 5,000 others for testing:",
        "the median squared error and the mean share of wrong classes, by the weight λ of the ridge. The file is",
        "`double-descent`, the command `python benchmarks/quality/double_descent.py`.",
        "",
    ]
    return intro + table(("features / examples", *(f"λ = {r}" for r in ridges)), rows)
