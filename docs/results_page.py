"""The page results.md: the quality of trained models, from the files in benchmarks/quality/results."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from tables import MISSING, stored, table, text


def command(lines: Sequence[str]) -> str:
    """Return shell commands as code, separated by semicolons."""
    return "; ".join(f"`{line}`" for line in lines)


def seed(line: str) -> str:
    """Return the training seed of a command: the one that it names, or the default."""
    named = re.search(r"--seed (\d+)", line)
    return named.group(1) if named else "0"


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


def modes(file: dict[str, Any]) -> list[str]:
    """Return the section of the adversarial models on mixtures in the plane."""
    rows = []
    for name, cell in sorted(file.items(), key=lambda item: item[0].split()[::-1]):
        model, density = name.split()
        seeds = ", ".join(seed(run["command"]) for run in cell["runs"])
        minutes = max(run["CPU minutes"] for run in cell["runs"])
        line = re.sub(r"--seed \d+", "--seed SEED", cell["runs"][0]["command"])
        row = (density, f"`{model}`", text(cell["modes"]), text(cell["good"]), cell["good"]["n"], seeds, minutes)
        rows.append((*row, command([line])))
    header = ("density", "recipe", "modes found", "good samples", "n", "seeds", "CPU minutes, at most", "command")
    intro = [
        "## Modes that adversarial models find",
        "",
        "The intervals are over training seeds; n counts trainings.",
        "",
    ]
    return intro + table(header, rows)


def comparisons(files: dict[str, Any]) -> list[str]:
    """Return one section for each stored comparison."""
    lines = []
    for name, file in files.items():
        if "measures" not in file:
            continue
        models = list(dict.fromkeys(model for row in file["measures"] for model in row["cells"]))
        counts = sorted({cell["estimate"]["n"] for row in file["measures"] if row["varies"] == "samples"
                         for cell in row["cells"].values() if "estimate" in cell})  # fmt: skip
        rows = [
            (row["name"], *(text(cell["estimate"]) if "estimate" in cell else "–" for cell in cells))
            for row in file["measures"]
            for cells in [[row["cells"].get(model, {}) for model in models]]
        ]
        lines += [f"## Comparison: {name}", "", f"Command: `{file['command']}`. One training of each model, seed 0;"]
        lines += [f"intervals are over samples, n = {', '.join(map(str, counts))}.", ""]
        lines += table(("measure", *models), rows)
    return lines


def gaussian_fits(file: dict[str, Any]) -> list[str]:
    """Return the section of the f-GANs that fit a Gaussian to a mixture."""
    rows = []
    for name, cell in file.items():
        best, trained = cell["best"], cell["trained"]
        values = [[fit[key] for fit in trained] for key in ("divergence", "mu", "sigma")]
        spans = [f"{min(span):.4f} to {max(span):.4f}" for span in values]
        exact = [f"{best[key]:.4f}" for key in ("divergence", "mu", "sigma")]
        pairs = [cell for pair in zip(exact, spans, strict=True) for cell in pair]
        rows.append((name, *pairs, len(trained), ", ".join(str(i) for i in range(len(trained)))))
    header = ("divergence", "least D", "trained D", "best μ", "trained μ", "best σ", "trained σ", "n", "seeds")
    intro = [
        "## One Gaussian fitted to a mixture of two by f-GANs",
        "",
        "Command: `python benchmarks/quality/f_gan_mixture.py`. The best values are found by quadrature; the trained",
        "ones are the range over n trainings, in place of an interval.",
        "",
    ]
    return intro + table(header, rows)


def mixtures(file: dict[str, Any]) -> list[str]:
    """Return the section that compares Gaussian mixtures with scikit-learn."""
    rows = []
    for data, parts in file.items():
        for name, cell in parts["gmm"].items():
            ours, theirs = cell["log-likelihood"], cell["scikit-learn log-likelihood"]
            spans = [f"{cell[mean]:.4f} ({min(v):.4f} to {max(v):.4f})"
                     for mean, v in (("mean", ours), ("scikit-learn mean", theirs))]  # fmt: skip
            seeds = ", ".join(str(i) for i in range(len(ours)))
            rows.append((data, name, *spans, f"{cell['largest difference']:.1e}", parts["examples"][0], seeds))
    header = ("data", "covariance", "thalweg", "scikit-learn", "largest difference of log-densities", "n", "seeds")
    intro = [
        "## Gaussian mixtures beside scikit-learn",
        "",
        "Command: `python benchmarks/quality/mixtures.py`. The mean training log-likelihood in nats over the seeds,",
        "with the range over the seeds in place of an interval; the difference is between both log-densities under the",
        "same parameters.",
        "",
    ]
    return intro + table(header, rows)
