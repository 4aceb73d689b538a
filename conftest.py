"""What every test and example shares: one thread each, since several workers share the cores, and the seed of torch."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is loaded; child processes have it, too

import pytest
import torch
from jaxtyping import install_import_hook

# Shapes and types of signatures are checked in tests, in the rooms whose signatures are made of tensors.
install_import_hook(["thalweg.nn", "thalweg.models", "thalweg.objectives"], "beartype.beartype")


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Weights do not depend on which tests ran before in the same worker."""
    torch.manual_seed(0)
