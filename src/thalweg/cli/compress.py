"""`thalweg compress DIR [INPUT]`: how many bits the codes of images take, at what error, beside JPEG."""

from __future__ import annotations

from typing import Any

from thalweg.cli.arguments import Parser
from thalweg.cli.options import Option
from thalweg.cli.shared import (
    add_run_and_input,
    data_config,
    device_option,
    out_file,
    print_table,
    seed_option,
    split_choice,
    warn,
)

HELP = "measure how many bits a trained model's codes of images take, and at what error, beside JPEG"
SUFFIXES = (".png", ".csv", ".json")
COLUMNS = ("coder", "step or quality", "bits/pixel", "bytes", "PSNR, dB", "squared error")


def parser(arguments: list[str]) -> Parser:
    """Return the parser: the run folder, the images, the number of points, and the file to write."""
    result = Parser(
        "compress",
        f"{HELP}\n\nCodes are rounded to multiples of a step and entropy-coded into bytes, all images together. The\n"
        "histogram of each latent dimension is part of these bytes; the network's weights, which the receiver already\n"
        "has, are not counted. The bytes are read back, decoded and compared with the images.",
        usage="compress DIR [INPUT] [--out FILE]",
    )
    add_run_and_input(result, "images to compress")
    options = [
        Option(
            "points",
            int,
            6,
            "number of quantization steps to measure: the first is two standard deviations of the codes, "
            "and each next one is half of the previous one",
        ),
        Option("out", str, None, "file to write: .png (the curves), .csv or .json"),
        Option("split", str, "test", "train, validation, test or all"),
        Option("batch_size", int, 500, "examples in a batch"),
        seed_option("the encoder's noise, if it has any"),
        device_option(),
    ]
    result.group("compressing", options)
    return result


def run(arguments: dict[str, Any]) -> dict[str, Any]:
    """Compress at every step, and with JPEG at every quality, and write the curves."""
    from thalweg.checks import in_range

    path = out_file(arguments["out"], SUFFIXES) if "out" in arguments else None
    names = ("points", "split", "batch_size", "seed", "device")
    settings = {name: arguments[name] for name in names if name in arguments}
    split_choice(settings.get("split", "test"))
    in_range("points", settings.get("points", 6), 1, 20)
    other = data_config(arguments, arguments.get("input"))

    from thalweg.applications.compress import compress
    from thalweg.recipes.runs import open_run

    result = compress(open_run(arguments["dir"]), other, warn=warn, **settings)
    if path is not None:
        result.save(path)
    return {"run": str(arguments["dir"]), "out": None if path is None else str(path), **result.to_json()}


def show(document: dict[str, Any]) -> None:
    """Print the table of the curves, what is not counted, and where the curves were written."""
    rows = [
        [
            name if i == 0 else "",
            f"{point['setting']:.4g}",
            point["bits/pixel"]["text"].removesuffix(" bits/pixel"),
            f"{point['bytes']:,}",
            point["PSNR"]["text"].removesuffix(" dB"),
            point["squared error"]["text"],
        ]
        for name, points in document["curves"].items()
        for i, point in enumerate(points)
    ]
    from thalweg.report.words import counted

    title = f"{counted(document['n'], 'image')} of {document['data']} ({document['split']})"
    print_table(title, list(COLUMNS), rows)
    print(f"codes before rounding: {document['unquantized']['PSNR']['text']}")
    print(f"not counted: the network's {document['shared']['parameters']:,} weights, which the receiver already has")
    if document["out"] is not None:
        print(f"curves: {document['out']}")
