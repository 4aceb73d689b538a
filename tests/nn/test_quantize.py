"""The quantizer against brute force, closed forms and autograd."""

import math

import pytest
import torch

from thalweg.nn.quantize import Candidates, Quantizer, perplexity, rows_of


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.system("S84")
@pytest.mark.parametrize("moving", [True, False])
def test_nearest_code_is_what_brute_force_finds(moving: bool):
    book, z = Quantizer(37, 5, moving=moving), 2 * drawn(3, 5, 6, 4)
    wanted = torch.empty(3, 6, 4, dtype=torch.int64)
    for b in range(3):
        for i in range(6):
            for j in range(4):
                distances = [float((z[b, :, i, j].double() - e.double()).norm()) for e in book.codes.detach()]
                wanted[b, i, j] = distances.index(min(distances))
    quantized = book(z)
    assert torch.equal(quantized.codes, wanted)
    for b in range(3):
        torch.testing.assert_close(quantized.vectors[b].movedim(0, -1), book.codes[wanted[b]], rtol=0, atol=1e-6)
    torch.testing.assert_close(book.lookup(wanted), quantized.vectors)


@pytest.mark.system("S84")
def test_the_first_of_equal_codes_is_taken_and_distances_are_float32_under_bf16():
    book = Quantizer(4, 2)
    book.codes.copy_(torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.004, 0.0], [5.0, 5.0]]))
    z = torch.tensor([[1.0, 0.0], [1.003, 0.0]])
    with torch.autocast("cpu", dtype=torch.bfloat16):  # where 1 and 1.004 are equal
        assert book.nearest(z).tolist() == [0, 2]


@pytest.mark.system("S84")
def test_the_gradient_passes_straight_through():
    """∂ f(q(z)) / ∂z is ∇f at q(z), as if q were the identity; the codes get no gradient."""
    book, z = Quantizer(9, 3, moving=False), drawn(2, 3, 4).requires_grad_()
    vectors = book(z).vectors
    weights = drawn(2, 3, 4, seed=1)
    (weights * vectors.sin()).sum().backward()
    torch.testing.assert_close(z.grad, weights * vectors.detach().cos())
    assert book.codes.grad is None or not book.codes.grad.any()


@pytest.mark.system("S84")
def test_gradients_of_the_two_distances():
    """d commitment / dz = 2 (z − e) / n and none to e; d codebook / de_k = −2 Σ (z − e_k) / n and none to z."""
    book, z = Quantizer(4, 3, moving=False), drawn(2, 3, 5).requires_grad_()
    quantized = book(z)
    apart = (z - quantized.vectors).detach()
    torch.testing.assert_close(quantized.commitment, apart.square().sum(1).mean(1))
    torch.testing.assert_close(quantized.codebook, quantized.commitment)
    quantized.commitment.sum().backward(retain_graph=True)
    torch.testing.assert_close(z.grad, 2 * apart / 5)
    assert book.codes.grad is None
    z.grad = None
    quantized.codebook.sum().backward()
    assert z.grad is None
    for k in range(4):
        mine = rows_of(apart)[quantized.codes.flatten() == k]
        torch.testing.assert_close(book.codes.grad[k], -2 * mine.sum(0) / 5)


@pytest.mark.system("S84")
def test_moving_codes_are_the_weighted_means_of_their_vectors():
    """After batches 1…t, e_k = Σ γ^(t−s) Σ_{z in batch s assigned to k} z / Σ γ^(t−s) n_k(s), without an effect of the
    initial values."""
    book, decay = Quantizer(5, 2), 0.8
    start = book.codes.clone()
    book.codes[4] = 100.0  # no vector is assigned to it
    start[4] = 100.0
    taken: list[tuple[torch.Tensor, torch.Tensor]] = []
    for step in range(6):
        z = drawn(20, 2, seed=step)
        codes = book.nearest(z)
        taken.append((codes, z))
        uses = torch.bincount(codes, minlength=5).float()
        sums = torch.zeros(5, 2).index_add_(0, codes, z)
        book.update_codes(uses, sums, decay)
        for k in range(5):
            weights = [decay ** (step - s) for s in range(step + 1)]
            mass = sum(w * int((c == k).sum()) for w, (c, _) in zip(weights, taken, strict=True))
            if mass == 0:
                assert torch.equal(book.codes[k], start[k])
                continue
            mean = sum(w * z[c == k].sum(0) for w, (c, z) in zip(weights, taken, strict=True)) / mass
            torch.testing.assert_close(book.codes[k], mean)
            assert book.uses[k].item() == pytest.approx((1 - decay) * mass, rel=1e-5)


@pytest.mark.system("S84")
@pytest.mark.parametrize("moving", [True, False])
def test_dead_codes_restart_on_the_candidates_in_turn(moving: bool):
    book = Quantizer(6, 2, moving=moving)
    with torch.no_grad():
        book.codes.copy_(drawn(6, 2))
    book.uses.copy_(torch.tensor([10.0, 0.0, 3.0, 0.01, 8.0, 0.0]))  # the mean is 3.5, of which 5 % is 0.175
    if moving:
        book.sums.copy_(book.codes * book.uses[:, None])
    before = book.codes.detach().clone()
    keys, vectors = torch.tensor([0.9, 0.2, 0.5, 0.4]), 7 + drawn(4, 2, seed=1)
    book.restart_dead_codes(Candidates.of(keys, vectors, max_count=6))
    assert torch.equal(book.codes[[0, 2, 4]], before[[0, 2, 4]])
    assert torch.equal(book.codes[[1, 3, 5]], vectors[[1, 3, 2]])
    mean = torch.tensor([10.0, 0.0, 3.0, 0.01, 8.0, 0.0]).mean().item()
    assert book.uses.tolist() == pytest.approx([10.0, mean, 3.0, mean, 8.0, mean])
    if moving:
        torch.testing.assert_close(book.sums, book.codes * book.uses[:, None])
    after = book.codes.detach().clone()
    book.restart_dead_codes(Candidates.of(keys, vectors, max_count=6))  # no code is dead now
    assert torch.equal(book.codes, after)


@pytest.mark.system("S84")
def test_more_dead_codes_than_candidates():
    book = Quantizer(4, 2)
    before = book.codes.clone()
    book.uses.copy_(torch.tensor([1.0, 0.0, 0.0, 0.0]))
    book.restart_dead_codes(
        Candidates.of(torch.tensor([0.5, 0.1]), torch.tensor([[5.0, 5.0], [6.0, 6.0]]), max_count=4)
    )
    assert torch.equal(book.codes[1:3], torch.tensor([[6.0, 6.0], [5.0, 5.0]]))
    assert torch.equal(book.codes[[0, 3]], before[[0, 3]])


@pytest.mark.system("S84")
def test_perplexity_is_the_effective_number_of_codes():
    assert perplexity(torch.full((8,), 3.0)).item() == pytest.approx(8.0)
    assert perplexity(torch.tensor([5.0, 0.0])).item() == pytest.approx(1.0)
    p = torch.tensor([0.5, 0.25, 0.25])
    assert perplexity(40 * p).item() == pytest.approx(2**1.5)
    assert math.log(perplexity(p).item()) == pytest.approx(torch.distributions.Categorical(p).entropy().item())


@pytest.mark.system("S84")
def test_refusals():
    with pytest.raises(ValueError, match="codes: got 1, wanted at least 2"):
        Quantizer(1, 3)
    with pytest.raises(ValueError, match="dim: got 0"):
        Quantizer(4, 0)
