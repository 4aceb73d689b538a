"""GANs: latent noise, conditioning on classes, and the settings of their papers."""

import pytest
import torch
from scipy.stats import kstest, truncnorm
from torch import nn

from thalweg.config import TrainConfig
from thalweg.data import Spec, class_target
from thalweg.models.gans.conditional_gan import ConditionalGAN
from thalweg.models.gans.gan import GAN, Networks, dense_networks, draw_latent
from thalweg.objectives.adversarial import wasserstein
from thalweg.problems.adversarial import AdversarialGame
from thalweg.recipes import recipe
from thalweg.training.problem import Batch

pytestmark = pytest.mark.system("S95")

PLANE = Spec(
    name="plane", kind="vector", shape=(2,), mean=(0.0, 0.0), std=(1.0, 1.0), target=class_target(("a", "b", "c"))
)
SCANS = Spec(
    name="scans",
    kind="image",
    shape=(1, 8, 8),
    levels=17,
    mean=(4.9,),
    std=(6.0,),
    target=class_target(("a", "b", "c")),
)
SMALL = {"latent_dim": 2, "hidden": 8}


class Columns(nn.Module):
    """A network that returns some columns of its input: f(x) = x[:, of]."""

    def __init__(self, of):
        super().__init__()
        self.of = of
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, x):
        return self.weight * x[:, self.of]


def test_truncated_noise_is_normal_within_its_bounds():
    z = draw_latent(4000, 1, torch.Generator().manual_seed(0), truncation=1.0)[:, 0]
    assert z.abs().max() <= 1
    assert kstest(z.numpy(), truncnorm(-1, 1).cdf).pvalue > 0.01  # not clipped, not scaled


def test_truncation_reaches_the_samples():
    networks = Networks(Columns(slice(0, 2)), Columns(0))
    model = GAN(networks, (2,), latent_dim=2, mean=[10.0, 0.0], std=[2.0, 1.0])
    x = model.sample(1000, torch.Generator().manual_seed(0), truncation=0.5)
    assert 0.9 < (x[:, 0] - 10).abs().max() <= 1.0
    assert model.sample(1000, torch.Generator().manual_seed(0))[:, 1].abs().max() > 2


def conditional():
    """g(z, y) is the first two values of the one-hot y, f(x, y) = x₁ (1 + 2y₂): y₂ whether y is class 1."""
    model = ConditionalGAN(dense_networks, (2,), latent_dim=2, classes=3, mean=[0.0, 0.0], std=[1.0, 1.0])
    model.generator.network = Columns(slice(2, 4))

    class Critic(Columns):
        def forward(self, x):
            return self.weight * x[:, 0] * (1 + 2 * x[:, 3])

    model.critic.network = Critic(0)
    return model


def test_samples_are_of_the_classes_asked_for():
    y = torch.tensor([0, 2, 1, 0])
    assert conditional().sample(4, y=y).tolist() == [[1, 0], [0, 0], [0, 1], [1, 0]]
    drawn = conditional().sample(3000, torch.Generator().manual_seed(0))
    assert drawn.mean(0).tolist() == pytest.approx([1 / 3, 1 / 3], abs=0.03)  # all alike


def test_both_networks_get_the_labels():
    x, y = torch.randn(6, 2), torch.tensor([0, 1, 2, 0, 1, 2])
    model = conditional()
    game = AdversarialGame(model, wasserstein(), penalty=1.0)
    critic = game.loss("critic", Batch(x, y))
    real = x[:, 0] * torch.tensor([1, 3, 1, 1, 3, 1])
    fake = torch.tensor([1.0, 0, 0, 1, 0, 0])
    torch.testing.assert_close(critic.extras["gap"], real - fake)
    assert critic.extras["penalty"].tolist() == [0, 4, 0, 0, 4, 0]  # slopes 1 and 3, depending on the class
    torch.testing.assert_close(game.loss("generator", Batch(x, y)).values, -fake)
    with pytest.raises(ValueError, match="labels: got none"):
        game.loss("critic", Batch(x))


def test_for_images_the_class_is_in_channels():
    model = recipe("wgan")(SCANS, **SMALL, conditional=True).model
    first = next(layer for layer in model.critic.modules() if isinstance(layer, nn.Conv2d))
    assert first.in_channels == 1 + 3
    x, y = torch.zeros(3, 1, 8, 8), torch.tensor([0, 1, 2])
    assert len(set(model.discriminate(x, y).tolist())) == 3
    assert len({tuple(row.flatten().tolist()) for row in model.generate(torch.zeros(3, 2), y)}) == 3


@pytest.mark.parametrize(
    ("name", "optimizer", "n_critic", "batch_size", "ema"),
    [
        ("gan", ("adam", 2e-4, 0.5, 0.999), 1, 64, 0.999),
        ("dcgan", ("adam", 2e-4, 0.5, 0.999), 1, 128, 0.999),
        ("f-gan", ("adam", 2e-4, 0.5, 0.999), 1, 64, 0.999),
        ("wgan-gp", ("adam", 1e-4, 0.0, 0.9), 5, 64, 0.999),
        ("sn-gan", ("adam", 2e-4, 0.0, 0.9), 5, 64, 0.999),
        ("hinge-gan", ("adam", 2e-4, 0.5, 0.999), 1, 64, 0.999),
    ],
)
def test_recipes_have_the_settings_of_their_papers(name, optimizer, n_critic, batch_size, ema):
    (stage,) = recipe(name)(SCANS, **SMALL).stages
    assert {(o.name, o.lr, o.beta1, o.beta2) for o in stage.optimizers.values()} == {optimizer}
    assert dict(stage.update.moves) == {"critic": n_critic, "generator": 1}
    assert (stage.batch_size, dict(stage.ema)) == (batch_size, {"generator": ema})


def test_the_average_is_of_the_generator():
    run = recipe("gan")(SCANS, **SMALL)
    assert run.configured(TrainConfig(ema=0.9)).stages[0].ema == {"generator": 0.9}
    assert run.configured(TrainConfig(ema=0.0)).stages[0].ema == {}
    averaged = run.configured(TrainConfig(swa=0.25)).stages[0]
    assert (averaged.ema, averaged.swa) == ({}, {"generator": 0.25})
    assert recipe("wgan")(SCANS, **SMALL).stages[0].ema == {}  # as in its paper


def test_unknown_choices():
    for name, option in (("gan", "loss"), ("sn-gan", "loss"), ("sn-gan", "method"), ("sn-gan", "norm")):
        with pytest.raises(ValueError, match=f"{option}: got 'mop', wanted one of"):
            recipe(name)(PLANE, **SMALL, **{option: "mop"})


@pytest.mark.parametrize(("spec", "penalty"), [(SCANS, 10.0), (PLANE, 0.1)])
def test_weight_of_the_gradient_penalty(spec, penalty):
    assert recipe("wgan-gp")(spec, **SMALL).stages[0].problem.penalty == penalty
    assert recipe("wgan-gp")(spec, **SMALL, penalty=3.0).stages[0].problem.penalty == 3.0
