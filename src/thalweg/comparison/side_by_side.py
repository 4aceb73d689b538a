"""Train models of different families on the same data under the same budget, and evaluate them alike."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO, Any

import numpy as np

from thalweg.comparison.jobs import Job, train_here, train_on_ray
from thalweg.comparison.learning_curve import learning_curve
from thalweg.comparison.measure import Evaluator
from thalweg.comparison.plan import BUDGETS, Plan
from thalweg.comparison.progress import progress_display
from thalweg.comparison.store import finite, not_finite, written
from thalweg.config import RunConfig, TrainConfig, to_json
from thalweg.data import load
from thalweg.evaluation import Findings
from thalweg.evaluation.estimates.figures import drawable
from thalweg.files import LOCK, is_temporary, lock_folder, write_atomic
from thalweg.recipes.runs import build
from thalweg.report.document import curves_of, document, family, train_command
from thalweg.report.html import html
from thalweg.report.rows import averaged
from thalweg.training import RunFolder
from thalweg.training.records import read_metrics

__all__ = ["compare", "evaluate_run"]

FILES = ("compare.json", "report.json", "report.html")
FOLDERS = ("runs", "logs", "measured")


def compare(
    plan: Plan, folder: Path | str, *, command: str = "", overwrite: bool = False, ray: str | None = None
) -> dict[str, Any]:
    """Train every model of the plan, measure all alike, and return the report, also written into the folder.

    ```
    compare.json      the plan
    runs/             a run folder for every training: MODEL-SEED, and MODEL-share=SHARE-SEED of a learning curve
    measured/         what was measured, with the values the intervals were made of
    report.json       every number, in a documented schema
    report.html       the same with pictures, in one file
    ```

    If it is called again with the same plan and folder, it continues where it stopped. A training that fails does not
    stop the others: the report says why.

    Raises ValueError for what the caller can correct, before anything is trained, and RuntimeError where
    another process works in the folder.
    """
    folder = Path(folder)
    check(plan, folder, overwrite=overwrite)
    jobs = [Job(n, config, folder / "runs" / n, folder / "logs" / f"{n}.txt") for n, config in plan.runs()]
    with progress_display(jobs) as shown, ExitStack() as stack:
        shown.log("reading the data")
        evaluator = Evaluator(load(plan.data), plan.measuring, device=plan.train.device, log=shown.log)
        for _, config in plan.runs():
            if config.train.seed == 0:  # seed 0 of every model: nothing is trained unless all can be built
                build(config, evaluator.dataset.spec)
        lock = begin(plan, folder, evaluator.dataset.spec.fingerprint, overwrite=overwrite)
        stack.callback(lock.close)
        there = sum(job.trained for job in jobs)
        shown.log(f"{there} of {len(jobs)} trainings are done already and are not repeated" if there else "training")
        if ray is None:
            train_here(jobs, shown)
        else:
            train_on_ray(jobs, shown, ray)
        of_share = {share: _measured(plan, part, evaluator, folder / "measured", shown.log)
                    for share, part in _by_share(plan, jobs).items()}  # fmt: skip
        described = {share: [_describe(plan, model.name, part, folder) for model in plan.models]
                     for share, part in _by_share(plan, jobs).items()}  # fmt: skip
        curve = learning_curve(plan, evaluator.dataset, of_share, described) if plan.shares else None
        findings_of = of_share[1.0] | evaluator.baselines(folder / "measured", of_share[1.0], shown.log)
        shown.log("writing the report")
        budget = {b: getattr(plan.train, b) for b in BUDGETS if getattr(plan.train, b) is not None}
        report = document(
            title=f"{', '.join(m.name for m in plan.models)} on {evaluator.dataset.spec.name}",
            command=command,
            dataset=evaluator.dataset,
            budget=budget,
            models=described[1.0],
            findings_of=findings_of,
            learning_curve=curve,
            warnings=[*evaluator.warnings, *(f"{job.name}: {warning}" for job in jobs for warning in job.warnings)],
        )
        curves = {
            model.name: [
                {"seed": job.config.train.seed, "records": _records(job.folder)}
                for job in _jobs_of(plan, model.name, jobs)
            ]
            for model in plan.models
        }
        return _write(report, findings_of, curves, evaluator, folder)


def check(plan: Plan, folder: Path, *, overwrite: bool) -> None:
    """Raise ValueError unless the folder is new, belongs to the same plan, or may be overwritten."""
    path = folder / "compare.json"
    if path.is_file() and overwrite:
        foreign = [entry.name for entry in sorted(folder.iterdir()) if not _of_comparison(entry)]
        if foreign:
            raise ValueError(
                f"out: got {folder}, which contains '{foreign[0]}' beside a comparison; wanted a folder without other"
                " files to overwrite"
            )
        return
    if path.is_file():
        begun, now = _begun(path)["plan"], to_json(plan)
        begun = to_json(Plan(models=plan.models, data=plan.data)) | begun  # fields that are newer than the comparison
        begun["train"] = to_json(TrainConfig()) | begun["train"]
        changed = [name for name in now if begun.get(name) != now[name]]
        if changed:
            raise ValueError(
                f"out: got {folder}, which contains a comparison that differs in {', '.join(changed)}; "
                "wanted the same, another --out, or --overwrite"
            )
    elif folder.exists() and (not folder.is_dir() or any(entry.name != LOCK for entry in folder.iterdir())):
        raise ValueError(f"out: got {folder}, which contains other files; wanted a new or empty folder")


def _of_comparison(path: Path) -> bool:
    """Return whether the path within a comparison's folder is one that a comparison has."""
    return path.name in (FOLDERS if path.is_dir() else (*FILES, LOCK)) or is_temporary(path)


