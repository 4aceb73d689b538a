"""`thalweg audit RECIPE --data D`: labels of the training split that are probably wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from thalweg.cli.arguments import Parser
from thalweg.cli.options import Option
from thalweg.cli.shared import print_table, warn
from thalweg.cli.train import configuration, recipe_parser

HELP = "find labels of the training split that are probably wrong, with models of the other folds"
ABOUT = f"""{HELP}

The training examples are divided into folds; each is scored by a model that was trained on the other folds. A label's
score is its self-confidence, the probability that this model gives it. The test split is neither read for this nor
changed: removing the test labels that a model doubts would only make the accuracy of such models look better."""


def parser(arguments: list[str]) -> Parser:
    """Return the parser: the recipe with its options, the data, the training, and the settings of the audit."""
    options = [
        Option("folds", int, 5, "number of folds, and of trainings"),
        Option(
            "plant",
            float,
            None,
            "share of the labels to exchange for another class before the audit, which measures how many are detected",
        ),
        Option("out", str, None, "folder of the audit (default: runs/audit-RECIPE-DATA)"),
    ]
    return recipe_parser("audit", ABOUT, arguments, "audit", options)


def run(arguments: dict[str, Any]) -> dict[str, Any]:
    """Train a model per fold, score the labels, write the folder, and return the result."""
    config = configuration(arguments)
    default = Path("runs") / f"audit-{config.recipe}-{Path(config.data.source).stem or 'data'}"
    folder = Path(arguments.get("out", default))

    from thalweg.applications.audit import audit
    from thalweg.training import Interrupted
    from thalweg.training.progress import progress

    settings = {name: arguments[name] for name in ("folds", "plant") if name in arguments}
    try:
        result = audit(config, folder, **settings, progress=progress(), log=warn)
    except Interrupted as stop:
        stop.args = (f"{stop}; the same command resumes",)
        raise
    return {"folder": str(folder), "recipe": config.recipe, **result.document()}


def show(document: dict[str, Any]) -> None:
    """Print the labels of the lowest self-confidence, the suspects of each class, and where the result is."""
    columns = list(document["top"][0])
    rows = [[f"{v:.3g}" if isinstance(v, float) else v for v in row.values()] for row in document["top"]]
    print_table("labels of the lowest self-confidence", columns, rows)
    classes = [
        [c["name"], f"{c['examples']:,}", c["suspects"], f"{c['estimated_errors']:.1f}"] for c in document["classes"]
    ]
    print_table("classes", ["label", "examples", "suspects", "estimated errors"], classes)
    print(f"suspects: {document['suspects']:,} of {document['examples']:,} training labels")
    for measure in document["measures"]:
        print(f"{measure['name']} (k = {document['planted']}): {measure['text']}")
    print(f"all labels: {document['folder']}/audit.csv")
