"""The Wasserstein game: signs, clipping, the gradient penalty, and gradients of one player only."""

import pytest
import torch
from torch import nn

from thalweg.config import OptimizerConfig, TrainConfig
from thalweg.models.gans.dcgan import conv_networks
from thalweg.models.gans.gan import GAN, dense_networks
from thalweg.objectives.adversarial import gradient_penalty, wasserstein
from thalweg.problems.adversarial import AdversarialGame
from thalweg.training.distributed import World
from thalweg.training.problem import Batch
from thalweg.training.run import Stage
from thalweg.training.stage_state import StageState
from thalweg.training.updates import Alternating

pytestmark = pytest.mark.system("S98")


class Linear(nn.Module):
    """g(z) = z + θ and f(x) = ⟨w, x⟩, with losses in closed form."""

    def __init__(self, w, theta):
        super().__init__()
        self.latent_dim = len(w)
        self.critic = nn.Sequential(nn.Linear(len(w), 1, bias=False), nn.Flatten(0))
        self.generator = nn.Linear(len(w), len(w))
        with torch.no_grad():
            self.critic[0].weight.copy_(torch.tensor([w]))
            self.generator.weight.copy_(torch.eye(len(w)))
            self.generator.bias.copy_(torch.tensor(theta))

    def preprocess(self, x):
        return x

    def generate(self, z, y):
        return self.generator(z)

    def discriminate(self, x, y):
        return self.critic(x)


def small():
    torch.manual_seed(0)
    return GAN(dense_networks((2,), 3, 16), (2,), latent_dim=3, mean=[0.0, 0.0], std=[1.0, 1.0])


def state_of(problem, lr=0.05, clip_steps=(5, 1), x=None):
    class Source:
        def get(self, step):
            return (torch.full((8, 2), 2.0) if x is None else x), None

        def epoch(self, step):
            return 0.0

    optimizer = OptimizerConfig(name="rmsprop", lr=lr)
    moves = dict(zip(("critic", "generator"), clip_steps, strict=True))
    stage = Stage(
        problem=problem,
        steps=10,
        batch_size=8,
        optimizers={"critic": optimizer, "generator": optimizer},
        update=Alternating(moves),
    )
    return StageState(stage, Source(), TrainConfig(), torch.device("cpu"), World(0, 1))


def test_losses_and_signs_by_hand():
    model = Linear([2.0, 0.0], [0.5, 0.0])
    game = AdversarialGame(model, wasserstein(), clip=0.01)
    batch = Batch(torch.tensor([[1.0, 7.0], [3.0, 7.0]]), seed=1)
    z = batch.normal("z", 2)
    real, fake = 2 * batch.x[:, 0], 2 * (z[:, 0] + 0.5)
    critic = game.loss("critic", batch)
    torch.testing.assert_close(critic.values, fake - real)
    torch.testing.assert_close(critic.extras["gap"], real - fake)
    torch.testing.assert_close(game.loss("generator", batch).values, -fake)


def test_the_generator_increases_the_score_of_its_samples():
    model = Linear([2.0, -1.0], [0.0, 0.0])
    loss = AdversarialGame(model, wasserstein(), clip=0.01).loss("generator", Batch(torch.zeros(16, 2)))
    (gradient,) = torch.autograd.grad(loss.values.mean(), model.generator.bias)
    assert gradient.tolist() == [-2.0, 1.0]  # so a step of descent moves θ along w


def test_critic_learns_to_score_the_data_higher():
    model = Linear([0.0, 0.0], [0.0, 0.0])
    loss = AdversarialGame(model, wasserstein(), clip=0.01).loss("critic", Batch(torch.full((64, 2), 3.0)))
    (gradient,) = torch.autograd.grad(loss.values.mean(), model.critic[0].weight)
    assert (gradient < -2).all()


def test_a_trained_generator_finds_the_data():
    model = Linear([0.0, 0.0], [0.0, 0.0])
    model.generator.weight.requires_grad_(False)
    running = state_of(AdversarialGame(model, wasserstein(), clip=0.1), lr=0.02)
    for step in range(200):
        running.step(step)
    assert (model.generator.bias.detach() - 2).abs().max() < 0.5


