"""Learning-rate schedules against those of torch and against their formulas."""

import math

import pytest
import torch

from thalweg.config import ScheduleConfig
from thalweg.training.schedules import factor


def sequence(n: int, *, horizon: int = 8, per_epoch: int = 1, **config) -> list[float]:
    schedule = ScheduleConfig(**config)
    return [factor(schedule, t, horizon=horizon, epoch=t / per_epoch) for t in range(n)]


def torch_sequence(n: int, make) -> list[float]:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = make(optimizer)
    rates = []
    for _ in range(n):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


@pytest.mark.system("S43")
@pytest.mark.oracle("O25")
def test_cosine_with_a_floor():
    expected = [1, 0.868198, 0.55, 0.231802, 0.1, 0.231802, 0.55, 0.868198, 1]
    assert sequence(9, name="cosine", floor=0.1, period=4) == pytest.approx(expected, abs=1e-6)
    torch_rates = torch_sequence(9, lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 4, eta_min=0.1))
    assert sequence(9, name="cosine", floor=0.1, period=4) == pytest.approx(torch_rates)


@pytest.mark.system("S43")
def test_cosine_restarts():
    torch_rates = torch_sequence(12, lambda o: torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(o, 4, eta_min=0.1))
    assert sequence(12, name="cosine-restarts", floor=0.1, period=4) == pytest.approx(torch_rates)


@pytest.mark.system("S43")
@pytest.mark.oracle("O25")
def test_rate_over_epoch_plus_one_is_finite_at_epoch_zero():
    rates = [1e-2 * f for f in sequence(6, name="per-epoch", per_epoch=2)]
    assert rates == pytest.approx([1e-2, 1e-2, 5e-3, 5e-3, 1e-2 / 3, 1e-2 / 3])


@pytest.mark.system("S43")
def test_exponential_is_per_epoch():
    assert sequence(6, name="exponential", gamma=0.9, per_epoch=2) == pytest.approx([1, 1, 0.9, 0.9, 0.81, 0.81])


@pytest.mark.system("S43")
def test_inverse_root_of_the_step():
    assert sequence(4, name="per-sqrt-step") == pytest.approx([1, 1 / math.sqrt(2), 1 / math.sqrt(3), 0.5])


@pytest.mark.system("S43")
def test_warm_up_comes_before_any_schedule():
    assert sequence(6, name="warm-up", warmup=4) == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1])
    rates = sequence(13, name="cosine", warmup=4, horizon=12)
    assert rates[:5] == pytest.approx([0.25, 0.5, 0.75, 1, 1])
    assert rates[12] == pytest.approx(0)


@pytest.mark.system("S43")
@pytest.mark.parametrize(("warmup", "first", "second"), [(0, 1.0, 1.0), (5, 0.2, 1.0), (10, 0.1, 0.6)])
def test_a_step_schedule_after_warm_up_has_these_values(warmup, first, second):
    """200 epochs of 5 steps: a schedule that is a product of state kept a rate of the warm-up for 100 epochs."""
    schedule = ScheduleConfig(name="step", warmup=warmup, milestones=(0.5, 0.75))
    rates = {epoch: factor(schedule, 5 * epoch, horizon=1000, epoch=epoch) for epoch in (0, 1, 2, 99, 100, 149, 150)}
    expected = {0: first, 1: second, 2: 1, 99: 1, 100: 0.1, 149: 0.1, 150: 0.01}
    assert rates == pytest.approx(expected)
    assert factor(schedule, 499, horizon=1000) == 1
    torch_rates = torch_sequence(200, lambda o: torch.optim.lr_scheduler.MultiStepLR(o, [100, 150], gamma=0.1))
    plain = [factor(ScheduleConfig(name="step"), t, horizon=200) for t in range(200)]
    assert plain == pytest.approx(torch_rates)


@pytest.mark.system("S43")
def test_a_linear_schedule_falls_to_zero_after_the_last_step():
    assert sequence(10, name="linear") == pytest.approx([1, 7 / 8, 6 / 8, 5 / 8, 4 / 8, 3 / 8, 2 / 8, 1 / 8, 0, 0])
    torch_rates = torch_sequence(9, lambda o: torch.optim.lr_scheduler.LinearLR(o, 1.0, 0.0, total_iters=8))
    assert sequence(9, name="linear") == pytest.approx(torch_rates)
    assert sequence(8, name="linear", warmup=4) == pytest.approx([0.25, 0.5, 0.75, 1, 1, 0.75, 0.5, 0.25])


def test_refusals_of_steps():
    with pytest.raises(ValueError, match=r"milestones: got 1.5, wanted"):
        ScheduleConfig(name="step", milestones=(0.5, 1.5))
    with pytest.raises(ValueError, match=r"drop: got 0"):
        ScheduleConfig(name="step", drop=0)
