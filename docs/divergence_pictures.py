"""Draws the picture of the divergences' page: how each distance sees laws that come together.

python docs/divergence_pictures.py
"""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt
import numpy as np
import torch
from torch.distributions import Normal

from thalweg.objectives.f_divergence import f_divergence
from thalweg.objectives.gaussian_divergence import gaussian_divergence
from thalweg.objectives.transport import wasserstein, wasserstein_1d

IMAGE = Path(__file__).parent / "images" / "divergences.png"
NAMES = ("kl", "reverse-kl", "js", "tv")


def segments(theta: float, points: int = 40) -> dict[str, float]:
    """(0, Z) and (θ, Z), Z uniform: two laws of lines, as equal masses on `points` points of each."""
    z = torch.linspace(0, 1, points, dtype=torch.float64)
    still, moved = (torch.stack([torch.full_like(z, at), z], 1) for at in (0.0, theta))
    both = torch.cat([still, moved]).unique(dim=0)
    p, q = ((both[:, None] == law).all(-1).any(1).double() / points for law in (still, moved))
    found = {name: f_divergence(name).discrete(p, q).item() for name in NAMES}
    return found | {"W₁": wasserstein(still, moved).item()}


def gaussians(theta: float) -> dict[str, float]:
    """N(0, 1) and N(θ, 1)."""
    p, q = (Normal(torch.tensor([m], dtype=torch.float64), torch.ones(1, dtype=torch.float64)) for m in (0.0, theta))
    return {name: gaussian_divergence(name, p, q).item() for name in NAMES} | {"W₁": abs(theta)}


def coming_together() -> dict[str, dict[str, list[float]]]:
    """Sequences p_n → p that some distances see converge, and others do not, n = 1, 10, 100, 1000."""
    table: dict[str, dict[str, list[float]]] = {}
    for n in (1, 10, 100, 1000):
        # a point mass at 1/n and one at 0; a uniform grid of n points and one of 10,000
        p, q = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
        w = wasserstein_1d(torch.tensor([1 / n]), torch.tensor([0.0])).item()
        _add(table, "δ(1/n) → δ(0)", p, q, w)
        # a share 1/n of p_n where p has none
        p, q = torch.tensor([1 - 1 / n, 1 / n]), torch.tensor([1.0, 0.0])
        _add(table, "(1 − 1/n) δ(0) + δ(1)/n → δ(0)", p, q, 1 / n)
        # N(1/n, 1) → N(0, 1)
        close = gaussians(1 / n)
        for name, value in close.items():
            table.setdefault("N(1/n, 1) → N(0, 1)", {}).setdefault(name, []).append(value)
    return table


def _add(table: dict, name: str, p: torch.Tensor, q: torch.Tensor, w: float) -> None:
    row = table.setdefault(name, {})
    for divergence in NAMES:
        row.setdefault(divergence, []).append(f_divergence(divergence).discrete(p, q).item())
    row.setdefault("W₁", []).append(w)


def main() -> None:
    """Draw, and print the table of the page."""
    thetas = np.linspace(-1, 1, 41).round(6)
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.4), layout="constrained")
    for ax, law, title in zip(
        axes, (segments, gaussians), ("(0, Z) and (θ, Z), Z uniform", "N(0, 1) and N(θ, 1)"), strict=True
    ):
        curves = [law(float(theta)) for theta in thetas]
        for name in (*NAMES, "W₁"):
            values = np.array([curve[name] for curve in curves])
            jumps = law is segments and name != "W₁"
            label = name + (", ∞ but at 0" if np.isinf(values).any() else "")
            shown = np.where(np.isinf(values) | (jumps & (thetas == 0)), np.nan, values)
            (line,) = ax.plot(thetas, shown, label=label, lw=2 if name == "W₁" else 1.4)
            if jumps:
                ax.plot(0, 0, "o", color=line.get_color(), ms=4)
        ax.set(title=title, xlabel="θ", ylim=(-0.05, 1.1))
        ax.legend(fontsize=8)
    figure.savefig(IMAGE, dpi=110)
    for name, row in coming_together().items():
        print(name, {key: [round(v, 5) for v in values] for key, values in row.items()})


if __name__ == "__main__":
    main()
