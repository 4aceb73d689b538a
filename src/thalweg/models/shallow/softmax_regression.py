"""Softmax regression, the linear classifier of any number of classes."""

from __future__ import annotations

from thalweg.models.shallow.linear import LinearClassifier

__all__ = ["SoftmaxRegression"]


class SoftmaxRegression(LinearClassifier):
    """Linear classifier, P(y|x) = softmax(A x + b): images flattened and scaled to [0, 1], vectors standardized.

    A and b are initialized with 0, where every class is equally likely; the loss is convex, so the initialization does
    not matter.

    `shape` is that of one example, `classes` their number. `levels` is the number of quantization levels of images;
    vectors (None) need `mean` and `std`.

    Reference: *Generalized Linear Models*, Peter McCullagh, John Nelder, 1989, chapter 5.

    >>> import torch
    >>> model = SoftmaxRegression((1, 28, 28), classes=10, levels=256)
    >>> model.logits(torch.zeros(2, 1, 28, 28, dtype=torch.uint8)).shape
    torch.Size([2, 10])
    """

    one_score = False
