"""`thalweg cluster DIR [INPUT]`: k-means on the codes that a trained model gives examples."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thalweg.cli.arguments import Parser
from thalweg.cli.options import Option
from thalweg.cli.shared import add_data, data_config, device_option, out_file, seed_option, split_choice
from thalweg.files import atomic_path

if TYPE_CHECKING:
    import numpy as np

    from thalweg.evaluation.statistics.clustering import Clusters

HELP = "group examples by the codes that a trained model gives them: k-means"
SUFFIXES = (".csv", ".npz", ".png")
ROW, ROWS = 16, 40  # examples of a cluster in a picture, clusters


def parser(arguments: list[str]) -> Parser:
    """The run folder, what to cluster, into how many, and where to."""
    made = Parser(
        "cluster",
        f"{HELP}\n\nColumns: `index`, the example's place in the split; `cluster`; `label`, where there are any.\n"
        ".png has examples of images, a row a cluster, and of other data the codes in two dimensions.",
        usage="cluster DIR [INPUT] [--clusters K] [--out FILE]",
    )
    made.aliases["run"] = "DIR"
    made.positional("dir", "a run folder")
    made.positional("input", "data to cluster: a name or a path (default: the run's own)", required=False)
    made.aliases["data"] = "INPUT"
    add_data(made, source=False)
    options = [
        Option("clusters", int, None, "how many (default: as many as classes)"),
        Option("out", str, None, "file to write: .csv, .npz or .png"),
        Option("split", str, "test", "train, validation, test or all"),
        Option("batch_size", int, 500, "examples at a time"),
        seed_option("where k-means starts"),
        device_option(),
    ]
    made.group("clustering", options)
    return made


def run(given: dict[str, Any]) -> dict[str, Any]:
    """Encode, cluster, compare with labels, and write."""
    from thalweg.checks import positive

    path = out_file(given["out"], SUFFIXES) if "out" in given else None
    split, seed = split_choice(given.get("split", "test")), given.get("seed", 0)
    if "clusters" in given:
        positive("clusters", given["clusters"])
    other = data_config(given, given.get("input"))

    import numpy as np

    from thalweg.devices import resolve_device
    from thalweg.evaluation.examples import Examples, frozen
    from thalweg.evaluation.measures.latents import codes_of
    from thalweg.evaluation.statistics.clustering import agreement, k_means
    from thalweg.recipes.runs import open_run

    device = resolve_device(given.get("device", "auto"))
    opened = open_run(given["dir"])
    if not hasattr(opened.model, "encode"):
        raise ValueError(f"dir: got {given['dir']}, a {opened.config.recipe}, wanted a model that can encode")
    dataset = opened.data(other)
    spec, part = dataset.spec, dataset.split(split)
    count = given.get("clusters", len(spec.classes or ()))
    if not count:
        raise ValueError(f"clusters: got nothing, and '{spec.name}' has no classes, wanted how many")
    protocol = {"data": spec.name, "fingerprint": spec.fingerprint, "split": split, "examples": len(part)}
    with frozen(opened.model, device) as place:
        examples = Examples(part.x, part.y, protocol, given.get("batch_size", 500), seed, place)
        codes = codes_of(opened.model, examples)
    found = k_means(codes, count, seed=seed)
    measures = []
    if part.y is not None:
        protocol |= {"clusters": count}
        measures = agreement(found.of, part.y, seed=seed, varies=examples.varies, protocol=protocol)
    if path is not None and path.suffix.lower() == ".png":
        _picture(path, dataset, np.asarray(part.x), codes, found, part.y)
    elif path is not None:
        _table(path, found, part.y, spec.classes)
    return {
        "run": str(given["dir"]),
        "out": None if path is None else str(path),
        "data": spec.name,
        "split": split,
        "n": len(part),
        "clusters": count,
        "sizes": np.bincount(found.of, minlength=count).tolist(),
        "inertia": found.inertia,
        "measures": [{**e.to_json(), "text": str(e)} for e in measures],
    }


def _table(path: Path, found: Clusters, y: Any, classes: Sequence[str] | None) -> None:
    import numpy as np

    from thalweg.applications.files import label_column, write_rows

    table = {"index": np.arange(len(found.of)), "cluster": found.of} | ({} if y is None else {"label": np.asarray(y)})
    with atomic_path(path) as temporary:
        if path.suffix.lower() == ".npz":
            np.savez(temporary, **table, centers=found.centers)
            return
        columns = [label_column(a, classes if name == "label" else None) for name, a in table.items()]
        write_rows(temporary, list(table), zip(*columns, strict=True))


def _picture(
    path: Path, dataset: Any, x: np.ndarray[Any, Any], codes: np.ndarray[Any, Any], found: Clusters, y: Any
) -> None:
    from matplotlib.figure import Figure

    image = dataset.spec.kind == "image"
    rows = min(len(found.centers), ROWS)
    figure = Figure(figsize=(8, 0.62 * rows) if image else (6, 6), layout="constrained")
    (_strips if image else _scatter)(figure, dataset.spec, x, codes, found, y)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=120)


def _strips(
    figure: Any, spec: Any, x: np.ndarray[Any, Any], codes: np.ndarray[Any, Any], found: Clusters, y: Any
) -> None:
    """The first examples of each cluster in a row, beside its size and the label that it has most of."""
    import numpy as np

    axes = figure.subplots(min(len(found.centers), ROWS), 1, squeeze=False)[:, 0]
    gap, height = max(1, x.shape[3] // 14), x.shape[2]
    for cluster, ax in enumerate(axes):
        (own,) = np.nonzero(found.of == cluster)
        strip = np.full((height, ROW * (x.shape[3] + gap) - gap, x.shape[1]), float(spec.levels - 1))
        for i, one in enumerate(own[:ROW]):
            left = i * (x.shape[3] + gap)
            strip[:, left : left + x.shape[3]] = x[one].transpose(1, 2, 0)
        shown = strip / (spec.levels - 1)
        ax.imshow(shown[..., 0] if shown.shape[2] == 1 else shown[..., :3], cmap="gray", vmin=0, vmax=1)
        ax.axis("off")
        told = f"{len(own):,}"
        if y is not None and spec.classes and len(own):
            shares = np.bincount(np.asarray(y)[own])
            told += f"\n{100 * shares.max() / len(own):.0f} % {spec.classes[shares.argmax()]}"
        ax.text(-0.01, 0.5, told, transform=ax.transAxes, ha="right", va="center", fontsize=8)


def _scatter(
    figure: Any, spec: Any, x: np.ndarray[Any, Any], codes: np.ndarray[Any, Any], found: Clusters, y: Any
) -> None:
    """The codes by their two directions of most variance, colored by cluster."""
    import numpy as np

    mean = codes.mean(axis=0)
    turn = np.linalg.svd(codes - mean, full_matrices=False)[2][:2].T if codes.shape[1] > 2 else np.eye(codes.shape[1])
    points, centers = ((z - mean) @ turn for z in (codes, found.centers))
    if points.shape[1] == 1:
        points, centers = (np.column_stack([z, np.zeros(len(z))]) for z in (points, centers))
        points[:, 1] = found.of
        centers[:, 1] = np.arange(len(centers))
    axes = figure.add_subplot()
    axes.scatter(*points.T, c=found.of, cmap="tab20" if len(centers) > 10 else "tab10", s=8, linewidths=0)
    axes.scatter(*centers.T, c="black", marker="x")
    axes.set_title(f"{len(codes):,} codes in {len(centers)} clusters")


def show(document: dict[str, Any]) -> None:
    """Print the sizes, how the clusters agree with labels, and where they are."""
    sizes = ", ".join(f"{size:,}" for size in sorted(document["sizes"], reverse=True))
    print(f"{document['n']:,} codes in {document['clusters']} clusters of {sizes}")
    for measure in document["measures"]:
        print(f"{measure['name']:<17} {measure['text']}")
    if document["out"] is not None:
        print(f"clusters: {document['out']}")
