"""Groups of examples, by k-means on the latent codes of a trained model."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thalweg.applications.ability import require
from thalweg.config import DataConfig
from thalweg.files import atomic_path
from thalweg.recipes.runs import Opened

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure

    from thalweg.data import Spec
    from thalweg.evaluation.estimates.estimate import Estimate
    from thalweg.evaluation.statistics.clustering import Clusters

    Array = np.ndarray[Any, Any]

__all__ = ["ClusterResult", "cluster"]

COLUMNS, MAX_ROWS = 16, 40  # of a picture: examples of a cluster, clusters


@dataclass(frozen=True)
class ClusterResult:
    """Clusters of the examples `x` `(N, *shape)` of a split, found among their `codes` (N, d).

    `index` says where each example stands in its source. `agreement` holds estimates of how the clusters agree with
    the labels `y` (N,), where there are any.
    """

    clusters: Clusters
    codes: Array
    x: Array
    y: Array | None
    index: Array
    spec: Spec
    split: str
    agreement: list[Estimate] = field(default_factory=list)

    @property
    def sizes(self) -> list[int]:
        """How many examples each cluster has."""
        import numpy as np

        sizes: list[int] = np.bincount(self.clusters.of, minlength=len(self.clusters.centers)).tolist()
        return sizes

    def save(self, path: Path | str) -> None:
        """Write the clusters: .csv or .npz, or a picture, .png.

        The picture shows examples of images, one row per cluster, and of other data the codes in two dimensions.
        """
        with atomic_path(Path(path)) as temporary:
            if Path(path).suffix.lower() == ".png":
                self.figure().savefig(temporary, dpi=120)
            else:
                self._write(temporary, Path(path).suffix.lower())

    def _write(self, path: Path, suffix: str) -> None:
        import numpy as np

        from thalweg.applications.files import label_column, write_rows

        columns: dict[str, Array] = {"index": self.index, "cluster": self.clusters.of}
        if self.y is not None:
            columns["label"] = np.asarray(self.y)
        if suffix == ".npz":
            np.savez(path, centers=self.clusters.centers, **columns)  # type: ignore[arg-type]
            return
        cells = [label_column(a, self.spec.classes if name == "label" else None) for name, a in columns.items()]
        write_rows(path, list(columns), zip(*cells, strict=True))

    def figure(self) -> Figure:
        """Return the picture."""
        from matplotlib.figure import Figure

        image, rows = self.spec.kind == "image", min(len(self.sizes), MAX_ROWS)
        figure = Figure(figsize=(8, 0.62 * rows) if image else (6, 6), layout="constrained")
        (self._draw_images if image else self._draw_codes)(figure)
        return figure

    def _draw_images(self, figure: Figure) -> None:
        """Draw the first examples of each cluster in a row, beside its size and its most frequent label."""
        import numpy as np

        x, top = self.x, (self.spec.levels or 2) - 1
        axes = figure.subplots(min(len(self.sizes), MAX_ROWS), 1, squeeze=False)[:, 0]
        gap, height = max(1, x.shape[3] // 14), x.shape[2]
        for cluster, ax in enumerate(axes):
            (members,) = np.nonzero(self.clusters.of == cluster)
            strip = np.full((height, COLUMNS * (x.shape[3] + gap) - gap, x.shape[1]), float(top))
            for i, member in enumerate(members[:COLUMNS]):
                left = i * (x.shape[3] + gap)
                strip[:, left : left + x.shape[3]] = x[member].transpose(1, 2, 0)
            shown = strip / top
            ax.imshow(shown[..., 0] if shown.shape[2] == 1 else shown[..., :3], cmap="gray", vmin=0, vmax=1)
            ax.axis("off")
            caption = f"{len(members):,}"
            if self.y is not None and self.spec.classes and len(members):
                counts = np.bincount(np.asarray(self.y)[members])
                caption += f"\n{100 * counts.max() / len(members):.0f} % {self.spec.classes[counts.argmax()]}"
            ax.text(-0.01, 0.5, caption, transform=ax.transAxes, ha="right", va="center", fontsize=8)

    def _draw_codes(self, figure: Figure) -> None:
        """Draw the codes by their two principal components, colored by cluster."""
        import numpy as np

        codes, of, centers = self.codes, self.clusters.of, self.clusters.centers
        mean, size = codes.mean(axis=0), codes.shape[1]
        rotation = np.linalg.svd(codes - mean, full_matrices=False)[2][:2].T if size > 2 else np.eye(size)
        points, middles = ((z - mean) @ rotation for z in (codes, centers))
        if points.shape[1] == 1:
            points = np.column_stack([points, of])
            middles = np.column_stack([middles, np.arange(len(middles))])
        axes = figure.add_subplot()
        colors = "tab20" if len(middles) > 10 else "tab10"
        axes.scatter(points[:, 0], points[:, 1], c=of, cmap=colors, s=8, linewidths=0)
        axes.scatter(middles[:, 0], middles[:, 1], c="black", marker="x")
        axes.set_title(f"{len(codes):,} codes in {len(middles)} clusters")


def cluster(
    opened: Opened,
    data: DataConfig | None = None,
    *,
    clusters: int | None = None,
    split: str = "test",
    batch_size: int = 500,
    seed: int = 0,
    device: str = "auto",
) -> ClusterResult:
    """Return the clusters of a split of the run's own data, or of other `data` that fit the model.

    There are `clusters` of them, by default as many as classes. Raises ValueError where neither is known.
    """
    import numpy as np

    from thalweg.abilities import Encodes
    from thalweg.checks import positive
    from thalweg.devices import resolve_device
    from thalweg.evaluation.examples import Examples, frozen
    from thalweg.evaluation.measures.latents import codes_of
    from thalweg.evaluation.statistics.clustering import agreement, k_means

    if clusters is not None:
        positive("clusters", clusters)
    place, model = resolve_device(device), require(opened, Encodes)
    dataset = opened.data(data)
    spec, part = dataset.spec, dataset.split(split)
    count = clusters or len(spec.classes or ())
    if not count:
        raise ValueError(f"clusters: got none, and '{spec.name}' has no classes, wanted a number of clusters")
    protocol = {"data": spec.name, "fingerprint": spec.fingerprint, "split": split, "examples": len(part)}
    with frozen(model, place):
        examples = Examples(part.x, part.y, protocol, batch_size, seed, place)
        codes = codes_of(model, examples)
    result = k_means(codes, count, seed=seed)
    agree = []
    if part.y is not None:
        protocol |= {"clusters": count}
        agree = agreement(result.of, part.y, seed=seed, varies=examples.varies, protocol=protocol)
    index = np.arange(len(part)) if part.index is None else np.asarray(part.index)
    return ClusterResult(result, codes, np.asarray(part.x), part.y, index, spec, split, list(agree))
