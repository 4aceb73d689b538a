"""The loop against a plain torch loop; stopping, resuming, and losses that are not finite."""

import json
import math
import os
import signal
from dataclasses import replace

import pytest
import torch

from thalweg.batch import Batch
from thalweg.config import OptimizerConfig, TrainConfig
from thalweg.data import Augment, Target
from thalweg.devices import fast_matmul
from thalweg.problems.supervised import Supervised
from thalweg.randomness import fold
from thalweg.training import Interrupted, Loss, NonFinite, Run, Stage
from thalweg.training.distributed import World
from thalweg.training.stage_state import StageState
from toy_problems import IGNORED, KINDS, MASKS, SCENES, Cyclic, N, PerPixel, Regression, X, Y, regression_run, train_run


def weights(run: Run) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in run.model.parameters()])


def metrics(folder) -> list[dict]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k not in ("seconds", "memory")} for line in lines]


@pytest.mark.system("S5")
def test_one_player_equals_a_plain_torch_loop_bitwise():
    ours = train_run(regression_run(60, problem=Regression()))
    problem, source = Regression(), Cyclic(16)
    optimizer = torch.optim.Adam(problem.model.parameters(), lr=0.01, fused=True)
    with fast_matmul(torch.device("cpu")):
        for step in range(60):
            x, y = source.get(step)
            optimizer.zero_grad()
            (problem.model(x)[:, 0] - y).square().mean().backward()
            optimizer.step()
    assert torch.equal(weights(ours), torch.cat([p.detach().flatten() for p in problem.model.parameters()]))


@pytest.mark.system("S5")
@pytest.mark.parametrize("kind", ["mask", "tokens"])
@pytest.mark.parametrize("settings", [{}, {"accumulate": 4}, {"patience": 100, "ema": {"model": 0.9}}], ids=str)
def test_a_resumed_run_on_masks_or_tokens_equals_an_uninterrupted_one(tmp_path, kind, settings):
    runs = [regression_run(n, problem=KINDS[kind](), **settings) for n in (20, 7, 20)]
    for run, name in zip(runs, ("straight", "resumed", "resumed"), strict=True):
        train_run(run, tmp_path / name, log_every=3)
    straight, resumed = ((tmp_path / f / "model.safetensors").read_bytes() for f in ("straight", "resumed"))
    assert straight == resumed
    first, last = (metrics(tmp_path / "straight")[i]["loss"] for i in (0, -2 if "patience" in settings else -1))
    assert last < first


@pytest.mark.system("S5")
@pytest.mark.parametrize("settings", [{}, {"ema": {"model": 0.9}}, {"clip_norm": 0.1}, {"patience": 100}])
@pytest.mark.parametrize("optimizer", ["adam", "momentum", "rmsprop"])
def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path, settings, optimizer):
    settings = {"optimizers": {"model": OptimizerConfig(name=optimizer, lr=0.01)}, **settings}
    train_run(regression_run(100, **settings), tmp_path / "straight", log_every=7)
    train_run(regression_run(38, **settings), tmp_path / "resumed", log_every=7)
    train_run(regression_run(100, **settings), tmp_path / "resumed", log_every=7)
    straight, resumed = ((tmp_path / f / "model.safetensors").read_bytes() for f in ("straight", "resumed"))
    assert straight == resumed


def test_metrics_of_an_interrupted_run_equal_those_of_an_uninterrupted_one(tmp_path):
    train_run(regression_run(100), tmp_path / "straight", log_every=7)

    class Stopping(Regression):
        def loss(self, player, batch):
            if Stopping.seen == 38:
                os.kill(os.getpid(), signal.SIGTERM)
            Stopping.seen += 1
            return super().loss(player, batch)

    Stopping.seen = 0
    with pytest.raises(Interrupted, match="SIGTERM after step 39") as stopped:
        train_run(regression_run(100, problem=Stopping(0.1)), tmp_path / "resumed", log_every=7)
    assert stopped.value.signum == signal.SIGTERM
    assert not (tmp_path / "resumed" / "model.safetensors").exists()
    train_run(regression_run(100), tmp_path / "resumed", log_every=7)
    assert metrics(tmp_path / "straight") == metrics(tmp_path / "resumed")


