"""The autoencoder: its error, units, tied weights, and learning a low-dimensional structure."""

import pytest
import torch

from catalogue import AUTOENCODERS, DIGITS, PLANE, Member
from thalweg.models.autoencoders.autoencoder import dense_autoencoder
from thalweg.problems.autoencoding import Autoencoding
from thalweg.training.problem import Batch


@pytest.mark.system("S68")
@pytest.mark.parametrize("member", [m for m in AUTOENCODERS if m.recipe != "sparse-autoencoder"], ids=str)
def test_score_is_the_loss_and_the_error_of_the_reconstruction(member: Member):
    model, batch = member.trained(), member.batch(5)
    values = Autoencoding(model).loss("model", batch).values
    torch.testing.assert_close(values, model.score(batch.x))
    raw = model.reconstruct(batch.x) - batch.x
    spec = member.spec
    unit = torch.tensor(spec.std) if spec.levels is None else spec.levels - 1
    torch.testing.assert_close(values, (raw / unit).square().flatten(1).sum(1).float(), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(model.reconstruct(batch.x), model.decode(model.encode(batch.x)))


@pytest.mark.system("S68")
def test_tied_weights_are_shared_and_counted_once():
    model = dense_autoencoder((6,), 2, (4,), tied=True, mean=[0.0] * 6, std=[1.0] * 6)
    assert sum(p.numel() for p in model.parameters()) == 6 * 4 + 4 * 2 + (4 + 2) + (4 + 6)
    first, second = (layer for layer in model.encoder[1] if hasattr(layer, "weight"))
    z = torch.randn(3, 2)
    wanted = torch.relu(z @ second.weight) @ first.weight
    torch.testing.assert_close(model.decoder(z), wanted)


@pytest.mark.system("S68")
def test_depth_is_hidden_layers_each_way():
    run = Member("autoencoder", DIGITS, {"latent_dim": 3, "hidden": 8, "architecture": "dense", "depth": 2}).run()
    sizes = [tuple(p.shape) for p in run.model.parameters() if p.ndim == 2]
    assert sizes == [(8, 64), (8, 8), (3, 8), (8, 3), (8, 8), (64, 8)]


@pytest.mark.system("S68")
def test_learns_a_curve_and_scores_points_off_it():
    torch.manual_seed(0)
    t = torch.linspace(-1, 1, 256)[:, None]
    x = torch.cat([t, t * t, 0.5 * t], dim=1)
    model = dense_autoencoder((3,), 1, (32,), mean=x.mean(0).tolist(), std=x.std(0).tolist())
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(300):
        optimizer.zero_grad()
        Autoencoding(model).loss("model", Batch(x)).values.mean().backward()
        optimizer.step()
    on, off = model.score(x), model.score(x + torch.tensor([0.0, 0.0, 1.5]))
    assert on.mean() < 0.1  # of 3, the variance in standardized units
    assert off.min() > on.max()


@pytest.mark.system("S68")
@pytest.mark.parametrize(
    ("member", "message"),
    [
        (Member("autoencoder", PLANE, {"architecture": "conv"}), "architecture: got 'conv' with vectors 'plane'"),
        (Member("autoencoder", DIGITS, {"tied": True}), "tied: got conv"),
        (Member("autoencoder", DIGITS, {"latent_dim": 0}), "latent_dim: got 0"),
        (Member("autoencoder", DIGITS, {"depth": 2}), "depth: got 2 with the conv"),
    ],
)
def test_refusals(member: Member, message: str):
    with pytest.raises(ValueError, match=message):
        member.run()
