"""Optimizers against their recursions, and against those of torch."""

import pytest
import torch

from thalweg.config import OptimizerConfig
from thalweg.training.optimizers import make_optimizer
from thalweg.training.player import Player


def steps(config: OptimizerConfig, gradients: list[float], start: float = 1.0) -> torch.Tensor:
    p = torch.tensor([start], dtype=torch.float64, requires_grad=True)
    optimizer = make_optimizer(config, [p])
    for g in gradients:
        p.grad = torch.tensor([g], dtype=torch.float64)
        optimizer.step()
    steps.optimizer, steps.state = optimizer, optimizer.state[p]
    return p.detach()[0]


@pytest.mark.system("S40")
@pytest.mark.oracle("O22")
def test_momentum_accumulates_without_dampening():
    g = 2.0
    p = steps(OptimizerConfig(name="momentum", lr=0.1), [g] * 5, start=0.0)
    assert float(steps.state["momentum_buffer"]) == pytest.approx(4.0951 * g)
    velocities = [sum(0.9**i for i in range(k)) * g for k in range(1, 6)]
    assert float(p) == pytest.approx(-0.1 * sum(velocities))


@pytest.mark.system("S42")
@pytest.mark.oracle("O23")
@pytest.mark.parametrize("inside", [False, True])
def test_adam_moments_after_five_equal_gradients(inside):
    p = steps(OptimizerConfig(name="adam", lr=0.01, eps_inside=inside), [3.0] * 5)
    assert float(steps.state["exp_avg"]) == pytest.approx(1.22853, abs=1e-5)
    assert float(steps.state["exp_avg_sq"]) == pytest.approx(0.0449101, abs=1e-7)
    assert float(steps.state["exp_avg"]) / (1 - 0.9**5) == pytest.approx(3)
    assert float(steps.state["exp_avg_sq"]) / (1 - 0.999**5) == pytest.approx(9)
    assert float(p) == pytest.approx(1 - 5 * 0.01, abs=1e-6)  # every corrected step is lr·sign(g)


@pytest.mark.system("S41")
@pytest.mark.oracle("O24")
@pytest.mark.parametrize(("inside", "moved"), [(True, 0.7071067812), (False, 0.9999000100)])
def test_rmsprop_first_step_with_epsilon_inside_and_outside_the_root(inside, moved):
    p = steps(OptimizerConfig(name="rmsprop", lr=0.1, eps_inside=inside), [1e-3])
    assert 1 - float(p) == pytest.approx(moved, abs=1e-9)


@pytest.mark.system("S42")
@pytest.mark.parametrize(("inside", "moved"), [(True, 1e-3 / (1e-6 + 1e-8) ** 0.5), (False, 1e-3 / (1e-3 + 1e-8))])
def test_adam_first_step_with_epsilon_inside_and_outside_the_root(inside, moved):
    p = steps(OptimizerConfig(name="adam", lr=0.1, eps_inside=inside), [1e-3])
    assert 1 - float(p) == pytest.approx(0.1 * moved, rel=1e-9)


@pytest.mark.system("S42")
def test_the_variants_agree_with_torch_where_epsilon_does_not_matter():
    gradients = [3.0, -1.0, 0.5, 2.0]
    for name in ("adam", "rmsprop"):
        outside = steps(OptimizerConfig(name=name, lr=0.01, weight_decay=0.1), gradients)
        inside = steps(OptimizerConfig(name=name, lr=0.01, weight_decay=0.1, eps_inside=True), gradients)
        assert float(inside) == pytest.approx(float(outside), abs=1e-6)


