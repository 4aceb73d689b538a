"""The linear map in LU form: its matrix, determinant and inverse."""

import pytest
import torch
from torch.autograd.functional import jacobian

from thalweg.nn.invertible_linear import InvertibleLinear


def moved(channels):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(channels)
        linear = InvertibleLinear(channels).double()
        with torch.no_grad():
            for p in linear.parameters():
                p += 0.3 * torch.randn_like(p)
    return linear


def matrix(linear):
    return linear(torch.eye(len(linear.sign), dtype=torch.float64)).value.T


@pytest.mark.system("S90")
@pytest.mark.parametrize("channels", [2, 5, 12])
def test_it_is_initialized_as_a_rotation(channels):
    weight = matrix(InvertibleLinear(channels).double())
    torch.testing.assert_close(weight @ weight.T, torch.eye(channels).double(), atol=1e-5, rtol=0)


@pytest.mark.system("S90")
@pytest.mark.parametrize("channels", [2, 5, 12])
def test_log_det_is_that_of_the_matrix_at_every_place(channels):
    linear = moved(channels)
    log_det = torch.linalg.slogdet(matrix(linear)).logabsdet
    torch.testing.assert_close(linear(torch.randn(3, channels).double()).log_det, log_det.repeat(3))
    x = torch.randn(3, channels, 3, 4).double()
    z = linear(x)
    torch.testing.assert_close(z.log_det, 12 * log_det.repeat(3))
    torch.testing.assert_close(z.value, torch.einsum("ij,bjhw->bihw", matrix(linear), x))


@pytest.mark.system("S90")
def test_log_det_of_an_image_is_that_of_the_autograd_jacobian():
    linear = moved(3)
    whole = jacobian(lambda p: linear(p.reshape(1, 3, 2, 2)).value.flatten(), torch.randn(12).double())
    torch.testing.assert_close(linear(torch.zeros(1, 3, 2, 2).double()).log_det[0], torch.linalg.slogdet(whole)[1])


@pytest.mark.system("S90")
@pytest.mark.parametrize("shape", [(5,), (5, 4, 3)], ids=str)
def test_inverse_by_triangular_solves(shape):
    linear, x = moved(5), torch.randn(6, *shape).double()
    z = linear(x)
    back = linear.inverse(z.value)
    torch.testing.assert_close(back.value, x, atol=1e-10, rtol=0)
    torch.testing.assert_close(back.log_det, z.log_det)


def test_masked_entries_have_no_effect():
    linear, x = moved(4), torch.randn(2, 4).double()
    before = linear(x).value
    with torch.no_grad():
        linear.lower += torch.ones(4, 4).triu()
        linear.upper += torch.ones(4, 4).tril()
    assert torch.equal(linear(x).value, before)


def test_autocast_leaves_it_precise():
    linear = InvertibleLinear(4)
    x = torch.randn(2, 4, 3, 3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        z = linear(x).value
        back = linear.inverse(z).value
    assert torch.equal(z, linear(x).value)
    torch.testing.assert_close(back, x, atol=1e-5, rtol=0)
