"""Coverage of the modes of a known mixture, and the share of samples near a mode."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from thalweg.evaluation.draws import BLOCKS, Draws
from thalweg.evaluation.estimates.estimate import Estimate
from thalweg.evaluation.estimates.intervals import jackknifed, rate

__all__ = ["HasModes", "mode_measures", "nearest_mode"]

RADIUS = 3.0  # standard deviations of a mode, as in the papers cited below


@runtime_checkable
class HasModes(Protocol):
    """A mixture of isotropic components: their means (K, d) and standard deviations (K,)."""

    means: Sequence[Sequence[float]]
    stds: Sequence[float]


def nearest_mode(x: Tensor, density: HasModes) -> tuple[Tensor, Tensor]:
    """Return the nearest mode (n,) of each of `x` (n, d), and the distance (n,) in standard deviations of the mode.

    >>> from types import SimpleNamespace
    >>> two = SimpleNamespace(means=[[0.0, 0.0], [4.0, 0.0]], stds=[0.5, 2.0])
    >>> nearest_mode(torch.tensor([[0.5, 0.0], [2.0, 0.0]]), two)
    (tensor([0, 1]), tensor([1., 1.], dtype=torch.float64))
    """
    means, stds = (torch.as_tensor(a, dtype=torch.float64) for a in (density.means, density.stds))
    if x.shape[1:] != means.shape[1:]:
        raise ValueError(f"x: got shape {tuple(x.shape)}, wanted (n, {means.shape[1]}) as the modes")
    apart, mode = (torch.cdist(x.double(), means) / stds).min(dim=1)
    return mode, apart


def mode_measures(draws: Draws) -> list[Estimate]:
    """Return how many modes of the true mixture have a good sample, and the share of good samples.

    A sample is good if it is within three standard deviations of its nearest mode, in any dimension; a mode is found if
    it is the nearest mode of a good sample.

    Reference: *VEEGAN: reducing mode collapse in GANs using implicit variational learning*, A. Srivastava et al., 2017,
    arXiv:1705.07761. *PacGAN: the power of two samples in generative adversarial networks*, Z. Lin et al., 2018,
    arXiv:1712.04086.
    """
    from scipy.special import gammainc

    x, density = draws.fake.raw, draws.reference.density
    assert isinstance(density, HasModes)  # otherwise the measure is not computed
    mode, apart = nearest_mode(x, density)
    modes, good = len(density.means), apart <= RADIUS
    blocks = torch.arange(len(x)) % BLOCKS

    def count_without(out: int) -> int:
        return len(mode[good & (blocks != out)].unique())

    fields = draws.fields(len(draws.real.features), len(x), radius=f"{RADIUS:g} standard deviations of the mode")
    del fields["protocol"]["features"]  # this measure uses the samples themselves
    fields["better"] = "higher"
    left_out = [count_without(block) for block in range(BLOCKS)]
    counted = jackknifed(
        "modes found", count_without(-1), left_out, unit=f"of {modes} modes", least=0, most=modes, **fields
    )
    # |z|² of a standard normal vector in d dimensions is Gamma(d/2) with rate ½
    own = 100 * float(gammainc(x.shape[1] / 2, RADIUS**2 / 2))
    fields |= {"kind": "estimate", "method": {"of the truth itself, %": round(own, 2)}}
    n = fields.pop("n")
    return [counted, rate("good samples", int(good.sum()), n, **fields)]
