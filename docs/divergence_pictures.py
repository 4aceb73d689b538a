"""Draw the pictures of two pages: distances of distributions that approach each other (divergences), and the Gaussian
that each divergence fits (f-GAN), from the results of benchmarks/quality/f_gan_mixture.py.

python docs/divergence_pictures.py
"""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure
from torch.distributions import Normal

from thalweg.data.densities import Mixture
from thalweg.objectives.f_divergence import f_divergence
from thalweg.objectives.gaussian_divergence import gaussian_divergence
from thalweg.objectives.transport import wasserstein, wasserstein_1d

IMAGES = Path(__file__).parent / "images"
FITS = Path(__file__).parents[1] / "benchmarks" / "quality" / "results" / "f-gan-mixture.json"
NAMES = ("kl", "reverse-kl", "js", "tv")


def segments(theta: float, points: int = 40) -> dict[str, float]:
    """Return the distances of (0, Z) and (θ, Z), Z uniform, with equal masses on `points` points of each."""
    z = torch.linspace(0, 1, points, dtype=torch.float64)
    still, moved = (torch.stack([torch.full_like(z, at), z], 1) for at in (0.0, theta))
    both = torch.cat([still, moved]).unique(dim=0)
    p, q = ((both[:, None] == points_of).all(-1).any(1).double() / points for points_of in (still, moved))
    values = {name: f_divergence(name).discrete(p, q).item() for name in NAMES}
    return values | {"W₁": wasserstein(still, moved).item()}


def gaussians(theta: float) -> dict[str, float]:
    """Return the distances of N(0, 1) and N(θ, 1)."""
    p, q = (Normal(torch.tensor([m], dtype=torch.float64), torch.ones(1, dtype=torch.float64)) for m in (0.0, theta))
    return {name: gaussian_divergence(name, p, q).item() for name in NAMES} | {"W₁": abs(theta)}


def coming_together() -> dict[str, dict[str, list[float]]]:
    """Return the distances of sequences p_n → p for n = 1, 10, 100, 1000, which converge for some distances only."""
    table: dict[str, dict[str, list[float]]] = {}
    for n in (1, 10, 100, 1000):
        # a point mass at 1/n and one at 0
        p, q = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
        w = wasserstein_1d(torch.tensor([1 / n]), torch.tensor([0.0])).item()
        _add(table, "δ(1/n) → δ(0)", p, q, w)
        # p_n has the mass 1/n outside of the support of p
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


def gaussian_for_a_mixture() -> Figure:
    """Draw the mixture, the Gaussians that f-GANs fit, and the parameters of the best ones."""
    table = json.loads(FITS.read_text())
    mixture = Mixture(name="two", dim=1, means=[(-1.0,), (2.0,)], stds=[0.255, 1.415], weights=[0.33, 0.67])
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
    x = torch.linspace(-4, 7, 600, dtype=torch.float64)
    left.fill_between(x, mixture.log_prob(x[:, None]).exp(), color="0.88", label="mixture")
    for i, name in enumerate(("pearson", "kl", "gan", "reverse-kl", "neyman")):
        fit, best = table[name]["trained"][0], table[name]["best"]
        color = plt.cm.viridis(i / 4)
        left.plot(x, Normal(fit["mu"], fit["sigma"]).log_prob(x).exp(), color=color, label=f"{name}, trained")
        left.plot(x[::20], Normal(best["mu"], best["sigma"]).log_prob(x[::20]).exp(), ".", color=color, ms=4)
    left.plot([], [], ".", color="black", ms=4, label="best, by quadrature")
    left.set(title="all of the mixture, or most of one mode", ylim=(0, 0.56))
    left.legend(fontsize=8, frameon=False)
    shown = [name for name in table if table[name]["within 2 %"] and name != "js"]  # js is half of gan
    for name in shown:
        best, fits = table[name]["best"], table[name]["trained"]
        right.plot([fit["mu"] for fit in fits], [fit["sigma"] for fit in fits], "o", mfc="none", color="tab:blue", ms=6)
        if "," not in name:
            right.plot(best["mu"], best["sigma"], "k+", ms=9)
            right.annotate(name, (best["mu"], best["sigma"]), (7, 5), textcoords="offset points", fontsize=8)
    right.plot([], [], "k+", ms=9, label="best, by quadrature")
    right.plot([], [], "o", mfc="none", color="tab:blue", ms=6, label="trained, three seeds")
    right.set(title="where they end", xlabel="μ", ylabel="σ", xlim=(0.45, 2.05))
    right.legend(fontsize=8, frameon=False)
    return figure


def main() -> None:
    """Draw the picture and print the table of the page."""
    thetas = np.linspace(-1, 1, 41).round(6)
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.4), layout="constrained")
    for ax, distances, title in zip(
        axes, (segments, gaussians), ("(0, Z) and (θ, Z), Z uniform", "N(0, 1) and N(θ, 1)"), strict=True
    ):
        curves = [distances(float(theta)) for theta in thetas]
        for name in (*NAMES, "W₁"):
            values = np.array([curve[name] for curve in curves])
            jumps = distances is segments and name != "W₁"
            label = name + (", ∞ but at 0" if np.isinf(values).any() else "")
            shown = np.where(np.isinf(values) | (jumps & (thetas == 0)), np.nan, values)
            (line,) = ax.plot(thetas, shown, label=label, lw=2 if name == "W₁" else 1.4)
            if jumps:
                ax.plot(0, 0, "o", color=line.get_color(), ms=4)
        ax.set(title=title, xlabel="θ", ylim=(-0.05, 1.1))
        ax.legend(fontsize=8)
    figure.savefig(IMAGES / "divergences.png", dpi=110)
    gaussian_for_a_mixture().savefig(IMAGES / "f-gan-mixture.png", dpi=110)
    for name, row in coming_together().items():
        print(name, {key: [float(f"{v:.3g}") for v in values] for key, values in row.items()})


if __name__ == "__main__":
    main()
