"""Reports as `thalweg compare` writes them, made up: every part of the page, and each part missing."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from thalweg.evaluation.estimates.figures import Axis, Curve, Figure, ImageGrid, Matrix, Scatter

MODELS = {"vae": "vaes", "real-nvp": "flows", "wgan": "gans", "lenet5": "classifiers"}
BASELINES = ["real", "gaussian"]
Measure = tuple[str, str, str, str, str | None, str, dict[str, tuple[float, float]]]
NONE: dict[str, tuple[float, float]] = {}
MEASURES: list[Measure] = [
    ("bits/dim", "likelihood", "bits/dim", "upper bound", "lower", "test examples",
     {"vae": (1.438, 0.008), "real-nvp": (1.612, 0.013)}),
    ("bits/dim", "likelihood", "bits/dim", "exact", "lower", "test examples", {"gaussian": (2.31, 0.02)}),
    ("log-likelihood", "likelihood", "nats", "lower bound", "higher", "test examples",
     {"vae": (-63.79, 0.35), "real-nvp": (-71.5, 0.58)}),
    ("Fréchet distance", "samples", "", "estimate", "lower", "samples",
     {"vae": (8.61, 0.92), "real-nvp": (9.05, 0.98), "wgan": (6.93, 0.88), "real": (2.11, 0.3),
      "gaussian": (211.0, 9.0)}),
    ("MMD²", "samples", "", "estimate", "lower", "samples",
     {"vae": (0.0041, 0.0011), "real-nvp": (0.0049, 0.0012), "wgan": (-0.0002, 0.0009),
      "real": (-0.0004, 0.0008), "gaussian": (0.061, 0.004)}),
    ("precision", "samples", "%", "estimate", "higher", "samples",
     {"vae": (81.7, 7.7), "real-nvp": (78.3, 8.1), "wgan": (89.4, 9.6), "real": (97.2, 2.6),
      "gaussian": (2.2, 2.1)}),
    ("recall", "samples", "%", "estimate", "higher", "samples",
     {"vae": (90.5, 5.9), "real-nvp": (93.9, 4.9), "wgan": (92.8, 6.8), "real": (96.1, 3.3),
      "gaussian": (7.2, 3.7)}),
    ("PSNR", "reconstruction", "dB", "exact", "higher", "test examples", {"vae": (19.37, 0.21)}),
    ("active units", "latents", "", "estimate", None, "test examples", {"vae": (14.0, 0.0)}),
    ("accuracy", "classification", "%", "exact", "higher", "test examples", {"lenet5": (98.3, 1.7)}),
    ("calibration error", "classification", "%", "estimate", "lower", "test examples", {"lenet5": (1.9, 1.1)}),
    ("anomaly AUROC: noise", "anomaly", "%", "exact", "higher", "test examples",
     {"vae": (99.1, 0.5), "real-nvp": (98.7, 0.7), "lenet5": (91.2, 2.4)}),
    ("training time", "cost", "s", "exact", None, "nothing",
     {"vae": (58.2, 0.0), "real-nvp": (60.0, 0.0), "wgan": (60.1, 0.0), "lenet5": (12.4, 0.0)}),
    ("samples per second", "cost", "1/s", "estimate", None, "draws",
     {"vae": (152000.0, 9100.0), "real-nvp": (31300.0, 2500.0), "wgan": (148000.0, 11000.0)}),
]  # fmt: skip
REASONS = {"likelihood": "no log_prob or elbo", "samples": "no sample", "classification": "no logits"}


def text(value: float, half: float, kind: str, unit: str) -> str:
    sign = {"upper bound": "≤ ", "lower bound": "≥ "}.get(kind, "")
    places = max(0, 1 - math.floor(math.log10(half))) if half else 0
    message = f"{value:.{places}f} ± {half:.{places}f}" if half else f"{value:.6g}"
    return f"{sign}{message} {unit}".strip()


def cell(measure: Measure, model: str, best: str | None) -> dict[str, Any]:
    name, group, unit, kind, better, varies, values = measure
    if model not in values:
        return {"reason": REASONS.get(group, f"no ability for {group}")}
    value, half = values[model]
    estimate = {
        "name": name, "value": value, "low": value - half, "high": value + half, "unit": unit, "kind": kind,
        "varies": varies, "n": 180, "better": better or "lower", "protocol": {"data": "digits", "split": "test"},
        "method": {"interval": "Student", "by": model}, "text": text(value, half, kind, unit),
    }  # fmt: skip
    apart = None
    if best not in (None, model) and model in MODELS:
        apart = abs(value - values[best][0]) > math.hypot(half, values[best][1])  # type: ignore[index]
    flag = "copies the training data" if (name, model) == ("precision", "wgan") else None
    return {"estimate": estimate, "best": model == best, "separated": apart, "flag": flag}


def measure(known: Measure, models: list[str]) -> dict[str, Any]:
    name, group, unit, kind, better, varies, values = known
    there = {model: values[model][0] for model in models if model in values and model in MODELS}
    pick = {"lower": min, "higher": max}.get(better or "")
    best = pick(there, key=lambda model: there[model]) if pick and there else None
    return {
        "name": name, "group": group, "unit": unit, "kind": kind, "better": better, "varies": varies,
        "meaning": f"What {name} means, in a sentence or two that a newcomer understands, with its known trap.",
        "protocol": {"data": "digits", "fingerprint": "9f2c1a7e", "split": "test", "examples": 180, "n_real": 180},
        "note": "quantity: density" if name == "bits/dim" and kind == "exact" else None,
        "cells": {model: cell(known, model, best) for model in models},
    }  # fmt: skip


def trained(name: str, family: str, seeds: int) -> dict[str, Any]:
    runs = [
        {"seed": seed, "run": f"runs/{name}-{seed}", "state": "done", "reason": None, "seconds": 58.2, "steps": 4100,
         "command": f"thalweg train {name} --data digits --minutes 1 --seed {seed} --run runs/{name}-{seed}"}
        for seed in range(seeds)
    ]  # fmt: skip
    return {"name": name, "family": family, "options": {"latent": 16}, "parameters": 412_305, "seeds": runs}


def report(models: list[str] | None = None, *, seeds: int = 1, shape: tuple[int, ...] = (1, 8, 8)) -> dict[str, Any]:
    """Return a report of these models, baselines last."""
    names = [*MODELS, *BASELINES] if models is None else models
    known = [
        trained(name, MODELS[name], seeds) if name in MODELS
        else {"name": name, "family": "baseline", "options": {}, "parameters": None, "seeds": []}
        for name in names
    ]  # fmt: skip
    return {
        "schema": "thalweg-report", "version": 2, "title": f"{', '.join(n for n in names if n in MODELS)} on digits",
        "made": "2026-11-20T09:00:00Z",
        "command": f"thalweg compare {' '.join(n for n in names if n in MODELS)} --data digits --minutes 1 --out out",
        "data": {"name": "digits", "fingerprint": "9f2c1a7e54b0d3c8", "kind": "image", "shape": list(shape),
                 "levels": 17 if shape[-1] == 8 else 256, "classes": [str(i) for i in range(10)], "train": 1437,
                 "validation": 180, "test": 180},
        "budget": {"minutes": 1.0},
        "versions": {"thalweg": "0.2.0", "python": "3.11.9", "torch": "2.13.0", "numpy": "2.1.0", "platform": "Linux"},
        "models": known, "measures": [measure(m, names) for m in MEASURES], "tables": {}, "warnings": [],
        "learning_curve": learning_curve([model for model in known if model["seeds"]]),
        "tradeoffs": [
            {"cost": "MACs", "unit": "", "points": [
                {"model": name, "x": 10.0 ** (4 + i), "y": 98.3 - i, "low": 90.0, "high": 99.0, "optimal": i < 1}
                for i, name in enumerate(name for name in names if name in MODELS)
            ]}
        ] if "lenet5" in names else [],
    }  # fmt: skip


def learning_curve(known: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the learning curves of models: errors that fall with the number of training examples."""
    models = []
    for model in known:
        points = []
        for share, examples in ((0.1, 144), (1.0, 1437)):
            value = 90 - 200 / examples
            estimate = {"value": value, "low": value - 1, "high": value + 1, "text": f"{value:.1f} ± 1.0 %"}
            stem = f"runs/{model['name']}" + ("" if share == 1.0 else f"-share={share:g}")
            seeds = [run | {"run": f"{stem}-{run['seed']}"} for run in model["seeds"]]
            points.append({"share": share, "examples": examples, "estimate": estimate, "seeds": seeds})
        models.append({"name": model["name"], "measure": "accuracy", "points": points})
    return {"fixed": "minutes", "shares": [0.1, 1.0], "models": models}


