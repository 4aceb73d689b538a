"""The commands and Python examples of README.md and the documentation name verbs, options and objects that exist."""

import ast
import builtins
import importlib
import re
import shlex
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from thalweg.cli import main
from thalweg.data import Dataset, Spec, Split
from thalweg.evaluation import evaluate

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", DOCS / "index.md", *DOCS.glob("guide/*.md"), *DOCS.glob("models/*.md")]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(), flags=re.S)


def commands(page: Path) -> list[list[str]]:
    lines = "\n".join(blocks(page, "bash")).replace("\\\n", " ").splitlines()
    words = [shlex.split(line, comments=True) for line in lines]
    return [line[line.index("thalweg") + 1 :] for line in words if "thalweg" in line]


def help_of(*arguments: str) -> str:
    """Return the help of a verb, with that of the recipe if it names one."""
    named = arguments[0] in ("train", "models") and len(arguments) > 1 and not arguments[1].startswith("-")
    return _help(tuple(arguments[: 2 if named else 1]))


@cache
def _help(arguments: tuple[str, ...]) -> str:
    from contextlib import redirect_stdout, suppress
    from io import StringIO

    text = StringIO()
    with redirect_stdout(text), suppress(SystemExit):
        main([*arguments, "-h"])
    return text.getvalue()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_options_of_commands_exist(page: Path) -> None:
    for command in commands(page):
        text = help_of(*command)
        assert text, command
        for option in (word for word in command if re.match(r"--[a-z]", word)):
            assert re.search(rf"{option}(?![\w-])", text) or option in ("--json",), (command, option)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_imports_of_examples_exist(page: Path) -> None:
    for block in blocks(page, "python"):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("thalweg"):
                module = importlib.import_module(node.module)
                for name in (n.name for n in node.names):
                    assert hasattr(module, name) or find_spec(f"{node.module}.{name}"), f"{node.module}.{name}"


def test_the_pages_have_commands_and_an_unknown_option_is_seen() -> None:
    assert sum(len(commands(page)) for page in PAGES) > 100
    assert "--latent-dim" in help_of("train", "vae", "--data", "digits")
    assert "--latent-dimension" not in help_of("train", "vae")


def test_examples_of_training_have_their_results() -> None:
    """The trained line is the sum of both columns, and the moved mask has the classes of its target."""
    results: list[dict[str, Any]] = []
    for block in blocks(DOCS / "guide" / "training.md", "python"):
        results.append({})
        exec(compile(block, "training.md", "exec"), results[-1])  # trains for about a second
    regression, augmentation = results
    model = regression["problem"].model
    torch.testing.assert_close(model.weight, torch.ones(1, 2), atol=0.05, rtol=0)
    torch.testing.assert_close(model.bias, torch.zeros(1), atol=0.05, rtol=0)
    batch, augmented = augmentation["batch"], augmentation["augmented"]
    assert (augmented.x.shape, augmented.y.shape) == (batch.x.shape, batch.y.shape)
    assert {0, 1} <= set(augmented.y.unique().tolist()) <= {0, 1, 255}
    assert not torch.equal(augmented.y, batch.y)


@pytest.mark.parametrize("observation", ["discrete", "binarized", "continuous", "density", None])
def test_the_example_of_an_own_model_is_measured_as_its_page_says(observation: str | None) -> None:
    levels, n = 3, 40
    x = np.random.default_rng(0).choice(levels, (n, 1, 2, 2), p=[0.5, 0.3, 0.2]).astype(np.uint8)
    spec = Spec(name="three", kind="image", shape=(1, 2, 2), levels=levels)
    data = Dataset(spec, Split(x), Split(x), Split(x))
    names: dict[str, Any] = {}
    page = DOCS / "guide" / "own-model.md"
    exec(compile(blocks(page, "python")[0], page.name, "exec"), names)
    own = names["IndependentPixels"]
    assert own.observation == "discrete"
    own.observation = observation
    results = evaluate(own(x, levels), data, samples=20)
    if observation in (None, "density"):
        (reason,) = (m.reason for m in results.missing if m.name == "likelihood")
        stated = "IndependentPixels states none, wanted discrete, dequantized or binarized"
        assert reason.startswith(f"observation: {stated if observation is None else 'got'}")
        return
    flat = x.reshape(n, 4)
    p = (1 + np.stack([(flat == level).sum(0) for level in range(levels)])) / (n + levels)
    nats = np.log(p[flat, np.arange(4)]).sum(1).mean()
    assert results["log-likelihood"].value == pytest.approx(nats, rel=1e-6)
    bits = [e for e in results if e.name == "bits/dim"]
    assert [e.kind for e in bits] == (["exact"] if observation == "discrete" else [])
    row = next(line for line in page.read_text().splitlines() if line.startswith(f'| `"{observation}"` |'))
    assert row.split(" | ")[2].startswith("exact" if bits else "none")
    assert "Fréchet distance" in {e.name for e in results}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_names_of_examples_are_defined(page: Path) -> None:
    """All blocks of a page together define the names that they use, except for the reader's own, my_*."""
    defined, used = set(dir(builtins)), set()
    for block in blocks(page, "python"):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.Import | ast.ImportFrom):
                defined |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
            elif isinstance(node, ast.FunctionDef | ast.ClassDef):
                defined.add(node.name)
            elif isinstance(node, ast.arg):
                defined.add(node.arg)
            elif isinstance(node, ast.Name):
                (used if isinstance(node.ctx, ast.Load) else defined).add(node.id)
    assert not {name for name in used - defined if not name.startswith("my_")}
