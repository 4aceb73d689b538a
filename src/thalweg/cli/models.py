"""`thalweg models`: the recipes, their abilities and their papers; `thalweg models RECIPE --layers`: its layers."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thalweg.checks import positive
from thalweg.cli.arguments import Parser
from thalweg.cli.options import Option, options_of_function
from thalweg.cli.shared import print_table
from thalweg.recipes import FAMILIES, recipe

if TYPE_CHECKING:
    from thalweg.nn.layer_table import Layer, LayerTable

HELP = "list the recipes with their abilities and papers"


def parser(arguments: list[str]) -> Parser:
    """Return the parser: --family, or a recipe with --layers and its own options."""
    name = arguments[0] if arguments and not arguments[0].startswith("-") else None
    about = f"{HELP}\n\nThe number of parameters is that of the defaults, for 28×28 gray images or points of the plane."
    if name is None:
        result = Parser("models", about, usage="models [RECIPE --layers]")
        listing = [Option("family", str, None, f"family to list (default: all): {', '.join(FAMILIES)}")]
        result.group("listing", listing)
        return result
    function = recipe(name)
    result = Parser("models", (function.__doc__ or name).split("\n\n")[0], usage=f"models {name} --layers")
    result.positional("recipe", "")
    options = [
        Option("layers", bool, False, "list the layers: shapes, parameters, MACs, latency and receptive field"),
        Option("shape", str, "3,32,32", "shape of one image: channels, height, width"),
        Option("classes", int, 10, "number of classes"),
        Option("batch", int, 1, "images in the batch whose latency is measured"),
        Option("out", str, None, "picture of the layers to write: .png, .svg or .pdf"),
    ]
    result.group("layers", options)
    taken = {option.name for option in options}  # a flow has an option layers as well, but no table of them
    result.group(f"options of {name}", [o for o in options_of_function(function) if o.name not in taken])
    return result


def run(arguments: dict[str, Any]) -> dict[str, Any]:
    """Build each recipe's model for standard data, and list its abilities; or list the layers of one."""
    from thalweg.checks import choice

    if "recipe" in arguments:
        return layers(arguments) if arguments.get("layers") else {"models": [describe(*_of(arguments["recipe"]))]}
    asked = [choice("family", arguments["family"], FAMILIES)] if "family" in arguments else list(FAMILIES)
    return {"models": [describe(f, name) for f in asked for name in FAMILIES[f]]}


def _of(name: str) -> tuple[str, str]:
    return next((family, name) for family, table in FAMILIES.items() if name in table)


def layers(arguments: dict[str, Any]) -> dict[str, Any]:
    """Return the table of the layers of a recipe's model, for images of the shape; write the picture if asked for."""
    import dataclasses

    import torch

    from thalweg.cli.shared import out_file
    from thalweg.data import Spec, class_target
    from thalweg.nn.layer_table import layer_table

    function, name = recipe(arguments["recipe"]), arguments["recipe"]
    if name not in FAMILIES["classifiers"]:
        raise ValueError(f"layers: got {name}, wanted a classifier: {', '.join(FAMILIES['classifiers'])}")
    out = out_file(arguments["out"], (".png", ".svg", ".pdf")) if "out" in arguments else None
    shape = _shape(arguments.get("shape", "3,32,32"))
    classes = tuple(map(str, range(positive("classes", arguments.get("classes", 10)))))
    scale = (0.0,) * shape[0], (1.0,) * shape[0]
    spec = Spec(
        name="images", kind="image", shape=shape, levels=256, mean=scale[0], std=scale[1], target=class_target(classes)
    )
    own = [option.name for option in options_of_function(function)]
    model = function(spec, **{option: arguments[option] for option in own if option in arguments}).model
    x = torch.zeros(positive("batch", arguments.get("batch", 1)), *shape, dtype=torch.uint8)
    table = layer_table(model, x)
    if out:
        draw(table, name, out)
    shares = {
        kind: {quantity: table.share(kind, quantity) for quantity in ("parameters", "macs", "seconds")}
        for kind in ("Conv", "Linear")
    }
    return {"recipe": name, "shape": shape, "depth": table.depth, "shares": shares} | dataclasses.asdict(table)


def _shape(text: str) -> tuple[int, int, int]:
    parts = text.replace("x", ",").split(",")
    if len(parts) != 3 or not all(part.strip().isdigit() and int(part) > 0 for part in parts):
        raise ValueError(f"shape: got '{text}', wanted channels, height and width, as in 3,224,224")
    channels, height, width = map(int, parts)
    return channels, height, width