def of_plane() -> dict[str, Any]:
    """Return a report of data with two columns."""
    known = report(["vae", "real-nvp", "wgan", "real"])
    known["data"] |= {"name": "moons", "kind": "vector", "shape": [2], "levels": None, "classes": None}
    return known


def figures(known: dict[str, Any]) -> dict[str, list[Figure]]:
    """Return the curves and matrices that the measures of each model of the report may have."""
    names = [model["name"] for model in known["models"]]
    result: dict[str, list[Figure]] = {name: [] for name in names}
    rng, ks = np.random.default_rng(1), [1, 2, 4, 8, 16, 32, 64, 128, 256, 512]
    unit = {side: Axis(label=f"{side} positive rate", range=(0, 1)) for side in ("false", "true")}
    if "vae" in names:
        value = [-63.8 + 2.1 * (1 - k**-0.4) for k in ks]
        axes = {"x_axis": Axis(label="K", scale="log2"), "y_axis": Axis(label="bound, nats")}
        ends = {"low": [v - 0.3 for v in value], "high": [v + 0.3 for v in value]}
        result["vae"].append(Curve(section="bounds", panel="", x=ks, y=value, sizes=[1.0] * len(ks), **axes, **ends))
    for model in known["learning_curve"]["models"]:
        x, y = ([float(p["examples"]) for p in model["points"]], [p["estimate"]["value"] for p in model["points"]])
        axes = {"x_axis": Axis(label="training examples", scale="log2"), "y_axis": Axis(label="accuracy, %")}
        ends = {"low": [v - 1 for v in y], "high": [v + 1 for v in y], "sizes": [1.0] * len(x)}
        result[model["name"]].append(Curve(section="learning-curve", panel="accuracy", x=x, y=y, **axes, **ends))
    rate = np.linspace(0, 1, 181)
    for name, power in {"vae": 0.02, "real-nvp": 0.05, "lenet5": 0.12}.items():
        if name in names:
            result[name] += [
                Curve(section="roc", panel=against, x=rate.tolist(), y=(rate**p).tolist(), diagonal=True,
                      x_axis=unit["false"], y_axis=unit["true"], legend=f"{100 / (1 + p):.1f} %")
                for against, p in {"noise": power, "letters": 6 * power}.items()
            ]  # fmt: skip
    if "lenet5" in names:
        counts = rng.poisson(0.3, (10, 10)) + np.diag(rng.integers(15, 19, 10))
        classes = [str(i) for i in range(10)]
        rows = [{"class": c, "n": 18, "precision": 0.971, "recall": 0.95, "F1": None} for c in classes]
        bins = np.linspace(0.05, 0.95, 10)
        axes = {"x_axis": Axis(label="confidence", range=(0, 1)), "y_axis": Axis(label="accuracy", range=(0, 1))}
        result["lenet5"] += [
            Matrix(section="classifiers", panel="confusion matrix", rows=classes, columns=classes,
                   values=counts.tolist(), caption="rows: the label; columns: the predicted class", details=rows),
            Curve(section="classifiers", panel="calibration", x=bins.tolist(), y=(bins**1.2).tolist(), diagonal=True,
                  sizes=[0, 0, 1, 1, 2, 2, 4, 7, 23, 140], **axes),
            Curve(section="robustness", panel="accuracy under shift", x=[0.0, 1.0, 2.0], y=[97.0, 71.0, 40.0],
                  low=[93.0, 65.0, 35.0], high=[99.0, 76.0, 46.0], sizes=[1.0] * 3,
                  x_axis=Axis(label="shift in pixels"), y_axis=Axis(label="accuracy, %")),
        ]  # fmt: skip
    return result


