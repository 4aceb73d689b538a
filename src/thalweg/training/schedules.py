"""Learning-rate schedules as functions of the step, so that a resumed run needs no state."""

from __future__ import annotations

import math

from thalweg.config import ScheduleConfig

__all__ = ["factor"]


def factor(config: ScheduleConfig, step: int, *, horizon: int, epoch: float = 0.0) -> float:
    """Return the factor on the base learning rate at `step` (0 is the first), after `epoch` passes through the data.

    With t steps since the warm-up:

    - constant, warm-up: 1
    - exponential: γ^⌊epoch⌋
    - per-epoch: 1/(⌊epoch⌋+1)
    - per-sqrt-step: 1/√(t+1)
    - step: `drop` to the power of the number of milestones reached, which are shares of the horizon
    - linear: 1 − t/T, with T the steps left of the horizon; 0 after it
    - cosine: floor + (1−floor)(1+cos πt/T)/2, with T the `period` or, by default, the steps left of the `horizon`
    - cosine-restarts: the same with t mod T

    Warm-up is linear over `config.warmup` steps, (step+1)/warmup. After T the plain cosine rises again.

    Reference: *SGDR: Stochastic Gradient Descent with Warm Restarts*, Ilya Loshchilov, Frank Hutter, 2017,
    arXiv:1608.03983.

    >>> [round(factor(ScheduleConfig(name="cosine", floor=0.1, period=4), t, horizon=8), 6) for t in range(5)]
    [1.0, 0.868198, 0.55, 0.231802, 0.1]
    """
    if step < config.warmup:
        return (step + 1) / config.warmup
    t = step - config.warmup
    match config.name:
        case "exponential":
            return config.gamma ** math.floor(epoch)
        case "per-epoch":
            return 1 / (math.floor(epoch) + 1)
        case "per-sqrt-step":
            return 1 / math.sqrt(t + 1)
        case "step":
            return config.drop ** sum(step >= share * horizon for share in config.milestones)
        case "linear":
            return max(0.0, 1 - t / max(horizon - config.warmup, 1))
        case "cosine" | "cosine-restarts":
            period = config.period or max(horizon - config.warmup, 1)
            if config.name == "cosine-restarts":
                t %= period
            return config.floor + (1 - config.floor) * (1 + math.cos(math.pi * t / period)) / 2
        case _:
            return 1.0