@pytest.mark.parametrize("clip", [0.01, 0.2])
def test_clipping_holds_after_each_step_for_the_critic_only(clip):
    model = small()
    generator = [p.detach().clone() for p in model.generator.parameters()]
    running = state_of(AdversarialGame(model, wasserstein(), clip=clip))
    for _ in range(3):
        running.differentiate("critic")
        running.apply("critic")
        largest = [float(p.detach().abs().max()) for p in model.critic.parameters()]
        assert max(largest) <= clip * (1 + 1e-6)  # the bound is rounded to float32
    assert max(largest) == pytest.approx(clip)
    assert all(torch.equal(a, b) for a, b in zip(generator, model.generator.parameters(), strict=True))
    running.differentiate("generator")
    running.apply("generator")
    assert max(float(p.detach().abs().max()) for p in model.generator.parameters()) > clip


def test_without_clipping_nothing_is_projected():
    model = small()
    game = AdversarialGame(model, wasserstein(), penalty=10.0)
    before = [p.detach().clone() for p in model.critic.parameters()]
    game.project("critic")
    assert all(torch.equal(a, b) for a, b in zip(before, model.critic.parameters(), strict=True))
    assert game.second_order == ("critic",)
    assert AdversarialGame(model, wasserstein(), clip=0.01).second_order == ()


@pytest.mark.parametrize("n", [1, 4, 16, 64])
def test_penalty_of_a_unit_norm_linear_critic_is_zero_for_any_batch(n):
    game = AdversarialGame(Linear([0.6, 0.8], [0.0, 0.0]), wasserstein(), penalty=10.0)
    penalty = game.loss("critic", Batch(torch.randn(n, 2))).extras["penalty"]
    assert penalty.shape == (n,)
    assert penalty.abs().max() < 1e-12


def test_penalty_is_of_each_image():
    critic = torch.nn.Conv2d(2, 1, (3, 4), bias=False)
    with torch.no_grad():
        critic.weight.div_(critic.weight.norm())
    real, fake = torch.randn(5, 2, 3, 4), torch.randn(5, 2, 3, 4)
    penalty = gradient_penalty(lambda x: critic(x).flatten(), real, fake, torch.rand(5, 1))
    assert penalty.shape == (5,)
    assert penalty.abs().max() < 1e-12


def test_data_and_samples_are_normalized_separately():
    """A critic with batch normalization receives data and samples in separate batches, as in DCGAN."""
    model = small()
    model.critic = nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.Linear(4, 1), nn.Flatten(0))
    batch, gan_loss = Batch(5 + torch.randn(16, 2), seed=3), wasserstein()
    values = AdversarialGame(model, gan_loss).loss("critic", batch).values
    fake = model.generator(batch.normal("z", 3)).detach()
    torch.testing.assert_close(values, gan_loss.critic(model.critic(batch.x), model.critic(fake)))
    mixed = model.critic(torch.cat([batch.x, fake])).chunk(2)
    assert not torch.allclose(values, gan_loss.critic(*mixed), atol=0.1)


def test_no_loss_of_a_game_says_when_to_stop():
    game = AdversarialGame(small(), wasserstein())
    with pytest.raises(ValueError, match="patience: got 5, wanted none"):
        Stage(problem=game, steps=10, batch_size=8, patience=5)


def test_penalty_is_added_and_pulls_the_norm_to_one():
    model = Linear([3.0, 4.0], [0.0, 0.0])
    batch = Batch(torch.randn(8, 2))
    plain = AdversarialGame(model, wasserstein()).loss("critic", batch).values
    loss = AdversarialGame(model, wasserstein(), penalty=10.0).loss("critic", batch)
    torch.testing.assert_close(loss.values, plain + 10 * 16)
    (gradient,) = torch.autograd.grad(loss.extras["penalty"].mean(), model.critic[0].weight)
    torch.testing.assert_close(gradient, 8 * torch.tensor([[0.6, 0.8]]))


def test_penalty_is_taken_between_the_data_and_the_samples():
    seen = []

    def critic(x):
        seen.append(x.detach())
        return x.flatten(1).sum(1)

    real, fake, epsilon = torch.zeros(3, 1, 2, 2), torch.ones(3, 1, 2, 2), torch.tensor([[0.0], [0.25], [1.0]])
    gradient_penalty(critic, real, fake, epsilon)
    assert seen[0][:, 0, 0, 0].tolist() == [1.0, 0.75, 0.0]


