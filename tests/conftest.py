"""What every test shares: one thread each, since several workers share the cores."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is loaded; child processes have it, too

from jaxtyping import install_import_hook

# Shapes and types of signatures are checked in tests, in the rooms whose signatures are made of tensors.
install_import_hook(["thalweg.nn", "thalweg.models", "thalweg.objectives"], "beartype.beartype")
