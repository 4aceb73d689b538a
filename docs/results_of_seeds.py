"""Sections of results.md with several models or trainings each: modes, comparisons, f-GANs, Gaussian mixtures."""

from __future__ import annotations

import re
from typing import Any

from tables import command, seed, table, text


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
        over = "samples" if any(row["varies"] == "samples" for row in file["measures"]) else "test examples"
        counts = sorted({cell["estimate"]["n"] for row in file["measures"] if row["varies"] == over
                         for cell in row["cells"].values() if "estimate" in cell})  # fmt: skip
        rows = [
            (row["name"], *(text(cell["estimate"]) if "estimate" in cell else "–" for cell in cells))
            for row in file["measures"]
            for cells in [[row["cells"].get(model, {}) for model in models]]
        ]
        lines += [f"## Comparison: {name}", "", f"Command: `{file['command']}`. One training of each model, seed 0;"]
        lines += [f"intervals are over {over}, n = {', '.join(map(str, counts))}.", ""]
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
