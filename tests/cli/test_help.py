"""Help and `import thalweg` import no torch."""

import importlib
import os
import subprocess
import sys

import pytest

from thalweg.cli import VERBS, main
from thalweg.recipes import recipe_names

HELPS = [["-h"], ["--version"], *[[verb, "-h"] for verb in VERBS], *[["train", name, "-h"] for name in recipe_names()]]
HEAVY = ("torch", "numpy", "scipy", "matplotlib", "rich", "PIL", "sklearn", "pyarrow", "safetensors", "pooch", "ot")


@pytest.mark.parametrize("arguments", HELPS, ids=" ".join)
def test_help_imports_nothing_heavy(arguments):
    code = f"import sys; from thalweg.cli import main; main({arguments}); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(("usage: thalweg", "thalweg "))
    assert not set(HEAVY) & set(done.stderr.split())


@pytest.mark.parametrize(
    ("code", "most"),
    [
        ("import thalweg", 1),
        ("from thalweg.cli import main; main(['-h'])", 10),
        ("from thalweg.cli import main; main(['train', 'vae', '-h'])", 16),
    ],
)
def test_few_of_our_own_modules_are_imported(code, most):
    # Counted, where time would depend on the machine: an answer within 0.3 s is an answer without most of the library.
    counted = f"import sys; {code}; print(sum(name.startswith('thalweg') for name in sys.modules), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", counted], capture_output=True, text=True, check=True)
    assert int(done.stderr) <= most


def test_every_verb_is_listed_and_helped(capsys):
    assert main([]) == 0
    listed = capsys.readouterr().out
    for verb, about in VERBS.items():
        assert f"  {verb} " in listed
        assert about in listed
        assert main([verb, "-h"]) == 0
        assert "--json" in capsys.readouterr().out


@pytest.mark.parametrize("name", recipe_names())
def test_help_describes_every_option_of_a_recipe(name, capsys):
    assert main(["train", name, "-h"]) == 0
    out = capsys.readouterr().out
    for flag in ("--data", "--steps", "--seed", "--lr", "--run"):
        assert flag in out
    from thalweg.cli.options import options_of_function
    from thalweg.recipes import recipe

    for option in options_of_function(recipe(name)):
        assert option.typed[0] in out
        assert option.help, f"{name} says nothing of {option.name}"


@pytest.mark.parametrize("verb", VERBS)
def test_help_texts_are_phrases_that_can_be_read_alone(verb):
    parser = importlib.import_module(f"thalweg.cli.{verb}").parser(["vae"])
    for option in parser.options.values():
        first = option.help.split()[0]
        assert first not in ("of", "for", "in", "with"), f"--{option.name}: {option.help}"


def test_installed_module_runs():
    done = subprocess.run(
        [sys.executable, "-m", "thalweg", "--version"], capture_output=True, text=True, env=os.environ, check=False
    )
    assert done.returncode == 0
    assert done.stdout.startswith("thalweg ")
