"""The KL divergence from the true density to each flow of vectors, on densities of the plane and 50,000 new points.

    OMP_NUM_THREADS=1 python benchmarks/quality/densities.py [FLOW ...] [DENSITY ...]

Both densities are exact. Each cell runs two commands, `thalweg train ...` and `thalweg evaluate ...`, with the defaults
of the recipe and the options in `SETTINGS`, on 1,000,000 points, within five CPU minutes. A cell is stored in
results/densities.json as soon as it is measured; the table is printed at the end. Run folders are in THALWEG_RUNS.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import tempfile
from pathlib import Path

from run import RESULTS, thalweg

# options in addition to the defaults of the recipe
SETTINGS = {"affine-flow": "", "nice": "--steps 5000", "real-nvp": "", "glow": "--steps 5000", "nsf": "", "ffjord": ""}
# density → goal of the best flow, goal of Real NVP
GOALS = {
    "moons": (0.005, 0.05),
    "rings": (0.005, 0.05),
    "pinwheel": (0.005, 0.05),
    "eight-gaussians": (0.005, 0.05),
    "spiral": (0.01, 0.05),
    "checkerboard": (0.03, 0.10),
}
RESULT = RESULTS / "densities.json"


def measure(flow: str, density: str, folder: Path) -> dict:
    """Train and evaluate one flow on one density; return the cell."""
    run = folder / f"{flow}-{density}"
    train = f"{flow} --data {density} --data-examples 1000000 {SETTINGS[flow]}".strip()
    test = f"--data {density} --data-seed 1 --test 0.5 --samples 500"  # half of 100,000 points of another seed
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    thalweg("train", *train.split(), "--run", str(run), "--overwrite")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    evaluated = thalweg("evaluate", str(run), *test.split())
    name = evaluated["models"][0]["name"]
    estimate = next(row["cells"][name]["estimate"] for row in evaluated["measures"] if row["name"] == "KL from truth")
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {
        "estimate": estimate,
        "CPU minutes": round(spent / 60, 2),
        "commands": [f"thalweg train {train} --run DIR", f"thalweg evaluate DIR {test}"],
    }


def table(cells: dict[str, dict]) -> str:
    """Return the cells as a Markdown table: KL, nats, and CPU minutes."""
    flows = [flow for flow in SETTINGS if any(name.startswith(f"{flow} ") for name in cells)]
    lines = ["| density | " + " | ".join(flows) + " | goal: best, Real NVP |", "|---" * (len(flows) + 2) + "|"]
    for density, (best, real_nvp) in GOALS.items():
        column = [cells.get(f"{flow} {density}") for flow in flows]
        row = [f"{c['estimate']['value']:.4f} ({c['CPU minutes']:.1f} min)" if c else "" for c in column]
        lines.append(f"| {density} | " + " | ".join(row) + f" | {best}, {real_nvp} |")
    return "\n".join(lines)


def main(arguments: list[str]) -> None:
    """Measure the cells that the command names, by default all."""
    flows = [name for name in arguments if name in SETTINGS] or list(SETTINGS)
    densities = [name for name in arguments if name in GOALS] or list(GOALS)
    unknown = set(arguments) - set(SETTINGS) - set(GOALS)
    if unknown:
        raise SystemExit(f"got {', '.join(sorted(unknown))}, wanted {', '.join([*SETTINGS, *GOALS])}")
    keep = os.environ.get("THALWEG_RUNS")
    folder = Path(keep) if keep else Path(tempfile.mkdtemp())
    for flow in flows:
        for density in densities:
            cell = measure(flow, density, folder)
            cells = json.loads(RESULT.read_text())["cells"] if RESULT.is_file() else {}
            cells[f"{flow} {density}"] = cell
            document = {"unit": "nats", "measure": "KL from truth", "goals": GOALS, "cells": cells}
            RESULTS.mkdir(exist_ok=True)
            RESULT.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
            estimate = cell["estimate"]
            print(
                f"{flow:<12} {density:<16} {estimate['value']:.5f} [{estimate['low']:.5f}, {estimate['high']:.5f}] "
                f"nats, {cell['CPU minutes']} CPU minutes",
                flush=True,
            )
    print(table(json.loads(RESULT.read_text())["cells"]))


if __name__ == "__main__":
    main(sys.argv[1:])
