"""The pictures of the pages on flows; `pictures.py` draws them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch

from thalweg.data import load
from thalweg.nn.ode import solve
from thalweg.randomness import generator
from thalweg.recipes.runs import build, open_run

BASES = ("uniform", "beta", "normal")
REAL_NVP, NSF = ("moons", "spiral", "checkerboard"), ("checkerboard", "spiral", "rings")
AUTOREGRESSIVE = ("moons", "pinwheel", "eight-gaussians")
MANY = "--data-examples 1000000"
RUNS = {
    **{f"flow-1d-{base}": f"flow-1d --data mixture-1d --base {base}" for base in BASES},
    "affine-flow": "affine-flow --data three-gaussians",
    "nice-moons": "nice --data moons",
    "nice-digits": "nice --data digits",
    **{f"real-nvp-{name}": f"real-nvp --data {name} {MANY}" for name in REAL_NVP},
    **{f"nsf-{name}": f"nsf --data {name} {MANY}" for name in NSF},
    **{f"maf-{name}": f"maf --map spline --data {name} --minutes 1" for name in AUTOREGRESSIVE},
    **{f"iaf-{name}": f"iaf --data {name} --minutes 1" for name in AUTOREGRESSIVE},
    **{f"ffjord-{name}": f"ffjord --data {name} --minutes 4" for name in ("moons", "pinwheel")},
    "ffjord-digits": "ffjord --data digits --ode-steps 4 --minutes 3",
    **{f"{recipe}-mnist": f"{recipe} --data mnist --minutes 15" for recipe in ("real-nvp", "glow")},
}


def flow_1d(runs: Path) -> Any:
    """Draw the density of the data, f, and z before and after training, for the three bases."""
    figure, axes = plt.subplots(3, 4, figsize=(8.6, 6), layout="constrained")
    for row, base in zip(axes, BASES, strict=True):
        opened = open_run(runs / f"flow-1d-{base}", device="cpu")
        dataset = load(opened.config.data)
        models: dict[str, Any] = {"before": build(opened.config, opened.spec).model, "after": opened.model}
        x, test = torch.linspace(-4, 4, 400)[:, None], torch.from_numpy(np.array(dataset.test.x))
        row[0].fill_between(x[:, 0], dataset.density.log_prob(x).exp(), color="0.85", label="truth")
        span = (-4.0, 4.0) if base == "normal" else (0.0, 1.0)
        axis = torch.linspace(*span, 200)
        for (when, model), style, panel in zip(models.items(), ("--", "-"), row[2:], strict=True):
            with torch.no_grad():
                row[0].plot(x, model.log_prob(x).exp(), style, color="black", linewidth=1, label=when)
                row[1].plot(x, model.encode(x), style, color="black", linewidth=1)
                panel.hist(model.encode(test)[:, 0].numpy(), bins=50, range=span, density=True, color="0.75")
                panel.plot(axis, model.base_distribution.log_prob(axis).exp(), color="black", linewidth=1)
            panel.set_title(f"z {when}, and {base}", fontsize=9)
        row[0].set_title("density of x", fontsize=9)
        row[1].set_title("z = f(x)", fontsize=9)
        row[1].set_ylim(span[0] - 0.1, span[1] + 0.1)
    axes[0, 0].legend(frameon=False, fontsize=7)
    return figure


def affine(runs: Path) -> Any:
    """Draw points with ellipses of the Gaussian, and their images under the flow."""
    opened = open_run(runs / "affine-flow", device="cpu")
    x = torch.from_numpy(np.array(load(opened.config.data).test.x[:3000]))
    turn = torch.linspace(0, 2 * torch.pi, 200)
    circles = [r * torch.stack([turn.cos(), turn.sin()], 1) for r in (1, 2, 3)]
    figure, axes = plt.subplots(1, 2, figsize=(7, 3.6), layout="constrained")
    with torch.no_grad():
        for ax, points, rings, title in (
            (axes[0], x, [opened.model.decode(circle) for circle in circles], "x, and 1, 2, 3 standard deviations"),
            (axes[1], opened.model.encode(x), circles, "z = A⁻¹(x − b)"),
        ):
            ax.scatter(points[:, 0], points[:, 1], s=1, linewidths=0, color="0.5")
            for ring in rings:
                ax.plot(ring[:, 0], ring[:, 1], color="black", linewidth=1)
            ax.set(aspect="equal")
            ax.set_title(title, fontsize=9)
    return figure


def plane(runs: Path, recipe: str, title: str, names: tuple[str, ...]) -> Any:
    """Draw the true density, the density of the model, and its samples, one row per model."""
    figure, axes = plt.subplots(len(names), 3, figsize=(7, 2.35 * len(names)), layout="constrained", squeeze=False)
    for row, name in zip(axes, names, strict=True):
        opened = open_run(runs / f"{recipe}-{name}", device="cpu")
        dataset = load(opened.config.data)
        box = draw_density(row[0], dataset.density, dataset, f"{name}: truth")
        draw_density(row[1], opened.model, dataset, title)
        draw_points(row[2], opened.model.sample(5000, generator(0, "picture")), box, "samples")
    return figure


def draw_density(ax: Any, model: Any, dataset: Any, title: str, n: int = 200) -> tuple[float, ...]:
    """Draw exp(log_prob) on a box around the data, with the brightness of the true density, and return the box."""
    low, high = dataset.test.x.min(0) - 0.5, dataset.test.x.max(0) + 0.5
    grid = torch.cartesian_prod(*(torch.linspace(float(a), float(b), n) for a, b in zip(low, high, strict=True)))
    box = (float(low[0]), float(high[0]), float(low[1]), float(high[1]))
    with torch.no_grad():
        density = torch.cat([model.log_prob(part) for part in grid.split(5000)]).exp().reshape(n, n).T
    top = float(dataset.density.log_prob(grid).exp().max())
    ax.imshow(density, origin="lower", extent=box, cmap="magma", vmin=0, vmax=top, interpolation="bilinear")
    ax.set_title(title, fontsize=9)
    ax.axis("off")
    return box


def draw_points(ax: Any, x: torch.Tensor, box: tuple[float, ...], title: str) -> None:
    """Draw points of the plane in a box."""
    ax.scatter(x[:, 0], x[:, 1], s=1, linewidths=0, color="black")
    ax.set(xlim=box[:2], ylim=box[2:], aspect="equal", xticks=[], yticks=[])
    ax.set_title(title, fontsize=9)


def nice(runs: Path) -> Any:
    """Draw a density of the plane and its samples, and samples of digits."""
    figure, axes = plt.subplots(1, 3, figsize=(8.6, 3), layout="constrained")
    opened = open_run(runs / "nice-moons", device="cpu")
    box = draw_density(axes[0], opened.model, load(opened.config.data), "moons: NICE")
    draw_points(axes[1], opened.model.sample(5000, generator(0, "picture")), box, "samples")
    digits = open_run(runs / "nice-digits", device="cpu").model.sample(100, generator(0, "picture"), temperature=0.8)
    page = np.pad(digits[:, 0].numpy(), ((0, 0), (0, 1), (0, 1)), constant_values=16).reshape(10, 10, 9, 9)
    axes[2].imshow(page.transpose(0, 2, 1, 3).reshape(90, 90), cmap="gray", interpolation="nearest")
    axes[2].set_title("samples of scanned digits, temperature 0.8", fontsize=9)
    axes[2].axis("off")
    return figure


def ffjord(runs: Path) -> Any:
    """Draw trajectories of samples from z at time 1 to x at time 0, and the density; the same for images."""
    times, names = (1.0, 0.75, 0.5, 0.25, 0.0), ("moons", "pinwheel")
    figure, axes = plt.subplots(len(names) + 1, len(times) + 1, figsize=(9, 4.8), layout="constrained")
    for row, name in zip(axes, names, strict=False):
        opened = open_run(runs / f"ffjord-{name}", device="cpu")
        model, dataset = opened.model, load(opened.config.data)
        z = model.draw(4000, generator(0, "picture"))
        field = lambda t, state, h=model.transform.velocity: (h(t, state[0])[0],)  # noqa: E731
        for ax, t in zip(row, times, strict=False):
            with torch.no_grad():
                at = solve(field, (z,), 1.0, t, model.transform.solver)[0] if t < 1 else z
            draw_points(ax, at, (-3.2, 3.2, -3.2, 3.2), f"t = {t:g}")
        draw_density(row[-1], model, dataset, f"{name}: density", n=120)
    opened = open_run(runs / "ffjord-digits", device="cpu")
    model = opened.model
    z = model.draw(25, generator(0, "picture"), temperature=0.8)
    for ax, t in zip(axes[-1], times, strict=False):
        with torch.no_grad():
            field = lambda t, state: (model.transform.velocity(t, state[0])[0],)  # noqa: E731
            at = solve(field, (z,), 1.0, t, model.transform.solver)[0] if t < 1 else z
            shown = model.data.inverse(at.reshape(25, 1, 8, 8)).clamp(0, 17)
        show_page(ax, shown, 5, f"t = {t:g}")
    show_page(axes[-1, -1], torch.from_numpy(load(opened.config.data).test.x[:25].copy()), 5, "digits: truth")
    return figure


def images(runs: Path, recipe: str) -> Any:
    """Draw samples at two temperatures, and test images with resampled latents, the finest scale first."""
    opened = open_run(runs / f"{recipe}-mnist", device="cpu")
    flow, x = opened.model, torch.from_numpy(np.array(load(opened.config.data).test.x[:8]))
    figure, axes = plt.subplots(1, 3, figsize=(9.6, 3.6), layout="constrained")
    for ax, temperature in zip(axes, (0.85, 1.0), strict=False):
        drawn = flow.sample(100, generator(0, "picture"), temperature=temperature)
        show_page(ax, drawn, 10, f"samples, temperature {temperature:g}")
    with torch.no_grad():
        z, fresh = flow.encode(x), flow.draw(len(x), generator(1, "picture"))
        rows, gone = [x.float()], 0
        for part in flow.transform.parts[:-1]:
            gone += int(np.prod(part))
            rows.append(flow.decode(torch.cat([fresh[:, :gone], z[:, gone:]], 1)).clamp(0, opened.spec.levels - 1))
    finest = " or ".join(map(str, range(1, len(rows))))
    show_page(axes[2], torch.cat(rows), len(x), f"test images; the finest {finest} of {len(rows)} scales drawn anew")
    return figure


def show_page(ax: Any, x: torch.Tensor, columns: int, title: str) -> None:
    """Show gray images (N, 1, H, W), `columns` per row."""
    rows, height, width = len(x) // columns, x.shape[2] + 1, x.shape[3] + 1
    page = np.pad(x[:, 0].numpy(), ((0, 0), (0, 1), (0, 1)), constant_values=float(x.max()))
    page = page.reshape(rows, columns, height, width).transpose(0, 2, 1, 3).reshape(rows * height, columns * width)
    ax.imshow(page, cmap="gray", interpolation="nearest")
    ax.set_title(title, fontsize=8)
    ax.axis("off")


PICTURES: dict[str, Callable[[Path], Any]] = {
    "flow-1d": flow_1d,
    "affine-flow": affine,
    "nice": nice,
    "real-nvp": partial(plane, recipe="real-nvp", title="Real NVP", names=REAL_NVP),
    "real-nvp-images": partial(images, recipe="real-nvp"),
    "glow": partial(images, recipe="glow"),
    "nsf": partial(plane, recipe="nsf", title="neural spline flow", names=NSF),
    "maf": partial(plane, recipe="maf", title="masked autoregressive flow", names=AUTOREGRESSIVE),
    "iaf": partial(plane, recipe="iaf", title="inverse autoregressive flow", names=AUTOREGRESSIVE),
    "ffjord": ffjord,
}
