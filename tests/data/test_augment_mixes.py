"""Borders, colors, erased regions, mixtures and alternating flips against loops, PIL and exact cases."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from thalweg.batch import Batch, Rows
from thalweg.data import Augment, Batches, class_target
from thalweg.data.colors import adjusted
from thalweg.data.erasing import rectangles
from thalweg.randomness import fold, generator

pytestmark = pytest.mark.system("S31")

CLASSES = class_target(("a", "b", "c"))


def images(n: int = 16, side: int = 8, dtype: torch.dtype = torch.uint8) -> torch.Tensor:
    return torch.randint(0, 256, (n, 3, side, side), generator=generator(0, "x")).to(dtype)


@pytest.mark.parametrize("alternate", [False, True])
def test_a_flip_reverses_the_columns_and_neither_channels_nor_rows(alternate):
    x = torch.arange(3 * 4 * 5, dtype=torch.uint8).reshape(1, 3, 4, 5).repeat(64, 1, 1, 1)
    augment = Augment(alternate=True) if alternate else Augment(hflip=True)
    out = [augment(Batch(x, seed=1, passes=(epoch, epoch + 1))).x for epoch in (0, 1)]
    reversed_columns = torch.arange(60).reshape(3, 4, 5)[:, :, [4, 3, 2, 1, 0]]
    flipped = [bool((image == reversed_columns).all()) for part in out for image in part]
    assert all(a or bool((image == x[0]).all()) for a, image in zip(flipped, torch.cat(out), strict=True))
    assert any(flipped)
    assert not all(flipped)


@pytest.mark.parametrize("border", ["zeros", "reflect"])
def test_a_border_is_black_in_raw_values_or_the_reflected_image(border):
    """Images are padded before the model normalizes them, so a border of zeros is black and not the mean color."""
    x = images(200) // 2 + 100  # no pixel is 0
    out = Augment(crop=3, border=border)(Batch(x, seed=1)).x
    mode = {"zeros": "constant", "reflect": "reflect"}[border]
    padded = F.pad(x.float(), (3, 3, 3, 3), mode=mode)
    windows = padded.unfold(2, 8, 1).unfold(3, 8, 1).permute(0, 2, 3, 1, 4, 5).flatten(1, 2)
    hits = (windows == out[:, None]).flatten(2).all(2).any(1)
    assert bool(hits.all())
    assert int(out.min()) == (0 if border == "zeros" else 100)
    with pytest.raises(ValueError, match="crop: got a reflected border of 8 for a side of 8"):
        Augment(crop=8, border="reflect")(Batch(x, seed=1))


@pytest.mark.parametrize(("name", "enhancer"), [
    ("brightness", "Brightness"), ("contrast", "Contrast"), ("saturation", "Color")])  # fmt: skip
@pytest.mark.parametrize("factor", [0.0, 0.4, 1.0, 1.7])
def test_colors_are_those_of_pil(name, enhancer, factor):
    from PIL import Image, ImageEnhance

    x = images(4)
    out = adjusted(x, **{name: torch.full((4,), factor)})
    for ours, image in zip(out, x, strict=True):
        picture = Image.fromarray(image.permute(1, 2, 0).numpy())
        theirs = np.asarray(getattr(ImageEnhance, enhancer)(picture).enhance(factor)).astype(int)
        assert np.abs(ours.permute(1, 2, 0).numpy().astype(int) - theirs).max() <= 1  # PIL rounds the gray value


def test_color_options_are_independent_and_off_at_zero():
    x = images(64)
    both = Augment(contrast=0.5, saturation=0.5)(Batch(x, seed=2)).x
    only = Augment(contrast=0.5)(Batch(x, seed=2)).x
    again = Augment(saturation=0.5)(Batch(only, seed=2)).x
    assert int((again.int() - both.int()).abs().max()) <= 2  # rounded once more
    assert not torch.equal(both, only)
    one = x[:, :1]
    assert torch.equal(Augment(saturation=0.9)(Batch(one, seed=2)).x, one)  # gray images have no saturation


def test_cutout_has_the_fill_color_and_its_size_inside_of_the_image():
    x = torch.full((4000, 3, 9, 9), 200, dtype=torch.uint8)
    out = Augment(cutout=4, fill=(1.2, 2.0, 3.0))(Batch(x, seed=1)).x
    gone = out[:, 0] != 200
    assert torch.equal(out.permute(0, 2, 3, 1)[gone].unique(dim=0), torch.tensor([[1, 2, 3]], dtype=torch.uint8))
    areas = gone.flatten(1).sum(1)
    centers = torch.arange(9)
    sides = (centers + 2).clamp(max=9) - (centers - 2).clamp(min=0)
    expected = torch.outer(sides, sides).flatten()
    assert set(areas.tolist()) == set(expected.tolist())
    assert abs(float(areas.float().mean()) - float(expected.float().mean())) < 0.3  # 5 standard errors are .27


def test_erased_rectangles_have_the_stated_areas_shapes_and_probability():
    draw = torch.rand(5000, 5, generator=generator(0, "draw"))
    top, bottom, left, right = rectangles(draw, 0.4, (200, 200))
    assert int(top.min()) >= 0
    assert int(left.min()) >= 0
    assert float(bottom.max()) <= 200
    assert float(right.max()) <= 200
    here = bottom > top
    assert abs(float(here.float().mean()) - 0.4) < 5 * (0.24 / 5000) ** 0.5
    tall, wide = (bottom - top)[here], (right - left)[here]
    share, aspect = tall * wide / 40000, tall / wide
    assert float(share.min()) > 0.018
    assert float(share.max()) < 0.34
    assert float(aspect.min()) > 0.27
    assert float(aspect.max()) < 3.7
    assert float(aspect.log().mean().abs()) < 0.1
    x = torch.full((500, 3, 16, 16), 200, dtype=torch.uint8)
    changed = (Augment(erase=0.4)(Batch(x, seed=3)).x != 200).flatten(1).any(1)
    assert abs(float(changed.float().mean()) - 0.4) < 5 * (0.24 / 500) ** 0.5


@pytest.mark.parametrize("options", [{"mixup": 0.8}, {"cutmix": 1.0}, {"mixup": 1.0, "cutmix": 1.0}])
@pytest.mark.parametrize("n", [16, 7])
def test_the_share_of_a_label_is_the_share_of_its_pixels(options, n):
    """Images of one color by their class: the mean pixel then tells the share."""
    y = torch.arange(n) % 3
    x = (y.float() * 100).view(n, 1, 1, 1).expand(n, 3, 6, 6).contiguous()
    shares = set()
    for seed in range(30):
        out = Augment(**options, target=CLASSES)(Batch(x, y, seed))
        assert out.y.shape == (n, 3)
        assert torch.allclose(out.y.sum(1), torch.ones(n))
        assert torch.allclose(out.x.mean((1, 2, 3)), out.y @ torch.tensor([0.0, 100.0, 200.0]), atol=1e-3)
        shares.add(round(float(out.y[0, 0]), 5))
        if n % 2:
            assert torch.equal(out.y[-1], F.one_hot(y[-1], 3).float())
    assert len(shares) > 5


def test_cutmix_pastes_a_rectangle_of_the_neighbor():
    x = images(16, dtype=torch.float32)
    out = Augment(cutmix=1.0, target=CLASSES)(Batch(x, torch.arange(16) % 3, seed=4))
    neighbor = x.view(8, 2, 3, 8, 8).flip(1).view(16, 3, 8, 8)
    pasted = (out.x != x).any(1)
    assert torch.equal(torch.where(pasted[:, None], neighbor, x), out.x)
    rows, columns = pasted[0].any(1), pasted[0].any(0)
    assert torch.equal(pasted[0], rows[:, None] & columns)
    assert float(out.y[0, 1]) == pytest.approx(int(pasted[0].sum()) / 64)


def test_mixtures_are_refused_without_class_indices_and_for_pairs_in_two_processes():
    with pytest.raises(ValueError, match="mixup, cutmix: got no class names"):
        Augment(mixup=1.0)
    augment = Augment(mixup=1.0, target=CLASSES)
    with pytest.raises(ValueError, match="got no class indices"):
        augment(Batch(images(), torch.zeros(16, 3)))
    with pytest.raises(ValueError, match="got rows 0 to 2 of 6 in one process, wanted an even number"):
        augment(Batch(images(3), torch.zeros(3, dtype=torch.int64), 1, Rows(0, 3, 6)))
    with pytest.raises(ValueError, match="alternate: got it beside hflip"):
        Augment(hflip=True, alternate=True)
    with pytest.raises(ValueError, match="fill: got 2 values, wanted 3"):
        Augment(cutout=2, fill=(1.0, 2.0))(Batch(images()))


EVERYTHING = Augment(crop=2, border="reflect", alternate=True, rotate=10, brightness=0.2, contrast=0.2, saturation=0.2,
                     cutout=3, erase=0.5, mixup=1.0, cutmix=1.0, fill=(1, 2, 3), target=CLASSES)  # fmt: skip


def test_processes_together_get_what_one_process_gets():
    x, y = images(), torch.arange(16) % 3
    for seed in range(6):
        joint = EVERYTHING(Batch(x, y, seed, passes=(0.5, 1.5)))
        parts = [EVERYTHING(Batch(x[a : a + 4], y[a : a + 4], seed, Rows(a, a + 4, 16), (0.5, 1.5))) for a in
                 range(0, 16, 4)]  # fmt: skip
        assert torch.equal(torch.cat([part.x for part in parts]), joint.x)
        assert torch.equal(torch.cat([part.y for part in parts]), joint.y)
        assert (joint.x.dtype, joint.x.shape) == (x.dtype, x.shape)


@pytest.mark.parametrize("batch_size", [10, 12, 64])
def test_in_two_consecutive_epochs_every_image_is_seen_once_in_each_form(batch_size):
    """Also where a batch contains the end of one epoch and the beginning of the next: 50 = 4·12 + 2."""
    x, n, epochs = images(50), 50, 6
    batches, augment = Batches((x, None), batch_size, seed=3), Augment(alternate=True)
    seen = []
    for step in range(-(-n * epochs // batch_size)):
        passes = batches.epoch(step), batches.epoch(step + 1)
        seen.append(augment(Batch(batches.get(step)[0], None, fold(0, step), passes=passes)).x)
    seen = torch.cat(seen)[: n * epochs].view(epochs, n, -1)
    plain, flipped = x.flatten(1), x.flip(-1).flatten(1)
    forms = torch.zeros(epochs, n, dtype=torch.int64)
    for epoch in range(epochs):
        is_plain = (seen[epoch][:, None] == plain).all(2)
        is_flipped = (seen[epoch][:, None] == flipped).all(2)
        assert bool(((is_plain | is_flipped).sum(0) == 1).all())
        forms[epoch] = is_flipped.any(0)
    assert bool((forms[1:] + forms[:-1] == 1).all())
    assert 10 < int(forms[0].sum()) < 40  # about half in the first epoch: 4 standard deviations
