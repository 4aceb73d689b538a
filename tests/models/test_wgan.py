"""The WGAN's networks: shapes for all sizes, raw units, independence of the examples of a batch."""

import pytest
import torch
from torch import nn

from thalweg.data.dataset import Spec
from thalweg.models.gans.dcgan import conv_networks
from thalweg.models.gans.gan import GAN, dense_networks
from thalweg.recipes import recipe

pytestmark = pytest.mark.system("S98")


def image_model(shape, levels=256):
    return GAN(conv_networks(shape, latent_dim=4, hidden=16, batch_norm=False), shape, latent_dim=4, levels=levels)


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (3, 32, 32), (2, 9, 13)])
def test_shapes_of_images(shape):
    model = image_model(shape)
    images = model.sample(3)
    assert images.shape == (3, *shape)
    assert images.dtype == torch.uint8
    assert model.critic(model.preprocess(images)).shape == (3,)


def test_scaling_of_images():
    model = image_model((1, 8, 8), levels=17)
    assert model.preprocess(torch.tensor([0.0, 16.0]).reshape(2, 1, 1, 1)).flatten().tolist() == [-1, 1]
    assert int(model.sample(50).max()) <= 16


def test_scaling_of_vectors():
    networks = dense_networks((2,), latent_dim=3, hidden=8)
    model = GAN(networks, (2,), latent_dim=3, mean=[1.0, -2.0], std=[2.0, 4.0])
    assert model.preprocess(torch.tensor([[3.0, -2.0]])).tolist() == [[1, 0]]
    z = torch.randn(6, 3)
    torch.testing.assert_close(
        model.decode(z), model.generator(z).double() * torch.tensor([2.0, 4.0]) + torch.tensor([1.0, -2.0])
    )


def test_a_sample_does_not_depend_on_its_neighbors():
    model, z = image_model((1, 8, 8)), torch.randn(6, 4)
    model.train()
    torch.testing.assert_close(model.generator(z)[:1], model.generator(z[:1]))
    torch.testing.assert_close(model.critic(model.generator(z))[:1], model.critic(model.generator(z[:1])))
    assert not any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in model.modules())


def test_sample_is_a_function_of_the_generator():
    model = image_model((1, 8, 8))
    a, b = (model.sample(4, torch.Generator().manual_seed(0)) for _ in range(2))
    assert torch.equal(a, b)


def test_recipe_has_the_settings_of_the_paper():
    spec = Spec(name="digits", kind="image", shape=(1, 8, 8), levels=17, mean=(4.9,), std=(6.0,))
    stage = recipe("wgan")(spec).stages[0]
    assert {(o.name, o.lr) for o in stage.optimizers.values()} == {("rmsprop", 5e-5)}
    assert stage.problem.clip == 0.01
    assert stage.batch_size == 64
    assert dict(stage.update.moves) == {"critic": 5, "generator": 1}


def test_refusals():
    with pytest.raises(ValueError, match="of tokens, wanted images or vectors"):
        recipe("wgan")(Spec(name="text", kind="tokens", shape=(8,), levels=256))
    with pytest.raises(ValueError, match="wanted at least 8×8"):
        recipe("wgan")(Spec(name="tiny", kind="image", shape=(1, 4, 4), levels=256))
    with pytest.raises(ValueError, match="latent_dim: got 0"):
        recipe("wgan")(Spec(name="moons", kind="vector", shape=(2,), mean=(0.0, 0.0), std=(1.0, 1.0)), latent_dim=0)
