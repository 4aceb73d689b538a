"""`thalweg score DIR [INPUT] --out FILE`: the anomaly scores that a trained model gives examples."""

from __future__ import annotations

import math
from typing import Any

from thalweg.cli.arguments import Parser
from thalweg.cli.options import Option
from thalweg.cli.shared import (
    add_run_and_input,
    data_config,
    device_option,
    out_file,
    seed_option,
    split_choice,
    warn,
)

HELP = "write the anomaly scores that a trained model gives examples"
SUFFIXES = (".csv", ".npz")


def parser(arguments: list[str]) -> Parser:
    """Return the parser: the run folder, what to score, and the file to write."""
    result = Parser(
        "score",
        f"{HELP}\n\nColumns: `index`, the example's row in INPUT, from 0, or its file name in a folder of images;\n"
        "`score`, higher for more anomalous examples; `percentile`, the share of the run's own test examples, in %,\n"
        "whose score is lower, where equal scores count half.",
        usage="score DIR [INPUT] --out FILE",
    )
    add_run_and_input(result, "data to score")
    options = [
        Option("out", str, None, "file to write: .csv or .npz"),
        Option("split", str, None, "all, train, validation or test (default: all of INPUT, else test)"),
        Option("batch_size", int, 500, "examples in a batch"),
        seed_option("the noise of the score, if it has any"),
        device_option(),
    ]
    result.group("scoring", options)
    return result


def run(arguments: dict[str, Any]) -> dict[str, Any]:
    """Score, and write the file."""
    from thalweg.checks import positive

    path = out_file(arguments.get("out"), SUFFIXES)
    settings = {name: arguments[name] for name in ("split", "batch_size", "seed", "device") if name in arguments}
    split_choice(settings.get("split", "test"))
    positive("batch_size", settings.get("batch_size", 500))
    other = data_config(arguments, arguments.get("input"))

    from thalweg.applications.score import score
    from thalweg.recipes.runs import open_run

    result = score(open_run(arguments["dir"]), other, warn=warn, **settings)
    result.save(path)
    return {
        "run": str(arguments["dir"]),
        "out": str(path),
        "data": result.data,
        "split": result.split,
        "n": len(result.score),
        "score": result.name,
        "beyond_95": None if result.percentile is None else int((result.percentile > 95).sum()),
        "most_anomalous": [
            {name: str(v) if isinstance(v, float) and math.isinf(v) else v for name, v in row.items()}
            for row in result.most_anomalous()
        ],
    }


def show(document: dict[str, Any]) -> None:
    """Print where the scores are, and how many examples are anomalous."""
    from thalweg.report.words import counted

    print(f"{counted(document['n'], 'score')} ({document['score']}): {document['out']}")
    if document["beyond_95"] is not None:
        print(f"above the 95th percentile of the run's own test examples: {document['beyond_95']} of {document['n']}")
    if document["most_anomalous"]:
        print(f"most anomalous: {', '.join(str(row['index']) for row in document['most_anomalous'])}")
