"""Two processes, each with half of every batch, against one process with the joint batch."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

SCRIPT = Path(__file__).with_name("two_ranks.py")


@pytest.mark.system("S5")
def test_two_processes_equal_one_process_on_the_joint_batch(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    joint = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    processes = [subprocess.Popen([sys.executable, str(SCRIPT), str(tmp_path)], env=env)] + [
        subprocess.Popen([sys.executable, str(SCRIPT), str(tmp_path)], env=env | joint | {"RANK": r, "LOCAL_RANK": r})
        for r in ("0", "1")
    ]
    assert [process.wait(timeout=1800) for process in processes] == [0, 0, 0]
    for problem in ("vae", "wgan", "penalty", "vq-vae", "glow", "mask", "tokens"):
        alone, *ranked = (torch.load(tmp_path / f"{problem}.{r}.pt", weights_only=True) for r in ("alone", "0", "1"))
        for weights in ranked:
            assert alone.keys() == weights.keys()
            for name in alone:
                # The gradient of ActNorm's shift is rounding error on a standardized batch; Adam scales it up.
                atol = 1e-4 if problem == "glow" else 2e-6
                assert torch.allclose(alone[name], weights[name], rtol=1e-4, atol=atol), (problem, name)
    one, two = (torch.load(tmp_path / f"batch-norm.{r}.pt", weights_only=True) for r in ("0", "1"))
    assert all(
        torch.equal(one[name], two[name]) for name in one
    )  # each normalizes its own half; the averaged statistics agree
