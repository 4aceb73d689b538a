"""`thalweg score DIR [INPUT] --out FILE`: how strange a trained model finds examples."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from thalweg.cli.arguments import Parser
from thalweg.cli.options import Option
from thalweg.cli.shared import add_data, data_config, device_option, out_file, seed_option, split_choice, warn
from thalweg.files import atomic_path

if TYPE_CHECKING:
    import numpy as np

    from thalweg.recipes.runs import Opened

HELP = "write how strange a trained model finds examples: anomaly scores"
SUFFIXES = (".csv", ".npz")
SHOWN = 5


def parser(arguments: list[str]) -> Parser:
    """The run folder, what to score, and where to."""
    made = Parser(
        "score",
        f"{HELP}\n\nColumns: `index`, the example's row in INPUT, from 0, or its file name in a folder of images;\n"
        "`score`, higher for stranger; `percentile`, the share of the run's own test examples that are less strange.",
        usage="score DIR [INPUT] --out FILE",
    )
    made.aliases["run"] = "DIR"
    made.positional("dir", "a run folder")
    made.positional("input", "data to score: a name or a path (default: the run's own)", required=False)
    made.aliases["data"] = "INPUT"
    add_data(made, source=False)
    options = [
        Option("out", str, None, "file to write: .csv or .npz"),
        Option("split", str, None, "all, train, validation or test (default: all of INPUT; of the run's own, test)"),
        Option("batch_size", int, 500, "examples at a time"),
        seed_option("the noise, where a score has any"),
        device_option(),
    ]
    made.group("scoring", options)
    return made


def run(given: dict[str, Any]) -> dict[str, Any]:
    """Score and write."""
    from thalweg.checks import positive

    if "out" not in given:
        raise ValueError(f"out: got nothing, wanted a file name ending in {', '.join(SUFFIXES)}")
    path = out_file(given["out"], SUFFIXES)
    split = split_choice(given.get("split", "all" if "input" in given else "test"))
    positive("batch_size", given.get("batch_size", 500))
    other = data_config(given, given.get("input"))

    import numpy as np

    from thalweg.devices import resolve_device
    from thalweg.evaluation.examples import Examples, frozen
    from thalweg.evaluation.measures.anomaly import score_of, scores
    from thalweg.recipes.runs import open_run

    device = resolve_device(given.get("device", "auto"))
    opened = open_run(given["dir"])
    try:
        score = score_of(opened.model, opened.spec)
    except ValueError:
        raise ValueError(f"dir: got {given['dir']}, a {opened.config.recipe}, wanted a model that can score") from None
    dataset = opened.data(other)
    part, own = dataset.split(split), _own_test(opened)

    def of(x: Any) -> np.ndarray[Any, Any]:
        return scores(score, Examples(x, None, None, given.get("batch_size", 500), given.get("seed", 0), place))

    with frozen(opened.model, device) as place:
        found = of(part.x)
        known = None if own is None else np.sort(of(own))
    table = {"index": np.arange(len(found)) if part.index is None else part.index, "score": found}
    if known is not None:
        below, equal = (np.searchsorted(known, found, side) for side in ("left", "right"))
        table["percentile"] = 50 * (below + equal) / len(known)
    _write(path, table)
    return _summary(given, path, dataset.spec.name, split, score.name, table)


def _own_test(opened: Opened) -> Any:
    """Return the run's own test examples, or None where they cannot be had any more."""
    try:
        own = opened.data()
    except (ValueError, OSError) as error:
        warn(f"no percentiles: the run's own data cannot be read ({error})")
        return None
    if not len(own.test):
        warn("no percentiles: the run's own data have no test examples")
        return None
    return own.test.x


def _write(path: Path, table: dict[str, Any]) -> None:
    import numpy as np

    from thalweg.applications.files import write_rows

    with atomic_path(path) as temporary:
        if path.suffix.lower() == ".npz":
            np.savez(temporary, **table)
        else:
            write_rows(temporary, list(table), zip(*(column.tolist() for column in table.values()), strict=True))


def _summary(
    given: dict[str, Any], path: Path, data: str, split: str, score: str, table: dict[str, Any]
) -> dict[str, Any]:
    """Return what was done, how many examples are beyond the common, and the strangest ones."""
    import numpy as np

    first = np.argsort(-table["score"], kind="stable")[:SHOWN]
    values = {
        name: [str(v) if v in (np.inf, -np.inf) else v for v in column[first].tolist()]
        for name, column in table.items()
    }
    strangest = [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]
    beyond = int((table["percentile"] > 95).sum()) if "percentile" in table else None
    return {
        "run": str(given["dir"]),
        "out": str(path),
        "data": data,
        "split": split,
        "n": len(table["score"]),
        "score": score,
        "beyond_95": beyond,
        "strangest": strangest,
    }


def show(document: dict[str, Any]) -> None:
    """Print where the scores are, and how many examples are strange."""
    print(f"{document['n']} scores ({document['score']}): {document['out']}")
    if document["beyond_95"] is not None:
        print(f"stranger than 95 % of the run's own test examples: {document['beyond_95']} of {document['n']}")
    if document["strangest"]:
        print(f"strangest: {', '.join(str(row['index']) for row in document['strangest'])}")
