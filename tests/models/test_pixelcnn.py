"""The gated PixelCNN: receptive fields, normalization, and sampling with cached features."""

import itertools
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from catalogue import COLOR, DIGITS, PLANE, Member
from thalweg.models.autoregressive.cached import cached_sample, draw_level
from thalweg.models.autoregressive.pixelcnn import PixelCNN
from thalweg.models.autoregressive.table import CodeTable
from thalweg.models.class_conditional import ClassConditional
from thalweg.nn.masked import MaskedConv2d
from thalweg.problems.likelihood import Likelihood
from thalweg.recipes import recipe
from thalweg.training.problem import Batch


def moved(model: Any, seed: int = 0) -> Any:
    """The model with large random weights, so that no dependence is hidden by small initial weights."""
    noise = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(0.5 * torch.randn(p.shape, generator=noise))
    return model


def naive_sample(model: Any, noise: Tensor, context: Tensor | None = None) -> Tensor:
    """A full pass over the image for every value of it."""
    symbols = torch.zeros(noise.shape, dtype=torch.int64)
    _, channels, height, width = noise.shape
    with torch.no_grad():
        for r, c, k in itertools.product(range(height), range(width), range(channels)):
            symbols[:, k, r, c] = draw_level(model(symbols, context)[:, :, k, r, c], noise[:, k, r, c])
    return symbols


def every_image(shape: tuple[int, ...], values: list[int]) -> Tensor:
    return torch.tensor(list(itertools.product(values, repeat=math.prod(shape)))).view(-1, *shape)


def influence(model: Any, seen: int) -> Tensor:
    """|∂ logits_i / ∂ y_j| for every value i and every entry j of the input of the first convolutions."""
    _, height, width = model.shape
    y = torch.randn(8, seen, height, width, generator=torch.Generator().manual_seed(1)).requires_grad_()
    model.scaled = lambda symbols: y
    logits = model(torch.zeros(8, *model.shape, dtype=torch.int64)).permute(3, 4, 2, 0, 1).flatten(0, 2).sum((1, 2))
    gradients = [torch.autograd.grad(one, y, retain_graph=True)[0] for one in logits]
    # Over eight examples, since a ReLU may be inactive for one
    rows = [g.abs().sum(0).permute(1, 2, 0).flatten() for g in gradients]
    del model.scaled
    return torch.stack(rows)


@pytest.mark.system("S84")
@pytest.mark.parametrize("shape", [(1, 5, 5), (2, 4, 3), (3, 3, 4)])
def test_a_value_sees_all_that_come_before_and_nothing_else(shape: tuple[int, int, int]):
    """Zero Jacobian from the diagonal on, in order of rows, columns, channels; nowhere zero below: no blind spot."""
    jacobian = influence(moved(PixelCNN(shape, 4, hidden=6, layers=2)), shape[0])
    before = torch.ones_like(jacobian).tril(-1).bool()
    assert (jacobian[before] > 0).all()
    assert (jacobian[~before] == 0).all()


@pytest.mark.system("S84")
def test_embedded_codes_see_all_that_come_before_and_nothing_else():
    jacobian = influence(moved(PixelCNN((1, 4, 4), 9, hidden=6, layers=2, embedding=2)), 2).view(16, 16, 2).amax(2)
    before = torch.ones_like(jacobian).tril(-1).bool()
    assert (jacobian[before] > 0).all()
    assert (jacobian[~before] == 0).all()


@pytest.mark.system("S84")
def test_the_field_of_view_grows_with_depth_and_ends():
    """On a long row: four pixels from the first convolution (without its own), one more from each layer."""
    for layers, reach in ((1, 4), (3, 6)):
        jacobian = influence(moved(PixelCNN((1, 1, 12), 3, hidden=6, layers=layers)), 1)
        seen = jacobian > 0
        for i in range(12):
            assert seen[i].nonzero().flatten().tolist() == list(range(max(i - reach, 0), i))


@pytest.mark.system("S84")
@pytest.mark.parametrize(
    ("shape", "levels", "values", "options"),
    [
        ((1, 2, 2), 2, [0, 1], {}),
        ((1, 2, 3), 2, [0, 1], {"embedding": 3}),
        ((1, 2, 3), 256, [0, 255], {"binarized": True}),
        ((3, 1, 2), 2, [0, 1], {}),
        ((2, 2, 1), 3, [0, 1, 2], {}),
    ],
)
def test_probabilities_of_all_images_sum_to_one(shape: tuple[int, ...], levels: int, values: list[int], options: dict):
    model = moved(PixelCNN(shape, levels, hidden=6, layers=2, **options))
    x = every_image(shape, values)
    p = model.log_prob(x).exp()
    assert p.sum().item() == pytest.approx(1.0, abs=1e-5)
    assert p.max() > 3 * p.min()
    assert model.observation == ("binarized" if options.get("binarized") else "discrete")


