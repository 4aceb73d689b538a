"""`thalweg encode DIR [INPUT] --out FILE`: the latent codes that a trained model gives examples."""

from __future__ import annotations

from typing import Any

from thalweg.cli.arguments import Parser
from thalweg.cli.options import Option
from thalweg.cli.shared import add_run_and_input, data_config, device_option, out_file, split_choice

HELP = "write the latent codes that a trained model gives examples"
SUFFIXES = (".npz", ".csv")


def parser(arguments: list[str]) -> Parser:
    """Return the parser: the run folder, what to encode, and the file to write."""
    result = Parser(
        "encode",
        f"{HELP}\n\nThe file holds `z` (n, d) and the labels `y`, if there are any; .csv has the labels by name.",
        usage="encode DIR [INPUT] --out FILE",
    )
    add_run_and_input(result, "data to encode")
    options = [
        Option("out", str, None, "file to write: .npz or .csv"),
        Option("split", str, "test", "train, validation, test or all"),
        Option("batch_size", int, 500, "examples in a batch"),
        device_option(),
    ]
    result.group("encoding", options)
    return result


def run(arguments: dict[str, Any]) -> dict[str, Any]:
    """Encode, and write the file."""
    path = out_file(arguments.get("out"), SUFFIXES)
    settings = {name: arguments[name] for name in ("split", "batch_size", "device") if name in arguments}
    split_choice(settings.get("split", "test"))
    other = data_config(arguments, arguments.get("input"))

    from thalweg.applications.encode import encode
    from thalweg.recipes.runs import open_run

    result = encode(open_run(arguments["dir"]), other, **settings)
    result.save(path)
    return {
        "run": str(arguments["dir"]),
        "out": str(path),
        "data": result.data,
        "split": result.split,
        "shape": list(result.z.shape),
    }


def show(document: dict[str, Any]) -> None:
    """Print how many codes were written, and where."""
    from thalweg.report.words import counted

    n, d = document["shape"]
    print(f"{counted(n, 'code')} of {counted(d, 'value')}: {document['out']}")
