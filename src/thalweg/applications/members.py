"""Trained classifiers that are combined: how they are read and measured, and the run folder of the result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thalweg.config import RunConfig
from thalweg.recipes.runs import Opened, cost, open_run, run_header

if TYPE_CHECKING:
    import torch
    from torch import nn

    from thalweg.data import Dataset
    from thalweg.evaluation.estimates.estimate import Estimate
    from thalweg.evaluation.examples import Examples
    from thalweg.evaluation.measures.classification import Answers

__all__ = ["Measured", "Members", "measured", "read_members"]


@dataclass(frozen=True)
class Measured:
    """A classifier on the validation examples: its accuracy, %, and its mean label loss, nats."""

    name: str
    recipe: str
    accuracy: Estimate
    loss: Estimate

    def to_json(self) -> dict[str, Any]:
        """Return the fields as what `json.dumps` takes."""
        values = {e.name: {**e.to_json(), "text": str(e)} for e in (self.accuracy, self.loss)}
        return {"name": self.name, "recipe": self.recipe, **values}


def measured(name: str, recipe: str, answers: Answers) -> Measured:
    """Return the measures of a classifier's answers on validation examples."""
    from thalweg.evaluation.estimates.intervals import mean_of
    from thalweg.evaluation.measures.classification import top_k

    shared: dict[str, Any] = {"varies": "validation examples", "protocol": {"split": "validation"}}
    loss = mean_of("label loss", answers.loss, unit="nats", better="lower", **shared)
    return Measured(name, recipe, top_k(answers.rank, 1, **shared), loss)


@dataclass(frozen=True)
class Members:
    """Trained classifiers of the same data, and these data."""

    runs: tuple[Opened, ...]
    data: Dataset
    device: torch.device

    @property
    def names(self) -> list[str]:
        """The run folders, as they were given."""
        return [str(run.path) for run in self.runs]

    @property
    def validation(self) -> Examples:
        """The validation examples with their labels."""
        from thalweg.evaluation.examples import Examples

        part = self.data.validation
        return Examples(part.x, part.y, device=self.device)

    def answers(self, model: nn.Module) -> Answers:
        """Return a classifier's answers on the validation examples."""
        from thalweg.evaluation.examples import frozen
        from thalweg.evaluation.measures.classification import answers

        with frozen(model, self.device):
            return answers(model.logits, self.validation, len(self.data.spec.classes or ()))  # type: ignore[arg-type]

    def write(
        self, out: Path, config: RunConfig, model: nn.Module, combined: dict[str, Any], *, overwrite: bool
    ) -> dict[str, float]:
        """Write the run folder of the combined model; return its cost: the sums of the members' steps and seconds.

        `combined`, in run.json, says what was combined and by which command. metrics.jsonl has one line per member, its
        whole cost, in place of the lines of a training.
        """
        from thalweg.training import RunFolder
        from thalweg.training.keeper import model_bytes

        header = run_header(config, self.data.spec, out, self.device) | {"combined": combined}
        spent = [cost(run.records()) for run in self.runs]
        lines = [{"stage": k, "step": s["steps"], "seconds": s["seconds"], "memory": s["memory"]}
                 for k, s in enumerate(spent)]  # fmt: skip
        with RunFolder.create(out, header, overwrite=overwrite) as folder:
            for line in lines:
                folder.log(line)
            folder.write_model(model_bytes(model))
        return cost(lines)


def read_members(folders: Sequence[Path | str], out: Path, *, device: str, overwrite: bool) -> Members:
    """Return the classifiers in two or more run folders.

    Raises ValueError for fewer or equal folders, runs that are not finished, models without class probabilities, runs
    of different data, data without validation examples, and a folder `out` that cannot be written.
    """
    from thalweg.abilities import Classifies, has_ability
    from thalweg.devices import resolve_device
    from thalweg.training import RunFolder

    if len(folders) < 2:
        raise ValueError(f"run: got {len(folders)} run folder, wanted two or more to combine")
    places = [Path(folder).resolve() for folder in folders]
    for folder, path in zip(folders, places, strict=True):
        if places.count(path) > 1:
            raise ValueError(f"run: got {folder} twice, wanted different run folders")
    if any(place in (out.resolve(), *out.resolve().parents) for place in places):
        raise ValueError(f"out: got {out}, which is one of the runs to combine or within one; wanted a new folder")
    RunFolder.check(out, overwrite=overwrite)
    place = resolve_device(device)
    runs = tuple(open_run(folder, device=str(place)) for folder in folders)
    first = runs[0]
    for run in runs:
        if not has_ability(run.model, Classifies):
            raise ValueError(f"run: got {run.path}, a run of {run.config.recipe}, wanted a classifier")
        if run.spec.fingerprint != first.spec.fingerprint:
            raise ValueError(
                f"run: got {run.path}, trained on {run.spec.name} with fingerprint {run.spec.fingerprint}, wanted the"
                f" data and splits of {first.path}, {first.spec.name} with fingerprint {first.spec.fingerprint}"
            )
    data = first.data()
    if not len(data.validation):
        raise ValueError(
            f"data: got {data.spec.name} without validation examples, wanted some to compare the members on: runs that"
            " were trained with a larger --validation"
        )
    return Members(runs, data, place)
