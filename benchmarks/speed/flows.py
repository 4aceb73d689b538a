"""Flows on vectors: training and sampling against zuko, nflows and normflows, and FFJORD against torchdiffeq's loop.

    python benchmarks/speed/flows.py [--quick] [LINE ...]

The peers live in an environment of their own, made on the first run; one that cannot be had is left out with a message.
Everybody is timed in the same loop (peer_flows.py): the same batch of 512, a fused Adam, float32 products by oneDNN, as
`thalweg train` and `thalweg sample` have them. Sampling also beside peers "as shipped", with torch's default products.
Couplings: 10 with two hidden layers of 128; splines of 8 bins, on the line of 16; FFJORD: two hidden layers of 64, four
steps of a Runge-Kutta method of order four with the exact trace, zuko's with its own adaptive solver and adjoint.
"""

from __future__ import annotations

import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from harness import alternate, quick, report
from peer_flows import AUTOREGRESSIVE, BINS, HIDDEN, LAYERS, LINES, Line, timed

from thalweg.models.flows.ffjord import FFJORD
from thalweg.models.flows.flow_1d import Flow1D
from thalweg.models.flows.maf import MAF
from thalweg.models.flows.nsf import NSF
from thalweg.models.flows.real_nvp import RealNVP
from thalweg.nn.ode import Solver

HERE = Path(__file__).parent
PACKAGES = ("zuko", "nflows", "normflows", "torchdiffeq")
# line → peer → goal of ours over it
GOALS: dict[str, dict[str, float]] = {
    "real-nvp-63": {"zuko": 1.4, "nflows": 1.4, "normflows": 1.4},
    "real-nvp-63-sampling": {"zuko": 2.0, "nflows": 2.0, "normflows": 2.0},
    "real-nvp-2": {"zuko": 1.15, "nflows": 1.15, "normflows": 1.15},
    "real-nvp-2-sampling": {"zuko": 2.0, "nflows": 2.0, "normflows": 2.0},
    "spline-1": {"zuko": 1.4},
    "spline-63": {"zuko": 1.4, "nflows": 1.4},
    "maf-63": {"zuko": 1.0, "nflows": 1.0},
    "maf-63-sampling": {"zuko": 7.0, "nflows": 7.0},
    "ffjord-2": {"torchdiffeq": 1.0, "zuko": 5.0},
}
COMPILED = {"real-nvp-63": ("zuko", 1.8), "ffjord-2": ("torchdiffeq", 2.2)}


def ours(line: Line, compiled: bool = False) -> Callable[[], float]:
    """A contender: our flow of that line."""
    torch.manual_seed(0)
    data: dict[str, Any] = {"mean": [0.0] * line.dim, "std": [1.0] * line.dim}
    couplings = {"layers": LAYERS, "hidden": HIDDEN[0], "depth": len(HIDDEN)}
    if line.kind == "real-nvp":
        flow: Any = RealNVP((line.dim,), **couplings, **data)
    elif line.kind == "maf":
        flow = MAF((line.dim,), layers=AUTOREGRESSIVE, hidden=HIDDEN[0], depth=len(HIDDEN), **data)
    elif line.kind == "ffjord":
        flow = FFJORD((line.dim,), hidden=64, depth=2, solver=Solver(steps=4), **data)
    elif line.dim == 1:
        flow = Flow1D((1,), map="spline", bins=2 * BINS, **data)
    else:
        flow = NSF((line.dim,), bins=BINS, **couplings, **data)
    if compiled:
        flow.compile()
    return timed(line, flow.log_prob, flow.sample, flow.parameters(), quick())


def peers() -> Path | None:
    """The interpreter of the peers' environment, or None where it cannot be had."""
    folder = HERE / ".venv-flows"
    python = folder / "bin" / "python"
    if not python.exists():
        print("installing the peers into an environment of their own ...", flush=True)
        venv.create(folder, with_pip=True)
        wanted = [f"torch=={torch.__version__.split('+')[0]}", *PACKAGES]
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *wanted], check=False)
    return python if python.exists() else None


def theirs(python: Path, peer: str, name: str, *flags: str) -> Callable[[], float] | None:
    """A contender in a process of its own, or None where the peer cannot be imported."""
    if subprocess.run([str(python), "-W", "ignore", "-c", f"import {peer}"], capture_output=True).returncode:
        print(f"{peer} cannot be imported here: its lines are left out")
        return None
    process = subprocess.Popen(
        [str(python), str(HERE / "peer_flows.py"), peer, name, *flags, *(["--quick"] if quick() else [])],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip

    def go() -> float:
        assert process.stdin
        assert process.stdout
        process.stdin.write("go\n")
        process.stdin.flush()
        return float(process.stdout.readline())

    return go


def main() -> None:
    """Run the lines that were asked for, or all."""
    asked = [argument for argument in sys.argv[1:] if argument in LINES] or list(LINES)
    python = peers()
    for name in asked:
        line = LINES[name]
        contenders = {"thalweg": ours(line)}
        if name in COMPILED and not quick():
            contenders["thalweg, compiled"] = ours(line, compiled=True)
        compared = {}
        for peer, goal in GOALS[name].items() if python else ():
            contender = theirs(python, peer, name)
            if contender:
                contenders[peer] = contender
                compared[f"thalweg / {peer}"] = ("thalweg", peer, goal)
                shipped = theirs(python, peer, name, "--shipped") if line.work == "sample" else None
                if shipped:
                    contenders[f"{peer}, as shipped"] = shipped
                    compared[f"thalweg / {peer}, as shipped"] = ("thalweg", f"{peer}, as shipped", goal)
                if peer == COMPILED.get(name, ("",))[0] and "thalweg, compiled" in contenders:
                    compared[f"thalweg, compiled / {peer}"] = ("thalweg, compiled", peer, COMPILED[name][1])
        unit = "steps/s" if line.work == "train" else "samples/s"
        report(f"flows-{name}", unit, alternate(contenders, rounds=3 if quick() else 7), compared)


if __name__ == "__main__":
    main()
