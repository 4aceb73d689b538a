"""Wasserstein autoencoders against closed forms: errors, discrepancies of the codes, directions of gradients."""

import pytest
import torch
from torch import nn

from thalweg.config import TrainConfig
from thalweg.data.dataset import Spec
from thalweg.models.autoencoders.autoencoder import Autoencoder
from thalweg.models.waes.wae import WAE, code_critic
from thalweg.nn.preprocess import Standardize
from thalweg.objectives.mmd import inverse_multiquadric, mmd2
from thalweg.problems.wasserstein_autoencoding import KernelMatching, LatentGame
from thalweg.recipes import recipe
from thalweg.training.problem import Batch

pytestmark = pytest.mark.system("S100")


def linear(scale, critic=None, sigma=1.0):
    """E(y) = scale · y and D(z) = z/scale: no reconstruction error, and codes with a known distribution."""
    encoder, decoder = (nn.Linear(2, 2, bias=False) for _ in range(2))
    with torch.no_grad():
        encoder.weight.copy_(scale * torch.eye(2))
        decoder.weight.copy_(torch.eye(2) / scale)
    autoencoder = Autoencoder(encoder, decoder, Standardize([0.0, 0.0], [1.0, 1.0], (2,)))
    return WAE(autoencoder, latent_dim=2, critic=critic, sigma=sigma)


def batch(n=500, seed=0):
    return Batch(torch.randn(n, 2, generator=torch.Generator().manual_seed(seed)), seed=seed)


def test_the_kernels_loss_by_hand():
    model, arguments = linear(2.0, sigma=3.0), batch(40)
    with torch.no_grad():
        model.autoencoder.decoder.weight.zero_()  # so that the error is ‖y‖²
    loss = KernelMatching(model, weight=7.0).loss("model", arguments)
    apart = mmd2(2 * arguments.x, 3.0 * arguments.normal("z", 2), inverse_multiquadric(2, 3.0))
    torch.testing.assert_close(loss.values, arguments.x.square().sum(1) + 7 * apart)


def test_a_single_example_has_no_discrepancy():
    game = KernelMatching(linear(2.0))
    with pytest.raises(ValueError, match="batch_size: got 1 example at a time"):
        game.loss("model", batch(1))
    with torch.no_grad():  # the last chunk of a validation
        assert game.loss("model", batch(1)).values.isfinite().all()


def test_the_kernel_is_of_float32_whatever_the_networks_are():
    """With distances in bfloat16 the error of the MMD² would be as large as its standard deviation."""
    arguments = batch(128)
    with torch.autocast("cpu", torch.bfloat16):
        result = KernelMatching(linear(1.0)).loss("model", arguments).extras["MMD²"][0]
    expected = mmd2(arguments.x.bfloat16().float(), arguments.normal("z", 2), inverse_multiquadric(2))
    torch.testing.assert_close(result, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("scale", "up"), [(0.5, True), (2.0, False)])
def test_the_kernel_pulls_the_codes_to_the_prior(scale, up):
    model = linear(scale)
    apart = KernelMatching(model).loss("model", batch()).extras["MMD²"].mean()
    (slope,) = torch.autograd.grad(apart, model.autoencoder.encoder.weight)
    assert apart > 0.01
    assert (slope.diagonal() < 0).all() == up  # descent widens narrow codes, and narrows wide ones
    assert abs(KernelMatching(linear(1.0)).loss("model", batch()).extras["MMD²"].mean()) < 0.01


def test_critic_and_autoencoder_have_opposed_gradients():
    class Norm(nn.Module):  # a critic with higher scores for longer codes
        def __init__(self):
            super().__init__()
            self.gain = nn.Parameter(torch.ones(()))

        def forward(self, z):
            return self.gain * (z.square().sum(1) - 1)

    model = linear(0.3, Norm())
    game = LatentGame(model, weight=5.0)
    of_critic, of_encoder = game.loss("critic", batch()), game.loss("autoencoder", batch())
    (gain,) = torch.autograd.grad(of_critic.values.mean(), model.critic.gain)
    assert gain < 0  # a descent step increases the correct scores
    assert 0 < of_critic.extras["2 JS"].mean() < 2 * torch.tensor(2.0).log()
    (slope,) = torch.autograd.grad(of_encoder.values.mean(), model.autoencoder.encoder.weight)
    assert (slope.diagonal() < 0).all()  # descent lengthens the codes
    scores = model.critic(0.3 * batch().x)
    torch.testing.assert_close(of_encoder.values, 5 * torch.nn.functional.softplus(-scores), rtol=1e-5, atol=1e-5)


def test_samples_follow_the_prior_and_truncation():
    model = linear(2.0, sigma=4.0)
    x = model.sample(20_000, torch.Generator().manual_seed(0))
    assert x.std().item() == pytest.approx(2.0, rel=0.03)
    assert model.prior.stddev.tolist() == [4.0, 4.0]
    assert model.sample(1000, truncation=0.5).abs().max() <= 0.5 * 4 / 2


PLANE = Spec(name="plane", kind="vector", shape=(2,), mean=(0.0, 0.0), std=(1.0, 1.0))


def test_the_loss_of_the_critic_never_stops_training():
    """It is smallest where the critic separates codes from the prior best: the worst model would be kept."""
    with pytest.raises(ValueError, match="patience: got 3"):
        recipe("wae-gan")(PLANE).configured(TrainConfig(patience=3))
    assert recipe("wae-mmd")(PLANE).configured(TrainConfig(patience=3)).stages[0].patience == 3


def test_recipes():
    assert recipe("wae-mmd")(PLANE).model.latent_dim == 2
    assert recipe("wae-gan")(PLANE).model.critic is not None
    small = Spec(name="digits", kind="image", shape=(1, 8, 8), levels=17, mean=(4.9,), std=(6.0,))
    large = Spec(name="mnist", kind="image", shape=(1, 28, 28), levels=256, mean=(33.3,), std=(78.6,))
    assert [recipe("wae-gan")(spec, hidden=8).stages[0].problem.weight for spec in (PLANE, small, large)] == [10, 1, 10]
    assert [recipe("wae-mmd")(spec, hidden=8).stages[0].problem.weight for spec in (PLANE, small, large)] == [
        300,
        10,
        10,
    ]
    rates = {name: (o.lr, o.beta1) for name, o in recipe("wae-gan")(PLANE).stages[0].optimizers.items()}
    assert rates == {"critic": (5e-4, 0.5), "autoencoder": (1e-3, 0.9)}
    with pytest.raises(ValueError, match="wae-gan: got data 'text' of tokens"):
        recipe("wae-gan")(Spec(name="text", kind="tokens", shape=(8,), levels=256))
    with pytest.raises(ValueError, match="weight: got 0"):
        recipe("wae-mmd")(PLANE, weight=0.0)
    assert code_critic(2)(torch.zeros(3, 2)).shape == (3,)
