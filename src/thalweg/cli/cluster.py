"""`thalweg cluster DIR [INPUT]`: k-means on the latent codes that a trained model gives examples."""

from __future__ import annotations

from typing import Any

from thalweg.cli.arguments import Parser
from thalweg.cli.options import Option
from thalweg.cli.shared import add_run_and_input, data_config, device_option, out_file, seed_option, split_choice

HELP = "group examples by the latent codes that a trained model gives them, with k-means"
SUFFIXES = (".csv", ".npz", ".png")


def parser(arguments: list[str]) -> Parser:
    """Return the parser: the run folder, what to cluster, the number of clusters, and the file to write."""
    result = Parser(
        "cluster",
        f"{HELP}\n\nColumns: `index`, the example's row in the data, from 0, or its file name; `cluster`; `label`, if "
        "there are any.\n.png shows examples of images, one row per cluster, and of other data the codes in two "
        "dimensions.",
        usage="cluster DIR [INPUT] [--clusters K] [--out FILE]",
    )
    add_run_and_input(result, "data to cluster")
    options = [
        Option("clusters", int, None, "number of clusters (default: the number of classes)"),
        Option("out", str, None, "file to write: .csv, .npz or .png"),
        Option("split", str, "test", "train, validation, test or all"),
        Option("batch_size", int, 500, "examples in a batch"),
        seed_option("the initial centers of k-means"),
        device_option(),
    ]
    result.group("clustering", options)
    return result


def run(arguments: dict[str, Any]) -> dict[str, Any]:
    """Encode, cluster, compare with the labels, and write the file."""
    from thalweg.checks import positive

    path = out_file(arguments["out"], SUFFIXES) if "out" in arguments else None
    names = ("clusters", "split", "batch_size", "seed", "device")
    settings = {name: arguments[name] for name in names if name in arguments}
    split_choice(settings.get("split", "test"))
    if "clusters" in settings:
        positive("clusters", settings["clusters"])
    other = data_config(arguments, arguments.get("input"))

    from thalweg.applications.cluster import cluster
    from thalweg.recipes.runs import open_run

    result = cluster(open_run(arguments["dir"]), other, **settings)
    if path is not None:
        result.save(path)
    return {
        "run": str(arguments["dir"]),
        "out": None if path is None else str(path),
        "data": result.spec.name,
        "split": result.split,
        "n": len(result.codes),
        "clusters": len(result.sizes),
        "sizes": result.sizes,
        "inertia": result.clusters.inertia,
        "measures": [{**e.to_json(), "text": str(e)} for e in result.agreement],
    }


def show(document: dict[str, Any]) -> None:
    """Print the sizes of the clusters, how they agree with the labels, and where they were written."""
    from thalweg.report.words import counted

    sizes = ", ".join(f"{size:,}" for size in sorted(document["sizes"], reverse=True))
    print(f"{counted(document['n'], 'code')} in {counted(document['clusters'], 'cluster')} of {sizes}")
    for measure in document["measures"]:
        print(f"{measure['name']:<17} {measure['text']}")
    if document["out"] is not None:
        print(f"clusters: {document['out']}")
