"""Couplings of images: the kept part, the dependence of the other part, and the log-determinant Σ s."""

import math

import pytest
import torch
from torch.autograd.functional import jacobian

from thalweg.nn.coupling_networks import PlainNetwork, ResidualNetwork
from thalweg.nn.image_coupling import ChannelCoupling, CheckerboardCoupling
from thalweg.nn.squeeze import checkerboard


def alive(module):
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        for p in module.parameters():
            p += torch.randn_like(p) / math.sqrt(p[0].numel() if p.ndim > 1 else 4)
    return module.double()


def derivative(coupling, x):
    size = x[0].numel()
    return jacobian(lambda p: coupling(p.reshape(1, *x.shape[1:])).value.flatten(), x[0].flatten()).reshape(size, size)


@pytest.mark.system("S89")
@pytest.mark.oracle("O44")
@pytest.mark.parametrize("odd", [False, True])
@pytest.mark.parametrize(("shape", "shrink"), [((2, 4, 6), True), ((2, 4, 6), False), ((1, 3, 5), False)])
def test_checkerboard_keeps_one_color_and_moves_the_other_by_it(shape, shrink, odd):
    network = ResidualNetwork(shape[0], 2 * shape[0], hidden=6, shrink=shrink)
    coupling = alive(CheckerboardCoupling(shape, network, odd=odd))
    x = torch.randn(1, *shape).double()
    board = checkerboard(*shape[1:]).expand(shape).flatten().bool()
    kept = ~board if odd else board
    matrix = derivative(coupling, x)
    assert torch.equal(matrix[kept], torch.eye(len(board)).double()[kept])
    among = matrix[~kept][:, ~kept]
    assert torch.equal(among, torch.diag(among.diagonal()))  # each position is scaled separately
    assert (matrix[~kept][:, kept] != 0).any()
    z, log_det = coupling(x)
    torch.testing.assert_close(log_det[0], torch.linalg.slogdet(matrix).logabsdet)
    torch.testing.assert_close(coupling.inverse(z).value, x)
    torch.testing.assert_close(coupling.inverse(z).log_det, log_det)


@pytest.mark.system("S89")
@pytest.mark.oracle("O44")
@pytest.mark.parametrize("swap", [False, True])
def test_channels_keep_one_part_and_move_the_other_by_it(swap):
    coupling = alive(ChannelCoupling(1, 2, PlainNetwork(1, 4, hidden=6), swap=swap))
    x = torch.randn(1, 3, 3, 2).double()
    matrix = derivative(coupling, x)
    kept = torch.tensor([False, False, True] if swap else [True, False, False]).repeat_interleave(6)
    assert torch.equal(matrix[kept], torch.eye(18).double()[kept])
    assert (matrix[~kept][:, kept] != 0).any()
    z, log_det = coupling(x)
    torch.testing.assert_close(log_det[0], torch.linalg.slogdet(matrix).logabsdet)
    torch.testing.assert_close(coupling.inverse(z).value, x)


@pytest.mark.system("S89")
def test_the_scale_is_bounded_by_its_learned_factor():
    coupling = alive(ChannelCoupling(1, 1, PlainNetwork(1, 2, hidden=6)))
    x = 1e4 * torch.randn(1, 2, 3, 3).double()
    assert coupling(x).log_det.abs() <= 9 * coupling.map.bound.abs() + 1e-9


@pytest.mark.parametrize("make", [ResidualNetwork, PlainNetwork])
def test_context_reaches_the_networks(make):
    network = alive(make(1, 2, hidden=6, context=3))
    x = torch.randn(1, 1, 4, 4).double()
    one, two = (network(x, c[None]) for c in torch.eye(3).double()[:2])
    assert (one - two).abs().max() > 1e-3


def test_a_network_on_blocks_distinguishes_the_positions_of_a_block():
    network = alive(ResidualNetwork(1, 2, hidden=6, shrink=True))
    x = torch.randn(1, 1, 8, 8).double()
    far = x.clone()
    far[0, 0, 0, 0] += 1
    changed = (network(far) - network(x)).abs().amax((0, 1)) > 0
    assert changed[:4, :4].any()
    assert not changed[6:, 6:].any()
