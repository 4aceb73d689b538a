"""Student's interval of a mean."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["student"]


def student(values: ArrayLike) -> float:
    """Return the half-width t₀.₉₇₅(n−1) s / √n of Student's interval of the mean of `values`; infinite for one value.

    >>> student([1.0, 1.0, 1.0])
    0.0
    """
    import numpy as np
    from scipy.special import stdtrit

    array = np.asarray(values, dtype=np.float64)
    if len(array) < 2:
        return math.inf
    return float(stdtrit(len(array) - 1, 0.975) * array.std(ddof=1) / math.sqrt(len(array)))
