"""Adversarial images: the smallest changes that change the class, by Szegedy's L-BFGS, FGSM and PGD."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from thalweg.checks import choice, in_range, positive
from thalweg.interpretability.state import frozen
from thalweg.randomness import generator

if TYPE_CHECKING:
    from thalweg.interpretability.network import Network, Progress, Target
    from thalweg.interpretability.result import Explanation

__all__ = ["METHODS", "adversary", "transfer"]

METHODS = ("lbfgs", "fgsm", "pgd")
BISECTIONS, ITERATIONS = 10, 60  # of the weight c, and of L-BFGS for each


def adversary(
    probe: Network,
    x: Tensor,
    target: Target = None,
    *,
    method: Literal["lbfgs", "fgsm", "pgd"] = "pgd",
    epsilon: float = 8 / 255,
    steps: int = 20,
    seed: int = 0,
    progress: Progress | None = None,
) -> Explanation:
    """Return images (B, C, H, W) in [0, 1] near `x` with another most probable class.

    - lbfgs: the smallest c‖r‖ + loss(x + r, k) over x + r in [0, 1], for the class `target` k, by default the second
      most probable one; L-BFGS with bounds, and bisection for the largest c with which the class is k
    - fgsm: x + ε · sign of the gradient of the loss of the present class, or x − ε · sign for that of a `target`
    - pgd: `steps` such steps of size ε/4, each projected on |r| ≤ ε, from a random start within it

    Images are clamped to [0, 1] after the solver, and `extra` says for the clamped images: "success" (B,), whether the
    class is the target or, without one, another than before; "class" (B,); "rms" (B,), the root mean square of r; and
    "evaluations" (B,), of the network. ε is in units of [0, 1]: 8/255 are 8 of 255 gray levels.

    References: *Intriguing properties of neural networks*, Christian Szegedy, Wojciech Zaremba, Ilya Sutskever, Joan
    Bruna, Dumitru Erhan, Ian Goodfellow, Rob Fergus, 2013, arXiv:1312.6199; *Explaining and Harnessing Adversarial
    Examples*, Ian Goodfellow, Jonathon Shlens, Christian Szegedy, 2014, arXiv:1412.6572; *Towards Deep Learning Models
    Resistant to Adversarial Attacks*, Aleksander Madry, Aleksandar Makelov, Ludwig Schmidt, Dimitris Tsipras, Adrian
    Vladu, 2017, arXiv:1706.06083.
    """
    choice("method", method, METHODS)
    in_range("epsilon", epsilon, 0.0, 1.0)
    positive("steps", steps)
    x = probe.images(x)
    with frozen(probe.model):
        with torch.no_grad():
            scores = torch.cat([probe.scores(part) for _, part in probe.chunks(x)])
        if scores.shape[1] < 2:
            raise ValueError("model: got 1 class, wanted at least 2 for adversarial images")
        before = scores.argmax(1)
        aim = probe.targets(scores, target) if target is not None else None
        if method == "lbfgs":
            wanted = scores.topk(2, dim=1).indices[:, 1] if aim is None else aim
            found = []
            for image, k in zip(x, wanted.tolist(), strict=True):
                found.append(_smallest(probe, image, k))
                if progress:
                    progress(len(found), len(x))
            moved, evaluations = torch.stack([image for image, _ in found]), [n for _, n in found]
        else:
            wanted = aim if aim is not None else before
            ascends = aim is None
            parts = [
                _signed(probe, part, wanted[rows], ascends, epsilon, 1 if method == "fgsm" else steps, method == "pgd",
                        seed)
                for rows, part in probe.chunks(x, progress)
            ]  # fmt: skip
            moved, evaluations = torch.cat(parts), [1 if method == "fgsm" else steps] * len(x)
        moved = moved.clamp(0, 1)
        with torch.no_grad():
            after = torch.cat([probe.scores(part) for _, part in probe.chunks(moved)])
    label = after.argmax(1)
    success = label == wanted if (aim is not None or method == "lbfgs") else label != before
    rms = (moved - x).square().flatten(1).mean(1).sqrt()
    extra = {"success": success, "class": label, "rms": rms, "evaluations": torch.tensor(evaluations)}
    settings = {"method": method} | ({} if method == "lbfgs" else {"epsilon": epsilon, "steps": steps})
    shown = torch.stack([x, 0.5 + (moved - x) / (2 * (moved - x).abs().amax().clamp(min=1e-12)), moved]).cpu()
    certain = after.softmax(1).gather(1, label[:, None])[:, 0]
    return probe.result(
        "adversary", moved, x, target=tuple(label.tolist()), probability=tuple(certain.tolist()), settings=settings,
        extra={name: t.cpu() for name, t in extra.items()}, tiles=shown,
    )  # fmt: skip


def _signed(probe: Network, x: Tensor, classes: Tensor, ascends: bool, epsilon: float, steps: int, random: bool,
            seed: int) -> Tensor:  # fmt: skip
    """Return x after signed steps of the gradient of the loss, within ε."""
    size = epsilon if not random else epsilon / 4
    moved = x.clone()
    if random:
        start = torch.rand(x.shape[1:], generator=generator(seed, "adversary"))  # of all images, in any batch
        moved = (x + epsilon * (2 * start.to(x) - 1)).clamp(0, 1)
    for _ in range(steps):
        moved.requires_grad_()
        loss = F.cross_entropy(probe.scores(moved), classes, reduction="sum")
        (slope,) = torch.autograd.grad(loss, moved)
        with torch.no_grad():
            moved = moved + (size if ascends else -size) * slope.sign()
            moved = torch.minimum(torch.maximum(moved, x - epsilon), x + epsilon).clamp(0, 1)
    return moved.detach()


def _smallest(probe: Network, x: Tensor, k: int) -> tuple[Tensor, int]:
    """Return the image of the largest c that has the class k, and the evaluations; the last one if none has it."""
    from scipy.optimize import minimize

    start, count = x.detach().cpu().double().numpy().ravel(), 0
    target = torch.tensor([k], device=x.device)

    def value(point: np.ndarray, c: float) -> tuple[float, np.ndarray]:
        nonlocal count
        count += 1
        y = torch.from_numpy(point).to(x).view(1, *x.shape).requires_grad_()
        r = y - x
        loss = F.cross_entropy(probe.scores(y), target) + c * r.square().sum().add(1e-12).sqrt()
        (slope,) = torch.autograd.grad(loss, y)
        return float(loss.detach()), slope.detach().cpu().double().numpy().ravel()

    def solved(c: float) -> tuple[Tensor, bool]:
        found = minimize(value, start, args=(c,), jac=True, method="L-BFGS-B", bounds=[(0.0, 1.0)] * len(start),
                         options={"maxiter": ITERATIONS})  # fmt: skip
        y = torch.from_numpy(np.clip(found.x, 0, 1)).to(x).view(x.shape)
        with torch.no_grad():
            return y, int(probe.scores(y[None]).argmax()) == k

    low, high = 0.0, 1.0
    best, success = solved(low)
    if success:
        while high < 1e6:  # a weight with which the class does not change
            found, success = solved(high)
            if not success:
                break
            low, best, high = high, found, 4 * high
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            found, success = solved(middle)
            low, high = (middle, high) if success else (low, middle)
            best = found if success else best
    return best, count


def transfer(images: Tensor, networks: dict[str, Network], classes: Tensor) -> dict[str, float]:
    """Return, for each network, the share of images whose most probable class is not the given one (B,), in %.

    It says how many adversarial images of one network mislead another.
    """
    shares = {}
    for name, probe in networks.items():
        x = probe.images(images)
        with frozen(probe.model), torch.no_grad():
            label = torch.cat([probe.scores(part).argmax(1) for _, part in probe.chunks(x)]).cpu()
        shares[name] = 100 * float((label != classes.cpu()).float().mean())
    return shares
