"""The two stages of a VQ-VAE: the loss term by term, updates of the codebooks, micro-batches."""

from itertools import pairwise
from typing import Any

import pytest
import torch

from catalogue import DIGITS, PLANE, VECTOR_QUANTIZED, Member
from thalweg.problems.quantizing import CodeLikelihood, Quantizing
from thalweg.training.problem import Batch, Rows

TINY = {"codes": 8, "dim": 3, "hidden": 8, "layers": 1}


def built(options: dict[str, Any] | None = None, spec: Any = DIGITS) -> tuple[Any, Quantizing, CodeLikelihood]:
    run = Member("vq-vae", spec, TINY | (options or {})).moved()
    return run.model, run.stages[0].problem, run.stages[1].problem


@pytest.mark.system("S84")
@pytest.mark.parametrize("codebook", ["ema", "loss"])
def test_the_loss_equals_that_of_the_paper_with_a_normalized_likelihood(codebook: str):
    """−log p(x|z_q) + ‖sg[z] − e‖² + β‖z − sg[e]‖²; without the middle term where codes are running means."""
    model, problem, _ = built({"codebook": codebook, "commitment": 0.7})
    batch = Member("vq-vae", DIGITS).batch(6)
    loss = problem.loss("autoencoder", batch)
    inner = model.autoencoder
    z = inner.encoder(inner.likelihood.preprocess(batch.x))
    e = inner.vectors(inner.codes(batch.x)).view_as(z)
    distance = (z - e).square().sum(1).mean((1, 2))
    arguments = inner.likelihood.log_prob(inner.likelihood.preprocess(batch.x), inner.decoder(e))
    weight = 0.7 if codebook == "ema" else 1.7
    torch.testing.assert_close(loss.values, -arguments + weight * distance)
    torch.testing.assert_close(loss.extras["reconstruction"], arguments)
    assert 1 <= loss.extras["codes/perplexity"] <= 8 * loss.extras["codes/usage"] + 1e-4


@pytest.mark.system("S84")
def test_the_encoder_s_gradient_is_that_of_likelihood_and_commitment():
    """dL/dz = −∇ log p at z_q, straight through, + 2β (z − e)/n: towards the codes, not away from them."""
    model, problem, _ = built()
    inner, batch = model.autoencoder, Member("vq-vae", DIGITS).batch(4)
    kept = {}
    hook = inner.encoder.register_forward_hook(lambda module, arguments, z: kept.update(z=z) or z.retain_grad())
    problem.loss("autoencoder", batch).values.sum().backward()
    hook.remove()
    z = kept["z"]
    e = inner.vectors(inner.codes(batch.x)).view_as(z).detach().requires_grad_()
    y = inner.likelihood.preprocess(batch.x)
    (upstream,) = torch.autograd.grad(-inner.likelihood.log_prob(y, inner.decoder(e)).sum(), e)
    torch.testing.assert_close(z.grad, upstream + 2 * 0.25 * (z.detach() - e.detach()) / 16)


@pytest.mark.system("S84")
def test_codes_become_the_means_of_the_first_batch():
    model, problem, _ = built({"restart": False})
    inner, batch = model.autoencoder, Member("vq-vae", DIGITS).batch(32)
    z = inner.encoder(inner.likelihood.preprocess(batch.x)).movedim(1, -1).reshape(-1, 3)
    codes, before = inner.codes(batch.x).flatten(), inner.quantizer.codes.clone()
    problem.loss("autoencoder", batch)
    problem.project("autoencoder")
    for k in range(8):
        wanted = z[codes == k].mean(0) if (codes == k).any() else before[k]
        torch.testing.assert_close(inner.quantizer.codes[k], wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.system("S84")
@pytest.mark.parametrize("codebook", ["ema", "loss"])
def test_unused_codes_restart_as_a_function_of_the_seed(codebook: str):
    def revived(seed: int, restart: bool = True) -> tuple[torch.Tensor, torch.Tensor]:
        model, problem, _ = built({"codebook": codebook, "restart": restart})
        quantizer = model.autoencoder.quantizer
        with torch.no_grad():
            quantizer.codes[3:] += 1000.0  # far from all vectors
        x = Member("vq-vae", DIGITS).examples(32)
        problem.loss("autoencoder", Batch(x, seed=seed))
        problem.project("autoencoder")
        return quantizer.codes.detach(), model.autoencoder.encoder(model.autoencoder.likelihood.preprocess(x)).detach()

    codes, z = revived(0)
    assert codes.abs().max() < 100
    z = z.movedim(1, -1).reshape(-1, 3)
    assert ((codes[3:, None] - z).norm(dim=2).amin(1) < 1e-4).all()  # at vectors of the batch
    assert torch.equal(codes, revived(0)[0])
    assert not torch.equal(codes, revived(1)[0])
    assert revived(0, restart=False)[0][3:].min() > 900


@pytest.mark.system("S84")
@pytest.mark.parametrize("member", [m for m in VECTOR_QUANTIZED if m.options.get("restart", True)], ids=str)
def test_micro_batches_update_the_codebooks_as_the_joint_batch_does(member: Member):
    x = member.examples(24)
    books = []
    for cuts in ([0, 24], [0, 8, 16, 24]):
        run = member.moved()
        problem = run.stages[0].problem
        for start, stop in pairwise(cuts):
            problem.loss("autoencoder", Batch(x[start:stop], seed=5, rows=Rows(start, stop, 24)))
        problem.project("autoencoder")
        books.append([q.codes.detach() for q in run.model.autoencoder.quantizers.values()])
    for whole, pieces in zip(*books, strict=True):
        torch.testing.assert_close(whole, pieces)


@pytest.mark.system("S84")
def test_evaluation_changes_no_codebook():
    model, problem, _ = built()
    model.eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    problem.loss("autoencoder", Member("vq-vae", DIGITS).batch(8))
    problem.project("autoencoder")
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


@pytest.mark.system("S84")
def test_the_second_stage_learns_the_distribution_of_fixed_codes():
    for options in ({}, {"conditional": True}):
        model, _, problem = built(options)
        batch = Member("vq-vae", DIGITS).batch(5)
        loss, codes = problem.loss("prior", batch), model.codes(batch.x)
        wanted = model.code_prior.log_joint(codes, batch.y) if options else model.code_prior.log_prob(codes)
        torch.testing.assert_close(loss.values, -wanted)
        loss.values.mean().backward()
        assert all(p.grad is None for p in model.autoencoder.parameters())
        assert any(p.grad is not None and p.grad.any() for p in model.code_prior.parameters())


@pytest.mark.system("S84")
def test_refusals():
    model, _, problem = built({"conditional": True}, PLANE)
    with pytest.raises(ValueError, match="labels: got none"):
        problem.loss("prior", Batch(torch.zeros(3, 2)))
    with pytest.raises(ValueError, match=r"commitment: got -0\.25"):
        Quantizing(model, commitment=-0.25)
    with pytest.raises(ValueError, match=r"decay: got 1\.5"):
        Quantizing(model, decay=1.5)
