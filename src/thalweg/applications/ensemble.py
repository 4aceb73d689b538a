"""The mixture of trained classifiers, with weights that are fitted on validation examples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thalweg.applications.members import Measured, measured, read_members
from thalweg.config import RunConfig, to_json

if TYPE_CHECKING:
    import numpy as np

__all__ = ["EnsembleResult", "ensemble", "fitted_weights"]


@dataclass(frozen=True)
class EnsembleResult:
    """The ensemble in the run folder `out`: its `weights`, and its members and mixtures on `n` validation examples.

    `fitted` are the weights that minimize the label loss of these examples, so the fitted mixture is better on them
    than on new examples. `cost` are the sums of the members' steps and seconds.
    """

    out: Path
    members: list[Measured]
    mixtures: list[Measured]  # with equal weights, and with the fitted ones
    weights: list[float]
    fitted: list[float]
    cost: dict[str, float]
    n: int
    data: str

    def to_json(self) -> dict[str, Any]:
        """Return the fields as what `json.dumps` takes."""
        names = ("weights", "fitted", "cost", "n", "data")
        rows = {name: [m.to_json() for m in getattr(self, name)] for name in ("members", "mixtures")}
        return {"run": str(self.out), **rows, **{name: getattr(self, name) for name in names}}


def ensemble(
    folders: Sequence[Path | str],
    out: Path | str,
    *,
    uniform: bool = False,
    overwrite: bool = False,
    device: str = "auto",
    command: str = "",
) -> EnsembleResult:
    """Combine trained classifiers into one, p(y|x) = Σ_k θ_k p_k(y|x), and write it as a run folder of its own.

    The weights minimize the label loss on the validation examples or, if `uniform`, are equal. The folder contains the
    members' weights and settings, so it is independent of their folders. `command` is stored in it.

    Raises ValueError for runs that cannot be combined (see `read_members`).
    """
    import numpy as np

    from thalweg.recipes.runs import build

    members = read_members(folders, out := Path(out), device=device, overwrite=overwrite)
    known = [members.answers(run.model) for run in members.runs]
    rows = [measured(n, r.config.recipe, a) for n, r, a in zip(members.names, members.runs, known, strict=True)]
    fitted = fitted_weights(np.stack([a.loss for a in known], axis=1))
    equal = [1 / len(known)] * len(known)
    weights = equal if uniform else fitted

    def combination(theta: list[float]) -> RunConfig:
        options = {"members": [to_json(run.config) for run in members.runs], "weights": theta}
        return RunConfig(recipe="ensemble", data=members.runs[0].config.data, options=options)

    mixtures = []  # the models differ in their weights θ only, which are part of the configuration
    for name, theta in (("equal weights", equal), ("fitted weights", fitted)):
        model = build(combination(theta), members.data.spec).model
        for own, run in zip(model.members, members.runs, strict=True):  # type: ignore[arg-type]
            own.load_state_dict(run.model.state_dict())
        mixtures.append(measured(name, "ensemble", members.answers(model)))
    combined = {
        "command": command,
        "options": {"members": members.names, "weights": [round(w, 4) for w in weights]},
    }
    spent = members.write(out, combination(weights), model, combined, overwrite=overwrite)
    return EnsembleResult(out, rows, mixtures, weights, fitted, spent, len(known[0].y), members.data.spec.name)


def fitted_weights(losses: np.ndarray[Any, Any]) -> list[float]:
    """Return the weights of the mixture with the lowest mean label loss, from the `losses` (n, K) of its members, nats.

    The probabilities of an example are divided by the largest of them, which does not change the minimum, so that none
    underflows to 0 under all members.

    >>> import numpy as np
    >>> [round(w, 4) for w in fitted_weights(-np.log([[0.9, 0.1], [0.9, 0.1], [0.2, 0.8]]) + 2000)]
    [0.8472, 0.1528]
    """
    import numpy as np

    from thalweg.inference.ensembles import fit_mixture_weights

    weights: list[float] = fit_mixture_weights(np.exp(losses.min(axis=1, keepdims=True) - losses)).tolist()
    return weights
