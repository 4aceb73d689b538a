"""The command line: `thalweg VERB ...`. There is one file per verb; torch is imported when a verb runs, never for `-h`.

A verb's file has `HELP` (one line), `parser(arguments)`, `run(arguments)`, which does the work and returns the document
that `--json` prints, and `show(document)`, which prints it for people. A document with a true `failed` (a training of a
comparison failed) is printed, and the exit code is 1.
"""

from __future__ import annotations

import importlib
import os
import shlex
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from thalweg.cli.arguments import Parser
from thalweg.cli.errors import BROKEN_PIPE, FAILURE, report
from thalweg.cli.terminal import prepare_streams

__all__ = ["VERBS", "main"]

VERBS = {
    "compare": "train models of different families under one budget, and evaluate them alike",
    "train": "train a model, in a run folder",
    "resume": "resume a run exactly where it stopped",
    "ensemble": "combine trained classifiers: a mixture with fitted weights, or the average of their weights",
    "sample": "draw samples from a trained model, into a picture, a table or text",
    "evaluate": "evaluate a trained model by all measures that its abilities allow",
    "score": "write the anomaly scores that a trained model gives examples",
    "encode": "write the latent codes that a trained model gives examples",
    "cluster": "group examples by the latent codes that a trained model gives them, with k-means",
    "audit": "find labels of the training split that are probably wrong, with models of the other folds",
    "explain": "look inside a trained classifier of images: maps, filters, neighbors, adversarial images",
    "compress": "measure how many bits a trained model's codes of images take, and at what error, beside JPEG",
    "models": "list the recipes with their abilities and papers",
    "data": "list, describe or download data sets",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run `thalweg` with these arguments and return the exit code: 0; 2 for a mistake of the user; 1 for a failure.

    >>> main(["--version"])
    thalweg 0.2.0
    0
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    flags: dict[str, str] = {}
    prepare_streams()
    try:
        return _answer(arguments, flags)
    except SystemExit as stop:  # argparse has printed the help
        return int(stop.code or 0)
    except BrokenPipeError:
        # the reader of our output has ended; the interpreter must not fail when it flushes
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except BaseException as error:
        return report(error, flags)


def _answer(arguments: list[str], flags: dict[str, str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_help())
        return 0
    if arguments[0] == "--version":
        from thalweg import __version__

        print(f"thalweg {__version__}")
        return 0
    module = _verb(arguments[0])
    parser: Parser = module.parser(arguments[1:])
    flags.update(parser.flags)
    parsed = parser.parse(arguments[1:])
    as_json = parsed.pop("json")
    parsed["command"] = shlex.join(["thalweg", *arguments])
    document: dict[str, Any] = module.run(parsed)
    if os.environ.get("RANK", "0") != "0":
        return 0  # under torchrun only the first process prints
    if as_json:
        import json

        print(json.dumps(document, indent=2, allow_nan=False))
    else:
        module.show(document)
    sys.stdout.flush()
    return FAILURE if document.get("failed") else 0


def _verb(name: str) -> ModuleType:
    from thalweg.checks import choice

    if name.startswith("-"):
        raise ValueError(f"{name}: no such option before a verb, wanted -h, --version or one of {', '.join(VERBS)}")
    return importlib.import_module(f"thalweg.cli.{choice('verb', name, VERBS)}")


def _help() -> str:
    from thalweg import __version__

    verbs = "\n".join(f"  {name:<10} {text}" for name, text in VERBS.items())
    return f"""thalweg {__version__}: train, sample, measure and compare the classic deep networks

usage: thalweg VERB ... [--json]

{verbs}

thalweg VERB -h            the options of a verb
thalweg train RECIPE -h    the options of a recipe
thalweg --version          the version

start here:
  thalweg train vae --data digits
"""
