"""`thalweg evaluate DIR`: every measure that the model's abilities allow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from thalweg.cli.arguments import Parser
from thalweg.cli.options import Option
from thalweg.cli.shared import add_data, data_config, device_option, print_table, same_kind, seed_option, split_choice

HELP = "measure a trained model: every measure that its abilities allow"


def parser(arguments: list[str]) -> Parser:
    """The run folder, what to measure it on, and how."""
    made = Parser(
        "evaluate", f"{HELP}\n\nAlso writes evaluation.json into the run folder.", usage="evaluate DIR [--data D]"
    )
    made.aliases["run"] = "DIR"
    made.positional("dir", "a run folder")
    add_data(made)
    options = [
        Option("split", str, "test", "train, validation or test"),
        Option("limit", int, None, "how many examples, drawn by the seed (default: all)"),
        Option("draws", int, 1, "of a likelihood's noise, averaged"),
        Option("batch_size", int, 500, "examples at a time"),
        seed_option("the noise and the limit"),
        device_option(),
    ]
    made.group("measuring", options)
    return made


def run(given: dict[str, Any]) -> dict[str, Any]:
    """Measure the run's model on its own data, or on others of the same kind."""
    split = split_choice(given.get("split", "test"))
    other = data_config(given)

    from thalweg.checks import positive
    from thalweg.data import load
    from thalweg.evaluation import evaluate
    from thalweg.recipes.runs import open_run
    from thalweg.training.checkpoint import write_atomic
    from thalweg.training.devices import resolve_device

    for name in ("limit", "draws", "batch_size"):
        if name in given:
            positive(name, given[name])
    device = resolve_device(given.get("device", "auto"))
    opened = open_run(given["dir"])
    dataset = load(other or opened.config.data)
    same_kind(dataset.spec, opened.spec)
    asked = {name: given[name] for name in ("limit", "draws", "batch_size", "seed") if name in given}
    found = evaluate(opened.model, dataset, split=split, device=device, **asked)
    document = {
        "run": str(given["dir"]),
        "recipe": opened.config.recipe,
        "data": dataset.spec.name,
        "split": split,
        "parameters": sum(p.numel() for p in opened.model.parameters()),
        "estimates": [estimate.to_json() | {"text": str(estimate)} for estimate in found.estimates],
        "missing": [{"name": m.name, "reason": m.reason} for m in found.missing],
    }
    import json

    write_atomic(
        Path(given["dir"]) / "evaluation.json", (json.dumps(document, indent=2, allow_nan=False) + "\n").encode()
    )
    return document


def show(document: dict[str, Any]) -> None:
    """Print a table of the estimates."""
    rows = [
        [e["name"], e["text"], e["kind"], f"{e['n']:,} {e['varies']}", e["protocol"].get("law", "")]
        for e in document["estimates"]
    ]
    title = f"{document['run']}: {document['recipe']} on the {document['split']} split of {document['data']}"
    caption = f"{document['parameters']:,} parameters. Intervals are 95 %."
    print_table(title, ["measure", "value", "kind", "over", "of"], rows, caption=caption)
