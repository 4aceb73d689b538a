"""Augmentation against naive loops and exact cases, and what it is for."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from thalweg.data import Augment, Batches
from thalweg.data.augment import affine, shifted
from thalweg.randomness import fold, generator

pytestmark = pytest.mark.system("S31")

ALL = Augment(crop=2, hflip=True, vflip=True, rotate=20, scale=0.2, shear=0.2, translate=0.1, brightness=0.4)


@pytest.fixture(params=[torch.uint8, torch.float32])
def x(request: pytest.FixtureRequest) -> torch.Tensor:
    return torch.randint(0, 256, (16, 3, 8, 8), generator=generator(0, "x")).to(request.param)


def still(n: int) -> dict[str, torch.Tensor]:
    zero = torch.zeros(n)
    return {"rotation": zero, "scale": zero + 1, "shear": zero, "x_shift": zero, "y_shift": zero}


def test_nothing_asked_gives_the_batch_itself(x):
    assert torch.equal(Augment()(x, seed=3), x)


def test_same_seed_same_result_and_another_seed_another(x):
    assert torch.equal(ALL(x, seed=3), ALL(x, seed=3))
    assert not torch.equal(ALL(x, seed=3), ALL(x, seed=4))


def test_shape_type_and_range_are_kept(x):
    for seed in range(20):
        out = ALL(x, seed)
        assert (out.shape, out.dtype) == (x.shape, x.dtype)
        assert out.min() >= 0
        assert out.max() <= 255


def test_range_of_few_levels_is_kept():
    x = torch.randint(0, 17, (64, 1, 8, 8), dtype=torch.uint8, generator=generator(0, "x"))
    out = Augment(brightness=1.0, levels=17)(x, seed=0)
    assert out.max() == 16


@pytest.mark.parametrize("axis", ["hflip", "vflip"])
def test_flips_take_about_half_and_flipping_twice_is_nothing(x, axis):
    many = x.repeat(40, 1, 1, 1)
    augment = Augment(**{axis: True})
    once = augment(many, seed=5)
    flipped = (once == many.flip(-1 if axis == "hflip" else -2)).flatten(1).all(1)
    unchanged = (once == many).flatten(1).all(1)
    assert bool((flipped ^ unchanged).all())
    assert 250 < int(flipped.sum()) < 390  # of 640: 5.5 standard deviations
    assert torch.equal(augment(once, seed=5), many)


def test_crop_is_a_window_of_the_bordered_image(x):
    border = 2
    padded = torch.zeros(16, 3, 12, 12, dtype=x.dtype)
    padded[:, :, 2:10, 2:10] = x
    down = torch.arange(16) % 5
    right = (torch.arange(16) * 3) % 5
    out = shifted(x, down, right, border)
    for i in range(16):
        for c in range(3):
            for row in range(8):
                for column in range(8):
                    assert out[i, c, row, column] == padded[i, c, row + down[i], column + right[i]]


def test_random_crops_take_every_offset_alike():
    x = torch.arange(1, 10, dtype=torch.float32).reshape(1, 1, 3, 3).repeat(9000, 1, 1, 1)
    centers = Augment(crop=1)(x, seed=0)[:, 0, 1, 1].long()
    counts = torch.bincount(centers, minlength=10)[1:]
    assert bool(((counts - 1000).abs() < 160).all())  # 5 standard deviations


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_affine_by_right_angles_is_rot90(x, turns):
    out = affine(x, **{**still(16), "rotation": torch.full((16,), 90.0 * turns)})
    torch.testing.assert_close(out, torch.rot90(x, turns, (2, 3)), atol=1e-3, rtol=0)


def test_affine_by_whole_pixels_is_a_shift(x):
    wide = F.pad(x, (0, 3))  # 8 × 11: not square
    out = affine(wide, **{**still(16), "x_shift": torch.full((16,), 2.0), "y_shift": torch.full((16,), -1.0)})
    torch.testing.assert_close(out[:, :, :-1, 2:], wide[:, :, 1:, :-2], atol=1e-3, rtol=0)
    assert bool((out[:, :, -1] == 0).all())
    assert bool((out[..., :2] == 0).all())


def test_positive_shear_leans_to_the_right_and_scale_enlarges():
    x = torch.zeros(1, 1, 9, 9)
    x[..., 4] = 255  # an upright stroke
    leaning = affine(x, **{**still(1), "shear": torch.ones(1)})[0, 0]
    torch.testing.assert_close(leaning, 255 * torch.eye(9).flip(1), atol=1e-2, rtol=0)
    turned = affine(x, **{**still(1), "shear": torch.ones(1), "rotation": torch.full((1,), 90.0)})[0, 0]
    torch.testing.assert_close(turned, 255 * torch.eye(9), atol=1e-2, rtol=0)  # sheared first, then turned
    dot = torch.zeros(1, 1, 9, 9)
    dot[..., 4, 6] = 255
    far = affine(dot, **{**still(1), "scale": torch.full((1,), 2.0)})[0, 0]
    assert divmod(int(far.argmax()), 9) == (4, 8)


def test_rows_of_a_joint_batch_get_what_the_joint_batch_gets(x):
    joint = ALL(x, seed=1)
    parts = [ALL(x[start : start + 4], seed=1, rows=(start, start + 4, 16)) for start in range(0, 16, 4)]
    torch.testing.assert_close(torch.cat(parts), joint)


def test_what_one_transform_draws_does_not_depend_on_the_others(x):
    dark = Augment(brightness=0.5)
    both = Augment(hflip=True, brightness=0.5)
    assert torch.equal(both(x, seed=2), dark(Augment(hflip=True)(x, seed=2), seed=2))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"crop": -1}, "crop: got -1"), ({"brightness": 2.0}, "brightness: got 2.0"), ({"rotate": -5.0}, "rotate: got")],
)
def test_refusals(arguments, message):
    with pytest.raises(ValueError, match=message):
        Augment(**arguments)
    with pytest.raises(ValueError, match=r"augment: got examples of shape \(2,\)"):
        Augment(hflip=True)(torch.zeros(4, 2), seed=0)


def shapes(n: int, seed: int, side_tells: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Noisy pictures 4×8 of a cross (0) or a ring (1). If `side_tells`, crosses are left and rings right, always."""
    figures = torch.tensor([[[1, 0, 1], [0, 1, 0], [1, 0, 1]], [[1, 1, 1], [1, 0, 1], [1, 1, 1]]]) * 40.0
    y = torch.arange(n) % 2
    side = y if side_tells else 1 - y
    x = 30 * torch.rand(n, 1, 4, 8, generator=generator(seed, "noise"))
    for i in range(n):
        left = int(side[i]) * 5
        x[i, 0, :3, left : left + 3] += figures[y[i]]
    return x, y


@pytest.mark.parametrize("augmented", [False, True])
def test_flips_cure_a_classifier_of_looking_at_the_side(augmented):
    augment = Augment(hflip=augmented)
    batches = Batches(shapes(400, 0, side_tells=True), 50, seed=0)
    linear = torch.nn.Linear(32, 2)
    torch.nn.init.zeros_(linear.weight)
    optimizer = torch.optim.Adam(linear.parameters(), lr=0.01)
    for step in range(300):
        x, y = batches.get(step)
        loss = F.cross_entropy(linear(augment(x, fold(0, step)).flatten(1) / 255), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    x, y = shapes(400, 1, side_tells=False)  # crosses right, rings left
    accuracy = (linear(x.flatten(1) / 255).argmax(1) == y).float().mean()
    assert accuracy > 0.95 if augmented else accuracy < 0.5