def _begun(path: Path) -> dict[str, Any]:
    """Return the content of compare.json: the plan, and the fingerprint of its data."""
    try:
        begun = json.loads(path.read_text())
    except ValueError:
        begun = None
    if not (isinstance(begun, dict) and isinstance(begun.get("plan"), dict)):
        raise ValueError(f"out: got {path}, which is damaged; wanted another --out, or --overwrite")
    return begun


def begin(plan: Plan, folder: Path, fingerprint: str, *, overwrite: bool) -> IO[str]:
    """Create the comparison's folder, or continue in that of the same plan; return its lock, acquired.

    Raises ValueError if the data have changed since the comparison began.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = lock_folder(folder, "comparison")
    try:
        path = folder / "compare.json"
        if path.is_file() and overwrite:
            for entry in folder.iterdir():
                if entry.is_dir():
                    shutil.rmtree(entry)
                elif entry.name != LOCK:
                    entry.unlink()
        if not path.is_file():
            written(path, {"plan": to_json(plan), "fingerprint": fingerprint})
        known = _begun(path).get("fingerprint")
        if known != fingerprint:
            raise ValueError(
                f"data: got {plan.data.source} with fingerprint {fingerprint}, wanted {known}, with which the"
                f" comparison in {folder} began: the data have changed; wanted another --out, or --overwrite"
            )
    except BaseException:
        lock.close()
        raise
    return lock


def _measured(
    plan: Plan, jobs: Sequence[Job], evaluator: Evaluator, folder: Path, log: Callable[[str], None]
) -> dict[str, Findings]:
    """Return the findings of each model by name."""
    findings_of: dict[str, Findings] = {}
    for model in plan.models:
        seeds = []
        for job in _jobs_of(plan, model.name, jobs):
            if job.state == "done":
                log(f"evaluating {job.name}")
                try:
                    RunFolder.read(job.folder)
                    read_metrics(job.folder)
                    seeds.append(evaluator.run(job.folder, folder / job.name))
                except ValueError as error:  # a damaged file of a run does not stop the others
                    job.state, job.reason = "failed", str(error)
        if seeds:
            findings_of[model.name] = averaged(seeds)
    return findings_of


def _by_share(plan: Plan, jobs: Sequence[Job]) -> dict[float, Sequence[Job]]:
    """Return the jobs of each share of the training examples, in the order of `Plan.runs`."""
    size = len(plan.models) * plan.seeds
    return {share: jobs[i * size : (i + 1) * size] for i, share in enumerate((1.0, *plan.shares[:-1]))}


def _jobs_of(plan: Plan, name: str, jobs: Sequence[Job]) -> list[Job]:
    """Return the jobs of a model among those of one share, or of the first."""
    first = [model.name for model in plan.models].index(name) * plan.seeds
    return list(jobs[first : first + plan.seeds])


def _describe(plan: Plan, name: str, jobs: Sequence[Job], folder: Path) -> dict[str, Any]:
    """Return the report's description of a model and its trainings."""
    from thalweg.recipes.runs import cost

    seeds = []
    for job in _jobs_of(plan, name, jobs):
        spent = cost(_records(job.folder))
        run = job.folder.relative_to(folder)
        command = train_command(job.config, job.folder)
        seeds.append({"seed": job.config.train.seed, "run": str(run), "state": job.state, "reason": job.reason,
                      "seconds": spent["seconds"], "steps": spent["steps"], "command": command})  # fmt: skip
    model = next(m for m in plan.models if m.name == name)
    return {"name": name, "family": family(model.recipe), "options": {**model.options, **model.train}, "seeds": seeds}