@pytest.mark.system("S84")
@pytest.mark.parametrize(
    ("shape", "levels", "options"),
    [
        ((1, 7, 6), 2, {}),
        ((3, 4, 5), 6, {}),
        ((1, 5, 6), 300, {"embedding": 4}),
        ((1, 5, 5), 17, {"binarized": True}),
        ((2, 4, 4), 5, {"context": 3}),
    ],
)
def test_cached_sampling_equals_a_full_pass_for_every_value(shape: tuple[int, ...], levels: int, options: dict):
    model = moved(PixelCNN(shape, levels, hidden=6, layers=3, **options))
    noise = torch.rand(9, *shape, generator=torch.Generator().manual_seed(3))
    contexts = [None]
    if options.get("context"):
        contexts = [torch.randn(9, 3, *size, generator=torch.Generator().manual_seed(4)) for size in ((1, 1), (4, 4))]
    for context in contexts:
        kept = cached_sample(model, noise, context)
        assert torch.equal(kept, naive_sample(model, noise, context))
        drawn = model.sample(9, torch.Generator().manual_seed(3), context=context).long()
        assert torch.equal(drawn, kept * (levels - 1 if options.get("binarized") else 1))
    assert len(kept.unique()) > 1


@pytest.mark.system("S84")
@pytest.mark.parametrize("options", [{}, {"binarized": True}])
def test_samples_follow_log_prob(options: dict):
    model = moved(PixelCNN((1, 2, 2), 3, hidden=6, layers=1, **options))
    values = [0, 2] if options else [0, 1, 2]
    images = every_image((1, 2, 2), values)
    p = model.log_prob(images).exp().detach()
    x = model.sample(20_000, torch.Generator().manual_seed(0)).long()
    weights = torch.tensor([27, 9, 3, 1])
    counts = torch.bincount((x.flatten(1) * weights).sum(1), minlength=81)[(images.flatten(1) * weights).sum(1)]
    assert counts.sum() == len(x)  # no other values
    assert (counts / len(x) - p).abs().sum() < 1.5 * (p * (1 - p) / len(x)).sqrt().sum()


@pytest.mark.system("S84")
def test_levels_are_drawn_by_the_softmax():
    scores = torch.tensor([[0.3, -1.0, 2.0, 0.1]])
    edges = scores.softmax(1).cumsum(1)[0]
    u = torch.linspace(0, 0.99999, 2001)
    got = draw_level(scores.expand(2001, -1), u)
    assert torch.equal(got, torch.bucketize(u, edges, right=True).clamp(max=3))
    never = torch.tensor([[-1e30, 0.0, 0.0]])
    assert draw_level(never, torch.zeros(1)).item() == 1  # u = 0, and a level of probability 0 comes first


@pytest.mark.system("S84")
def test_each_class_has_a_distribution_and_bayes_rule_classifies():
    model = moved(ClassConditional(PixelCNN((1, 2, 2), 2, hidden=6, layers=2, context=3)))
    x = every_image((1, 2, 2), [0, 1])
    logits = model.logits(x)
    joint = [model.log_joint(x, torch.full((16,), y)) for y in range(3)]
    torch.testing.assert_close(logits, torch.stack(joint, 1))
    torch.testing.assert_close(model.log_prob(x), logits.logsumexp(1))
    torch.testing.assert_close(logits.exp().sum(0), model.frequencies.softmax(0))  # each class sums to its share
    assert (logits[:, 0] - logits[:, 1]).std() > 0.1
    loss = Likelihood(model).loss("model", Batch(x, torch.arange(16) % 3))
    torch.testing.assert_close(loss.values, -logits[torch.arange(16), torch.arange(16) % 3])
    one = model.sample(4000, torch.Generator().manual_seed(0), y=torch.ones(4000, dtype=torch.int64))
    shares = torch.bincount((one.flatten(1).long() * torch.tensor([8, 4, 2, 1])).sum(1), minlength=16) / 4000
    p = (logits[:, 1] - model.frequencies.log_softmax(0)[1]).exp()
    assert (shares - p).abs().sum() < 1.5 * (p * (1 - p) / 4000).sqrt().sum()
    with pytest.raises(ValueError, match=r"temperature: got 0.5, wanted 1: PixelCNN has none"):
        model.sample(1, temperature=0.5)


@pytest.mark.system("S84")
def test_many_examples_are_what_they_are_one_by_one():
    model = moved(PixelCNN((1, 3, 3), 4, hidden=6, layers=2, context=2))
    x, context = torch.randint(0, 4, (230, 1, 3, 3)), torch.randn(230, 2, 1, 1)
    whole = model.log_prob(x, None, context)
    with torch.no_grad():
        torch.testing.assert_close(model.log_prob(x, None, context), whole)
        torch.testing.assert_close(model.log_prob(x[7:8], None, context[7:8]), whole[7:8])


