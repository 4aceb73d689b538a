"""Flows of the peers, and the two loops in which all contenders are timed; runs in the environment of the peers.

    python peer_flows.py PEER LINE [--shipped]

builds the model of the peer for that line and prints a rate per line on stdin. With `--shipped`, float32 products have
the default precision of PyTorch; all others use oneDNN.
"""

from __future__ import annotations

import os
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

B, DRAWN = 512, 10_000


class Line(NamedTuple):
    """What is timed: a kind of flow in `dim` dimensions, its training (steps/s) or its sampling (samples/s)."""

    kind: str
    dim: int
    work: str
    steps: int


LINES = {
    "real-nvp-63": Line("real-nvp", 63, "train", 100),
    "real-nvp-63-sampling": Line("real-nvp", 63, "sample", 5),
    "real-nvp-2": Line("real-nvp", 2, "train", 200),
    "real-nvp-2-sampling": Line("real-nvp", 2, "sample", 10),
    "spline-1": Line("spline", 1, "train", 500),
    "spline-63": Line("spline", 63, "train", 20),
    "maf-63": Line("maf", 63, "train", 50),
    "maf-63-sampling": Line("maf", 63, "sample", 2),
    "ffjord-2": Line("ffjord", 2, "train", 30),
}
LAYERS, HIDDEN, BINS = 10, (128, 128), 8
AUTOREGRESSIVE = 5  # layers of a masked autoregressive flow


def timed(line: Line, log_prob: Callable[[Tensor], Tensor], sample: Callable[[int], Any], parameters: Any,
          quick: bool) -> Callable[[], float]:  # fmt: skip
    """Return a contender: training with a fused Adam on data in memory, or sampling 10,000 points at a time."""
    torch.set_float32_matmul_precision("highest" if "--shipped" in sys.argv else "medium")
    x = torch.randn(B, line.dim, generator=torch.Generator().manual_seed(0))
    optimizer = torch.optim.Adam(parameters, 1e-4, fused=True)
    steps = max(2, line.steps // (10 if quick else 1))

    def train() -> float:
        began = time.perf_counter()
        for _ in range(steps):
            loss = -log_prob(x).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return steps / (time.perf_counter() - began)

    def draw() -> float:
        began = time.perf_counter()
        with torch.no_grad():
            for _ in range(steps):
                sample(DRAWN)
        return steps * DRAWN / (time.perf_counter() - began)

    return train if line.work == "train" else draw


def zuko(line: Line) -> tuple[Any, Any, Any]:
    import zuko
    from zuko.transforms import MonotonicRQSTransform

    if line.kind == "real-nvp":
        flow = zuko.flows.RealNVP(line.dim, transforms=LAYERS, hidden_features=HIDDEN)
    elif line.kind == "maf":
        flow = zuko.flows.MAF(line.dim, transforms=AUTOREGRESSIVE, hidden_features=HIDDEN)
    elif line.kind == "ffjord":
        flow = zuko.flows.CNF(line.dim, hidden_features=(64, 64), activation=nn.Tanh)
    elif line.dim == 1:
        flow = zuko.flows.NSF(1, transforms=1, bins=2 * BINS)
    else:
        shapes = [(BINS,), (BINS,), (BINS - 1,)]
        flow = zuko.flows.RealNVP(
            line.dim, transforms=LAYERS, hidden_features=HIDDEN, univariate=MonotonicRQSTransform, shapes=shapes
        )
    return (lambda x: flow().log_prob(x)), (lambda n: flow().sample((n,))), flow.parameters()


def nflows(line: Line) -> tuple[Any, Any, Any]:
    from nflows.distributions.normal import StandardNormal
    from nflows.flows.base import Flow
    from nflows.nn.nets import MLP
    from nflows.transforms import (
        AffineCouplingTransform,
        CompositeTransform,
        PiecewiseRationalQuadraticCouplingTransform,
    )

    def network(inputs: int, outputs: int) -> nn.Module:
        class Network(MLP):
            def forward(self, x: Tensor, context: Any = None) -> Tensor:
                return super().forward(x)

        return Network((inputs,), (outputs,), HIDDEN)

    if line.kind == "maf":
        from nflows.transforms import MaskedAffineAutoregressiveTransform, ReversePermutation

        settings = {"hidden_features": HIDDEN[0], "num_blocks": len(HIDDEN), "use_residual_blocks": False}
        layers = []
        for _ in range(AUTOREGRESSIVE):
            layers += [ReversePermutation(line.dim), MaskedAffineAutoregressiveTransform(line.dim, **settings)]
        flow = Flow(CompositeTransform(layers), StandardNormal([line.dim]))
        return flow.log_prob, flow.sample, flow.parameters()
    masks = [torch.arange(line.dim) % 2 == i % 2 for i in range(LAYERS)]
    if line.kind == "real-nvp":
        layers = [AffineCouplingTransform(mask, network) for mask in masks]
    else:
        layers = [
            PiecewiseRationalQuadraticCouplingTransform(mask, network, num_bins=BINS, tails="linear", tail_bound=4.0)
            for mask in masks
        ]
    flow = Flow(CompositeTransform(layers), StandardNormal([line.dim]))
    return flow.log_prob, flow.sample, flow.parameters()


def normflows(line: Line) -> tuple[Any, Any, Any]:
    import normflows as nf

    flows, moved = [], line.dim // 2
    for _ in range(LAYERS):
        network = nf.nets.MLP([line.dim - moved, *HIDDEN, 2 * moved], init_zeros=True)
        flows += [nf.flows.AffineCouplingBlock(network), nf.flows.Permute(line.dim, mode="swap")]
    flow = nf.NormalizingFlow(nf.distributions.DiagGaussian(line.dim, trainable=False), flows)
    return flow.log_prob, flow.sample, flow.parameters()


def torchdiffeq(line: Line) -> tuple[Any, Any, Any]:
    """The continuous flow of the example of torchdiffeq, with fixed steps and an exact trace."""
    from torchdiffeq import odeint

    network = nn.Sequential(nn.Linear(3, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 2))
    times, normal = torch.tensor([0.0, 1.0]), torch.distributions.Normal(0.0, 1.0)

    def field(t: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            z = state[0].requires_grad_() if state[0].is_leaf else state[0]
            velocity = network(torch.cat([z, t.expand(len(z), 1)], 1))
            trace = sum(torch.autograd.grad(velocity[:, i].sum(), z, create_graph=True)[0][:, i] for i in range(2))
        return velocity, trace

    def log_prob(x: Tensor) -> Tensor:
        state = (x, torch.zeros(len(x)))
        z, integral = odeint(field, state, times, method="rk4", options={"step_size": 0.25})
        return normal.log_prob(z[-1]).sum(1) + integral[-1]

    return log_prob, None, network.parameters()


PEERS = {"zuko": zuko, "nflows": nflows, "normflows": normflows, "torchdiffeq": torchdiffeq}

if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    out, sys.stdout = sys.stdout, open(os.devnull, "w")  # noqa: SIM115
    torch.manual_seed(0)
    wanted = LINES[sys.argv[2]]
    go = timed(wanted, *PEERS[sys.argv[1]](wanted), quick="--quick" in sys.argv)
    print("ready", file=out, flush=True)
    for _ in sys.stdin:
        print(go(), file=out, flush=True)
