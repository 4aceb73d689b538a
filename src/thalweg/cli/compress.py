"""`thalweg compress DIR [INPUT]`: how many bits the codes of images take, at what error, beside JPEG."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from thalweg.cli.arguments import Parser
from thalweg.cli.options import Option
from thalweg.cli.shared import (
    add_data,
    data_config,
    device_option,
    out_file,
    print_table,
    seed_option,
    split_choice,
    warn,
)
from thalweg.files import atomic_path

if TYPE_CHECKING:
    from thalweg.evaluation.statistics.compression import Point

HELP = "measure what a trained model's codes of images cost in bits, and their error, beside JPEG"
SUFFIXES = (".png", ".csv", ".json")
COARSEST = 2.0  # step, in standard deviations of the codes; each next one is half
QUALITIES = (1, 5, 10, 20, 35, 50, 70, 85, 95)
COLUMNS = ("coder", "step or quality", "bits/pixel", "bytes", "PSNR, dB", "squared error")


def parser(arguments: list[str]) -> Parser:
    """The run folder, the images, how many points, and where to."""
    made = Parser(
        "compress",
        f"{HELP}\n\nCodes are rounded to multiples of a step and entropy-coded into bytes, all images together, with\n"
        "the histogram of each number of the code sent along: every byte counts but the network's weights, which\n"
        "the reader has. Bytes are read back, decoded, and compared with the images.",
        usage="compress DIR [INPUT] [--out FILE]",
    )
    made.aliases["run"] = "DIR"
    made.positional("dir", "a run folder")
    made.positional("input", "images to compress: a name or a path (default: the run's own)", required=False)
    made.aliases["data"] = "INPUT"
    add_data(made, source=False)
    options = [
        Option("points", int, 6, "steps to try, each half of the one before, from two standard deviations"),
        Option("out", str, None, "file to write: .png (the curves), .csv or .json"),
        Option("split", str, "test", "train, validation, test or all"),
        Option("batch_size", int, 500, "examples at a time"),
        seed_option("the noise, where an encoder has any"),
        device_option(),
    ]
    made.group("compressing", options)
    return made


def run(given: dict[str, Any]) -> dict[str, Any]:
    """Compress at every step, and by JPEG at every quality, and write the curves."""
    from thalweg.checks import in_range

    path = out_file(given["out"], SUFFIXES) if "out" in given else None
    split, size = split_choice(given.get("split", "test")), given.get("batch_size", 500)
    count = in_range("points", given.get("points", 6), 1, 20)
    other = data_config(given, given.get("input"))

    import numpy as np
    import torch

    from thalweg.devices import resolve_device
    from thalweg.evaluation.examples import Examples, frozen
    from thalweg.evaluation.measures.latents import codes_of
    from thalweg.evaluation.statistics.compression import curve, distortion
    from thalweg.evaluation.statistics.jpeg import jpeg_curves
    from thalweg.recipes.runs import open_run

    device = resolve_device(given.get("device", "auto"))
    opened = open_run(given["dir"])
    model, recipe = opened.model, opened.config.recipe
    if not (hasattr(model, "encode") and hasattr(model, "decode")):
        raise ValueError(f"dir: got {given['dir']}, a {recipe}, wanted a model that can encode and decode")
    if opened.spec.kind != "image":
        raise ValueError(f"dir: got {given['dir']}, a {recipe} of {opened.spec.kind}s, wanted one of images")
    dataset = opened.data(other)
    spec, part = dataset.spec, dataset.split(split)
    protocol = {"data": spec.name, "fingerprint": spec.fingerprint, "split": split, "examples": len(part)}
    images, peak = np.asarray(part.x), (spec.levels or 2) - 1
    with frozen(model, device) as place:
        examples = Examples(images, None, protocol, size, given.get("seed", 0), place)
        codes = codes_of(model, examples)
        spread = float(np.sqrt(codes.var(axis=0).mean()))
        if not spread > 0:
            raise ValueError(f"codes: got the same for all {len(codes)} examples, wanted codes that differ")

        def decode(z: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
            parts = torch.from_numpy(z).float().split(size)
            return np.concatenate([model.decode(part.to(place)).cpu().numpy() for part in parts])  # type: ignore[operator]

        steps = [COARSEST * spread / 2**i for i in range(count)]
        shared: dict[str, Any] = {"peak": peak, "varies": examples.varies, "protocol": protocol}
        curves = {recipe: curve(codes, decode, images, steps, **shared)}
        limit = distortion(images, decode(codes), **shared)
    try:
        curves |= jpeg_curves(images, QUALITIES, **shared)
    except ValueError as error:
        warn(f"without JPEG beside it: {error}")
    document = {
        "run": str(given["dir"]),
        "out": None if path is None else str(path),
        "data": spec.name,
        "split": split,
        "n": len(images),
        "shared": {"parameters": sum(p.numel() for p in model.parameters()), "counted": False},
        "unquantized": {e.name: {**e.to_json(), "text": str(e)} for e in limit},
        "curves": {name: [_told(point) for point in points] for name, points in curves.items()},
    }
    if path is not None:
        _write(path, document)
    return document


def _told(point: Point) -> dict[str, Any]:
    estimates = {"bits/pixel": point.rate, "squared error": point.error, "PSNR": point.psnr}
    told = {name: {**e.to_json(), "text": str(e)} for name, e in estimates.items()}
    return {"knob": point.knob, "bytes": point.total, "parts": point.parts, **told}


def _write(path: Path, document: dict[str, Any]) -> None:
    import json

    from thalweg.applications.files import write_rows

    with atomic_path(path) as temporary:
        if path.suffix.lower() == ".json":
            temporary.write_text(json.dumps(document, indent=2, allow_nan=False))
        elif path.suffix.lower() == ".csv":
            head = ("coder", "knob", "bytes", "bits_per_pixel", "squared_error", "psnr")
            names = ("bits/pixel", "squared error", "PSNR")
            rows = [
                [coder, point["knob"], point["bytes"], *(point[name]["value"] for name in names)]
                for coder, points in document["curves"].items()
                for point in points
            ]
            write_rows(temporary, head, rows)
        else:
            _picture(temporary, document)


def _picture(path: Path, document: dict[str, Any]) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.4), layout="constrained")
    axes = figure.add_subplot()
    for i, (coder, points) in enumerate(document["curves"].items()):
        shown = [(p["bits/pixel"]["value"], float(p["PSNR"]["value"])) for p in points]
        style: dict[str, Any] = {"lw": 2, "marker": "o"} if i == 0 else {"lw": 1.2, "marker": "s"}
        axes.plot(*zip(*shown, strict=True), ms=4, ls=":" if "without" in coder else "-", label=coder, **style)
    limit = float(document["unquantized"]["PSNR"]["value"])
    axes.axhline(limit, color="0.6", lw=1, ls="--", label="the codes as they are")
    axes.set_xscale("log")
    axes.set_xlabel("bits/pixel")
    axes.set_ylabel("PSNR, dB")
    axes.set_title(f"{document['n']:,} images of {document['data']} ({document['split']})", fontsize=10)
    axes.legend(fontsize=8)
    figure.savefig(path, dpi=120)


def show(document: dict[str, Any]) -> None:
    """Print the table, what is shared, and where the curves are."""
    rows = [
        [
            name if i == 0 else "",
            f"{point['knob']:.4g}",
            point["bits/pixel"]["text"].removesuffix(" bits/pixel"),
            f"{point['bytes']:,}",
            point["PSNR"]["text"].removesuffix(" dB"),
            point["squared error"]["text"],
        ]
        for name, points in document["curves"].items()
        for i, point in enumerate(points)
    ]
    title = f"{document['n']:,} images of {document['data']} ({document['split']})"
    print_table(title, list(COLUMNS), rows)
    print(f"the codes as they are: {document['unquantized']['PSNR']['text']}")
    print(f"not counted: the network's {document['shared']['parameters']:,} weights, which the reader has")
    if document["out"] is not None:
        print(f"curves: {document['out']}")
