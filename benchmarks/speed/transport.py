"""Transport and kernel distances between samples, beside POT, scipy and geomloss: distances per second, and values.

    python benchmarks/speed/transport.py [--quick] [NAME ...]

All contenders measure the same points with the same settings; the values beside the rates show that the distances
agree. The points are two normal samples in the plane (for exact transport also in 64 dimensions), whose means differ by
1 in every coordinate. Geomloss has an environment of its own, which the first run creates; if it cannot be installed, a
message says so and its lines are left out.
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
ASSIGNED = 2_000  # the largest number of points for scipy's solver, which is the slowest in the plane
Distance = Callable[[Tensor, Tensor], Any]


class Line:
    """Contenders for one distance, with the value that each computes and its rate."""

    def __init__(self, name: str, x: Tensor, y: Tensor) -> None:
        self.name, self.x, self.y = name, x, y
        self.contenders: dict[str, Callable[[], float]] = {}
        self.compared: dict[str, tuple[str, str, float]] = {}
        self.values: dict[str, float] = {}

    def add(self, name: str, distance: Distance, gradient: bool = False) -> None:
        """Add a function of the two samples as a contender, optionally with its gradient in both samples."""

        def go() -> float:
            x, y = (z.clone().requires_grad_(gradient) for z in (self.x, self.y))
            began = time.perf_counter()
            value = distance(x, y)
            if gradient:
                value.backward()
            seconds = time.perf_counter() - began
            self.values[name] = float(value.detach() if isinstance(value, Tensor) else value)
            return 1 / seconds

        self.contenders[name] = go

    def add_geomloss(self, name: str, *arguments: str) -> None:
        """Add geomloss as a contender if it is available."""
        peer = theirs(interpreter(*ADVERSARIAL), "geomloss", "peer_geomloss.py", *arguments)

        def go() -> float:
            assert peer
            rate, self.values[name] = peer()
            return rate

        if peer:
            self.contenders[name] = go

    def compare(self, ours: str, other: str, goal: float) -> None:
        """Set a goal for the ratio of the rates of two contenders, if both are available."""
        if other in self.contenders:
            self.compared[f"{ours} / {other}"] = (ours, other, goal)

    def run(self) -> None:
        """Compare all contenders and report."""
        rates = alternate(self.contenders, rounds=3 if quick() else 7)
        report(self.name, "distances/s", rates, self.compared, values=self.values)


def exact(n: int, d: int) -> None:
    """Exact W₁. Thalweg calls the solver of POT, so a ratio below 1 measures only what Thalweg adds to it."""
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
        line.compare(ours, "POT", 1 / 1.15)  # not distinguishable from equal speed
    line.run()


def sinkhorn() -> None:
    """The Sinkhorn divergence of squared distances."""
    n = 1_000 if quick() else N
    line = Line("transport-sinkhorn", *points(n, 2))
    ours = partial(sinkhorn_divergence, blur=BLUR, scaling=SCALING)
    for gradient in (False, True):
        suffix = ", with gradient" if gradient else ""
        line.add(f"thalweg{suffix}", ours, gradient)
        line.add_geomloss(f"geomloss{suffix}", "sinkhorn", str(n), *(["gradient"] if gradient else []))
        line.compare(f"thalweg{suffix}", f"geomloss{suffix}", 6.0)
    line.run()


def gaussian() -> None:
    """MMD² of a Gaussian kernel: unbiased here, biased by about 1/n in geomloss."""
    line = Line("transport-mmd", *points(N, 2))
    for gradient in (False, True):
        suffix = ", with gradient" if gradient else ""
        line.add(f"thalweg{suffix}", lambda x, y: mmd2(x, y, rbf(BANDWIDTH)), gradient)
        line.add_geomloss(f"geomloss{suffix}", "gaussian", str(N), *(["gradient"] if gradient else []))
        line.compare(f"thalweg{suffix}", f"geomloss{suffix}", 6.0)
    line.run()


def sliced() -> None:
    """The sliced W₁ along the same directions, without and with its gradient."""
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