@pytest.mark.parametrize("kind", KINDS)
def test_accumulated_micro_batches_equal_the_joint_batch(kind):
    sgd = {"model": OptimizerConfig(name="sgd", lr=0.05)}  # Adam would hide a wrong scale
    joint = train_run(regression_run(30, problem=KINDS[kind](), optimizers=sgd))
    pieces = train_run(regression_run(30, problem=KINDS[kind](), optimizers=sgd, accumulate=4))
    assert torch.allclose(weights(joint), weights(pieces), atol=1e-6)
    assert not torch.allclose(
        weights(joint), torch.cat([p.detach().flatten() for p in KINDS[kind]().model.parameters()])
    )
    with pytest.raises(ValueError, match="accumulate: got 3, wanted a divisor of the batch size 16"):
        regression_run(30, accumulate=3)


def test_averaged_weights_follow_their_recursion():
    run = train_run(regression_run(5, problem=Regression(), ema={"model": 0.9}))
    problem, source = Regression(), Cyclic(16)
    optimizer = torch.optim.Adam(problem.model.parameters(), lr=0.01, fused=True)
    mean = [p.detach().clone() for p in problem.model.parameters()]
    for step in range(5):
        x, y = source.get(step)
        optimizer.zero_grad()
        (problem.model(x)[:, 0] - y).square().mean().backward()
        optimizer.step()
        decay = min(0.9, (2 + step) / (11 + step))
        mean = [decay * m + (1 - decay) * p.detach() for m, p in zip(mean, problem.model.parameters(), strict=True)]
    assert torch.allclose(weights(run), torch.cat([m.flatten() for m in mean]), atol=1e-6)


def test_clipping_bounds_the_norm_of_all_gradients():
    run = train_run(
        regression_run(
            1, problem=Regression(), clip_norm=1e-3, optimizers={"model": OptimizerConfig(name="sgd", lr=1.0)}
        )
    )
    moved = weights(run) - torch.cat([p.detach().flatten() for p in Regression().model.parameters()])
    assert float(moved.norm()) == pytest.approx(1e-3, rel=1e-4)


@pytest.mark.system("S39")
def test_early_stopping_keeps_model_and_optimizer_of_the_best_step(tmp_path):
    class Worsening(Regression):
        """Minimizes the loss for 20 steps and maximizes it afterwards."""

        def loss(self, player, batch):
            loss = super().loss(player, batch)
            self.calls = getattr(self, "calls", 0) + torch.is_grad_enabled()
            return Loss(-loss.values) if self.calls > 20 and torch.is_grad_enabled() else loss

    problem = Worsening()
    sgd = {"model": OptimizerConfig(name="sgd", lr=0.01)}
    run = regression_run(500, problem=problem, patience=3, validate_every=5, optimizers=sgd)
    train_run(run, tmp_path / "run", log_every=5)
    lines = [line for line in metrics(tmp_path / "run") if "validation/loss" in line]
    best = min(lines, key=lambda line: line["validation/loss"])
    assert best["step"] == 20
    assert lines[-1]["step"] == 35  # three validations without progress
    with torch.no_grad():
        kept = float((run.model(X)[:, 0] - Y).square().mean())
    assert kept == pytest.approx(best["validation/loss"], rel=1e-6)
    again = regression_run(500, problem=Worsening(), patience=3, validate_every=5, optimizers=sgd)
    assert torch.equal(weights(train_run(again)), weights(run))  # without a folder, too


def test_validation_is_weighted_by_examples():
    run = regression_run(1, problem=Regression(), validate_every=1)
    data = [(X[:70], Y[:70]), (X[70:], Y[70:])]
    game = StageState(run.stages[0], Cyclic(16), TrainConfig(), torch.device("cpu"), World())
    value = game.validate(data)["loss"]
    with torch.no_grad():
        expected = float((run.model(X)[:, 0] - Y).square().mean())
    assert value == pytest.approx(expected, rel=1e-6)
    assert run.model.training