def _records(folder: Path) -> list[dict[str, Any]]:
    """Return the training records of a run; none where they are damaged, which the run's reason says."""
    with suppress(ValueError):
        return read_metrics(folder)
    return []


def evaluate_run(
    folder: Path | str, evaluator: Evaluator, config: RunConfig, *, command: str = "", log: Callable[[str], None]
) -> dict[str, Any]:
    """Return the report of one trained run, beside the baselines; it is also written into the run's folder."""
    from thalweg.recipes.runs import cost

    folder = Path(folder)
    log(f"evaluating {config.recipe}")
    findings_of = {config.recipe: evaluator.run(folder, folder / "measured" / "model")}
    findings_of |= evaluator.baselines(folder / "measured", findings_of, log)
    spent, combined = cost(read_metrics(folder)), RunFolder.read(folder).get("combined", {})
    seed = {"seed": config.train.seed, "run": ".", "state": "done", "reason": None, "seconds": spent["seconds"],
            "steps": spent["steps"], "command": combined.get("command") or train_command(config, folder)}  # fmt: skip
    options = combined.get("options", dict(config.options))
    name = config.recipe
    report = document(
        title=f"{name} on {evaluator.dataset.spec.name}",
        command=command,
        dataset=evaluator.dataset,
        budget={},
        models=[{"name": name, "family": family(name), "options": options, "seeds": [seed]}],
        findings_of=findings_of,
        warnings=evaluator.warnings,
    )
    return _write(report, findings_of, curves_of({name: [(config.train.seed, folder)]}), evaluator, folder)


def _write(
    report: dict[str, Any], findings_of: dict[str, Findings], curves: dict[str, Any], evaluator: Evaluator, folder: Path
) -> dict[str, Any]:
    """Write report.json and report.html, and return the report; values that are not finite become null."""
    figures = {name: list(findings.figures) for name, findings in findings_of.items()}
    real = figures.setdefault("real", [])
    if not any(figure.section == "samples" for figure in real):
        part = evaluator.dataset.split(evaluator.measuring.split)
        real += drawable("samples", np.asarray(part.x[:64]), evaluator.dataset.spec)
    report["warnings"] += [f"{where}, written as null: JSON has no such number" for where in not_finite(report)]
    report = finite(report)
    page = html(report, figures, curves)
    written(folder / "report.json", report)
    write_atomic(folder / "report.html", page.encode())
    return report
