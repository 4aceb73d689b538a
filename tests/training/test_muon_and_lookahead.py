"""Muon against the singular value decomposition and by hand, Lookahead against a plain loop, and their state."""

import pytest
import torch
from torch import nn

from thalweg.config import OptimizerConfig, TrainConfig
from thalweg.randomness import generator
from thalweg.training.muon import Muon, orthogonalized
from thalweg.training.optimizers import make_optimizer
from thalweg.training.player import Player
from thalweg.training.run import Stage
from toy_problems import Regression


def normal(*shape: int, name: str = "x") -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=generator(0, name))


@pytest.mark.system("S40")
@pytest.mark.parametrize("shape", [(6, 6), (4, 20), (20, 4), (1, 5)])
def test_newton_schulz_has_the_singular_vectors_of_its_matrix_and_values_near_one(shape):
    matrix = normal(*shape)
    u, s, v = torch.linalg.svd(matrix, full_matrices=False)
    got = orthogonalized(matrix)
    rotated = u.T @ got @ v.T
    values = rotated.diagonal()
    torch.testing.assert_close(rotated, torch.diag(values), atol=1e-10, rtol=0)
    assert s.min() > s.norm() / 300
    assert bool(((values > 0.65) & (values < 1.25)).all())
    torch.testing.assert_close(orthogonalized(7 * matrix), got, atol=1e-6, rtol=0)


@pytest.mark.system("S40")
def test_newton_schulz_reaches_its_stated_range_from_1_over_300():
    for share in torch.logspace(0, -2.47, 200, dtype=torch.float64):
        s = torch.stack([share, (1 - share.square()).clamp(min=1e-6).sqrt()])
        value = orthogonalized(torch.diag(s)).diagonal()[0]
        assert 0.65 < float(value) < 1.25, share


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(12, 4)).double()


@pytest.mark.system("S40")
@pytest.mark.parametrize("no_decay", [False, True])
def test_muon_updates_hidden_weights_by_directions_and_the_rest_by_nesterov_momentum(no_decay):
    model, theirs = network(), network()
    config = OptimizerConfig(name="muon", lr=0.1, momentum=0.6, weight_decay=0.2, no_decay=no_decay, vector_lr=0.02,
                             output_lr=0.4)  # fmt: skip
    optimizer = make_optimizer(config, model.parameters())
    hidden, output = theirs[0].weight, theirs[3].weight
    vectors = [theirs[0].bias, theirs[1].weight, theirs[1].bias, theirs[3].bias]
    decays = 0.2 * 0.1 / 0.4, 0.0 if no_decay else 0.2 * 0.1 / 0.02
    groups = [{"params": [output], "lr": 0.4, "weight_decay": decays[0]},
              {"params": vectors, "lr": 0.02, "weight_decay": decays[1]}]  # fmt: skip
    sgd = torch.optim.SGD(groups, momentum=0.85, nesterov=True)
    velocity = torch.zeros_like(hidden)
    for _ in range(5):
        for net in (model, theirs):
            for p in net.parameters():
                p.grad = torch.sin(5 * p.detach()) + 0.1
        optimizer.step()
        with torch.no_grad():
            velocity = 0.6 * velocity + hidden.grad
            direction = orthogonalized((hidden.grad + 0.6 * velocity).reshape(3, 18)).view(3, 2, 3, 3)
            hidden.copy_((1 - 0.1 * 0.2) * hidden - 0.1 * direction)
        sgd.step()
        for a, b in zip(model.parameters(), theirs.parameters(), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


@pytest.mark.system("S40")
@pytest.mark.parametrize("nesterov", [False, True])
def test_lookahead_is_five_steps_forward_and_one_back(nesterov):
    p = normal(4).requires_grad_()
    fast = slow = p.detach().clone()
    optimizer = make_optimizer(OptimizerConfig(name="lookahead", lr=0.1, nesterov=nesterov), [p])
    velocity = torch.zeros(4, dtype=torch.float64)
    for step in range(1, 24):
        p.grad = torch.sin(3 * p.detach())
        gradient = torch.sin(3 * fast)
        velocity = 0.9 * velocity + gradient
        fast = fast - 0.1 * (gradient + 0.9 * velocity if nesterov else velocity)
        if step % 5 == 0:
            slow = slow + 0.5 * (fast - slow)
            fast = slow
        optimizer.step()
        torch.testing.assert_close(p.detach(), fast, rtol=1e-12, atol=1e-12)


@pytest.mark.system("S5")
@pytest.mark.parametrize("name", ["muon", "lookahead"])
@pytest.mark.parametrize("first", [1, 5, 7])
def test_a_resumed_training_equals_one_that_was_not_stopped(name, first):
    config = OptimizerConfig(name=name, lr=0.05, weight_decay=0.01)

    def trained(player, steps):
        for step in steps:
            for p in player.parameters:
                p.grad = torch.sin((3 + step) * p.detach())
            player.step(step)
        return player

    def new():
        return Player(network(), config, rate=lambda step: 1 / (1 + step))

    straight = trained(new(), range(12))
    half = trained(new(), range(first)).state_dict()
    resumed = new()
    resumed.load_state_dict(half)
    trained(resumed, range(first, 12))
    for a, b in zip(straight.parameters, resumed.parameters, strict=True):
        assert torch.equal(a, b)


@pytest.mark.system("S43")
def test_a_schedule_multiplies_the_rate_of_every_group():
    config = OptimizerConfig(name="muon", lr=0.4, vector_lr=0.1, output_lr=0.8)
    player = Player(network(), config, rate=lambda step: 0.5)
    for p in player.parameters:
        p.grad = torch.ones_like(p)
    for _ in range(2):
        player.step(0)
        assert [group["lr"] for group in player.optimizer.param_groups] == [0.2, 0.4, 0.05]
    assert isinstance(player.optimizer, Muon)


@pytest.mark.parametrize("name", ["adam", "muon", "lookahead", "sgd"])
def test_another_optimizer_on_the_command_line_does_not_inherit_what_it_does_not_have(name):
    own = OptimizerConfig(name="momentum", lr=0.1, nesterov=True)
    stage = Stage(problem=Regression(), steps=1, batch_size=4, optimizers={"model": own})
    got = stage.configured(TrainConfig(optimizer=name)).optimizers["model"]
    assert (got.name, got.nesterov) == (name, name == "lookahead")
    assert stage.configured(TrainConfig(lr=0.2)).optimizers["model"].nesterov
    muon = Stage(problem=Regression(), steps=1, batch_size=4, optimizers={"model": OptimizerConfig(
        name="muon", vector_lr=0.1)})  # fmt: skip
    assert muon.configured(TrainConfig(optimizer=name)).optimizers["model"].vector_lr == (
        0.1 if name == "muon" else None
    )
    with pytest.raises(ValueError, match="vector_lr: got optimizer 'adam', wanted muon"):
        OptimizerConfig(vector_lr=0.1)
