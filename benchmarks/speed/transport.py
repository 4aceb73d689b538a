"""Transport and kernel distances between samples, against POT, scipy and geomloss: distances per second, and values.

    python benchmarks/speed/transport.py [--quick] [NAME ...]

Everybody measures the same points at the same settings; values beside the rates show that it is the same distance. Two
normal samples in the plane (exact transport: in 64 dimensions, too) whose means differ by 1 in every coordinate.
Geomloss lives in an environment of its own, made on the first run; without it, its lines are left out with a message.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import ot
import torch
from harness import alternate, quick, report
from peer_geomloss import BANDWIDTH, BLUR, SCALING, points
from peers import ADVERSARIAL, interpreter, theirs
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from thalweg import evaluation
from thalweg.evaluation.measures.transport import wasserstein as evaluated
from thalweg.objectives.mmd import mmd2, rbf
from thalweg.objectives.transport import sinkhorn_divergence, sliced_wasserstein, wasserstein

N, PROJECTIONS, STEPS = 5_000, 200, 10_000_000
EXACT = ((1_000, 2), (2_000, 2), (5_000, 2), (1_000, 64))
ASSIGNED = 2_000  # points up to which scipy's solver, in the plane the slowest, is waited for
Distance = Callable[[Tensor, Tensor], Any]


class Line:
    """Contenders for one distance: what each found, beside its rate."""

    def __init__(self, name: str, x: Tensor, y: Tensor) -> None:
        self.name, self.x, self.y = name, x, y
        self.contenders: dict[str, Callable[[], float]] = {}
        self.compared: dict[str, tuple[str, str, float]] = {}
        self.found: dict[str, float] = {}

    def add(self, name: str, distance: Distance, gradient: bool = False) -> None:
        """Have a function of the two samples take part, where asked for with its gradient in both."""

        def go() -> float:
            x, y = (z.clone().requires_grad_(gradient) for z in (self.x, self.y))
            began = time.perf_counter()
            value = distance(x, y)
            if gradient:
                value.backward()
            seconds = time.perf_counter() - began
            self.found[name] = float(value.detach() if isinstance(value, Tensor) else value)
            return 1 / seconds

        self.contenders[name] = go

    def add_geomloss(self, name: str, *arguments: str) -> None:
        """Have geomloss take part, where it can be had."""
        peer = theirs(interpreter(*ADVERSARIAL), "peer_geomloss.py", *arguments)

        def go() -> float:
            assert peer
            rate, self.found[name] = peer()
            return rate

        if peer:
            self.contenders[name] = go

    def compare(self, ours: str, other: str, goal: float) -> None:
        """Set a goal for the ratio of the rates of two contenders, where both take part."""
        if other in self.contenders:
            self.compared[f"{ours} / {other}"] = (ours, other, goal)

    def run(self) -> None:
        """Run all in turn and report."""
        rates = alternate(self.contenders, rounds=3 if quick() else 7)
        report(self.name, "distances/s", rates, self.compared, values=self.found)


def exact(n: int, d: int) -> None:
    """W₁: POT finds the plan for us, too, so what we add to it is all that can be lost."""
    line = Line(f"transport-w1-{n}-in-{d}d", *points(n // 2 if quick() else n, d))

    def costs(x: Tensor, y: Tensor) -> Any:
        return ot.dist(x.double().numpy(), y.double().numpy(), "euclidean")

    def assigned(x: Tensor, y: Tensor) -> Any:
        matrix = costs(x, y)
        return matrix[linear_sum_assignment(matrix)].mean()

    matrix = costs(line.x, line.y)
    line.add("thalweg", wasserstein)
    line.add("thalweg, with gradient", wasserstein, gradient=True)
    line.add("thalweg, evaluation", lambda x, y: evaluated(x, y).value)
    line.add("POT", lambda x, y: ot.emd2([], [], costs(x, y), numItermax=STEPS))
    line.add("POT, costs given", lambda x, y: ot.emd2([], [], matrix, numItermax=STEPS))
    if n <= ASSIGNED:
        line.add("scipy's assignment", assigned)
        line.compare("thalweg", "scipy's assignment", 2.0 if d == 2 else 0.7)
    for ours in ("thalweg", "thalweg, evaluation"):
        line.compare(ours, "POT", 1 / 1.15)  # no slower, as far as can be told
    line.run()


def sinkhorn() -> None:
    """The Sinkhorn divergence of squared distances."""
    n = 1_000 if quick() else N
    line = Line("transport-sinkhorn", *points(n, 2))
    ours = partial(sinkhorn_divergence, blur=BLUR, scaling=SCALING)
    for gradient in (False, True):
        said = ", with gradient" if gradient else ""
        line.add(f"thalweg{said}", ours, gradient)
        line.add_geomloss(f"geomloss{said}", "sinkhorn", str(n), *(["gradient"] if gradient else []))
        line.compare(f"thalweg{said}", f"geomloss{said}", 6.0)
    line.run()


def gaussian() -> None:
    """MMD² of a Gaussian kernel: ours unbiased, theirs biased by about 1/n."""
    line = Line("transport-mmd", *points(N, 2))
    for gradient in (False, True):
        said = ", with gradient" if gradient else ""
        line.add(f"thalweg{said}", lambda x, y: mmd2(x, y, rbf(BANDWIDTH)), gradient)
        line.add_geomloss(f"geomloss{said}", "gaussian", str(N), *(["gradient"] if gradient else []))
        line.compare(f"thalweg{said}", f"geomloss{said}", 6.0)
    line.run()


def sliced() -> None:
    """The sliced W₁ along the same directions, value only and with gradient."""
    line = Line("transport-sliced", *points(N, 2))
    draw = partial(torch.Generator().manual_seed, 0)
    directions = torch.randn(PROJECTIONS, 2, dtype=torch.float64, generator=draw())
    unit = torch.nn.functional.normalize(directions, dim=1).T.float().contiguous()
    line.add(
        "thalweg",
        lambda x, y: evaluation.sliced_wasserstein(x, y, projections=PROJECTIONS, generator=draw()),
    )
    line.add("POT", lambda x, y: ot.sliced_wasserstein_distance(x.numpy(), y.numpy(), projections=unit.numpy(), p=1))
    line.add("thalweg, with gradient", lambda x, y: sliced_wasserstein(x, y, unit.T), gradient=True)
    line.add(
        "POT, with gradient", lambda x, y: ot.sliced_wasserstein_distance(x, y, projections=unit, p=1), gradient=True
    )
    line.compare("thalweg", "POT", 20.0)
    line.compare("thalweg, with gradient", "POT, with gradient", 1.2)
    line.run()


LINES: dict[str, Callable[[], None]] = {
    **{f"w1-{n}-in-{d}d": partial(exact, n, d) for n, d in EXACT},
    "sinkhorn": sinkhorn,
    "mmd": gaussian,
    "sliced": sliced,
}

if __name__ == "__main__":
    for name in [argument for argument in sys.argv[1:] if argument in LINES] or LINES:
        LINES[name]()
