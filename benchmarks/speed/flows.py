"""Flows of vectors: training and sampling beside zuko, nflows and normflows, and FFJORD beside torchdiffeq.

    python benchmarks/speed/flows.py [--quick] [LINE ...]

The peers have an environment of their own, which the first run creates; a peer that cannot be installed is left out
with a message. All contenders run in the same loop (peer_flows.py) with batches of 512, a fused Adam and float32
products by oneDNN, the settings of `thalweg train` and `thalweg sample`. Sampling is also compared with peers "as
shipped", which use the default products of PyTorch. Couplings: 10 layers with two hidden layers of 128; splines have 8
bins, in one dimension 16. FFJORD: two hidden layers of 64, four steps of the Runge-Kutta method of order four and the
exact trace; zuko's uses its own adaptive solver and adjoint.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import torch
from harness import alternate, quick, report
from peer_flows import AUTOREGRESSIVE, BINS, HIDDEN, LAYERS, LINES, Line, timed
from peers import FLOWS, interpreter, theirs

from thalweg.models.flows.ffjord import FFJORD
from thalweg.models.flows.flow_1d import Flow1D
from thalweg.models.flows.maf import MAF
from thalweg.models.flows.nsf import NSF
from thalweg.models.flows.real_nvp import RealNVP
from thalweg.nn.ode import Solver

# line → peer → goal for the ratio of rates, thalweg / peer
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
    """Return a contender: the flow of Thalweg for that line."""
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


def main() -> None:
    """Run the lines that the command names, by default all."""
    asked = [argument for argument in sys.argv[1:] if argument in LINES] or list(LINES)
    python = interpreter(*FLOWS)
    flags = ["--quick"] if quick() else []

    def start(peer: str, line: str, *more: str) -> Callable[[], float] | None:
        process = theirs(python, peer, "peer_flows.py", peer, line, *more, *flags)
        return process and (lambda: process()[0])

    for name in asked:
        line = LINES[name]
        contenders = {"thalweg": ours(line)}
        if name in COMPILED and not quick():
            contenders["thalweg, compiled"] = ours(line, compiled=True)
        compared = {}
        for peer, goal in GOALS[name].items():
            contender = start(peer, name)
            if contender:
                contenders[peer] = contender
                compared[f"thalweg / {peer}"] = ("thalweg", peer, goal)
                shipped = start(peer, name, "--shipped") if line.work == "sample" else None
                if shipped:
                    contenders[f"{peer}, as shipped"] = shipped
                    compared[f"thalweg / {peer}, as shipped"] = ("thalweg", f"{peer}, as shipped", goal)
                if peer == COMPILED.get(name, ("",))[0] and "thalweg, compiled" in contenders:
                    compared[f"thalweg, compiled / {peer}"] = ("thalweg, compiled", peer, COMPILED[name][1])
        unit = "steps/s" if line.work == "train" else "samples/s"
        report(f"flows-{name}", unit, alternate(contenders, rounds=3 if quick() else 7), compared)


if __name__ == "__main__":
    main()
