"""Runs that several tests of the command line read."""

import pytest

from thalweg.cli import main


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """Run folders of recipes trained for two steps."""
    root = tmp_path_factory.mktemp("trained")
    data = {"vae": "digits", "softmax-regression": "digits", "real-nvp": "moons", "wgan": "digits"}
    for recipe, source in data.items():
        code = main(["train", recipe, "--data", source, "--steps", "2", "--run", str(root / recipe), "--device", "cpu"])
        assert code == 0
    return {recipe: root / recipe for recipe in data}
