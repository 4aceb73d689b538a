"""The result of an audit of labels: its table, its picture and its numbers."""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thalweg.files import atomic_path, write_atomic

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure

    from thalweg.data import Dataset, Split
    from thalweg.evaluation import Estimate
    from thalweg.evaluation.statistics.label_errors import LabelErrors

    Array = np.ndarray[Any, Any]

__all__ = ["AuditResult"]

COLUMNS, MAX_IMAGES, TOP = 8, 40, 10  # of the picture; rows of the document
LONGEST = 10  # characters of the name of a class in the picture
SCORE = "self-confidence: the probability of the label, by a model that was trained on the other folds"


@dataclass(frozen=True)
class AuditResult:
    """The audited training examples in `split`, with the labels that were audited, and what was found.

    `p` (N, K) are out-of-sample probabilities, `fold` (N,) the fold of each example. `true` (N,) are the labels before
    some were exchanged, None where none were; `estimates` are then precision and recall.
    """

    dataset: Dataset
    split: Split
    p: Array
    fold: Array
    found: LabelErrors
    true: Array | None
    estimates: list[Estimate]

    def rows(self, count: int | None = None) -> list[dict[str, Any]]:
        """Return a row for each of the `count` labels of the lowest self-confidence, or for all, lowest first."""
        import numpy as np

        names, found = np.array(self.dataset.spec.classes), self.found
        first = found.order[:count]
        assert self.split.y is not None
        index = np.arange(len(self.p)) if self.split.index is None else np.asarray(self.split.index)
        columns = {
            "index": index[first].tolist(),
            "label": names[self.split.y[first]].tolist(),
            "suggested": names[found.suggested[first]].tolist(),
            "p_label": found.confidence[first].tolist(),
            "p_suggested": self.p[first, found.suggested[first]].tolist(),
            "fold": self.fold[first].tolist(),
            "suspect": np.where(found.suspect[first], "yes", "no").tolist(),
        }
        if self.true is not None:
            columns["planted"] = np.where(self.true != self.split.y, "yes", "no")[first].tolist()
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]

    def document(self) -> dict[str, Any]:
        """Return the result as what `json.dumps` takes."""
        import numpy as np

        assert self.split.y is not None
        spec, found = self.dataset.spec, self.found
        names = spec.classes or ()
        numbers = (np.bincount(self.split.y, minlength=len(names)), found.thresholds, found.errors)
        suspects = np.bincount(self.split.y[found.suspect], minlength=len(names))
        return {
            "data": spec.name,
            "fingerprint": spec.fingerprint,
            "split": "train",
            "examples": len(self.p),
            "folds": int(self.fold.max()) + 1,
            "score": SCORE,
            "suspects": int(found.suspect.sum()),
            "estimated_errors": float(found.errors.sum()),
            "classes": [
                {"name": name, "examples": int(n), "threshold": float(t), "estimated_errors": float(e), "suspects": s}
                for name, n, t, e, s in zip(names, *numbers, suspects.tolist(), strict=True)
            ],
            "counts": found.counts.tolist(),
            "joint": found.joint.tolist(),
            "planted": None if self.true is None else int((self.true != self.split.y).sum()),
            "measures": [{**e.to_json(), "text": str(e)} for e in self.estimates],
            "top": self.rows(TOP),
        }

    def save(self, folder: Path) -> None:
        """Write audit.csv, of images also audit.png, and audit.json last."""
        from thalweg.applications.files import write_rows

        rows = self.rows()
        with atomic_path(folder / "audit.csv") as temporary:
            write_rows(temporary, list(rows[0]), (list(row.values()) for row in rows))
        if self.dataset.spec.kind == "image" and self.found.suspect.any():
            with atomic_path(folder / "audit.png") as temporary, warnings.catch_warnings():
                warnings.filterwarnings("ignore", "Glyph .* missing")  # of names in scripts that the font lacks
                self.figure().savefig(temporary, dpi=120)
        write_atomic(folder / "audit.json", (json.dumps(self.document(), indent=1, allow_nan=False) + "\n").encode())

    def figure(self) -> Figure:
        """Return the images of the first suspects, each with its label and the suggested class."""
        import numpy as np
        from matplotlib.figure import Figure

        found, spec = self.found, self.dataset.spec
        assert self.split.y is not None
        assert spec.classes
        first = found.order[found.suspect[found.order]][:MAX_IMAGES]
        figure = Figure(figsize=(COLUMNS * 1.3, 1.6 * -(-len(first) // COLUMNS)), layout="constrained")
        axes = figure.subplots(-(-len(first) // COLUMNS), COLUMNS, squeeze=False).ravel()
        for ax in axes:
            ax.axis("off")
        for ax, i in zip(axes, first, strict=False):
            image = np.asarray(self.split.x[i]).transpose(1, 2, 0) / ((spec.levels or 2) - 1)
            ax.imshow(image[..., 0] if image.shape[2] < 3 else image[..., :3], cmap="gray", vmin=0, vmax=1)
            label, suggested = (_short(spec.classes[c]) for c in (self.split.y[i], found.suggested[i]))
            title = f"{label} → {suggested}\np = {found.confidence[i]:.2g}"
            ax.set_title(title, fontsize=8, parse_math=False)  # names may contain $
        return figure


def _short(name: str) -> str:
    """Return the name of a class on one line, at most `LONGEST` characters."""
    name = " ".join(name.split())
    return name if len(name) <= LONGEST else name[: LONGEST - 1] + "…"
