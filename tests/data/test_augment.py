"""Augmentation of images, masks and target images against plain loops and exact cases."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from thalweg.batch import Batch, Rows
from thalweg.data import Augment, Target, class_target
from thalweg.data.moves import affine, shifted
from thalweg.randomness import generator

pytestmark = pytest.mark.system("S31")

ALL = Augment(crop=2, hflip=True, vflip=True, rotate=20, scale=0.2, shear=0.2, translate=0.1, brightness=0.4)


@pytest.fixture(params=[torch.uint8, torch.float32])
def x(request: pytest.FixtureRequest) -> torch.Tensor:
    return torch.randint(0, 256, (16, 3, 8, 8), generator=generator(0, "x")).to(request.param)


def applied(augment: Augment, x: torch.Tensor, seed: int, rows: Rows | None = None) -> torch.Tensor:
    return augment(Batch(x, seed=seed, rows=rows)).x


def still(n: int) -> dict[str, torch.Tensor]:
    zero = torch.zeros(n)
    return {"rotation": zero, "scale": zero + 1, "shear": zero, "x_shift": zero, "y_shift": zero}


def test_without_transforms_the_batch_is_unchanged(x):
    assert torch.equal(applied(Augment(), x, 3), x)


def test_same_seed_same_result_and_another_seed_another(x):
    assert torch.equal(applied(ALL, x, 3), applied(ALL, x, 3))
    assert not torch.equal(applied(ALL, x, 3), applied(ALL, x, 4))


def test_shape_type_and_range_are_kept(x):
    for seed in range(20):
        out = applied(ALL, x, seed)
        assert (out.shape, out.dtype) == (x.shape, x.dtype)
        assert out.min() >= 0
        assert out.max() <= 255


def test_range_of_few_levels_is_kept():
    x = torch.randint(0, 17, (64, 1, 8, 8), dtype=torch.uint8, generator=generator(0, "x"))
    out = applied(Augment(brightness=1.0, levels=17), x, 0)
    assert out.max() == 16


@pytest.mark.parametrize("axis", ["hflip", "vflip"])
def test_flips_take_about_half_and_flipping_twice_is_nothing(x, axis):
    many = x.repeat(40, 1, 1, 1)
    augment = Augment(**{axis: True})
    once = applied(augment, many, 5)
    flipped = (once == many.flip(-1 if axis == "hflip" else -2)).flatten(1).all(1)
    unchanged = (once == many).flatten(1).all(1)
    assert bool((flipped ^ unchanged).all())
    assert 250 < int(flipped.sum()) < 390  # of 640: 5.5 standard deviations
    assert torch.equal(applied(augment, once, 5), many)


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
    centers = applied(Augment(crop=1), x, 0)[:, 0, 1, 1].long()
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


def test_values_from_outside_of_an_interpolated_image():
    image = torch.full((1, 1, 4, 4), 50.0)
    out = affine(image, **{**still(1), "x_shift": torch.full((1,), 2.0)}, outside=7)
    assert out[0, 0, 0].tolist() == pytest.approx([7, 7, 50, 50])


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
    joint = applied(ALL, x, 1)
    parts = [applied(ALL, x[start : start + 4], 1, Rows(start, start + 4, 16)) for start in range(0, 16, 4)]
    torch.testing.assert_close(torch.cat(parts), joint)


def test_what_one_transform_draws_does_not_depend_on_the_others(x):
    dark = Augment(brightness=0.5)
    both = Augment(hflip=True, brightness=0.5)
    assert torch.equal(applied(both, x, 2), applied(dark, applied(Augment(hflip=True), x, 2), 2))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"crop": -1}, "crop: got -1"), ({"brightness": 2.0}, "brightness: got 2.0"), ({"rotate": -5.0}, "rotate: got")],
)
def test_refusals(arguments, message):
    with pytest.raises(ValueError, match=message):
        Augment(**arguments)
    with pytest.raises(ValueError, match=r"augment: got examples of shape \(2,\)"):
        Augment(hflip=True)(Batch(torch.zeros(4, 2)))


def mask_target(ignored: int | None = None) -> Target:
    return Target(kind="mask", names=("a", "b", "c"), shape=(8, 8), ignored=ignored)


MOVES = {"crop": 2, "hflip": True, "vflip": True, "rotate": 40, "scale": 0.3, "shear": 0.3, "translate": 0.2}


@pytest.mark.parametrize(
    "moves", [{"hflip": True}, {"vflip": True}, {"crop": 3}, {"hflip": True, "vflip": True, "crop": 1}]
)
def test_a_mask_moves_with_its_image(moves):
    y = torch.randint(0, 3, (200, 8, 8), generator=generator(0, "y"))
    moved = Augment(**moves, target=mask_target())(Batch(y[:, None].to(torch.uint8), y, seed=1))
    assert torch.equal(moved.x[:, 0].long(), moved.y)  # the image equals its mask, before and after
    assert not torch.equal(moved.y, y)
    if "crop" not in moves:
        again = Augment(**moves, target=mask_target())(moved)
        assert torch.equal(again.y, y)


def test_the_mask_of_a_disc_follows_the_disc():
    rows, columns = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
    centers = 10 + 12 * torch.rand(60, 2, generator=generator(0, "centers"))
    inside = ((rows - centers[:, :1, None]).square() + (columns - centers[:, 1:, None]).square()).sqrt() < 6
    target = Target(kind="mask", shape=(32, 32), ignored=255)
    moved = Augment(**MOVES, target=target)(Batch((255 * inside[:, None]).to(torch.uint8), inside.long(), seed=2))
    known = moved.y != 255
    assert set(moved.y.unique().tolist()) == {0, 1, 255}
    bright, dark = moved.x[:, 0] > 250, moved.x[:, 0] < 5  # all four interpolated neighbors agree
    assert bool((moved.y[bright] == 1).all())
    assert bool((moved.y[dark & known] == 0).all())
    assert bool((moved.x[:, 0][~known] < 255).all())
    assert int(bright.sum()) > 60 * 40
    assert not torch.equal(moved.y, inside.long())


@pytest.mark.parametrize("ignored", [None, 0, 7, 255])
def test_outside_of_a_mask_is_the_ignored_value_and_no_class_number_is_new(ignored):
    y = torch.randint(1, 3, (64, 8, 8), generator=generator(0, "y"))
    target = mask_target(ignored)
    moved = Augment(**MOVES, brightness=0.9, target=target)(Batch(torch.full((64, 1, 8, 8), 200.0), y, seed=3))
    assert moved.y.dtype == torch.int64
    assert set(moved.y.unique().tolist()) == {1, 2, ignored or 0}
    plain = Augment(**MOVES, target=target)(Batch(torch.full((64, 1, 8, 8), 200.0), y, seed=3))
    assert torch.equal(moved.y, plain.y)  # the brightness of masks does not change
    assert not torch.equal(moved.x, plain.x)


def test_a_target_image_is_transformed_as_the_image_is(x):
    target = Target(kind="image", shape=(3, 8, 8))
    moved = Augment(**MOVES, brightness=0.5, target=target)(Batch(x, x.clone(), seed=4))
    assert torch.equal(moved.x, moved.y)
    assert not torch.equal(moved.x, x)
    with pytest.raises(ValueError, match=r"got a target of shape \(3, 4, 4\) for images of shape \(3, 8, 8\)"):
        Augment(hflip=True, target=target)(Batch(x, x[:, :, ::2, ::2]))


@pytest.mark.parametrize("name", MOVES)
@pytest.mark.parametrize("shape", [(8, 8), (1, 8, 8), (3, 8, 8), (3, 16, 16)])
def test_a_mask_or_image_without_a_target_is_refused_where_pixels_move(x, name, shape):
    batch = Batch(x, torch.zeros(16, *shape), seed=1)
    with pytest.raises(ValueError, match=rf"target: got none for y of shape \({shape[0]}, .*, wanted Target"):
        Augment(**{name: MOVES[name]})(batch)
    assert Augment(brightness=0.5)(batch).y is batch.y  # no pixel moves


@pytest.mark.parametrize("moves", [{"rotate": 40, "scale": 0.3}, {"crop": 2}, {"hflip": True, "vflip": True}])
@pytest.mark.parametrize("ignored", [None, 255, 2**24 + 1])
def test_large_class_indices_of_a_mask_are_kept_exactly(moves, ignored):
    classes = 2**24 + 1 + 2 * torch.arange(1, 4)  # float32 has none of them
    y = classes[torch.randint(0, 3, (64, 8, 8), generator=generator(0, "y"))]
    moved = Augment(**moves, target=mask_target(ignored))(Batch(torch.zeros(64, 1, 8, 8), y, seed=3))
    outside = set() if "hflip" in moves else {ignored or 0}
    assert set(moved.y.unique().tolist()) == {*classes.tolist(), *outside}


def test_nearest_pixels_are_those_of_grid_sample():
    x = torch.randint(0, 99, (32, 2, 7, 10), generator=generator(0, "x")).float()
    draw = torch.rand(5, 32, generator=generator(0, "draw"))
    move = {"rotation": 80 * draw[0] - 40, "scale": 0.7 + draw[1], "shear": draw[2] - 0.5}
    move |= {"x_shift": 4 * draw[3] - 2, "y_shift": 4 * draw[4] - 2}
    grids = []
    with pytest.MonkeyPatch.context() as patch:
        make = F.affine_grid
        patch.setattr(F, "affine_grid", lambda *a, **k: grids.append(make(*a, **k)) or grids[-1])
        out = affine(x, **move, nearest=True)
    sampled = F.grid_sample(x, grids[0], mode="nearest", padding_mode="zeros", align_corners=False)
    assert torch.equal(out, sampled)


@pytest.mark.parametrize("target", [class_target(("a", "b")), Target(kind="values", shape=(2,)), None])
def test_other_targets_are_left_alone(x, target):
    y = torch.arange(16) if target is None or target.kind == "class" else torch.rand(16, 2)
    assert Augment(**MOVES, target=target)(Batch(x, y, seed=4)).y is y


def test_rows_of_a_joint_batch_get_the_masks_of_the_joint_batch(x):
    y = torch.randint(0, 3, (16, 8, 8), generator=generator(0, "y"))
    augment = Augment(**MOVES, target=mask_target(9))
    parts = [augment(Batch(x[a : a + 4], y[a : a + 4], 1, Rows(a, a + 4, 16))).y for a in range(0, 16, 4)]
    assert torch.equal(torch.cat(parts), augment(Batch(x, y, 1)).y)
