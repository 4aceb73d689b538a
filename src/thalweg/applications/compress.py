"""What the latent codes of images cost in bits, and at what error, beside JPEG."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thalweg.applications.ability import require
from thalweg.config import DataConfig
from thalweg.files import atomic_path
from thalweg.recipes.runs import Opened

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure

    from thalweg.evaluation.estimates.estimate import Estimate
    from thalweg.evaluation.statistics.compression import Point

__all__ = ["CompressResult", "compress"]

COARSEST = 2.0  # step, in standard deviations of the codes; each next one is half
QUALITIES = (1, 5, 10, 20, 35, 50, 70, 85, 95)


@dataclass(frozen=True)
class CompressResult:
    """Rates and distortions of `n` images: the `curves` by coder, the model's own first.

    `unquantized` is the error of the codes before rounding. The `parameters` of the network, which the receiver needs,
    are not counted in the rate.
    """

    curves: dict[str, list[Point]]
    unquantized: list[Estimate]
    parameters: int
    n: int
    data: str
    split: str

    def to_json(self) -> dict[str, Any]:
        """Return the curves as what `json.dumps` takes."""
        return {
            "data": self.data,
            "split": self.split,
            "n": self.n,
            "shared": {"parameters": self.parameters, "counted": False},
            "unquantized": {e.name: {**e.to_json(), "text": str(e)} for e in self.unquantized},
            "curves": {name: [_fields(point) for point in points] for name, points in self.curves.items()},
        }

    def save(self, path: Path | str) -> None:
        """Write the curves as .json or .csv, or draw them, .png."""
        import json

        from thalweg.applications.files import write_rows

        suffix = Path(path).suffix.lower()
        with atomic_path(Path(path)) as temporary:
            if suffix == ".json":
                temporary.write_text(json.dumps(self.to_json(), indent=2, allow_nan=False))
            elif suffix == ".csv":
                rows = [
                    [coder, p.setting, p.total, p.rate.value, p.error.value, p.psnr.value]
                    for coder, points in self.curves.items()
                    for p in points
                ]
                head = ("coder", "setting", "bytes", "bits_per_pixel", "squared_error", "psnr")
                write_rows(temporary, head, rows)
            else:
                self.figure().savefig(temporary, dpi=120)

    def figure(self) -> Figure:
        """Return the picture: the PSNR over the rate of each coder."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(6.4, 4.4), layout="constrained")
        axes = figure.add_subplot()
        for i, (coder, points) in enumerate(self.curves.items()):
            style: dict[str, Any] = {"lw": 2, "marker": "o"} if i == 0 else {"lw": 1.2, "marker": "s"}
            rates, decibels = [p.rate.value for p in points], [p.psnr.value for p in points]
            axes.plot(rates, decibels, ms=4, ls=":" if "without" in coder else "-", label=coder, **style)
        limit = next(e.value for e in self.unquantized if e.name == "PSNR")
        axes.axhline(limit, color="0.6", lw=1, ls="--", label="codes before rounding")
        axes.set_xscale("log")
        axes.set_xlabel("bits/pixel")
        axes.set_ylabel("PSNR, dB")
        axes.set_title(f"{self.n:,} images of {self.data} ({self.split})", fontsize=10)
        axes.legend(fontsize=8)
        return figure


def _fields(point: Point) -> dict[str, Any]:
    estimates = {"bits/pixel": point.rate, "squared error": point.error, "PSNR": point.psnr}
    return {
        "setting": point.setting,
        "bytes": point.total,
        "parts": point.parts,
        **{name: {**e.to_json(), "text": str(e)} for name, e in estimates.items()},
    }


def compress(
    opened: Opened,
    data: DataConfig | None = None,
    *,
    points: int = 6,
    split: str = "test",
    batch_size: int = 500,
    seed: int = 0,
    device: str = "auto",
    warn: Callable[[str], None] = lambda message: None,
) -> CompressResult:
    """Return the rate-distortion curve of a split's images: codes are rounded to multiples of a step, entropy-coded
    into bytes, read back and decoded, at `points` steps, each half of the one before.

    Raises ValueError for a model that is not of images, or whose codes do not differ.
    """
    import numpy as np
    import torch

    from thalweg.abilities import Decodes, Encodes
    from thalweg.checks import in_range
    from thalweg.devices import resolve_device
    from thalweg.evaluation.examples import Examples, frozen
    from thalweg.evaluation.measures.latents import codes_of
    from thalweg.evaluation.statistics.compression import curve, distortion
    from thalweg.evaluation.statistics.jpeg import jpeg_curves

    in_range("points", points, 1, 20)
    place, model, recipe = resolve_device(device), require(opened, Encodes, Decodes), opened.config.recipe
    if opened.spec.kind != "image":
        raise ValueError(f"dir: got {opened.path}, a {recipe} of {opened.spec.kind}s, wanted one of images")
    dataset = opened.data(data)
    spec, part = dataset.spec, dataset.split(split)
    protocol = {"data": spec.name, "fingerprint": spec.fingerprint, "split": split, "examples": len(part)}
    images, peak = np.asarray(part.x), (spec.levels or 2) - 1
    with frozen(model, place):
        examples = Examples(images, None, protocol, batch_size, seed, place)
        codes = codes_of(model, examples)
        spread = float(np.sqrt(codes.var(axis=0).mean()))
        if not spread > 0:
            raise ValueError(f"codes: got the same for all {len(codes)} examples, wanted codes that differ")

        def decode(z: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
            parts = torch.from_numpy(z).float().split(batch_size)
            return np.concatenate([model.decode(part.to(place)).cpu().numpy() for part in parts])

        steps = [COARSEST * spread / 2**i for i in range(points)]
        shared: dict[str, Any] = {"peak": peak, "varies": examples.varies, "protocol": protocol}
        curves = {recipe: curve(codes, decode, images, steps, **shared)}
        unquantized = distortion(images, decode(codes), **shared)
    try:
        curves |= jpeg_curves(images, QUALITIES, **shared)
    except ValueError as error:
        warn(f"no curve of JPEG: {error}")
    count = sum(p.numel() for p in opened.model.parameters())
    return CompressResult(curves, list(unquantized), count, len(images), spec.name, split)