def digits(shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """Return real scans of that size: 17 levels at 8 × 8, 256 at others."""
    from PIL import Image
    from sklearn.datasets import load_digits

    x = load_digits().images
    if shape[-1] == 8:
        return x.astype(np.uint8)[:, None]
    size = shape[-2:][::-1]
    large = [np.asarray(Image.fromarray((image * 15).astype(np.uint8)).resize(size, 3)) for image in x[:400]]
    return np.repeat(np.stack(large)[:, None], shape[0], axis=1)


def pictures(known: dict[str, Any]) -> dict[str, list[Figure]]:
    """Return figures of every kind that each model of the report may have."""
    rng, shape = np.random.default_rng(0), tuple(known["data"]["shape"])
    x = digits(shape)
    top = known["data"]["levels"] - 1

    def noisy(images: np.ndarray[Any, Any], much: float) -> np.ndarray[Any, Any]:
        return np.clip(images + rng.normal(0, much * top, images.shape), 0, top).astype(np.uint8)

    result = figures(known)
    real = result.setdefault("real", [])
    real.append(ImageGrid("samples", x[-64:]))
    for i, model in enumerate(known["models"]):
        name, chosen = model["name"], x[i * 40 : i * 40 + 64]
        if name == "lenet5":
            named = ("most confident mistakes", "3 → 5, 98.1 %"), ("most frequent confusions", "8 → 1, 4 examples")
            result[name] += [
                ImageGrid("mistakes", chosen[: 1 + 3 * k], panel=panel, caption=caption)
                for k, (panel, caption) in enumerate(named)
                for _ in range(16 - 10 * k)
            ]
            sides = ("saliency and occlusion", "saliency"), ("nearest training images", "second nearest")
            result[name] += [ImageGrid("inside", chosen[:6], panel=panel, caption=caption) for panel, caption in sides]
            continue
        if name == "real":
            real.append(ImageGrid("nearest", np.stack([x[-64:], noisy(x[-64:], 0.1)], 1), "pairs"))
            continue
        result[name].append(ImageGrid("samples", noisy(chosen, 0.04 * (i + 1))))
        result[name].append(ImageGrid("nearest", np.stack([noisy(chosen, 0.1), chosen], 1), "pairs"))
        if name in ("vae", "real-nvp"):
            pair = np.stack([chosen[:20], noisy(chosen[:20], 0.1)], 1)
            way = np.linspace(0, 1, 9)[None, :, None, None, None]
            steps = chosen[:6, None] * (1 - way) + chosen[6:12, None] * way
            result[name] += [ImageGrid("reconstructions", pair, "pairs"), ImageGrid("interpolations", steps, "paths")]
    return result


def plane(known: dict[str, Any]) -> dict[str, list[Figure]]:
    """Return pictures of two-dimensional vectors: two moons."""
    rng = np.random.default_rng(0)

    def moons(n: int, noise: float) -> np.ndarray[Any, Any]:
        t, side = rng.uniform(0, math.pi, n), rng.integers(0, 2, n)
        x = np.stack([np.cos(t) * (1 - 2 * side) + side, np.sin(t) * (1 - 2 * side) + 0.5 * side], 1)
        return (x + rng.normal(0, noise, x.shape)).astype(np.float32)

    result: dict[str, list[Figure]] = {"real": [Scatter("samples", moons(1500, 0.08))]}
    for i, model in enumerate(m for m in known["models"] if m["name"] != "real"):
        x = moons(1500, 0.1 + 0.05 * i)
        path = np.stack([np.linspace(a, b, 8) for a, b in zip(x[:6], x[6:12], strict=True)])
        pairs = np.stack([x[:40], x[:40] + 0.05], 1)
        result[model["name"]] = [
            Scatter("samples", x), Scatter("nearest", pairs, "pairs"), Scatter("interpolations", path, "paths")
        ]  # fmt: skip
    return result


def curves(known: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Return metrics of each training: losses that start enormous, a watched game of two, validation for most."""
    rng, result = np.random.default_rng(0), {}
    for i, model in enumerate(known["models"]):
        seeds = []
        for run in model["seeds"]:
            records: list[dict[str, Any]] = []
            for step in range(50, 4101, 5):
                line: dict[str, Any] = {"stage": 0, "step": step, "seconds": step * 58.2 / 4100, "lr": 1e-3}
                if model["name"] == "wgan":
                    gap = math.exp(-step / 1500) + 0.05 * rng.normal()
                    line |= {"critic/loss": -gap, "generator/loss": 0.3 * gap - 0.5 + 0.05 * rng.normal()}
                    line |= {"batch/W1": 4 + gap, "batch/gap": gap, "batch/coverage": 0.8 - gap / 2, "batch/spread": 1}
                    line |= {f"critic/gradient/{layer}.weight": 10.0**-layer for layer in (0, 2, 4)}
                else:
                    line["loss"] = 64 + i + 9 * math.exp(-step / 800) + 0.5 * rng.normal() + 3e5 * math.exp(-step / 8)
                records.append(line)
                if step % 500 == 0 and model["name"] != "wgan":
                    records.append({"stage": 0, "step": step, "validation/loss": 66 + i + 8 * math.exp(-step / 700)})
            seeds.append({"seed": run["seed"], "records": records})
        if seeds:
            result[model["name"]] = seeds
    return result


def shown(figures: list[Figure], section: str) -> np.ndarray[Any, Any]:
    """Return the images or points of a section."""
    return next(f.values for f in figures if isinstance(f, (ImageGrid, Scatter)) and f.section == section)
