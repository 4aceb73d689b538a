"""The report of a comparison: one document, `report.json`, from which the table and the page are made."""

from __future__ import annotations

import platform
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

from thalweg.config import DataConfig, RunConfig, TrainConfig
from thalweg.data import Dataset
from thalweg.evaluation import Findings
from thalweg.evaluation.estimates.figures import Curve, Matrix, to_json
from thalweg.evaluation.groups import group_of
from thalweg.recipes import COMBINATIONS, FAMILIES
from thalweg.report.rows import rows
from thalweg.report.tradeoffs import tradeoffs
from thalweg.training.records import read_metrics

__all__ = ["SCHEMA", "curves_of", "document", "train_command", "versions"]

SCHEMA, VERSION = "thalweg-report", 2
PACKAGES = ("numpy", "scipy", "scikit-learn", "torch")


def document(
    *,
    title: str,
    command: str,
    dataset: Dataset,
    budget: Mapping[str, float],
    models: Sequence[Mapping[str, Any]],
    findings_of: Mapping[str, Findings],
    learning_curve: Mapping[str, Any] | None = None,
    warnings: Sequence[str] = (),
) -> dict[str, Any]:
    """Return report.json: the models, and every measure of every model as an estimate or the reason why it is missing.

    `findings_of` is by model, baselines included; `models` describe the trained models and the states of their
    trainings; `learning_curve` has the points of every model.
    """
    import datetime

    spec = dataset.spec
    sizes = {name: len(dataset.split(name)) for name in ("train", "validation", "test")}
    trained = {model["name"] for model in models}
    baselines = [name for name in findings_of if name not in trained]
    listed = [
        *models,
        *({"name": n, "family": "baseline", "options": {}, "parameters": None, "seeds": []} for n in baselines),
    ]
    measures = rows(findings_of, baselines)
    return {
        "schema": SCHEMA,
        "version": VERSION,
        "title": title,
        "made": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "command": command,
        "data": {
            "name": spec.name,
            "fingerprint": spec.fingerprint,
            "kind": spec.kind,
            "shape": list(spec.shape),
            "levels": spec.levels,
            "classes": list(spec.classes) if spec.classes else None,
            **sizes,
        },
        "budget": dict(budget),
        "versions": versions(),
        "models": [dict(model) | {"parameters": _parameters(findings_of.get(model["name"]))} for model in listed],
        "measures": measures,
        "learning_curve": learning_curve,
        "tradeoffs": tradeoffs(measures, [model["name"] for model in models]),
        "tables": {name: findings.tables for name, findings in findings_of.items() if findings.tables},
        "figures": {name: _figures(findings) for name, findings in findings_of.items() if _figures(findings)},
        "warnings": [*warnings, *_without_a_row({n: f for n, f in findings_of.items() if n in trained}, measures)],
    }


def _figures(findings: Findings) -> list[dict[str, Any]]:
    """Return the figures that consist of numbers; images and points are only in the page."""
    return [to_json(figure) for figure in findings.figures if isinstance(figure, (Curve, Matrix))]


def _without_a_row(findings_of: Mapping[str, Findings], measures: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return why measures are missing that no model has, so that no row of the table could show the reason."""
    names = {row["name"] for row in measures}
    groups = {group_of(name).name for name in names}
    models: dict[str, list[str]] = {}
    for model, findings in findings_of.items():
        for missing in findings.missing:
            if missing.name not in names and missing.group not in groups:
                models.setdefault(f"{missing.name}: {missing.reason}", []).append(model)
    return [f"{', '.join(of)}: {reason}" for reason, of in models.items()]


def versions() -> dict[str, str]:
    """Return the versions of software that numbers may depend on."""
    from thalweg import __version__

    own = {"thalweg": __version__, "python": platform.python_version(), "platform": platform.platform()}
    return own | {name: version(name) for name in PACKAGES}


def family(recipe: str) -> str:
    """Return the family of a recipe, or of a combination of runs."""
    return next(name for name, table in {**FAMILIES, "combinations": COMBINATIONS}.items() if recipe in table)


def train_command(config: RunConfig, folder: Path | str) -> str:
    """Return the `thalweg train` command that reproduces the run.

    >>> from thalweg.config import DataConfig
    >>> config = RunConfig(recipe="vae", data=DataConfig(source="digits"), train=TrainConfig(seed=1, minutes=0.5))
    >>> train_command(config, "runs/vae-1")
    'thalweg train vae --data digits --seed 1 --minutes 0.5 --run runs/vae-1'
    """
    words = ["thalweg", "train", config.recipe, "--data", config.data.source]
    flags = {"seed": "--data-seed", "examples": "--data-examples"}  # --seed and --examples are options of the training
    changed = dict(config.options)
    for field in fields(DataConfig):
        if field.name != "source" and getattr(config.data, field.name) != field.default:
            changed[flags.get(field.name, field.name)] = getattr(config.data, field.name)
    for field in fields(TrainConfig):
        if getattr(config.train, field.name) != field.default:
            changed[field.name] = getattr(config.train, field.name)
    for name, value in changed.items():
        flag = name if name.startswith("--") else "--" + name.replace("_", "-")
        words += [flag if value else f"--no-{flag[2:]}"] if isinstance(value, bool) else [flag, str(value)]
    return shlex.join([*words, "--run", str(folder)])


def curves_of(folders: Mapping[str, Sequence[tuple[int, Path]]]) -> dict[str, list[dict[str, Any]]]:
    """Return the training records of each model: its seeds and the lines of their metrics.jsonl."""
    return {
        name: [{"seed": seed, "records": read_metrics(folder)} for seed, folder in seeds]
        for name, seeds in folders.items()
    }


def _parameters(findings_of: Findings | None) -> int | None:
    for estimate in findings_of or ():
        if estimate.name == "parameters":
            return int(estimate.value)
    return None