@pytest.mark.system("S101")
@pytest.mark.oracle("O48")
def test_gradients_of_the_two_losses_do_not_cancel():
    """If both losses are differentiated for both players, the terms of the samples in the critic's gradient cancel."""
    model = small()
    game = AdversarialGame(model, wasserstein(), clip=0.01)
    batch = Batch(torch.randn(8, 2), seed=5)
    weights = list(model.critic.parameters())
    (game.loss("generator", batch).values.mean() + game.loss("critic", batch).values.mean()).backward()
    naive = [p.grad.clone() for p in weights]
    real_only = torch.autograd.grad(-model.critic(batch.x).mean(), weights)
    for a, b in zip(naive, real_only, strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-5)

    running = state_of(game, x=batch.x)
    running.differentiate("critic")
    own = [p.grad.clone() for p in weights]
    running.differentiate("generator")
    for p, mine, other in zip(weights, own, naive, strict=True):
        assert torch.equal(p.grad, mine)
        if p.ndim == 2:
            assert not torch.allclose(mine, other)


def test_refusals():
    model = small()
    with pytest.raises(ValueError, match="clip: got 0"):
        AdversarialGame(model, wasserstein(), clip=0)
    with pytest.raises(ValueError, match="penalty: got -1"):
        AdversarialGame(model, wasserstein(), penalty=-1.0)
    with pytest.raises(ValueError, match="did you mean 'critic'"):
        AdversarialGame(model, wasserstein(), clip=0.01).loss("critics", Batch(torch.zeros(2, 2)))


def test_diagnostics_of_two_distributions_that_differ_by_a_shift():
    model = Linear([1.0, 0.0], [0.0, 0.0])
    game = AdversarialGame(model, wasserstein())
    x = torch.randn(400, 2, generator=torch.Generator().manual_seed(0))
    apart = game.diagnostics(Batch(x + torch.tensor([3.0, 0.0]), seed=1)).values
    assert float(apart["batch/W1"]) == pytest.approx(3.0, abs=0.2)
    assert float(apart["batch/gap"]) == pytest.approx(3.0, abs=0.2)  # f = x₁ is a best critic
    alike = game.diagnostics(Batch(x, seed=1)).values
    assert float(apart["batch/coverage"]) < 0.3
    assert float(alike["batch/coverage"]) > 0.8
    assert alike["batch/spread"] == pytest.approx(1.0, abs=0.1)


def test_collapse_is_reported_and_recorded(tmp_path):
    model = Linear([1.0, 0.0], [0.0, 0.0])
    with torch.no_grad():
        model.generator.weight.mul_(0.01)
    game = AdversarialGame(model, wasserstein())
    batch = Batch(torch.randn(64, 2), seed=1)
    first, second, third = (game.diagnostics(batch) for _ in range(3))
    assert first.warning is second.warning is None  # a short collapse is allowed
    assert "the generator has collapsed: its samples spread 0.01" in third.warning
    assert 0.005 < first.values["batch/spread"] < 0.02
    with torch.no_grad():
        model.generator.weight.mul_(100)
    assert game.diagnostics(batch).warning is None
    with torch.no_grad():
        model.generator.weight.mul_(0.01)
    assert game.diagnostics(batch).warning is None  # the count starts again
    running = state_of(game)
    running.step(0)
    result = running.diagnostics().values
    assert float(result["critic/gradient/0.weight"]) > 0
    assert model.critic.training


def test_convolutional_networks_use_channels_last():
    """Transposed convolutions count, too: a generator has no others."""
    torch.manual_seed(0)
    model = GAN(conv_networks((3, 8, 8), 3, 8), (3, 8, 8), latent_dim=3, levels=256)
    state_of(AdversarialGame(model, wasserstein()), x=torch.zeros(8, 3, 8, 8))
    kernels = [p for p in model.parameters() if p.dim() == 4]
    assert kernels
    assert all(p.is_contiguous(memory_format=torch.channels_last) for p in kernels)
