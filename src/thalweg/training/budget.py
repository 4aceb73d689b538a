"""How long a stage is trained: a number of steps, or seconds of training."""

from __future__ import annotations

from thalweg.training.clock import Clock

__all__ = ["Budget"]


class Budget:
    """`steps`, or `seconds` of the clock, in which case `steps` is only the span of the learning-rate schedules."""

    def __init__(self, steps: int, seconds: float | None, clock: Clock) -> None:
        self.steps, self.seconds, self.clock = steps, seconds, clock

    def used_up(self, done: int) -> bool:
        """Return whether the budget is used up after `done` steps."""
        if self.seconds is not None:
            return self.clock.elapsed() >= self.seconds
        return done >= self.steps

    def schedule_step(self, done: int) -> int:
        """Return the step whose learning rate is used after `done` steps: with a clock, its share of `steps`."""
        if self.seconds is None:
            return done
        return int(self.steps * min(self.clock.elapsed() / self.seconds, 1.0))

    def expected(self, done: int, last: bool) -> int:
        """Return the expected total number of steps, for the progress display."""
        if self.seconds is None or last:
            return done if last else self.steps
        return max(done + 1, round(done * self.seconds / max(self.clock.elapsed(), 1e-9)))

    def why_used_up(self, done: int) -> str:
        """Return why nothing is left to train, and which option trains longer."""
        if self.seconds is None:
            return f"all {done} steps are done; --steps with a larger number trains longer"
        return "the time is used up; --minutes with a larger number trains longer"
