"""Logistic regression, the linear classifier of two classes with a probability."""

from __future__ import annotations

from collections.abc import Sequence

from thalweg.models.shallow.linear import LinearClassifier

__all__ = ["LogisticRegression"]


class LogisticRegression(LinearClassifier):
    """Two classes by one score z = aᵀx + b: P(second class|x) = 1/(1 + e⁻ᶻ), P(first class|x) = 1/(1 + eᶻ).

    The logits are (−z/2, z/2), whose softmax gives these probabilities. Maximum likelihood minimizes log(1 + e^{−yz})
    with y = −1 for the first class and +1 for the second.

    Raises ValueError unless there are two classes.

    Reference: *The Regression Analysis of Binary Sequences*, David Cox, 1958.

    >>> import torch
    >>> model = LogisticRegression((2,), classes=2, mean=(0.0, 0.0), std=(1.0, 1.0))
    >>> torch.softmax(model.logits(torch.zeros(1, 2)), 1).tolist()
    [[0.5, 0.5]]
    """

    def __init__(
        self,
        shape: Sequence[int],
        classes: int = 2,
        *,
        levels: int | None = None,
        mean: Sequence[float] = (),
        std: Sequence[float] = (),
    ) -> None:
        if classes != 2:
            raise ValueError(f"logistic-regression: got {classes} classes, wanted 2 (softmax-regression takes more)")
        super().__init__(shape, classes, levels=levels, mean=mean, std=std)
