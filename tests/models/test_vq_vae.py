"""VQ-VAE and VQ-VAE-2: sizes, the bound against the sum over all codes, samples, and dependence on the codes."""

import itertools
import math
from typing import Any

import pytest
import torch

from catalogue import COLOR, DIGITS, ODD, PLANE, VECTOR_QUANTIZED, Member
from thalweg.data import Spec
from thalweg.models.vaes.vq_networks import grid_sizes
from thalweg.models.vaes.vq_vae_2 import HierarchicalPrior
from thalweg.recipes import recipe

TINY = {"codes": 8, "dim": 3, "hidden": 8, "layers": 1}


@pytest.mark.system("S84")
@pytest.mark.oracle("O46")
def test_bits_of_an_image_against_bits_of_its_codes():
    """128×128 pixels of 3 bytes, as 32×32 codes of 9 bits: 42.67 times less."""
    spec = Spec(name="large", kind="image", shape=(3, 128, 128), levels=256, mean=(0.0,) * 3, std=(1.0,) * 3)
    model: Any = recipe("vq-vae")(spec, hidden=4, layers=1).model
    codes = model.codes(torch.zeros(1, *spec.shape, dtype=torch.uint8))
    assert codes.shape == (1, 32, 32)
    of_code = codes[0].numel() * math.log2(model.autoencoder.quantizer.count)
    assert spec.size * 8 / of_code == pytest.approx(42.67, abs=0.005)


@pytest.mark.system("S84")
@pytest.mark.parametrize(
    ("spec", "grid", "top"), [(DIGITS, (4, 4), (2, 2)), (ODD, (6, 5), (3, 3)), (COLOR, (4, 4), (2, 2))], ids=str
)
def test_grids(spec: Spec, grid: tuple[int, int], top: tuple[int, int]):
    assert Member("vq-vae", spec, TINY).run().model.autoencoder.grid == grid
    two: Any = Member("vq-vae-2", spec, TINY).run().model.autoencoder
    assert (two.top_grid, two.bottom_grid) == (top, grid)
    assert grid_sizes((1, 28, 28), 3) == [(28, 28), (14, 14), (7, 7), (4, 4)]


@pytest.mark.system("S84")
@pytest.mark.parametrize("member", VECTOR_QUANTIZED, ids=str)
def test_elbo_is_the_log_prior_plus_the_log_likelihood_of_the_loss(member: Member):
    model: Any = member.trained()
    x = member.examples(4)
    noise = torch.rand(x.shape) if model.observation == "dequantized" else None
    with torch.no_grad():
        terms, codes = model.autoencoder(x, noise), model.codes(x)
        torch.testing.assert_close(model.elbo(x, noise), terms.log_likelihood + model.code_prior.log_prob(codes))
        flat = torch.cat([q.codes.flatten(1) for q in terms.quantized.values()], 1)
        assert torch.equal(codes.flatten(1), flat)
        vectors = torch.cat([q.vectors.flatten(1) for q in terms.quantized.values()], 1)
        torch.testing.assert_close(model.encode(x), vectors)
        again = model.autoencoder.likelihood.mean(model.autoencoder.decode(vectors))
        torch.testing.assert_close(model.reconstruct(x), again)
    assert codes.dtype == torch.int64
    assert int(codes.max()) < 8


@pytest.mark.system("S84")
def test_elbo_is_below_the_sum_over_all_codes():
    """p(x) = Σ_c p(c) p(x|c) over all 3² codes, of which the bound has one term."""
    member = Member("vq-vae", PLANE, {"codes": 3, "dim": 2, "hidden": 8, "places": 2})
    model: Any = member.trained()
    with torch.no_grad():
        for p in model.code_prior.parameters():
            p += torch.randn(p.shape, generator=torch.Generator().manual_seed(0))
    x, codes = member.examples(20), torch.tensor(list(itertools.product(range(3), repeat=2)))
    with torch.no_grad():
        inner, prior = model.autoencoder, model.code_prior.log_prob(codes)
        assert prior.exp().sum().item() == pytest.approx(1.0, abs=1e-5)
        parameters = inner.decode(inner.vectors(codes))
        y = inner.likelihood.preprocess(x)
        each = torch.stack([inner.likelihood.log_prob(y, one.expand(20, -1)) for one in parameters], 1)
        exact = (prior + each).logsumexp(1)
        bound = model.elbo(x)
        assert (bound < exact).all()
        mine = (codes[None] == model.codes(x)[:, None]).all(2)
        torch.testing.assert_close(bound, (prior + each)[mine])


@pytest.mark.system("S84")
def test_samples_decode_codes_of_the_prior():
    for member in (Member("vq-vae", DIGITS, TINY), Member("vq-vae-2", DIGITS, TINY)):
        model: Any = member.trained()
        codes = model.code_prior.sample(5, torch.Generator().manual_seed(3)).long()
        mean = model.decode(model.autoencoder.vectors(codes))
        assert torch.equal(model.sample(5, torch.Generator().manual_seed(3)), mean.round().to(torch.uint8))


