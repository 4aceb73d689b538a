"""`thalweg explain RUN|module:factory METHOD`: maps, filters, neighbors and adversarial images of a network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from thalweg.cli.arguments import Parser
from thalweg.cli.options import Option
from thalweg.cli.shared import add_data, data_config, out_file, print_table, warn

if TYPE_CHECKING:
    from thalweg.applications.explain import Explained
    from thalweg.interpretability.result import Explanation

HELP = "look inside a trained classifier of images: maps, filters, neighbors, adversarial images"
ABOUT = f"""{HELP}

METHOD is saliency, gradient, guided, deconv, occlusion, activations, filters, top-patches, neighbors, ascend,
adversary, segment, embed or sanity; or all, which writes one page of everything for one image. RUN is a run folder, or
package.module:factory, a function without arguments that returns a torch.nn.Module, whose attributes `classes` (names),
`normalize` (mean and standard deviation per channel, or a function; images are in [0, 1]) and `shape` (C, H, W) are
used if it has them.
Without --image and --index, the first six test examples are explained, or the first by all methods."""
LISTED = 64  # numbers of a result that are written out at most


def parser(arguments: list[str]) -> Parser:
    """Return the parser: the network, the method, the images, and what is explained."""
    result = Parser("explain", ABOUT, usage="explain RUN METHOD [--image FILE ...]")
    result.positional("run", "a run folder, or package.module:factory")
    result.positional("method", "a method, or all")
    options = [
        Option("image", str, None, "image files, which are resized to the images of the run", many=True),
        Option("index", int, None, "places of test examples, from 0", many=True),
        Option("layer", str, None, "layer, as conv1, its channel, as conv1:3, or a position in it, as conv1:3@5,7"),
        Option("target", str, None, "class, by name or number (default: the most probable one of each image)"),
        Option("out", str, None, "picture to write, .png, or .html of all (default: RUN-METHOD in this folder)"),
    ]
    result.group("explaining", options)
    add_data(result)
    return result


def run(arguments: dict[str, Any]) -> dict[str, Any]:
    """Explain the images, write the picture or the page, and return the numbers."""
    source, method = arguments["run"], arguments["method"]
    suffix = ".html" if method == "all" else ".png"
    name = source.partition(":")[2] if ":" in source and not Path(source).exists() else Path(source).resolve().name
    path = out_file(arguments.get("out", f"{name}-{method}{suffix}"), [suffix])

    from thalweg.applications.explain import explain_images
    from thalweg.comparison.store import finite
    from thalweg.files import write_atomic

    found = explain_images(
        source,
        method,
        files=arguments.get("image", ()),
        data=data_config(arguments),
        index=arguments.get("index", ()),
        layer=arguments.get("layer"),
        target=arguments.get("target"),
        log=warn,
    )
    if method == "all":
        write_atomic(path, _page(found).encode())
    else:
        found.results[method].save(path)
    document = {
        "run": source,
        "method": method,
        "out": str(path),
        "images": list(found.images),
        "predictions": [_class(found, int(k)) for k in found.scores.argmax(1)],
        "results": {name: _numbers(found, result) for name, result in found.results.items()},
        "failed_methods": found.failed,
    }
    return dict(finite(document))


def _class(found: Explained, k: int) -> str:
    return found.probe.classes[k] if found.probe.classes else str(k)


def _numbers(found: Explained, result: Explanation) -> dict[str, Any]:
    """Return the numbers of a result, with the names of classes, and those of `values` and `extra` that are few."""
    numbers = result.to_json()
    if result.target is not None:
        numbers["classes"] = [_class(found, k) for k in result.target]
    lists = {"values": result.values, **result.extra}
    return numbers | {name: tensor.tolist() for name, tensor in lists.items() if tensor.numel() <= LISTED}


def _page(found: Explained) -> str:
    from thalweg import __version__
    from thalweg.interpretability.methods import METHODS
    from thalweg.interpretability.result import Explanation
    from thalweg.report.inside import Shown, image_page

    shown, image = [], None
    for name, method in METHODS.items():
        if name in found.failed:
            shown.append(Shown(method.title, method.about, None, {}, [f"Not available: {found.failed[name]}."]))
        elif name in found.results:
            result = found.results[name]
            known = _numbers(found, result)
            numbers = {"class": known.get("classes"), "probability": known["probability"]}
            numbers["largest value"] = known["largest"] if result.tiles is None else None
            numbers = {k: v for k, v in (numbers | dict(result.settings)).items() if v is not None}
            image = result.input if len(result.input) == 1 and image is None else image
            shown.append(Shown(method.title, method.about, result._repr_png_(), numbers, result.warnings))
    assert image is not None
    p = found.scores[0].softmax(0)
    classes = [(_class(found, int(k)), float(p[k])) for k in p.argsort(descending=True)[:5]]
    picture = Explanation("image", image, image, tiles=image[None])._repr_png_()
    return image_page(f"Inside {found.name}", found.images[0], picture, classes, shown, __version__)


def show(document: dict[str, Any]) -> None:
    """Print the explained class of each image, the warnings, and where the picture is."""
    for name, result in document["results"].items():
        if (
            result["target"] is not None
            and document["method"] != "all"
            and len(result["target"]) == len(document["images"])
        ):
            columns = zip(document["images"], document["predictions"], result["classes"], result["probability"],
                          strict=True)  # fmt: skip
            rows = [[image, predicted, k, f"{100 * p:.1f} %"] for image, predicted, k, p in columns]
            print_table(name, ["image", "predicted", "class", "probability"], rows)
        for warning in result["warnings"]:
            print(f"{name}: {warning}")
    for name, reason in document["failed_methods"].items():
        print(f"{name}: not available ({reason})")
    print(f"{'page' if document['method'] == 'all' else 'picture'}: {document['out']}")
