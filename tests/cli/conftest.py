"""Runs that several tests of the command line read."""

import numpy as np
import pytest

from thalweg.cli import main


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """Run folders of recipes trained for two steps; `own` is a classifier of a file's images, 1×8×8."""
    root = tmp_path_factory.mktemp("trained")
    images = root / "images.npz"
    random = np.random.default_rng(0)
    np.savez(images, x=random.integers(0, 256, (40, 8, 8)).astype(np.uint8), y=np.arange(40) % 2)
    data = {"vae": "digits", "softmax-regression": "digits", "real-nvp": "moons", "wgan": "digits"}
    runs = {recipe: (recipe, source) for recipe, source in data.items()} | {"own": ("softmax-regression", str(images))}
    for name, (recipe, source) in runs.items():
        code = main(["train", recipe, "--data", source, "--steps", "2", "--run", str(root / name), "--device", "cpu"])
        assert code == 0
    return {name: root / name for name in runs}
