"""`thalweg data list | info D | fetch NAME`: the available data sets."""

from __future__ import annotations

from typing import Any

from thalweg.cli.arguments import Parser
from thalweg.cli.shared import add_data, data_config, print_table

HELP = "list, describe or download data sets"
ACTIONS = ("list", "info", "fetch")


def parser(arguments: list[str]) -> Parser:
    """Return the parser: the action, and the data set."""
    result = Parser(
        "data",
        f"{HELP}\n\nlist: the names; info D: shape, splits, classes of a name or a path; fetch NAME",
        usage="data list | info D | fetch NAME",
    )
    result.positional("action", "list, info or fetch")
    result.positional("source", "name or path", required=False)
    result.aliases["data"] = "SOURCE"
    add_data(result, source=False)
    return result


def run(arguments: dict[str, Any]) -> dict[str, Any]:
    """List, describe or download data."""
    from thalweg.checks import choice

    action, source = choice("action", arguments["action"], ACTIONS), arguments.get("source")
    if action != "list" and source is None:
        wanted = {"info": "describe", "fetch": "download"}[action]
        raise ValueError(f"SOURCE: got nothing, wanted data to {wanted} (see thalweg data list)")
    if action == "list" and source is not None:
        raise ValueError(f"SOURCE: got '{source}', wanted nothing after list")
    config = data_config(arguments, source)

    from thalweg import data

    if action == "list":
        return {"data": data.names()}
    if action == "fetch":
        return {"name": source, "files": [str(path) for path in data.fetch(str(source))]}
    assert config is not None
    return {"info": data.info(config)}


def show(document: dict[str, Any]) -> None:
    """Print a table, or lines."""
    if "data" in document:
        columns = ["name", "kind", "origin", "description", "license"]
        print_table("data", columns, [[row[c] for c in columns] for row in document["data"]])
        print("Or a path: a folder of images, .npz, IDX files, .csv, .parquet, .txt")
    elif "files" in document:
        print("\n".join(document["files"]) or f"{document['name']}: no files needed")
    else:
        for name, value in document["info"].items():
            if value not in (None, [], ""):
                print(f"{name.replace('_', ' '):<14} {_line(value)}")


def _line(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{k}: {_line(v)}" for k, v in value.items() if v not in (None, [], (), ""))
    if isinstance(value, (list, tuple)):
        return " ".join(f"{v:.4g}" if isinstance(v, float) else _line(v) for v in value[:12]) + (
            " ..." if len(value) > 12 else ""
        )
    return str(value)
