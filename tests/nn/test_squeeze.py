"""Squeezing permutes values; checkerboards alternate."""

import torch

from thalweg.nn.squeeze import Squeeze, checkerboard, squeeze, unsqueeze


def test_squeeze_stacks_the_pixels_of_each_block():
    x = torch.arange(2 * 3 * 4 * 6).reshape(2, 3, 4, 6).float()
    z = squeeze(x)
    for i in range(2):
        for j in range(2):
            place = 2 * i + j
            assert torch.equal(z[:, 3 * place : 3 * place + 3], x[:, :, i::2, j::2])


def test_unsqueeze_is_its_inverse():
    x = torch.randn(2, 3, 8, 6)
    assert torch.equal(unsqueeze(squeeze(x)), x)
    assert torch.equal(squeeze(unsqueeze(z := torch.randn(2, 8, 3, 5))), z)
    assert torch.equal(Squeeze().inverse(Squeeze()(x).value).value, x)
    assert torch.equal(Squeeze()(x).log_det, torch.zeros(2))


def test_checkerboard_alternates_along_rows_and_columns():
    board = checkerboard(3, 5)[0]
    assert torch.equal(board[1:], 1 - board[:-1])
    assert torch.equal(board[:, 1:], 1 - board[:, :-1])
    assert board[0, 0] == 1
