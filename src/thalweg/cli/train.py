"""`thalweg train RECIPE --data D`: train a model, in a run folder of its own."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thalweg.cli.arguments import Parser
from thalweg.cli.options import Option, options_of_dataclass, options_of_function
from thalweg.cli.shared import add_data, data_config, warn
from thalweg.config import RunConfig, TrainConfig
from thalweg.recipes import FAMILIES, recipe, recipe_names

if TYPE_CHECKING:
    from thalweg.recipes.runs import Opened

HELP = "train a model, in a run folder"


def parser(arguments: list[str]) -> Parser:
    """Return the parser: the options of the training, of the data, and of the recipe that the first argument names."""
    run = [
        Option("run", str, None, "new run folder (default: runs/RECIPE-DATA-N)"),
        Option("overwrite", bool, False, "replace the run in the folder"),
    ]
    return recipe_parser("train", HELP, arguments, "run", run)


def recipe_parser(verb: str, about: str, arguments: list[str], title: str, own: list[Option]) -> Parser:
    """Return the parser of a verb that trains the recipe that the first argument names; `own` are the verb's options.

    `about` describes the verb; of `train`, the recipe describes itself.
    """
    name = arguments[0] if arguments and not arguments[0].startswith("-") else None
    if name is None:
        if not {"-h", "--help"} & set(arguments):
            got = f"'{arguments[0]}'" if arguments else "nothing"
            raise ValueError(f"RECIPE: got {got} first, wanted a recipe: {', '.join(recipe_names())}")
        listed = "\n".join(f"  {family:<14} {', '.join(table)}" for family, table in FAMILIES.items())
        result = Parser(
            verb,
            f"{about}\n\nrecipes:\n{listed}\n\nthalweg {verb} RECIPE -h lists the recipe's own options",
            usage=f"{verb} RECIPE --data D",
        )
        result.positional("recipe", "recipe")
    else:
        function = recipe(name)
        if verb == "train":
            about = (function.__doc__ or name).split("\n\n")[0]
        result = Parser(
            f"{verb} {name}", about, usage=f"{verb} {name} --data D", hint=lambda flag: _elsewhere(name, flag)
        )
        result.positional("recipe", "")
        result.group(f"options of {name}", options_of_function(function))
    add_data(result)
    result.group(title, own)
    result.group("training (by default, the settings of the recipe)", options_of_dataclass(TrainConfig))
    return result


def _elsewhere(name: str, flag: str) -> str:
    """Return which other recipes have an option."""
    option = flag.removeprefix("--no-").removeprefix("--").replace("-", "_")
    have = [other for other in recipe_names() if option in {o.name for o in options_of_function(recipe(other))}]
    return f" (it is an option of {', '.join(have)}, not of {name})" if have else ""


def configuration(arguments: dict[str, Any]) -> RunConfig:
    """Return the configuration that the arguments ask for; settings that are not given are left to the recipe."""
    name = arguments["recipe"]
    data = data_config(arguments)
    if data is None:
        raise ValueError("source: got nothing, wanted data to train on (see thalweg data list)")
    own = [option.name for option in options_of_function(recipe(name))]
    train = {field: arguments[field] for field in TrainConfig.__dataclass_fields__ if field in arguments}
    options = {option: arguments[option] for option in own if option in arguments}
    return RunConfig(recipe=name, data=data, options=options, train=TrainConfig(**train))


def default_folder(config: RunConfig) -> Path:
    """Return runs/RECIPE-DATA-N with the smallest unused N."""
    stem = f"{config.recipe}-{Path(config.data.source).stem or 'data'}"
    n = 1
    while (folder := Path("runs") / f"{stem}-{n}").exists():
        n += 1
    return folder


def run(arguments: dict[str, Any]) -> dict[str, Any]:
    """Train, and return where the run is and its summary."""
    config = configuration(arguments)
    if "run" not in arguments and os.environ.get("WORLD_SIZE", "1") != "1":
        raise ValueError("run: got nothing, wanted a folder that all processes share")
    folder = Path(arguments["run"]) if "run" in arguments else default_folder(config)

    from thalweg.recipes import runs
    from thalweg.training.progress import progress

    with resumable(folder):
        runs.train(config, folder, overwrite=arguments.get("overwrite", False), progress=progress(), warn=warn)
    return summary(folder)


@contextmanager
def resumable(folder: Path) -> Iterator[None]:
    """Print how to resume a run that a signal stops."""
    from thalweg.training import Interrupted

    try:
        yield
    except Interrupted as stop:
        stop.args = (f"{stop}; resume with: {shlex.join(['thalweg', 'resume', str(folder)])}",)
        raise


def summary(folder: Path) -> dict[str, Any]:
    """Return the path of a run, its last record, and next commands; nothing in other processes than the first."""
    if os.environ.get("RANK", "0") != "0":
        return {}
    from thalweg.recipes.runs import open_run
    from thalweg.training.records import RunFolder, read_metrics

    config, lines, opened = RunFolder.read(folder)["config"], read_metrics(folder), open_run(folder)
    return {
        "run": str(folder),
        "picture": picture(opened),
        "recipe": config.get("recipe"),
        "data": config.get("data"),
        "last": lines[-1] if lines else None,
        "next": next_commands(opened),
    }


def picture(opened: Opened) -> str | None:
    """Draw samples into the run folder, if the model can sample and its samples can be drawn; return the picture's
    path.

    A picture that cannot be drawn is only a warning, since the training has succeeded.
    """
    from thalweg.abilities import Samples
    from thalweg.applications.files import suffix_for, write_values
    from thalweg.applications.sample import draw

    path = opened.path / "samples" / "samples.png"
    if not isinstance(opened.model, Samples) or suffix_for(opened.spec) != ".png":
        return None
    try:
        path.parent.mkdir(exist_ok=True)
        write_values(path, draw(opened.model, 64 if opened.spec.kind == "image" else 5000, 0), opened.spec)
    except Exception as error:  # any exception of a model or a drawing library
        warn(f"no picture of samples: {' '.join(str(error).split()) or type(error).__name__}")
        return None
    return str(path)


def next_commands(opened: Opened) -> list[str]:
    """Return commands that work on this run as they are: to evaluate it, to sample from it, to train it for longer."""
    from thalweg.abilities import Samples
    from thalweg.applications.files import suffix_for
    from thalweg.recipes.runs import build

    folder, data = str(opened.path), opened.config.data
    without = [part for part, share in (("test", data.test), ("validation", data.validation)) if share == 0]
    split = next(part for part in ("test", "validation", "train") if part not in without)
    commands = [["evaluate", *(["--split", split] if without[:1] == ["test"] else [])]]
    if isinstance(opened.model, Samples):
        commands.append(["sample", "-n", "64", "--out", f"samples{suffix_for(opened.spec)}"])
    stages, records = build(opened.config, opened.spec).stages, opened.records()
    if all(stage.update.needs_gradients for stage in stages) and not _stopped_early(records, stages[-1].patience):
        done = max((record["step"] for record in records), default=1)
        commands.append(["resume", "--steps", str(2 * done)])
    return [shlex.join(["thalweg", verb, folder, *options]) for verb, *options in commands]


def _stopped_early(records: Sequence[Mapping[str, Any]], patience: int | None) -> bool:
    """Return whether the lowest validation loss is `patience` validations ago, so that `resume` trains no further."""
    last = [record for record in records if record["stage"] == records[-1]["stage"]]
    losses = [record["validation/loss"] for record in last if record.get("validation/loss") is not None]
    return bool(patience and losses and len(losses) - 1 - losses.index(min(losses)) >= patience)


def show(document: dict[str, Any]) -> None:
    """Print the run folder and the next commands."""
    print(f"run: {document['run']}")
    if document["picture"]:
        print(f"samples: {document['picture']}")
    for command in document["next"]:
        print(f"  {command}")