@pytest.mark.system("S84")
def test_training_finds_a_distribution_with_dependence_at_a_distance():
    """The last pixel of a 3×3 image is the parity of the first two; the other pixels are uniform: eight bits."""
    x = torch.randint(0, 2, (512, 1, 3, 3), generator=torch.Generator().manual_seed(0))
    x[:, 0, 2, 2] = x[:, 0, 0, 0] ^ x[:, 0, 0, 1]
    torch.manual_seed(0)
    model = PixelCNN((1, 3, 3), 2, hidden=16, layers=2)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for step in range(200):
        part = x[128 * (step % 4) : 128 * (step % 4 + 1)]
        loss = Likelihood(model).loss("model", Batch(part)).values.mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    fair = 8 * math.log(2)
    fresh = x.clone()
    fresh[:, 0, 1] = torch.randint(0, 2, (512, 3))  # values that no output depends on
    assert fair - 0.7 < -model.log_prob(fresh).mean().item() < fair + 0.7
    fresh[:, 0, 2, 2] ^= 1
    assert -model.log_prob(fresh).mean().item() > fair + 2


@pytest.mark.system("S84")
def test_a_table_of_codes_is_normalized_and_sampled_exactly():
    distribution = moved(CodeTable(3, 4, context=2), seed=1)
    x = torch.tensor(list(itertools.product(range(4), repeat=3)))
    context = torch.randn(1, 2, 1, 1).expand(64, -1, -1, -1)
    p = distribution.log_prob(x, None, context).exp()
    assert p.sum().item() == pytest.approx(1.0, abs=1e-5)
    drawn = distribution.sample(
        20_000, torch.Generator().manual_seed(0), context=context[:1].expand(20_000, -1, -1, -1)
    )
    shares = torch.bincount((drawn * torch.tensor([16, 4, 1])).sum(1), minlength=64) / 20_000
    assert (shares - p).abs().sum() < 1.5 * (p * (1 - p) / 20_000).sqrt().sum()
    fitted, target = CodeTable(2, 3), torch.rand(9, generator=torch.Generator().manual_seed(0)).softmax(0)
    pairs = torch.tensor(list(itertools.product(range(3), repeat=2)))
    optimizer = torch.optim.LBFGS(fitted.parameters(), max_iter=200)

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = -(target * fitted.log_prob(pairs)).sum()
        value.backward()
        return value

    optimizer.step(loss)
    torch.testing.assert_close(fitted.log_prob(pairs).exp(), target, rtol=1e-2, atol=1e-3)


@pytest.mark.system("S84")
@pytest.mark.parametrize("strict", [True, False])
def test_masked_convolution_against_its_own_rule(strict: bool):
    layer = moved(MaskedConv2d(6, 12, 3, groups=3, repeats=2, strict=strict))
    x = torch.randn(1, 6, 1, 3, requires_grad=True)
    for o, one in enumerate(layer(x)[0, :, 0, 0]):
        seen = torch.autograd.grad(one, x, retain_graph=True)[0][0, :, 0] != 0
        group = o % 6 // 2
        assert seen[:, :2].all()
        assert seen[:, 2].tolist() == [j // 2 < group or (j // 2 == group and not strict) for j in range(6)]


@pytest.mark.system("S84")
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: recipe("pixelcnn")(PLANE), "pixelcnn: got data 'plane' of vectors, wanted images"),
        (lambda: Member("pixelcnn", DIGITS, {"hidden": 0}).run(), "hidden: got 0"),
        (lambda: Member("pixelcnn", DIGITS, {"layers": 0}).run(), "layers: got 0"),
        (lambda: PixelCNN((3, 4, 4), 5, embedding=2), "embedding: got 3 channels, wanted one"),
        (lambda: PixelCNN((1, 4, 4), 1), "levels: got 1, wanted at least 2"),
        (lambda: MaskedConv2d(4, 6, groups=3), "inputs: got 4 channels, wanted a multiple of 3"),
    ],
)
def test_refusals(make: Any, message: str):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.system("S84")
def test_color_is_modeled_channel_after_channel():
    """The second channel of a pixel sees the first one of it: an image whose channels are equal costs one channel."""
    model = Member("pixelcnn", COLOR, {"hidden": 4, "layers": 1}).trained()
    assert model.shape == COLOR.shape
    x = torch.randint(0, 256, (2, *COLOR.shape), dtype=torch.uint8)
    changed = x.clone()
    changed[:, 0, 5, 5] = 255 - changed[:, 0, 5, 5]
    with torch.no_grad():
        a, b = model(x.long()), model(changed.long())
    assert torch.equal(a[:, :, 0, 5, 5], b[:, :, 0, 5, 5])
    assert not torch.equal(a[:, :, 1, 5, 5], b[:, :, 1, 5, 5])
    assert torch.equal(a[:, :, :, :5], b[:, :, :, :5])
