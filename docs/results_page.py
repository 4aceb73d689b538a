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