@pytest.mark.system("S84")
@pytest.mark.parametrize("name", ["vq-vae", "vq-vae-2"])
def test_samples_of_a_class_have_that_class_s_codes(name: str):
    member = Member(name, DIGITS, TINY | {"conditional": True})
    model: Any = member.trained()
    y = torch.tensor([0, 1, 2, 0, 1, 2])
    with torch.no_grad():
        for p in model.code_prior.parameters():
            p += 0.5 * torch.randn(p.shape, generator=torch.Generator().manual_seed(p.numel()))
    codes = model.code_prior.sample(6, torch.Generator().manual_seed(0), y=y)
    context = torch.eye(3)[y]
    assert torch.equal(codes, model.code_prior.density.sample(6, torch.Generator().manual_seed(0), context=context))
    assert not torch.equal(codes, model.code_prior.sample(6, torch.Generator().manual_seed(0), y=(y + 1) % 3))
    z = model.autoencoder.vectors(codes.long())
    wanted = model.decode(z).round().to(torch.uint8)
    assert torch.equal(model.sample(6, torch.Generator().manual_seed(0), y=y), wanted)
    result = model.codes(wanted)
    by_class = [model.code_prior.log_joint(result, torch.full((6,), k)) for k in range(3)]
    torch.testing.assert_close(model.code_prior.log_prob(result), torch.stack(by_class, 1).logsumexp(1))
    assert torch.stack(by_class).std(0).min() > 0.01


@pytest.mark.system("S84")
@pytest.mark.parametrize("context", [0, 2])
def test_two_grids_of_codes_have_one_prior(context: int):
    """Probabilities of all 2⁶ pairs of grids (1×2 above 2×2) sum to one; the bottom codes depend on the top ones."""
    prior = HierarchicalPrior((1, 2), (2, 2), 2, hidden=6, layers=1, context=context)
    noise = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in prior.parameters():
            p.copy_(0.5 * torch.randn(p.shape, generator=noise))
        prior.read.weight *= 6  # a strong dependence of the bottom codes on the top codes
    x = torch.tensor(list(itertools.product(range(2), repeat=6)))
    contexts = torch.ones(1, context, 1, 1).expand(64, -1, -1, -1) if context else None
    p = prior.log_prob(x, None, contexts).exp()
    assert p.sum().item() == pytest.approx(1.0, abs=1e-5)
    conditional = p.view(4, 16) / p.view(4, 16).sum(1, keepdim=True)  # p(bottom | top)
    assert (conditional[0] - conditional[3]).abs().sum() > 0.5
    n = 20_000
    drawn = prior.sample(
        n, torch.Generator().manual_seed(0), context=None if contexts is None else contexts[:1].expand(n, -1, -1, -1)
    )
    shares = torch.bincount((drawn * (2 ** torch.arange(5, -1, -1))).sum(1), minlength=64) / n
    assert (shares - p).abs().sum() < 1.5 * (p * (1 - p) / n).sqrt().sum()


@pytest.mark.system("S84")
def test_the_top_codes_reach_the_image_and_the_bottom_codes():
    model: Any = Member("vq-vae-2", COLOR, TINY).trained()
    inner, x = model.autoencoder, Member("vq-vae-2", COLOR).examples(3)
    z = model.encode(x).requires_grad_()
    (g,) = torch.autograd.grad(model.decode(z).sum(), z)
    top = 3 * math.prod(inner.top_grid)
    assert z.shape == (3, top + 3 * math.prod(inner.bottom_grid))
    assert g[:, :top].abs().min() > 0
    assert g[:, top:].abs().min() > 0
    quantized = inner._quantized(x)
    (upstream,) = torch.autograd.grad(quantized["bottom"].vectors.sum(), inner.encode_top[-1].weight)
    assert upstream.abs().max() > 0


@pytest.mark.system("S84")
@pytest.mark.parametrize(
    ("name", "spec", "options", "message"),
    [
        ("vq-vae-2", PLANE, {}, "vq-vae-2: got data 'plane' of vectors, wanted images"),
        ("vq-vae", PLANE, {"likelihood": "bernoulli"}, "likelihood: got 'bernoulli' for vectors, wanted gaussian"),
        ("vq-vae", DIGITS, {"codebook": "emma"}, "did you mean 'ema'"),
        ("vq-vae", DIGITS, {"codes": 1}, "codes: got 1, wanted at least 2"),
        ("vq-vae", DIGITS, {"places": 3}, "places: got 3 with images 'scans', wanted vectors"),
        ("vq-vae", PLANE, {"hidden": 0}, "hidden: got 0"),
        ("vq-vae-2", DIGITS, {"commitment": 0.0}, "commitment: got 0.0"),
        (
            "vq-vae",
            Spec(name="s", kind="image", shape=(1, 4, 9), levels=4, mean=(1.0,), std=(1.0,)),
            {},
            "image: got 4×9",
        ),
        (
            "vq-vae",
            Spec(name="bare", kind="vector", shape=(2,), mean=(0.0, 0.0), std=(1.0, 1.0)),
            {"conditional": True},
            "conditional: got data 'bare' without classes",
        ),
    ],
)
def test_refusals(name: str, spec: Spec, options: dict, message: str):
    with pytest.raises(ValueError, match=message):
        Member(name, spec, options).run()
