"""The average of the weights of trained classifiers ("model soup")."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thalweg.applications.members import Measured, Members, measured, read_members

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["AverageResult", "average", "mean_state"]

BATCH = 500  # examples of a batch whose statistics of batch normalization are averaged


@dataclass(frozen=True)
class AverageResult:
    """The averaged model in the run folder `out`, beside its members, on `n` validation examples.

    `normalizing` is the number of layers whose statistics were estimated again; `cost` are the sums of the members'
    steps and seconds.
    """

    out: Path
    members: list[Measured]
    average: Measured
    normalizing: int
    cost: dict[str, float]
    n: int
    data: str

    @property
    def warning(self) -> str | None:
        """A warning where the average has a lower accuracy than every member, else None."""
        worst = min(member.accuracy.value for member in self.members)
        if self.average.accuracy.value >= worst:
            return None
        return (
            f"the average has an accuracy of {self.average.accuracy.value:.2f} % on the validation examples, below that"
            f" of every member (at least {worst:.2f} %): weights that were initialized differently can rarely be"
            " averaged; wanted runs that share the first part of their training, or `thalweg ensemble` without"
            " --average-weights"
        )

    def to_json(self) -> dict[str, Any]:
        """Return the fields as what `json.dumps` takes."""
        names = ("normalizing", "cost", "n", "data", "warning")
        rows = {"members": [m.to_json() for m in self.members], "average": self.average.to_json()}
        return {"run": str(self.out), **rows, **{name: getattr(self, name) for name in names}}


def average(
    folders: Sequence[Path | str],
    out: Path | str,
    *,
    overwrite: bool = False,
    device: str = "auto",
    command: str = "",
) -> AverageResult:
    """Average the weights of classifiers of one recipe, θ = (1/K) Σ_k θ_k, and write a run folder of that recipe.

    The running statistics of batch normalization are estimated again, in one pass over the training examples without
    augmentation. `command` is stored in the folder.

    Raises ValueError for runs that cannot be combined (see `read_members`), and for different recipes or options.

    Reference: *Model soups: averaging weights of multiple fine-tuned models improves accuracy without increasing
    inference time*, Mitchell Wortsman et al., 2022, arXiv:2203.05482.
    """
    from thalweg.recipes import COMBINATIONS
    from thalweg.recipes.runs import build

    members = read_members(folders, out := Path(out), device=device, overwrite=overwrite)
    first = members.runs[0].config
    for run in members.runs:
        if run.config.recipe in COMBINATIONS:
            raise ValueError(
                f"run: got {run.path}, which is an ensemble; wanted single models to average the weights of"
            )
        if run.config.recipe != first.recipe:
            raise ValueError(
                f"run: got {run.path} of the recipe {run.config.recipe}, wanted {first.recipe}, that of the first run"
            )
        for name, value in first.options.items():
            if (got := run.config.options.get(name)) != value:
                raise ValueError(f"run: got {run.path} with {name} {got}, wanted {value}, as the first run has")
    model = build(first, members.data.spec).model
    model.load_state_dict(mean_state([run.model.state_dict() for run in members.runs]))
    layers = _estimate_statistics(model, members)
    rows = [measured(str(run.path), run.config.recipe, members.answers(run.model)) for run in members.runs]
    result = measured("average", first.recipe, members.answers(model))
    combined = {"command": command, "options": {**first.options, "average_of": members.names}}
    spent = members.write(out, first, model, combined, overwrite=overwrite)
    return AverageResult(out, rows, result, layers, spent, len(members.data.validation), members.data.spec.name)


def mean_state(states: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Return the means of floating tensors, computed in float64, and the first of others, such as counts.

    Raises ValueError for states with other names or shapes than the first.

    >>> import torch
    >>> states = [{"a": torch.tensor([1.0]), "n": torch.tensor(3)}, {"a": torch.tensor([2.0]), "n": torch.tensor(5)}]
    >>> mean_state(states)
    {'a': tensor([1.5000]), 'n': tensor(3)}
    """
    import torch

    shapes = [{name: tuple(tensor.shape) for name, tensor in state.items()} for state in states]
    if any(shape != shapes[0] for shape in shapes):
        raise ValueError("run: got models with tensors of different names or shapes, wanted equal ones")
    means = {}
    for name, own in states[0].items():
        if own.is_floating_point():
            stacked = torch.stack([state[name].cpu().double() for state in states])
            means[name] = stacked.mean(0).to(own.dtype)
        else:
            means[name] = own
    return means


def _estimate_statistics(model: nn.Module, members: Members) -> int:
    """Estimate the statistics of batch normalization on all training examples; return the number of such layers.

    The examples are in a random order: in an order by classes, the variances within batches would be too small.
    """
    import numpy as np
    import torch

    from thalweg.evaluation.examples import frozen
    from thalweg.randomness import fold
    from thalweg.training.statistics import normalizing_layers, re_estimate

    layers, x = normalizing_layers(model), members.data.train.x
    if not layers:
        return 0
    order = np.random.default_rng(fold(0, "statistics")).permutation(len(x))
    parts = np.array_split(order, max(1, round(len(x) / BATCH)))  # of equal sizes, up to one example
    with frozen(model, members.device) as device:
        batches = (torch.from_numpy(np.array(x[np.sort(rows)])).to(device) for rows in parts)
        re_estimate(layers, model.logits, batches)  # type: ignore[arg-type]
    return len(layers)
