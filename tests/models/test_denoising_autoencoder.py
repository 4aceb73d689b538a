"""Denoising autoencoders: the distribution of the corruption, the loss, and layer-wise training."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from catalogue import DENOISING, DIGITS, PLANE, Member
from thalweg.models.autoencoders.autoencoder import dense_autoencoder
from thalweg.models.autoencoders.denoising_autoencoder import Corruption
from thalweg.problems.autoencoding import Denoising, LayerDenoising
from thalweg.training.problem import Batch, Rows

N = 40_000


@pytest.mark.system("S71")
def test_gaussian_noise_has_its_level():
    y = torch.full((N, 2), 0.4)
    added = Corruption("gaussian", 0.3)(y, Batch(y, seed=1)) - y
    assert added.mean().item() == pytest.approx(0, abs=0.005)
    assert added.std().item() == pytest.approx(0.3, rel=0.01)
    assert np.corrcoef(added.T)[0, 1] == pytest.approx(0, abs=0.02)


@pytest.mark.system("S71")
@pytest.mark.parametrize(("kind", "zeros", "ones"), [("masking", 0.3, 0.0), ("salt-and-pepper", 0.15, 0.15)])
def test_shares_of_corrupted_values(kind, zeros, ones):
    y = torch.full((N, 2), 0.4)
    damaged = Corruption(kind, 0.3)(y, Batch(y, seed=1))
    shares = [(damaged == value).float().mean().item() for value in (0.0, 1.0, 0.4)]
    assert shares == pytest.approx([zeros, ones, 0.7], abs=0.01)


@pytest.mark.system("S71")
@pytest.mark.parametrize("kind", ["gaussian", "masking", "salt-and-pepper"])
def test_the_corruption_is_a_function_of_the_seed_and_of_the_row(kind):
    corruption, y = Corruption(kind, 0.4), torch.rand(8, 1, 4, 4)
    whole = corruption(y, Batch(y, seed=5))
    assert torch.equal(whole, corruption(y, Batch(y, seed=5)))
    assert not torch.equal(whole, corruption(y, Batch(y, seed=6)))
    parts = [corruption(y[a:b], Batch(y[a:b], seed=5, rows=Rows(a, b, 8))) for a, b in ((0, 4), (4, 8))]
    assert torch.equal(whole, torch.cat(parts))


@pytest.mark.system("S71")
def test_the_loss_compares_with_the_uncorrupted_examples():
    member = DENOISING[1]
    run, batch = member.moved(), member.batch(7)
    problem = run.stages[0].problem
    y = run.model.preprocess(batch.x)
    restored = run.model(problem.corruption(y, batch))
    values = problem.loss("model", batch).values
    torch.testing.assert_close(values, (restored - y).square().flatten(1).sum(1))
    assert (values - run.model.score(batch.x)).abs().min() > 1e-3  # which corrupts nothing


@pytest.mark.system("S71")
def test_of_gaussian_data_the_best_linear_denoiser_is_wieners():
    """y ~ N(0, diag(s²)) in N(0, σ²) noise: E[y|ỹ] = s²/(s² + σ²) ỹ, with the error Σ s²σ²/(s² + σ²)."""
    torch.manual_seed(0)
    scale, sigma = torch.tensor([2.0, 1.0, 0.5]), 0.8
    model = dense_autoencoder((3,), 3, (), mean=[0.0] * 3, std=[1.0] * 3)
    problem = Denoising(model, Corruption("gaussian", sigma))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for step in range(600):
        optimizer.zero_grad()
        x = torch.randn(512, 3) * scale
        problem.loss("model", Batch(x, seed=step)).values.mean().backward()
        optimizer.step()
        optimizer.param_groups[0]["lr"] = 0.02 * (1 - step / 600)
    gains = model(torch.eye(3)) - model(torch.zeros(3, 3))
    expected = scale**2 / (scale**2 + sigma**2)
    torch.testing.assert_close(gains, torch.diag(expected), atol=0.04, rtol=0)
    x = torch.randn(N, 3) * scale
    result = problem.loss("model", Batch(x, seed=-1)).values.mean()
    assert result.item() == pytest.approx(float((expected * sigma**2).sum()), rel=0.03)


@pytest.mark.system("S71")
def test_a_layer_denoises_the_codes_below_and_trains_only_itself():
    member = DENOISING[4]
    run, batch = member.moved(), member.batch(6)
    assert [stage.name for stage in run.stages] == ["layer-1", "layer-2", "layer-3", "fine-tuning"]
    model = run.model
    y = model.preprocess(batch.x).flatten(1)
    first, second = model.layers[0], model.layers[1]
    corruption = run.stages[0].problem.corruption
    noisy = corruption(y, batch)
    restored = first.decoder(torch.sigmoid(first.encoder(noisy)))
    torch.testing.assert_close(
        run.stages[0].problem.loss("layer", batch).values, (restored - y).square().sum(1), rtol=1e-4, atol=1e-4
    )
    below = torch.sigmoid(first.encoder(y)).detach()  # of uncorrupted values
    logits = second.decoder(torch.sigmoid(second.encoder(corruption(below, batch))))
    p = logits.sigmoid().double()
    expected = -(below * p.log() + (1 - below) * (1 - p).log()).sum(1)
    problem = run.stages[1].problem
    values = problem.loss("layer", batch).values
    torch.testing.assert_close(values.double(), expected, rtol=1e-4, atol=1e-4)
    values.mean().backward()
    moved = {name for name, p in model.named_parameters() if p.grad is not None}
    assert moved == {f"layers.1.{part}.{what}" for part in ("encoder", "decoder") for what in ("weight", "bias")}


@pytest.mark.system("S71")
@pytest.mark.parametrize("member", DENOISING[3:], ids=str)
def test_the_whole_is_the_layers_unrolled(member):
    model, x = member.trained(), member.examples(4)
    y = model.preprocess(x)
    z = y.flatten(1)
    for layer in model.layers:
        z = torch.sigmoid(F.linear(z, layer.encoder.weight, layer.encoder.bias))
    torch.testing.assert_close(model.encode(x), z)
    for i, layer in reversed(list(enumerate(model.layers))):
        z = F.linear(z, layer.decoder.weight, layer.decoder.bias)
        z = torch.sigmoid(z) if i else z
    z = z.reshape(y.shape)
    torch.testing.assert_close(model(y), z)
    torch.testing.assert_close(model.reconstruct(x), model.preprocess.inverse(z))
    torch.testing.assert_close(model.score(x), (z - y).square().flatten(1).sum(1))


@pytest.mark.system("S71")
def test_stacking_learns_in_every_stage():
    from sklearn.datasets import load_digits

    x = torch.tensor(load_digits().images[:512, None]).to(torch.uint8)
    run = Member("stacked-denoising-autoencoder", DIGITS, {"latent_dim": 16, "hidden": 32, "layers": 2}).run()
    for stage in run.stages:
        ((player, module),) = stage.problem.players.items()
        optimizer = torch.optim.Adam(module.parameters(), lr=3e-3)
        losses = []
        for step in range(150):
            optimizer.zero_grad()
            loss = stage.problem.loss(player, Batch(x, seed=step)).values.mean()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        assert losses[-1] < 0.95 * losses[0], stage.name
    y = x.float() / 16
    damaged = Corruption("masking", 0.25)(y, Batch(x, seed=-1))
    restored = run.model.reconstruct((damaged * 16).to(torch.uint8)) / 16
    assert (restored - y).square().mean() < 0.75 * (damaged - y).square().mean()


@pytest.mark.system("S71")
@pytest.mark.parametrize(
    ("member", "message"),
    [
        (Member("denoising-autoencoder", PLANE, {"corruption": "salt-and-pepper"}), "with vectors 'plane'"),
        (Member("denoising-autoencoder", DIGITS, {"corruption": "masking", "level": 1.5}), "level: got 1.5"),
        (Member("denoising-autoencoder", DIGITS, {"level": 0.0}), "level: got 0.0"),
        (Member("denoising-autoencoder", DIGITS, {"corruption": "blur"}), "corruption: got 'blur', wanted one of"),
        (Member("stacked-denoising-autoencoder", DIGITS, {"layers": 0}), "layers: got 0"),
    ],
)
def test_refusals(member, message):
    with pytest.raises(ValueError, match=message):
        member.run()


@pytest.mark.system("S71")
def test_the_layer_is_named_in_the_problem():
    model = DENOISING[3].run().model
    assert LayerDenoising(model, 1, Corruption()).players["layer"] is model.layers[1]