class Exploding(Regression):
    """Its loss is NaN from call number `at` on."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.at = at

    def loss(self, player, batch):
        loss = super().loss(player, batch)
        self.at -= 1
        return Loss(loss.values * (float("nan") if self.at < 0 else 1.0))


def test_a_loss_that_is_not_finite_names_step_player_and_last_good_checkpoint(tmp_path):
    with pytest.raises(NonFinite, match=r"the loss of model is nan at step 48; the last good checkpoint is .*000040"):
        train_run(regression_run(100, problem=Exploding(47)), tmp_path / "run", checkpoint_every=20)
    assert sorted(p.name[:16] for p in (tmp_path / "run/checkpoints").iterdir()) == [
        "step-0-000000020",
        "step-0-000000040",
    ]
    assert not (tmp_path / "run/model.safetensors").exists()


def test_parameters_that_are_not_finite_are_never_saved(tmp_path):
    class Poisoned(Regression):
        def project(self, player):
            self.model.weight.fill_(float("inf"))

    with pytest.raises(NonFinite, match="a parameter of model is not finite after step 1; no checkpoint"):
        train_run(regression_run(1, problem=Poisoned()), tmp_path / "run")
    assert list((tmp_path / "run").glob("checkpoints/*")) == []


def test_the_global_generator_is_seeded_by_the_step_and_restored():
    drawn = {}

    class Dropping(Regression):
        def loss(self, player, batch):
            drawn[len(drawn)] = torch.rand(1).item()
            return super().loss(player, batch)

    torch.manual_seed(7)
    expected_after = torch.rand(1)
    torch.manual_seed(7)
    train_run(regression_run(5, problem=Dropping()))
    assert len(set(drawn.values())) == 5
    # Constructing the problem seeds the generator with 0; training must leave that state alone.
    torch.manual_seed(7)
    run = regression_run(5, problem=Dropping())
    torch.manual_seed(7)
    train_run(run)
    assert torch.equal(torch.rand(1), expected_after)


def test_two_stages_share_one_folder_and_one_resume(tmp_path):
    def run(steps):
        first, second = Regression(0.1), Regression(0.1)
        model = torch.nn.ModuleDict({"first": first.model, "second": second.model})
        stages = (
            Stage(problem=first, steps=20, batch_size=16, name="first"),
            Stage(problem=second, steps=steps, batch_size=16, name="second"),
        )
        return Run(model, stages)

    train_run(run(30), tmp_path / "straight")
    train_run(run(11), tmp_path / "resumed")
    train_run(run(30), tmp_path / "resumed")
    straight, resumed = ((tmp_path / f / "model.safetensors").read_bytes() for f in ("straight", "resumed"))
    assert straight == resumed
    assert [line["stage"] for line in metrics(tmp_path / "straight")] == [0, 1]


def test_settings_override_what_the_recipe_chose():
    run = regression_run(10).configured(
        TrainConfig(steps=3, lr=0.5, optimizer="momentum", nesterov=True, weight_decay=0.1, no_decay=True,
                    schedule="cosine", batch_size=8, ema=0.5, update="extragradient")
    )  # fmt: skip
    stage = run.stages[0]
    assert (stage.steps, stage.batch_size, stage.ema) == (3, 8, {"model": 0.5})
    assert stage.optimizers["model"] == OptimizerConfig(
        name="momentum", lr=0.5, nesterov=True, weight_decay=0.1, no_decay=True
    )
    assert stage.schedules["model"].name == "cosine"
    assert type(stage.update).__name__ == "Extragradient"


def test_bf16_trains_close_to_float32():
    exact, rough = train_run(regression_run(50)), train_run(regression_run(50), precision="bf16")
    assert torch.allclose(weights(exact), weights(rough), atol=0.05)
    assert not torch.equal(weights(exact), weights(rough))


def test_noise_differs_by_step_and_player():
    assert len({fold(0, "noise", step, player) for step in range(50) for player in ("a", "b")}) == 100


def test_tensorboard_events_are_written(tmp_path):
    train_run(regression_run(20), tmp_path / "run", tensorboard=True, log_every=10)
    assert list((tmp_path / "run/tensorboard").glob("events.out.tfevents.*"))


@pytest.mark.system("S43")
@pytest.mark.oracle("O25")
def test_a_schedule_may_be_any_function_of_the_step(tmp_path):
    # A base rate of 1e-2 and the factor 1/(epoch+1); 1/epoch would divide by zero at epoch 0.
    per_epoch = N // 16
    settings = {"schedules": {"model": lambda step: 1 / (step // per_epoch + 1)}}
    settings |= {"optimizers": {"model": OptimizerConfig(name="sgd", lr=1e-2)}}
    train_run(regression_run(3 * per_epoch, **settings), tmp_path / "run", log_every=per_epoch)
    assert [line["lr"] for line in metrics(tmp_path / "run")] == pytest.approx([1e-2, 5e-3, 1e-2 / 3])


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")  # from within the compiler
def test_compiled_run_has_the_same_names_and_nearly_the_same_weights(tmp_path):
    class Deep(Regression):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.model = torch.nn.Sequential(torch.nn.Linear(5, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1))
            self.players = {"model": self.model}

    plain = train_run(regression_run(20, problem=Deep()))
    compiled = train_run(regression_run(20, problem=Deep()), tmp_path / "run", compile=True)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] > 0  # it was really compiled
    assert list(plain.model.state_dict()) == list(compiled.model.state_dict())
    assert torch.allclose(weights(plain), weights(compiled), atol=1e-5)
    again = train_run(regression_run(20, problem=Deep()), tmp_path / "run")  # the checkpoint fits the plain model
    assert torch.equal(weights(again), weights(compiled))


@pytest.mark.system("S31")
def test_augmentation_is_a_function_of_the_batch_and_only_used_in_training():
    seen = []

    def augment(batch):
        seen.append((len(batch), batch.seed, tuple(batch.rows)))
        return replace(batch, x=batch.x + 1)

    run = regression_run(3, problem=Regression(), augment=augment, accumulate=2, validate_every=1)
    train_run(run)
    assert [(n, rows) for n, _, rows in seen] == [(16, (0, 16, 16))] * 3  # once per batch, never on validation data
    again = list(seen)
    seen.clear()
    train_run(regression_run(3, problem=Regression(), augment=augment))
    assert seen == again
    assert len({seed for _, seed, _ in seen}) == 3


@pytest.mark.system("S31")
@pytest.mark.parametrize("accumulate", [1, 4])
def test_micro_batches_see_masks_that_moved_with_their_images(accumulate):
    seen = []

    class Looking(PerPixel):
        def loss(self, player, batch):
            if torch.is_grad_enabled():
                seen.append((batch.x, batch.y))
            return super().loss(player, batch)

    target = Target(kind="mask", shape=(6, 6), ignored=IGNORED)
    augment = Augment(crop=2, hflip=True, vflip=True, target=target)
    train_run(regression_run(3, problem=Looking(), augment=augment, accumulate=accumulate))
    x, y = (torch.cat(parts) for parts in zip(*seen, strict=True))
    expected = [
        augment(Batch(SCENES[a : a + 16], MASKS[a : a + 16], fold(fold(0, "noise", "train"), "augment", a // 16)))
        for a in (0, 16, 32)
    ]
    assert torch.equal(x, torch.cat([batch.x for batch in expected]))
    assert torch.equal(y, torch.cat([batch.y for batch in expected]))
    known = y != IGNORED
    assert torch.equal((x[:, 0] > 127).long()[known], y[known])
    assert not torch.equal(y, MASKS[:48])


def mixup(batch):
    """Mix each example, and its label as probabilities, with its neighbor in the joint batch."""
    share = batch.uniform("mix", 1)[:, :1]
    y = torch.nn.functional.one_hot(batch.y, 3).float()
    x, labels = (share * a + (1 - share) * a.roll(1, 0) for a in (batch.x, y))
    return replace(batch, x=x, y=labels)


@pytest.mark.system("S31")
@pytest.mark.parametrize("accumulate", [1, 4])
def test_an_augmentation_may_mix_labels_into_probabilities(accumulate):
    def problem():
        torch.manual_seed(0)
        result = Supervised(torch.nn.Linear(5, 3))
        result.data = (X, torch.arange(N) % 3)
        return result

    sgd = OptimizerConfig(name="sgd", lr=0.5)
    run = regression_run(4, problem=problem(), augment=mixup, accumulate=accumulate, optimizers={"model": sgd})
    train_run(run)
    known = problem()
    optimizer = torch.optim.SGD(known.model.parameters(), lr=0.5)
    for step in range(4):
        x, y = Cyclic(16, data=known.data).get(step)
        mixed = mixup(Batch(x, y, fold(fold(0, "noise", "train"), "augment", step)))
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(known.model(mixed.x), mixed.y).backward()
        optimizer.step()
    assert torch.allclose(weights(run), torch.cat([p.detach().flatten() for p in known.model.parameters()]), atol=1e-6)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        *(({name: -1}, f"{name}: got -1, wanted a number greater than 0") for name in (
            "steps", "batch_size", "accumulate", "clip_norm", "validate_every", "patience", "seconds")),
        ({"clip_norm": math.nan}, "clip_norm: got nan, wanted a number greater than 0"),
        *(({"ema": {"model": ema}}, rf"ema of model: got {ema}, wanted a decay in \[0, 1\)") for ema in (2, 1.0, -0.1)),
        *(({"swa": {"model": x}}, rf"swa of model: got {x}, wanted a share in \(0, 1\]") for x in (0, 1.5, math.nan)),
        ({"swa": {"model": 0.5}, "ema": {"model": 0.9}}, "swa of model: got 0.5 beside ema 0.9, wanted one of them"),
        ({"ema": {"critic": 0.5}}, "player: got 'critic', wanted one of model"),
    ],
)  # fmt: skip
def test_a_stage_refuses_settings_out_of_range(settings, message):
    with pytest.raises(ValueError, match=message):
        Stage(**{"problem": Regression(), "steps": 1, "batch_size": 16} | settings)
