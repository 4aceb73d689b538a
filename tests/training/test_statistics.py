"""Batch normalization with averaged weights: statistics in closed form, after training and within a validation."""

import numpy as np
import pytest
import torch
from torch import nn

from thalweg.config import DataConfig, OptimizerConfig, RunConfig, TrainConfig
from thalweg.data import load
from thalweg.nn.flow_batch_norm import FlowBatchNorm
from thalweg.randomness import fold
from thalweg.recipes.runs import Chunks, build
from thalweg.training import Batch, Loss, Problem, Run, Sources, Stage, train
from thalweg.training.distributed import World
from thalweg.training.stage_state import StageState
from thalweg.training.statistics import STATISTICS_BATCHES
from toy_problems import Cyclic, X, Y, train_run

CPU = torch.device("cpu")


class Normalized(Problem):
    """Least squares by a network with batch normalization after its first layer, and dropout."""

    def __init__(self, norm: type[nn.Module] = nn.BatchNorm1d) -> None:
        torch.manual_seed(0)
        self.model = nn.ModuleDict(
            {"first": nn.Linear(5, 4), "norm": norm(4), "dropout": nn.Dropout(0.5), "last": nn.Linear(4, 1)}
        )
        self.players = {"model": self.model}

    def normalized(self, x: torch.Tensor) -> torch.Tensor:
        out = self.model["norm"](self.model["first"](x))
        return out if isinstance(out, torch.Tensor) else out.value

    def loss(self, player: str, batch: Batch) -> Loss:
        x = batch.x + 0.1 * batch.normal("inputs", 5)
        return Loss((self.model["last"](self.model["dropout"](self.normalized(x)))[:, 0] - batch.y).square())


def run_of(problem: Normalized, **settings) -> Run:
    settings = {"optimizers": {"model": OptimizerConfig(lr=0.05)}, "ema": {"model": 0.9}} | settings
    return Run(problem.model, (Stage(problem=problem, steps=30, batch_size=16, **settings),))


def expected(problem: Normalized, unbiased: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the means over batches of the mean and the variance of the outputs of the first layer."""
    seed = fold(0, "noise", "train")
    activations = []
    for number in range(STATISTICS_BATCHES):
        x = Cyclic(16).get(number)[0]
        noisy = x + 0.1 * Batch(x, seed=fold(seed, "statistics", number)).normal("inputs", 5)
        activations.append(problem.model["first"](noisy).detach())
    means = torch.stack([a.mean(0) for a in activations]).mean(0)
    return means, torch.stack([a.var(0, correction=int(unbiased)) for a in activations]).mean(0)


@pytest.mark.parametrize(
    ("norm", "average"),
    [
        (nn.BatchNorm1d, {"ema": {"model": 0.9}}),
        (FlowBatchNorm, {"ema": {"model": 0.9}}),
        pytest.param(nn.BatchNorm1d, {"swa": {"model": 0.5}}, marks=pytest.mark.system("S47")),
    ],
)
def test_statistics_are_those_of_the_averaged_weights_on_the_first_batches(norm, average):
    problem = Normalized(norm)
    train_run(run_of(problem, **{"ema": {}} | average))
    layer = problem.model["norm"]
    kept = (layer.running_mean, layer.running_var) if norm is nn.BatchNorm1d else (layer.mean, layer.variance)
    for value, wanted in zip(kept, expected(problem, norm is nn.BatchNorm1d), strict=True):
        assert torch.allclose(value, wanted, rtol=1e-4, atol=1e-5)
    assert layer.momentum == pytest.approx(0.1)
    assert not problem.model.training
    assert not layer.training


def test_without_averaged_weights_statistics_stay_as_training_left_them():
    problem, plain = Normalized(), Normalized()
    train_run(run_of(problem, ema={}))
    source, seed = Cyclic(16), fold(0, "noise", "train")
    optimizer = torch.optim.Adam(plain.model.parameters(), lr=0.05, fused=True)
    with torch.random.fork_rng():
        for step in range(30):
            x, y = source.get(step)
            optimizer.zero_grad()
            noise = fold(seed, step, 0, "model")
            torch.default_generator.manual_seed(noise)
            plain.loss("model", Batch(x, y, noise)).values.mean().backward()
            optimizer.step()
    assert torch.allclose(problem.model["norm"].running_mean, plain.model["norm"].running_mean, atol=1e-5)


@pytest.mark.parametrize("average", [{"ema": {"model": 0.9}}, {"ema": {}, "swa": {"model": 0.5}}], ids=["EMA", "SWA"])
def test_a_validation_uses_them_and_restores_the_state_of_training(average):
    problem = Normalized()
    stage = run_of(problem, **average).stages[0]
    game = StageState(stage, Cyclic(16), TrainConfig(), CPU, World())
    for step in range(20):
        game.step(step)
    before = {name: value.clone() for name, value in problem.model.state_dict().items()}
    value = game.validate([(X, Y)])["loss"]
    assert all(torch.equal(v, before[name]) for name, v in problem.model.state_dict().items())
    assert problem.model["norm"].training
    averaged = Normalized()
    averaged.model.load_state_dict(before)
    with torch.no_grad():
        for own, mean in zip(averaged.model.parameters(), game.players["model"].average, strict=True):
            own.copy_(mean)
    means, variances = expected(averaged, True)
    averaged.model["norm"].running_mean.copy_(means)
    averaged.model["norm"].running_var.copy_(variances)
    averaged.model.eval()
    wanted = averaged.loss("model", Batch(X, Y, fold(game.seed, "validate", 0))).values.mean().item()
    assert value == pytest.approx(wanted, rel=1e-4)


def moments(maps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the mean and the unbiased variance of each channel."""
    return maps.mean((0, 2, 3)), maps.var((0, 2, 3))


def test_samples_of_a_dcgan_use_the_statistics_of_its_averaged_generator():
    data = DataConfig(source="digits", examples=200)
    settings = TrainConfig(steps=12, batch_size=16, device="cpu", ema=0.9, lr=1e-2)
    dataset = load(data)
    run = build(
        RunConfig(recipe="dcgan", data=data, options={"hidden": 8, "latent_dim": 4}, train=settings), dataset.spec
    )
    x = torch.from_numpy(np.array(dataset.train.x))

    class Fixed:
        def get(self, step):
            return x[16 * (step % 8) :][:16], None

        def epoch(self, step):
            return step / 8

    train(run, lambda stage, world: Sources(Fixed(), Chunks(dataset.validation, CPU)), settings)
    generator, name = run.model.generator, run.stages[0].name
    (first, *_) = [layer for layer in generator.modules() if isinstance(layer, nn.BatchNorm2d)]
    seeds = [fold(fold(0, "noise", name), "statistics", number) for number in range(STATISTICS_BATCHES)]
    with torch.no_grad():
        before = nn.Sequential(*list(generator)[: list(generator).index(first)])
        maps = [before(Batch(x[:16], seed=seed).normal("z", 4)) for seed in seeds]
    means, variances = (torch.stack(values).mean(0) for values in zip(*map(moments, maps), strict=True))
    assert torch.allclose(first.running_mean, means, rtol=1e-3, atol=1e-5)
    assert torch.allclose(first.running_var, variances, rtol=1e-3, atol=1e-5)
    assert not generator.training