def draw(table: LayerTable, name: str, path: Path) -> None:
    """Draw the parameters, MACs and latency of each layer as bars, and write the picture.

    Layers of deep networks are summed by blocks, so that there are at most 40 bars.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import EngFormatter

    from thalweg.files import atomic_path

    depths = range(max(layer.name.count(".") + 1 for layer in table.layers), 0, -1)
    rows: dict[str, list[Layer]] = {}
    for depth in depths:
        rows = {}
        for layer in table.layers:
            rows.setdefault(".".join(layer.name.split(".")[:depth]), []).append(layer)
        rows = {block: part for block, part in rows.items() if any(layer.macs or layer.parameters for layer in part)}
        if len(rows) <= 40:
            break
    columns = {
        "parameters": [sum(layer.parameters for layer in layers) for layers in rows.values()],
        "MACs": [sum(layer.macs for layer in layers) for layers in rows.values()],
        "latency, ms": [1e3 * sum(layer.seconds for layer in layers) for layers in rows.values()],
    }
    figure = Figure(figsize=(10, max(2.2, 0.2 * len(rows) + 1)), layout="constrained")
    panels = figure.subplots(1, len(columns), sharey=True)
    for axes, (title, values) in zip(panels, columns.items(), strict=True):
        axes.barh(range(len(rows)), values, color="#4a7ba6")
        axes.set_xlabel(title)
        if title != "latency, ms":
            axes.xaxis.set_major_formatter(EngFormatter())  # 25 M
        axes.margins(y=0.01)
    labels = [f"{block}  {layers[0].kind}" if len(layers) == 1 else block for block, layers in rows.items()]
    panels[0].set_yticks(range(len(rows)), labels, fontsize=8)
    panels[0].invert_yaxis()
    figure.suptitle(f"{name}: {table.parameters:,} parameters, {table.macs:,} MACs")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=100)


def describe(family: str, name: str) -> dict[str, Any]:
    """Return the description of a recipe."""
    from thalweg.abilities import ABILITIES, abilities_of

    function = recipe(name)
    doc = inspect.getdoc(function) or ""
    paper = re.search(r"^References?: ((?:.+\n?)+)", doc, re.MULTILINE)
    built: dict[str, dict[str, Any]] = {}
    for spec in standard_specs():
        if spec.kind in built:
            continue
        try:
            model = function(spec).model
        except ValueError:  # the recipe does not support such data
            continue
        count = sum(p.numel() for p in model.parameters())
        built[spec.kind] = {"parameters": count, "abilities": list(abilities_of(model))}
    return {
        "name": name,
        "family": family,
        "about": doc.split("\n\n")[0].replace("\n", " "),
        "abilities": sorted({a for b in built.values() for a in b["abilities"]}, key=list(ABILITIES).index),
        "parameters": {kind: b["parameters"] for kind, b in built.items()},
        "options": {o.name: o.default for o in options_of_function(function)},
        "paper": " ".join(paper[1].replace("*", "").split()) if paper else None,
    }


def standard_specs() -> list[Any]:
    """Return Specs of 28×28 gray images with ten classes, of points of the plane with two, and of single values."""
    from thalweg.data import Spec, class_target

    digits = tuple("0123456789")
    image = Spec(
        name="28×28",
        kind="image",
        shape=(1, 28, 28),
        levels=256,
        mean=(33.3,),
        std=(78.6,),
        target=class_target(digits),
    )
    plane = Spec(
        name="plane", kind="vector", shape=(2,), mean=(0.0, 0.0), std=(1.0, 1.0), target=class_target(("a", "b"))
    )
    return [
        image,
        plane,
        Spec(name="line", kind="vector", shape=(1,), mean=(0.0,), std=(1.0,), target=class_target(("a", "b"))),
    ]


def show(document: dict[str, Any]) -> None:
    """Print a table."""
    if "layers" in document:
        show_layers(document)
        return
    rows = [
        [
            m["name"],
            m["family"],
            ", ".join(m["abilities"]),
            ", ".join(f"{n:,} ({kind})" for kind, n in m["parameters"].items()),
            m["paper"] or "",
        ]
        for m in document["models"]
    ]
    print_table("recipes", ["name", "family", "abilities", "parameters", "paper"], rows)


def show_layers(document: dict[str, Any]) -> None:
    """Print the table of the layers, and the sums."""
    rows = [
        [
            layer["name"],
            layer["kind"],
            "×".join(map(str, layer["shape"])),
            f"{layer['parameters']:,}" if layer["parameters"] else "",
            f"{layer['macs']:,}" if layer["macs"] else "",
            f"{1e3 * layer['seconds']:.3f}",
            str(layer["receptive_field"] or ""),
        ]
        for layer in document["layers"]
    ]
    title = f"{document['recipe']} for images of {'×'.join(map(str, document['shape']))}"
    print_table(title, ["layer", "kind", "output", "parameters", "MACs", "ms", "receptive field"], rows)
    shares = document["shares"]
    print(f"{document['parameters']:,} parameters, {document['macs']:,} MACs per image (FLOPs = 2 × MACs)")
    for kind, name in (("Conv", "convolutions"), ("Linear", "linear layers")):
        part = shares[kind]
        print(f"{name}: {part['parameters']:.0%} of the parameters, {part['macs']:.0%} of the MACs")
    timed = f"ms for a batch of {document['batch']}, threads: {document['threads']}"
    print(f"{document['depth']} layers with weights; {timed}")