@pytest.mark.system("S42")
def test_amsgrad_keeps_the_largest_second_moment():
    adam = steps(OptimizerConfig(name="adam", lr=0.1), [10.0] + [0.1] * 30)
    amsgrad = steps(OptimizerConfig(name="amsgrad", lr=0.1), [10.0] + [0.1] * 30)
    reference = torch.tensor([1.0], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([reference], lr=0.1, amsgrad=True)
    for g in [10.0] + [0.1] * 30:
        reference.grad = torch.tensor([g], dtype=torch.float64)
        optimizer.step()
    assert float(amsgrad) == pytest.approx(float(reference.detach()))
    assert float(amsgrad) != float(adam)


@pytest.mark.system("S37")
@pytest.mark.oracle("O21")
def test_weight_decay_is_the_augmented_loss_for_coupled_optimizers_only():
    decay, gradients = 0.3, [1.0, -2.0, 0.5, 1.5, -1.0]

    def augmented(name):
        p = torch.tensor([1.0], dtype=torch.float64, requires_grad=True)
        optimizer = make_optimizer(OptimizerConfig(name=name, lr=0.05), [p])
        for g in gradients:
            p.grad = torch.tensor([g], dtype=torch.float64) + decay * p.detach()
            optimizer.step()
        return float(p.detach()[0])

    for name in ("sgd", "adam"):
        assert float(steps(OptimizerConfig(name=name, lr=0.05, weight_decay=decay), gradients)) == augmented(name)
    decoupled = float(steps(OptimizerConfig(name="adamw", lr=0.05, weight_decay=decay), gradients))
    assert abs(decoupled - augmented("adamw")) > 1e-3


@pytest.mark.system("S40")
def test_nesterov_is_that_of_torch_and_its_recursion():
    gradients = [1.0, -2.0, 0.5, 1.5]
    ours = steps(OptimizerConfig(name="momentum", lr=0.1, momentum=0.8, nesterov=True), gradients)
    p = torch.tensor([1.0], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.SGD([p], lr=0.1, momentum=0.8, nesterov=True)
    expected, velocity = 1.0, 0.0
    for g in gradients:
        p.grad = torch.tensor([g], dtype=torch.float64)
        optimizer.step()
        velocity = 0.8 * velocity + g
        expected -= 0.1 * (g + 0.8 * velocity)
    assert float(ours) == float(p.detach())
    assert float(ours) == pytest.approx(expected, rel=1e-12)
    assert float(ours) != float(steps(OptimizerConfig(name="momentum", lr=0.1, momentum=0.8), gradients))
    with pytest.raises(ValueError, match="nesterov: got optimizer 'sgd', wanted momentum or lookahead"):
        OptimizerConfig(name="sgd", nesterov=True)


ALL = [("sgd", False), ("momentum", False), ("rmsprop", False), ("rmsprop", True), ("adam", False), ("adam", True),
       ("amsgrad", False), ("adamw", False)]  # fmt: skip
TORCH = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}


@pytest.mark.system("S37")
@pytest.mark.parametrize(("name", "inside"), ALL)
def test_without_decay_of_biases_is_a_split_into_two_groups_by_hand(name, inside):
    config = OptimizerConfig(name=name, lr=0.05, weight_decay=0.3, no_decay=True, eps_inside=inside)

    def network():
        torch.manual_seed(0)
        return torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.LayerNorm(4), torch.nn.Linear(4, 2))

    def trained(optimizers, model):
        for _ in range(4):
            for p in model.parameters():
                p.grad = torch.sin(7 * p.detach())
            for optimizer in optimizers:
                optimizer.step()
        return torch.cat([p.detach().flatten() for p in model.parameters()])

    ours, theirs = network(), network()
    got = trained([make_optimizer(config, ours.parameters())], ours)
    weights = [theirs[0].weight, theirs[2].weight]
    others = [p for p in theirs.parameters() if p.dim() == 1]
    assert len(others) == 4
    if name in TORCH and not inside:
        groups = [{"params": weights, "weight_decay": 0.3}, {"params": others, "weight_decay": 0.0}]
        by_hand = [TORCH[name](groups, lr=0.05, **({} if name == "sgd" else {"eps": 1e-8}))]
    else:
        plain = {"name": name, "lr": 0.05, "eps_inside": inside}
        by_hand = [
            make_optimizer(OptimizerConfig(**plain, weight_decay=0.3), weights),
            make_optimizer(OptimizerConfig(**plain), others),
        ]
    torch.testing.assert_close(got, trained(by_hand, theirs), rtol=1e-6, atol=1e-7)
    everything = network()
    decayed = make_optimizer(
        OptimizerConfig(name=name, lr=0.05, weight_decay=0.3, eps_inside=inside), everything.parameters()
    )
    assert not torch.allclose(got, trained([decayed], everything))


def test_schedules_and_clipping_reach_both_groups():
    player = Player(torch.nn.Linear(2, 2), OptimizerConfig(name="sgd", lr=0.5, weight_decay=0.1, no_decay=True),
                    rate=lambda step: 1 / (step + 1))  # fmt: skip
    for p in player.parameters:
        p.grad = torch.ones_like(p)
    player.step(4)
    assert [group["lr"] for group in player.optimizer.param_groups] == [0.1, 0.1]
    assert [group["weight_decay"] for group in player.optimizer.param_groups] == [0.1, 0.0]


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("name", ["adam", "rmsprop"])
def test_state_survives_a_round_trip(name, inside):
    config = OptimizerConfig(name=name, lr=0.1, eps_inside=inside)
    straight = steps(config, [1.0, 2.0, 3.0, 4.0])
    half = steps(config, [1.0, 2.0])
    state = steps.optimizer.state_dict()
    p = half.reshape(1).clone().requires_grad_()
    optimizer = make_optimizer(config, [p])
    optimizer.load_state_dict(state)
    for g in (3.0, 4.0):
        p.grad = torch.tensor([g], dtype=torch.float64)
        optimizer.step()
    assert float(p.detach()[0]) == float(straight)
