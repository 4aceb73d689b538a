"""Saliency, guided backpropagation and occlusion of a ResNet-18 on 16 images of 224×224, beside Captum: images/s.

    python benchmarks/speed/inside.py [--quick]

Both compute in float32. Captum gets the network as it is; the probe folds batch normalization and uses channels_last by
itself. The values of the maps are compared. With the argument `--memory METHOD NAME` the script prints the peak memory
of one contender in MiB, for which it starts itself.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from collections.abc import Callable

import torch
from captum.attr import GuidedBackprop, Occlusion, Saliency
from harness import alternate, quick, report
from torch import Tensor

from thalweg.interpretability import Probe
from thalweg.models.classifiers.resnet import ResNet

B = 2 if quick() else 16
METHODS = ("saliency", "guided", "occlusion")
SIZE, STRIDE = 56, 28
PROBES: dict[ResNet, Probe] = {}


def network() -> ResNet:
    """Return a ResNet-18 with random weights and nontrivial statistics."""
    torch.manual_seed(0)
    model = ResNet((3, 224, 224), 1000, depth=18)
    with torch.no_grad():
        model(torch.rand(4, 3, 224, 224))
    return model.eval()


def maps(method: str, name: str, model: ResNet, x: Tensor) -> Tensor:
    """Return the maps of a method by one contender."""
    if name == "thalweg":
        windows = {"size": SIZE, "stride": STRIDE} if method == "occlusion" else {}
        found = getattr(PROBES.setdefault(model, Probe(model)), method)(x, 7, **windows)
        return found.extra["attribution"] if method == "occlusion" else found.values
    if method == "saliency":
        return Saliency(model).attribute(x, target=7).amax(1)
    if method == "guided":
        return GuidedBackprop(model).attribute(x, target=7)
    windows = {"sliding_window_shapes": (3, SIZE, SIZE), "strides": (3, STRIDE, STRIDE)}
    return Occlusion(model).attribute(x, target=7, baselines=0.5, perturbations_per_eval=4, **windows)[:, 0]


def peak(method: str, name: str) -> float:
    """Return the memory that a contender needs beside network and images, in MiB, in a process of its own."""
    command = [sys.executable, "-W", "ignore", __file__, "--memory", method, name, *(["--quick"] if quick() else [])]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    """Compare speed and memory."""
    model, x = network(), torch.rand(B, 3, 224, 224)
    for method in METHODS:
        values = {}

        def contender(name: str, method: str = method, values: dict[str, Tensor] = values) -> Callable[[], float]:
            def go() -> float:
                began = time.perf_counter()
                values[name] = maps(method, name, model, x)
                return B / (time.perf_counter() - began)

            return go

        rates = alternate({name: contender(name) for name in ("thalweg", "captum")}, rounds=2 if quick() else 5)
        apart = (values["thalweg"] - values["captum"]).abs().max() / values["captum"].abs().max()
        memory = {name: peak(method, name) for name in ("thalweg", "captum")}
        # of the rectifiers of this network, which are functions, Captum's guided backpropagation changes nothing
        shown = {} if method == "guided" else {"largest difference / largest value": float(apart)}
        shown |= {f"peak memory of {name}, MiB": value for name, value in memory.items()}
        report(f"inside-{method}", "images/s", rates, {"thalweg / captum": ("thalweg", "captum", 1.3)}, shown)


if __name__ == "__main__":
    if "--memory" in sys.argv:
        chosen, who = sys.argv[2:4]
        tested, images = ResNet((3, 224, 224), 1000, depth=18).eval(), torch.rand(B, 3, 224, 224)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        maps(chosen, who, tested, images)
        print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
    else:
        main()
