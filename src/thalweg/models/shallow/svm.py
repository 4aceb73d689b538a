"""The linear support vector machine."""

from __future__ import annotations

from thalweg.models.shallow.linear import LinearClassifier

__all__ = ["SVM"]


class SVM(LinearClassifier):
    """Linear classifier for the hinge loss max(0, 1 − m) of the margin m, with the penalty (λ/2)‖A‖²; b has none.

    Two classes share one score z = aᵀx + b, with margin m = yz, y = ±1. More classes have a score each, with the margin
    of Crammer and Singer, m = z_y − max_{k≠y} z_k, which is the same for the logits (−z/2, z/2) of two classes. The
    softmax of the logits is not a probability that the loss fits.

    Reference: *Support-Vector Networks*, Corinna Cortes, Vladimir Vapnik, 1995. *On the Algorithmic Implementation of
    Multiclass Kernel-based Vector Machines*, Koby Crammer, Yoram Singer, 2001.

    >>> [SVM((1, 8, 8), classes=k, levels=17).linear.out_features for k in (2, 3)]
    [1, 3]
    """
