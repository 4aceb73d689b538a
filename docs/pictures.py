"""Draw the pictures of the model pages from trained runs; train the runs that are missing.

    THALWEG_DATA=folder/with/mnist.npz python docs/pictures.py [RUNS]

RUNS (by default runs/) has one run folder for each line of `RUNS_WANTED`.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt
import numpy as np
import torch
from autoencoder_pictures import PICTURES as OF_AUTOENCODERS
from autoencoder_pictures import RUNS as RUNS_OF_AUTOENCODERS
from classifier_pictures import PICTURES as OF_CLASSIFIERS
from flow_pictures import PICTURES as OF_FLOWS
from flow_pictures import RUNS as RUNS_OF_FLOWS
from mixture_pictures import PICTURES as OF_MIXTURES
from mixture_pictures import RUNS as RUNS_OF_MIXTURES

from thalweg.data import load
from thalweg.randomness import generator
from thalweg.recipes.runs import open_run

IMAGES = Path(__file__).parent / "images"
GLYPHS = "--data glyphs --data-examples 20000 --likelihood bernoulli --architecture dense --depth 2 --steps 8000"
DIGITS = "--data digits --likelihood bernoulli --architecture dense --latent-dim 10 --steps 4000 --patience 100"
RUNS_WANTED = {
    "softmax-regression-mnist": "softmax-regression --data mnist",
    "lenet5-mnist": "lenet5 --data mnist",
    "airbench-cifar10": "airbench --data cifar10 --variant small --minutes 2 --precision auto --log-every 5",
    "autoencoder-mnist": "autoencoder --data mnist",
    **RUNS_OF_AUTOENCODERS,
    "vae-mnist-raw": "vae --data mnist",
    "vae-mnist-plane": "vae --data mnist --latent-dim 2 --likelihood bernoulli --architecture dense",
    **{f"beta-vae-glyphs-{beta}": f"beta-vae --beta {beta} {GLYPHS}" for beta in (1, 4, 16)},
    "vae-digits": f"vae {DIGITS}",
    "iwae-digits": f"iwae --draws 20 {DIGITS}",
    "vq-vae-mnist": "vq-vae --data mnist --minutes 10",
    "vq-vae-2-mnist": "vq-vae-2 --data mnist --minutes 10",
    "pixelcnn-mnist": "pixelcnn --data mnist --minutes 10",
    "pixelcnn-digits-by-class": "pixelcnn --data digits --conditional",
    **RUNS_OF_MIXTURES,
    **RUNS_OF_FLOWS,
    "wgan-digits": "wgan --data digits --steps 3000",
}


def tile(x: np.ndarray, columns: int, gap: int = 2) -> np.ndarray:
    """Lay images (N, H, W) side by side, `columns` per row."""
    n, h, w = x.shape
    rows = -(-n // columns)
    page = np.full((rows * (h + gap) - gap, columns * (w + gap) - gap), x.max(), dtype=np.float64)
    for i, image in enumerate(x):
        top, left = i // columns * (h + gap), i % columns * (w + gap)
        page[top : top + h, left : left + w] = image
    return page


def show(axes: Any, image: np.ndarray, title: str, **settings: Any) -> None:
    """Show an image without axes."""
    axes.imshow(image, **({"cmap": "gray", "interpolation": "nearest"} | settings))
    axes.set_title(title, fontsize=9)
    axes.axis("off")


def softmax_regression(runs: Path) -> Any:
    """Draw the ten rows of A, the weights of the classes, as images."""
    weights = open_run(runs / "softmax-regression-mnist", device="cpu").model.state_dict()
    rows = next(w for name, w in weights.items() if name.endswith("weight")).reshape(10, 28, 28).numpy()
    figure, axes = plt.subplots(2, 5, figsize=(7, 3.2), layout="constrained")
    limit = np.quantile(np.abs(rows), 0.995)
    for digit, (ax, row) in enumerate(zip(axes.flat, rows, strict=True)):
        show(ax, row, f"weights of {digit}", cmap="RdBu_r", vmin=-limit, vmax=limit)
    return figure


def lenet5(runs: Path) -> Any:
    """Draw the six first filters, their feature maps of one digit, and the errors with the highest confidence."""
    opened = open_run(runs / "lenet5-mnist", device="cpu")
    test = load(opened.config.data).test
    x, y = torch.from_numpy(np.array(test.x)), torch.from_numpy(np.array(test.y))
    first = next(m for m in opened.model.modules() if isinstance(m, torch.nn.Conv2d))
    maps = {}
    hook = first.register_forward_hook(lambda module, inputs, out: maps.update(first=out.detach()))
    with torch.no_grad():
        opened.model.logits(x[:1])
        hook.remove()
        p = torch.cat([opened.model.logits(part).softmax(1) for part in x.split(1000)])
    sure, guess = p.max(1)
    wrong = torch.where(guess != y)[0]
    wrong = wrong[sure[wrong].argsort(descending=True)][:12]
    figure, axes = plt.subplots(3, 1, figsize=(7, 4.6), layout="constrained", height_ratios=[1, 1, 2])
    show(axes[0], tile(first.weight.detach()[:, 0].numpy(), 6, gap=1), "first filters")
    show(axes[1], tile(maps["first"][0].numpy(), 6), "their maps of the first test digit")
    said = ", ".join(f"{int(y[i])}→{int(guess[i])}" for i in wrong)
    show(axes[2], tile(x[wrong, 0].float().numpy(), 6), f"{int((guess != y).sum())} errors of {len(y)}; surest: {said}")
    return figure


def airbench(runs: Path) -> Any:
    """Draw the first half of the filters of the whitening layer, in color, and the loss and learning rate."""
    opened = open_run(runs / "airbench-cifar10", device="cpu")
    filters = opened.model.features[0].weight[:12]
    filters = filters / filters.abs().amax((1, 2, 3), keepdim=True)  # each on a scale of its own: gray is 0
    colors = [tile((filters[:, c] / 2 + 0.5).numpy(), 6, gap=1) for c in range(3)]
    lines = [line for line in opened.records() if "loss" in line]
    figure, axes = plt.subplots(1, 2, figsize=(7.4, 2.6), layout="constrained")
    show(axes[0], np.stack(colors, -1), "whitening: small to large eigenvalues")
    axes[1].plot([line["step"] for line in lines], [line["loss"] for line in lines], color="C0")
    axes[1].axhline(0.867, color="gray", linestyle="--", linewidth=1)
    axes[1].set(xlabel="step", ylabel="training loss, nats")
    axes[1].set_title("dashed: the minimum for smoothed labels", fontsize=9)
    return figure


def autoencoder(runs: Path) -> Any:
    """Draw test images above their reconstructions."""
    opened = open_run(runs / "autoencoder-mnist", device="cpu")
    x = torch.from_numpy(np.array(load(opened.config.data).test.x[:12]))
    with torch.no_grad():
        again = opened.model.reconstruct(x)
    figure, axes = plt.subplots(2, 1, figsize=(7, 1.7), layout="constrained")
    show(axes[0], tile(x[:, 0].float().numpy(), 12), "test images")
    show(axes[1], tile(again[:, 0].clamp(0, 255).numpy(), 12), "reconstructions")
    return figure


def vae(runs: Path) -> Any:
    """Draw samples, reconstructions, and decoded points of a two-dimensional code."""
    opened = open_run(runs / "vae-mnist-raw", device="cpu")
    samples = opened.model.sample(80, generator(0, "picture"))
    x = torch.from_numpy(np.array(load(opened.config.data).test.x[:10]))
    with torch.no_grad():
        pairs = torch.cat([x, opened.model.reconstruct(x).round().clamp(0, 255)])
    side = 12
    quantiles = torch.distributions.Normal(0.0, 1.0).icdf((torch.arange(side) + 0.5) / side)
    z = torch.cartesian_prod(quantiles.flip(0), quantiles).flip(1)
    with torch.no_grad():
        plane = open_run(runs / "vae-mnist-plane", device="cpu").model.decode(z)
    figure, axes = plt.subplots(1, 2, figsize=(7.4, 3.9), layout="constrained")
    page = torch.cat([pairs, samples])
    show(axes[0], tile(page[:, 0].float().numpy(), 10), "test images, rebuilt; samples (20-dimensional code)")
    show(axes[1], tile(plane[:, 0].numpy(), side, gap=0), "the plane of a 2-dimensional code")
    return figure


def beta_vae(runs: Path) -> Any:
    """Draw traversals of latent dimensions from −2 to 2, those with the largest variance first."""
    betas, across, down = (1, 4, 16), 7, 6
    figure, axes = plt.subplots(1, len(betas), figsize=(7.4, 2.4), layout="constrained")
    for ax, beta in zip(axes, betas, strict=True):
        opened = open_run(runs / f"beta-vae-glyphs-{beta}", device="cpu")
        x = torch.from_numpy(np.array(load(opened.config.data).test.x))
        with torch.no_grad():
            codes = opened.model.encode(x)
            widest = codes.var(0).argsort(descending=True)[:down]
            z = codes[3].repeat(down, across, 1)
            for row, number in enumerate(widest):
                z[row, :, number] = torch.linspace(-2, 2, across)
            moved = opened.model.decode(z.flatten(0, 1))
        show(ax, tile(moved[:, 0].numpy(), across), f"β = {beta}")
    return figure


def iwae(runs: Path) -> Any:
    """Draw samples of the VAE and the IWAE, and their likelihood bounds against the number of draws."""
    from thalweg.evaluation.examples import Examples
    from thalweg.evaluation.measures.importance import importance_curve, log_weights

    figure, axes = plt.subplots(1, 3, figsize=(7.4, 2.9), layout="constrained")
    for ax, name in zip(axes, ("vae", "iwae"), strict=False):
        opened = open_run(runs / f"{name}-digits", device="cpu")
        z = torch.randn(64, opened.model.latent_dim, generator=generator(0, "picture"))
        with torch.no_grad():
            means = opened.model.decode(z)
        show(ax, tile(means[:, 0].numpy(), 8), f"{name.upper()}: means of samples")
        curve = importance_curve(log_weights(opened.model, Examples(load(opened.config.data).test.x[:500]), 512))
        axes[2].plot(list(curve), [values.mean() for values in curve.values()], marker=".", label=name.upper())
    axes[2].set(xscale="log", xlabel="K draws of q(z|x)", ylabel="nats")
    axes[2].set_title("bound on log p(x), test images", fontsize=9)
    axes[2].legend(frameon=False)
    return figure


def vq_vae(runs: Path) -> Any:
    """Draw reconstructions, samples, and how often test images use each code."""
    opened = open_run(runs / "vq-vae-mnist", device="cpu")
    model: Any = opened.model
    x = torch.from_numpy(np.array(load(opened.config.data).test.x))
    samples = model.sample(80, generator(0, "picture"))
    with torch.no_grad():
        page = torch.cat([x[:10], model.reconstruct(x[:10]).round().to(torch.uint8), samples])
        codes = torch.cat([model.codes(part).flatten() for part in x.split(500)])
    uses = torch.bincount(codes, minlength=model.autoencoder.quantizer.count).sort(descending=True).values
    figure, axes = plt.subplots(1, 2, figsize=(7.4, 3.7), layout="constrained")
    show(axes[0], tile(page[:, 0].numpy(), 10), "test images, reconstructions, samples")
    axes[1].fill_between(range(len(uses)), uses / len(codes) * len(uses), step="mid", color="0.6")
    axes[1].axhline(1.0, color="black", linewidth=0.8)
    axes[1].set(xlabel="codes, by use", ylabel="use, in means", xlim=(0, len(uses) - 1), ylim=(0, None))
    axes[1].set_title(f"{int((uses > 0).sum())} of {len(uses)} codes are used by test images", fontsize=9)
    return figure


def vq_vae_2(runs: Path) -> Any:
    """Draw reconstructions, the same top codes with resampled bottom codes, and samples."""
    opened = open_run(runs / "vq-vae-2-mnist", device="cpu")
    model: Any = opened.model
    x = torch.from_numpy(np.array(load(opened.config.data).test.x[:10]))
    samples = model.sample(100, generator(0, "picture"))
    with torch.no_grad():
        pages = [x, model.reconstruct(x)]
        top = model.codes(x)[:, : model.code_prior.top.height * model.code_prior.top.width]
        for i in range(4):
            source = generator(0, "bottom", i)
            above = model.code_prior.above(top, None)
            bottom = model.code_prior.bottom.sample(len(x), source, context=above).long().flatten(1)
            pages.append(model.decode(model.autoencoder.vectors(torch.cat([top, bottom], 1))))
    figure, axes = plt.subplots(1, 2, figsize=(7.4, 3.2), layout="constrained", width_ratios=[10, 6])
    title = "test images, reconstructions, 4 × resampled bottom codes"
    show(axes[0], tile(torch.cat(pages)[:, 0].numpy(), 10), title)
    show(axes[1], tile(samples[:, 0].numpy(), 10), "samples")
    return figure


def pixelcnn(runs: Path) -> Any:
    """Draw samples of MNIST, and of the scanned digits by class."""
    samples = open_run(runs / "pixelcnn-mnist", device="cpu").model.sample(100, generator(0, "picture"))
    model: Any = open_run(runs / "pixelcnn-digits-by-class", device="cpu").model
    by_class = model.sample(100, generator(0, "picture"), y=torch.arange(10).repeat(10))
    figure, axes = plt.subplots(1, 2, figsize=(7.4, 3.9), layout="constrained")
    show(axes[0], tile(samples[:, 0].numpy(), 10), "samples, MNIST")
    show(axes[1], tile(by_class[:, 0].numpy(), 10, gap=1), "samples by class, scanned digits")
    return figure


def wgan(runs: Path) -> Any:
    """Draw samples, and the estimate of the critic during training."""
    import json

    folder = runs / "wgan-digits"
    samples = open_run(folder, device="cpu").model.sample(100, generator(0, "picture"))
    lines = [json.loads(text) for text in (folder / "metrics.jsonl").read_text().splitlines()]
    figure, axes = plt.subplots(1, 2, figsize=(7.4, 3.7), layout="constrained")
    show(axes[0], tile(samples[:, 0].float().numpy(), 10), "samples")
    axes[1].plot([line["step"] for line in lines], [line["critic/gap"] for line in lines], linewidth=1)
    axes[1].set(xlabel="generator steps", ylabel="critic's estimate of K·W")
    axes[1].set_title("the gap that the critic finds", fontsize=9)
    return figure


def autodiff(runs: Path) -> Any:
    """Draw the graph of y log x + √(y log x) at (3, 2)."""
    from thalweg.autodiff.drawing import draw
    from thalweg.autodiff.functions import log, sqrt
    from thalweg.autodiff.graph import Var

    b = Var(2.0, name="y") * log(Var(3.0, name="x"))
    return draw(sqrt(b) + b).figure


PICTURES: dict[str, Callable[[Path], Any]] = {
    "autodiff": autodiff,
    "softmax-regression": softmax_regression,
    **OF_CLASSIFIERS,
    "lenet5": lenet5,
    "airbench": airbench,
    "autoencoder": autoencoder,
    **OF_AUTOENCODERS,
    "vae": vae,
    "beta-vae": beta_vae,
    "iwae": iwae,
    "vq-vae": vq_vae,
    "vq-vae-2": vq_vae_2,
    "pixelcnn": pixelcnn,
    **OF_MIXTURES,
    **OF_FLOWS,
    "wgan": wgan,
}

if __name__ == "__main__":
    where = Path(sys.argv[1] if len(sys.argv) > 1 else "runs")
    for run, arguments in RUNS_WANTED.items():
        if not (where / run / "model.safetensors").is_file():
            command = [sys.executable, "-m", "thalweg", "train", *arguments.split(), "--run", str(where / run)]
            subprocess.run([*command, "--overwrite"], check=True)
    IMAGES.mkdir(exist_ok=True)
    for name, draw in PICTURES.items():
        draw(where).savefig(IMAGES / f"{name}.png", dpi=110)
        print(IMAGES / f"{name}.png")
