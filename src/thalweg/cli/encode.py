"""`thalweg encode DIR [INPUT] --out FILE`: the codes that a trained model gives examples."""

from __future__ import annotations

from typing import Any

from thalweg.cli.arguments import Parser
from thalweg.cli.options import Option
from thalweg.cli.shared import add_data, data_config, device_option, out_file, split_choice

HELP = "write the codes that a trained model gives examples"
SUFFIXES = (".npz", ".csv")


def parser(arguments: list[str]) -> Parser:
    """The run folder, what to encode, and where to."""
    made = Parser(
        "encode",
        f"{HELP}\n\n.npz holds `z` (n, d) and the labels `y`, where there are any; .csv the same, labels by name.",
        usage="encode DIR [INPUT] --out FILE",
    )
    made.aliases["run"] = "DIR"
    made.positional("dir", "a run folder")
    made.positional("input", "data to encode: a name or a path (default: the run's own)", required=False)
    made.aliases["data"] = "INPUT"
    add_data(made, source=False)
    options = [
        Option("out", str, None, "file to write: .npz or .csv"),
        Option("split", str, "test", "train, validation, test or all"),
        Option("batch_size", int, 500, "examples at a time"),
        device_option(),
    ]
    made.group("encoding", options)
    return made


def run(given: dict[str, Any]) -> dict[str, Any]:
    """Encode and write."""
    if "out" not in given:
        raise ValueError(f"out: got nothing, wanted a file name ending in {', '.join(SUFFIXES)}")
    path = out_file(given["out"], SUFFIXES)
    split = split_choice(given.get("split", "test"))
    other = data_config(given, given.get("input"))

    import numpy as np

    from thalweg.applications.files import write_codes
    from thalweg.devices import resolve_device
    from thalweg.evaluation.examples import Examples, frozen
    from thalweg.recipes.runs import open_run

    device = resolve_device(given.get("device", "auto"))
    opened = open_run(given["dir"])
    model: Any = opened.model
    if not hasattr(model, "encode"):
        raise ValueError(f"dir: got {given['dir']}, a {opened.config.recipe}, wanted a model that can encode")
    dataset = opened.data(other)
    part = dataset.split(split)
    with frozen(model, device) as place:
        examples = Examples(part.x, batch_size=given.get("batch_size", 500), device=place)
        z = np.concatenate([model.encode(x).cpu().numpy() for _, x in examples.batches()])
    write_codes(path, z, part.y, dataset.spec.classes)
    return {
        "run": str(given["dir"]),
        "out": str(path),
        "data": dataset.spec.name,
        "split": split,
        "shape": list(z.shape),
    }


def show(document: dict[str, Any]) -> None:
    """Print where the codes are."""
    n, d = document["shape"]
    print(f"{n} codes of {d} values: {document['out']}")
