"""Every minimax solver, by its name, in every adversarial recipe."""

import json
from typing import get_args

import pytest
import torch

from catalogue import MEMBERS, Member
from thalweg.cli.options import options_of_dataclass, plain
from thalweg.config import TrainConfig
from thalweg.data import Batches
from thalweg.recipes import FAMILIES
from thalweg.training import Alternating, Extragradient, Optimistic, RunFolder, Simultaneous, Sources, train

pytestmark = pytest.mark.system("S101")

NAMES = ("gan", "dcgan", "f-gan", "wgan", "wgan-gp", "sn-gan", "hinge-gan", "wae-gan")
FIRST = {name: next(member for member in MEMBERS if member.recipe == name) for name in NAMES}
SOLVERS = {
    "simultaneous": Simultaneous,
    "alternating": Alternating,
    "multi-ascent": Alternating,
    "extragradient": Extragradient,
    "optimistic": Optimistic,
}


def trained(member, folder, steps, **settings):
    """Train the run in the folder, or resume it."""
    config = TrainConfig(device="cpu", steps=steps, batch_size=8, log_every=1, **settings)
    run = member.run().configured(config)
    data = member.batch(32)
    opened = RunFolder.open(folder) if folder.exists() else RunFolder.create(folder, {})
    try:
        return train(
            run,
            lambda stage, world: Sources(Batches((data.x, data.y), stage.batch_size), []),
            config,
            folder=opened,
        )
    finally:
        opened.close()


def test_no_adversarial_recipe_is_left_out():
    assert {*FAMILIES["gans"], *FAMILIES["waes"]} - {"wae-mmd"} == set(NAMES)


def test_the_solvers_are_options_of_the_command_line():
    options = {option.name: option for option in options_of_dataclass(TrainConfig)}
    assert set(get_args(plain(options["update"].hint))) == set(SOLVERS)
    assert not [name for name, option in options.items() if not option.help]


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("name", NAMES)
def test_each_recipe_trains_with_each_solver(name, solver, tmp_path):
    run = trained(FIRST[name], tmp_path / "run", 3, update=solver)
    assert isinstance(run.stages[0].update, SOLVERS[solver])
    start = FIRST[name].run().stages[0].problem.players
    for player, module in run.stages[0].problem.players.items():
        assert all(now.isfinite().all() for now in module.parameters())
        pairs = zip(module.parameters(), start[player].parameters(), strict=True)
        assert not all(torch.equal(now, before) for now, before in pairs), f"{player} did not move"
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert len(lines) == 3
    assert all(key in lines[-1] for key in (f"{player}/loss" for player in start))


@pytest.mark.parametrize("name", NAMES)
def test_each_critic_may_take_several_steps(name):
    member = FIRST[name]
    run = Member(name, member.spec, member.options | {"n_critic": 3}).run()
    update = run.stages[0].update
    assert next(iter(update.moves)) == "critic"
    assert list(update.moves.values()) == [3, 1]
    for solver in ("alternating", "multi-ascent"):
        assert run.configured(TrainConfig(update=solver)).stages[0].update == update
    one = Member(name, member.spec, member.options | {"n_critic": 1}).run()
    (critic, other), moves = one.stages[0].problem.players, one.configured(TrainConfig(update="multi-ascent"))
    assert moves.stages[0].update.moves == {critic: 5, other: 1}
    with pytest.raises(ValueError, match="n_critic: got 0"):
        Member(name, member.spec, member.options | {"n_critic": 0}).run()


def test_in_turn_the_critic_of_codes_moves_first():
    update = FIRST["wae-gan"].run().configured(TrainConfig(update="alternating")).stages[0].update
    assert list(update.moves.items()) == [("critic", 1), ("autoencoder", 1)]


@pytest.mark.parametrize("solver", ["extragradient", "optimistic"])
@pytest.mark.parametrize("name", ["wgan", "wgan-gp", "wae-gan"])
def test_solvers_with_state_resume_exactly(name, solver, tmp_path):
    straight = trained(FIRST[name], tmp_path / "straight", 4, update=solver, schedule="constant")
    trained(FIRST[name], tmp_path / "cut", 2, update=solver, schedule="constant")
    resumed = trained(FIRST[name], tmp_path / "cut", 4, update=solver, schedule="constant")
    for one, two in zip(straight.model.state_dict().values(), resumed.model.state_dict().values(), strict=True):
        assert torch.equal(one, two)
