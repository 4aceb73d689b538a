"""Over- and underfitting: a diagnosis from the training loss and the test loss."""

from __future__ import annotations

from typing import Literal

__all__ = ["diagnose"]

Diagnosis = Literal["fits", "underfits", "overfits", "underfits and overfits"]


def diagnose(train: float, test: float, *, wanted: float, gap: float) -> Diagnosis:
    """Return whether a model with these losses underfits, overfits, does both, or fits.

    It underfits if the training loss is above `wanted`, the loss that a good model has (noise has a loss above 0), and
    overfits if test − train is above `gap`. A small gap alone does not mean that a model underfits: the ideal model
    has one as well.

    Raises `ValueError` if the gap is negative.

    Reference: *Deep Learning*, Ian Goodfellow, Yoshua Bengio, Aaron Courville, MIT Press, 2016, section 5.2.

    >>> diagnose(0.9, 0.95, wanted=0.2, gap=0.1), diagnose(0.15, 0.2, wanted=0.2, gap=0.1)
    ('underfits', 'fits')
    """
    if gap < 0:
        raise ValueError(f"gap: got {gap}, wanted at least 0")
    under, over = train > wanted, test - train > gap
    if under and over:
        return "underfits and overfits"
    return "underfits" if under else "overfits" if over else "fits"
