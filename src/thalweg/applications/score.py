"""Anomaly scores that a trained model gives examples."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thalweg.config import DataConfig
from thalweg.files import atomic_path
from thalweg.recipes.runs import Opened

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

__all__ = ["ScoreResult", "score"]


@dataclass(frozen=True)
class ScoreResult:
    """Anomaly scores (N,), higher for more anomalous examples, in the order of the data.

    `index` names the example of each score: its row number in the source, from 0, or its file name. `percentile`
    is the share, in %, of the run's own test examples whose score is lower, where equal scores count half (the
    mid-rank); None where these cannot be read. `name` says how the model scores.
    """

    index: Array
    score: Array
    percentile: Array | None
    name: str
    data: str
    split: str

    @property
    def columns(self) -> dict[str, Array]:
        """The columns of the table, by name."""
        percentile = {} if self.percentile is None else {"percentile": self.percentile}
        return {"index": self.index, "score": self.score, **percentile}

    def most_anomalous(self, count: int = 5) -> list[dict[str, Any]]:
        """Return the rows with the highest scores, highest first."""
        import numpy as np

        first = np.argsort(-self.score, kind="stable")[:count]
        rows = zip(*(column[first].tolist() for column in self.columns.values()), strict=True)
        return [dict(zip(self.columns, row, strict=True)) for row in rows]

    def save(self, path: Path | str) -> None:
        """Write the table as .csv or .npz."""
        import numpy as np

        from thalweg.applications.files import write_rows

        with atomic_path(Path(path)) as temporary:
            if Path(path).suffix.lower() == ".npz":
                np.savez(temporary, **self.columns)  # type: ignore[arg-type]
            else:
                rows = zip(*(column.tolist() for column in self.columns.values()), strict=True)
                write_rows(temporary, list(self.columns), rows)


def score(
    opened: Opened,
    data: DataConfig | None = None,
    *,
    split: str | None = None,
    batch_size: int = 500,
    seed: int = 0,
    device: str = "auto",
    warn: Callable[[str], None] = lambda message: None,
) -> ScoreResult:
    """Return the anomaly score of each example, by the first that the model has: `score`, −log p(x), −ELBO, the
    squared reconstruction error, minus the largest softmax probability.

    The examples are those of other `data`, by default all, or of the run's own data, by default the test split. `seed`
    is the random seed of the noise of the score, if it has any. Raises ValueError for a model without an anomaly score.
    """
    import numpy as np

    from thalweg.checks import positive
    from thalweg.devices import resolve_device
    from thalweg.evaluation.examples import Examples, frozen
    from thalweg.evaluation.measures.anomaly import SCORED_BY, score_of, scores

    positive("batch_size", batch_size)
    split = split or ("test" if data is None else "all")
    place = resolve_device(device)
    if not any(all(isinstance(opened.model, ability) for ability in abilities) for abilities in SCORED_BY):
        raise ValueError(
            f"dir: got {opened.path} of the recipe {opened.config.recipe}, wanted a model that has an anomaly score"
        )
    by = score_of(opened.model, opened.spec)
    dataset = opened.data(data)
    part, own = dataset.split(split), _own_test(opened, warn)

    def of(x: Array) -> Array:
        return scores(by, Examples(x, batch_size=batch_size, seed=seed, device=place))

    with frozen(opened.model, place):
        values, percentile = of(part.x), None
        if own is not None:
            known = np.sort(of(own))
            below, equal = (np.searchsorted(known, values, side) for side in ("left", "right"))
            percentile = 50 * (below + equal) / len(known)
    index = np.arange(len(values)) if part.index is None else part.index
    return ScoreResult(index, values, percentile, by.name, dataset.spec.name, split)


def _own_test(opened: Opened, warn: Callable[[str], None]) -> Array | None:
    """Return the run's own test examples, or None where they can no longer be read."""
    try:
        own = opened.data()
    except (ValueError, OSError) as error:
        warn(f"no percentiles: the run's own data cannot be read ({error})")
        return None
    if not len(own.test):
        warn("no percentiles: the run's own data have no test examples")
        return None
    return own.test.x
