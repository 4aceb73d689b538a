"""Help answers at once, without torch; so does `import thalweg`."""

import os
import subprocess
import sys
import time

import pytest

from thalweg.cli import VERBS, main
from thalweg.recipes import recipe_names

HELPS = [["-h"], ["--version"], *[[verb, "-h"] for verb in VERBS], *[["train", name, "-h"] for name in recipe_names()]]
HEAVY = ("torch", "numpy", "scipy", "matplotlib", "rich", "PIL", "sklearn")


@pytest.mark.parametrize("arguments", HELPS, ids=" ".join)
def test_help_imports_nothing_heavy(arguments):
    code = f"import sys; from thalweg.cli import main; main({arguments}); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(("usage: thalweg", "thalweg "))
    assert not set(HEAVY) & set(done.stderr.split())


@pytest.mark.parametrize(
    ("code", "seconds"),
    [
        ("import thalweg", 0.1),
        ("from thalweg.cli import main; main(['-h'])", 0.3),
        ("from thalweg.cli import main; main(['train', 'vae', '-h'])", 0.3),
    ],
)
def test_time(code, seconds):
    def wall(code):
        begun = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
        return time.perf_counter() - begun

    # the best of several: others use this machine too
    assert min(wall(code) for _ in range(7)) < seconds


def test_every_verb_is_listed_and_helped(capsys):
    assert main([]) == 0
    listed = capsys.readouterr().out
    for verb, about in VERBS.items():
        assert f"  {verb} " in listed
        assert about in listed
        assert main([verb, "-h"]) == 0
        assert "--json" in capsys.readouterr().out


@pytest.mark.parametrize("name", recipe_names())
def test_every_option_of_a_recipe_is_told(name, capsys):
    assert main(["train", name, "-h"]) == 0
    out = capsys.readouterr().out
    for flag in ("--data", "--steps", "--seed", "--lr", "--run"):
        assert flag in out
    from thalweg.cli.options import options_of_function
    from thalweg.recipes import recipe

    for option in options_of_function(recipe(name)):
        assert option.typed[0] in out
        assert option.help, f"{name} says nothing of {option.name}"


def test_installed_module_runs():
    done = subprocess.run(
        [sys.executable, "-m", "thalweg", "--version"], capture_output=True, text=True, env=os.environ, check=False
    )
    assert done.returncode == 0
    assert done.stdout.startswith("thalweg ")
