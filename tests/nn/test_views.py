"""Views at test time: their shapes and order, what must not change, and the mean by hand."""

import pytest
import torch
from torch import nn

from thalweg.nn.views import VIEWS, AveragedViews, ten_crop
from thalweg.randomness import generator

pytestmark = pytest.mark.system("S32")


class Linear(nn.Module):
    """Logits linear in the pixels; if `symmetric`, equal for an image and its mirror image."""

    def __init__(self, shape=(3, 8, 8), classes=4, symmetric=False):
        super().__init__()
        weight = torch.randn(classes, *shape, generator=generator(0, "weight")) / 500
        self.weight = weight + weight.flip(-1) if symmetric else weight

    def logits(self, x):
        return x.float().flatten(1) @ self.weight.flatten(1).T


def images(dtype=torch.uint8, side=8):
    return torch.randint(0, 256, (5, 3, side, side), generator=generator(0, "x")).to(dtype)


def test_ten_crops_have_the_stated_shape_and_order():
    x = torch.arange(2 * 3 * 5 * 6).reshape(2, 3, 5, 6)
    crops = ten_crop(x, 3, 2)
    assert crops.shape == (2, 10, 3, 3, 2)
    corners = [(0, 0), (0, 4), (2, 0), (2, 4), (1, 2)]  # top left, top right, bottom left, bottom right, center
    for i, (top, left) in enumerate(corners):
        assert torch.equal(crops[:, i], x[:, :, top : top + 3, left : left + 2])
        mirrored = x[..., [5, 4, 3, 2, 1, 0]]
        assert torch.equal(crops[:, 5 + i], mirrored[:, :, top : top + 3, left : left + 2])
    assert torch.equal(ten_crop(x, 5, 6)[:, 0], x)
    with pytest.raises(ValueError, match="crop: got 6×2, wanted at most 5×6"):
        ten_crop(x, 6, 2)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_one_view_changes_nothing(dtype):
    model, x = Linear(), images(dtype)
    assert torch.equal(AveragedViews(model, "one").logits(x), model.logits(x))


def test_mirror_images_change_nothing_for_a_symmetric_model():
    x = images()
    symmetric, other = Linear(symmetric=True), Linear()
    wanted = symmetric.logits(x).log_softmax(1)
    torch.testing.assert_close(AveragedViews(symmetric, "flip").logits(x), wanted, atol=1e-5, rtol=0)
    difference = AveragedViews(other, "flip").logits(x) - other.logits(x).log_softmax(1)
    assert float(difference.abs().max()) > 0.05


@pytest.mark.parametrize("views", VIEWS)
def test_constant_images_have_equal_views(views):
    x = torch.full((2, 3, 8, 8), 77.0) * torch.tensor([1.0, 2.0]).view(2, 1, 1, 1)
    got, wanted = AveragedViews(Linear(), views).logits(x), Linear().logits(x)
    torch.testing.assert_close(got.softmax(1), wanted.softmax(1), atol=1e-5, rtol=0)


@pytest.mark.parametrize("views", ["flip", "six", "ten-crop"])
def test_the_probabilities_are_those_of_the_weighted_mean_logits(views):
    model, x = Linear(), images().double()
    if views == "ten-crop":
        crops = [nn.functional.interpolate(crop, (8, 8), mode="bilinear") for crop in ten_crop(x, 7, 7).unbind(1)]
        weighted = [(0.1, crop) for crop in crops]
    else:

        def shifted(by):  # by hand: pixel i reads pixel i + by, reflected at the edges
            index = [abs(i + by) if i + by < 8 else 14 - (i + by) for i in range(8)]
            return x[:, :, index][:, :, :, index]

        weighted = [(1.0, x)] if views == "flip" else [(0.5, x), (0.25, shifted(1)), (0.25, shifted(-1))]
        weighted = [(w / 2, v) for w, view in weighted for v in (view, view.flip(-1))]
    assert sum(w for w, _ in weighted) == pytest.approx(1)
    mean = sum(w * model.logits(view) for w, view in weighted)
    got = AveragedViews(model, views).logits(images())
    torch.testing.assert_close(got.softmax(1), mean.softmax(1), atol=1e-4, rtol=0)
    torch.testing.assert_close(got.exp().sum(1) <= 1 + 1e-5, torch.ones(5, dtype=torch.bool))


def test_refusals():
    with pytest.raises(ValueError, match="views: got 'seven', wanted one of"):
        AveragedViews(Linear(), "seven")
    with pytest.raises(ValueError, match=r"views: got examples of shape \(2,\), wanted images"):
        AveragedViews(Linear(), "flip").logits(torch.zeros(3, 2))
