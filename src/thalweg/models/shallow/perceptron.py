"""The perceptron, a linear classifier that is corrected by its errors."""

from __future__ import annotations

from thalweg.models.shallow.linear import LinearClassifier

__all__ = ["Perceptron"]


class Perceptron(LinearClassifier):
    """Linear classifier for the loss max(0, −m) of the margin m, whose SGD is the perceptron rule, a ← a + y x.

    Only examples with m ≤ 0, the errors of the 0-1 loss, change A and b. If the classes are separable with margin γ by
    a vector of norm 1, and ‖x‖ ≤ R (x with a component 1 for b), single examples cause at most (R/γ)² changes. Two
    classes share one score, more have one each, as in `SVM`. The softmax of the logits is not a probability that the
    loss fits.

    Reference: *The Perceptron*, Frank Rosenblatt, 1958. *On Convergence Proofs for Perceptrons*, Albert Novikoff, 1962.

    >>> Perceptron((2,), classes=2, mean=(0.0, 0.0), std=(1.0, 1.0)).linear.weight.shape
    torch.Size([1, 2])
    """
