"""Two processes, each with half of every batch, against one process with the whole."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

SCRIPT = Path(__file__).with_name("two_ranks.py")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    out = tmp_path_factory.mktemp("ranks")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    joint = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    processes = [subprocess.Popen([sys.executable, str(SCRIPT), str(out)], env=env)] + [
        subprocess.Popen([sys.executable, str(SCRIPT), str(out)], env=env | joint | {"RANK": r, "LOCAL_RANK": r})
        for r in ("0", "1")
    ]
    assert [process.wait(timeout=120) for process in processes] == [0, 0, 0]
    return {path.name: torch.load(path, weights_only=True) for path in out.iterdir()}


@pytest.mark.system("S5")
@pytest.mark.parametrize("problem", ["vae", "wgan", "penalty"])
def test_two_ranks_are_one_process_on_the_joint_batch(weights, problem):
    alone = weights[f"{problem}.alone.pt"]
    for rank in ("0", "1"):
        ranked = weights[f"{problem}.{rank}.pt"]
        assert alone.keys() == ranked.keys()
        for name in alone:
            assert torch.allclose(alone[name], ranked[name], rtol=1e-4, atol=2e-6), name
