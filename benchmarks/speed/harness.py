"""Ratios of rates within one run: all contenders take turns in each round; medians over the rounds go to a JSON file.

The speed of a shared machine drifts by tens of percent. Contenders that alternate within one process drift together, so
only ratios are compared, and a ratio between 1/1.15 and 1.15 is not distinguished from 1.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def alternate(contenders: Mapping[str, Callable[[], float]], rounds: int = 7) -> dict[str, list[float]]:
    """Call each contender once without measuring, then `rounds` times in turn; return the rates of each."""
    for run in contenders.values():
        run()
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, run in contenders.items():
            rates[name].append(run())
    return rates


def ratios(rates: Mapping[str, list[float]], ours: str, other: str) -> dict[str, float]:
    """Return the median, the smallest and the largest ratio of the rates of the same round."""
    pairs = [a / b for a, b in zip(rates[ours], rates[other], strict=True)]
    return {"median": statistics.median(pairs), "min": min(pairs), "max": max(pairs)}


def report(
    name: str,
    unit: str,
    rates: Mapping[str, list[float]],
    compared: Mapping[str, tuple[str, str, float]],
    values: Mapping[str, float] | None = None,
) -> None:
    """Print medians and ratios, and write them to results/NAME.json.

    `compared`: label → (ours, other, goal). `values`: contender → the value that it computes, to show that all agree.
    """
    import torch

    document: dict[str, Any] = {
        "benchmark": name,
        "unit": unit,
        "rounds": len(next(iter(rates.values()))),
        "machine": {
            "processor": _processor(),
            "cores": os.cpu_count(),
            "threads": torch.get_num_threads(),
            "python": platform.python_version(),
            "torch": torch.__version__,
        },
        "rates": {key: {"median": statistics.median(v), "min": min(v), "max": max(v)} for key, v in rates.items()},
        "ratios": {label: ratios(rates, a, b) | {"goal": goal} for label, (a, b, goal) in compared.items()},
    }
    if values:
        document["values"] = dict(values)
    print(f"\n{name} ({unit})")
    for key, value in document["rates"].items():
        print(f"  {key:<44} {value['median']:>12,.1f}   [{value['min']:,.1f}, {value['max']:,.1f}]")
    for label, value in document["ratios"].items():
        met = "met" if value["median"] >= value["goal"] else "MISSED"
        spread = f"[{value['min']:.3f}, {value['max']:.3f}]"
        print(f"  {label:<44} {value['median']:>12.3f}   {spread}  goal {value['goal']:.3g} {met}")
    for key, number in (values or {}).items():
        print(f"  {'value: ' + key:<44} {number:>12.5f}")
    if quick():  # rates of a few steps are not stored
        return
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(document, indent=2) + "\n")


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


def quick() -> bool:
    """Whether the command asks for a trial of a few steps: `--quick`."""
    return "--quick" in sys.argv
