"""Gradients of the layers of a deep critic: they vanish with small clipping bounds, and not with a penalty."""

import pytest
import torch
from torch import nn

from thalweg.config import OptimizerConfig, TrainConfig
from thalweg.data import Batches
from thalweg.models.gans.gan import GAN, Networks, dense_networks
from thalweg.models.gans.sn_gan import bounded
from thalweg.nn.dense import mlp
from thalweg.objectives.adversarial import wasserstein
from thalweg.problems.adversarial import AdversarialGame
from thalweg.training import Alternating, Stage
from thalweg.training.distributed import World
from thalweg.training.stage_state import StageState

LAYERS = 10


def gradients(rounds=12, normalized=False, **settings):
    """Train a WGAN with ten hidden layers in the critic; return what `diagnostics` records of each layer's gradient."""
    torch.manual_seed(0)
    critic = mlp((2, *[16] * LAYERS, 1), activation=lambda: nn.LeakyReLU(0.2)).append(nn.Flatten(0))
    model = GAN(
        Networks(dense_networks((2,), 2, 16).generator, critic), (2,), latent_dim=2, mean=[0.0, 0.0], std=[1.0, 1.0]
    )
    game = AdversarialGame(bounded(model) if normalized else model, wasserstein(), **settings)
    optimizer = OptimizerConfig(name="rmsprop", lr=1e-3)
    stage = Stage(
        problem=game,
        steps=rounds,
        batch_size=32,
        optimizers={"critic": optimizer, "generator": optimizer},
        update=Alternating({"critic": 5, "generator": 1}),
    )
    x = 2 + torch.randn(256, 2, generator=torch.Generator().manual_seed(1))
    state = StageState(stage, Batches((x, None), 32), TrainConfig(), torch.device("cpu"), World())
    for step in range(rounds):
        state.step(step)
    result = state.diagnostics().values
    return [float(value) for name, value in result.items() if name.startswith("critic/gradient/")]


@pytest.mark.system("S98")
def test_small_clips_make_the_gradients_of_first_layers_vanish():
    penalized, clipped, tighter = gradients(penalty=10.0), gradients(clip=0.03), gradients(clip=0.01)
    assert len(penalized) == len(clipped) == LAYERS + 1
    assert penalized[0] > 0.1
    assert clipped[0] < 1e-5 * penalized[0]
    assert tighter[0] < 1e-3 * clipped[0]
    assert tighter[0] < 1e-3 * tighter[-1]  # from the first to the last layer
    assert penalized[0] > 1e-2 * penalized[-1]


@pytest.mark.system("S98")
def test_large_clips_make_them_large():
    assert min(gradients(clip=0.5, rounds=60)) > 30  # the penalty's are of order one


@pytest.mark.system("S99")
def test_layers_of_norm_one_pass_gradients_on():
    first, *_, last = gradients(normalized=True)
    assert first > 1e-3
    assert 1e-2 < first / last < 1e2
