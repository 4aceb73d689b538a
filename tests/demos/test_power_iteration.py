"""Power iteration against numpy's eigenvalues, and the devices it may run on."""

import numpy as np
import pytest
import torch

from thalweg.demos.power_iteration import power_iteration

pytestmark = pytest.mark.system("S13")


def test_the_matrix_of_the_course():
    """The eigenvalues of [[2, 1], [1, 3]] are (5 ± √5)/2."""
    found = power_iteration(torch.tensor([[2.0, 1.0], [1.0, 3.0]], dtype=torch.float64), device="cpu")
    assert found.value == pytest.approx((5 + 5**0.5) / 2, abs=1e-12)
    assert found.residual < 1e-12


@pytest.mark.parametrize("n", [1, 2, 7, 40])
@pytest.mark.parametrize("sign", [1, -1])
def test_the_largest_absolute_eigenvalue_with_its_sign(n, sign):
    """Equal to numpy's, and Av = λv."""
    rng = np.random.default_rng(n)
    rotation = np.linalg.qr(rng.standard_normal((n, n)))[0]
    values = np.append(rng.uniform(-1, 1, n - 1), 2 * sign)
    matrix = torch.from_numpy(rotation @ np.diag(values) @ rotation.T)
    found = power_iteration((matrix + matrix.T) / 2, steps=200, device="cpu")
    assert found.value == pytest.approx(2 * sign, abs=1e-9)
    assert found.vector.norm().item() == pytest.approx(1)
    assert torch.allclose(matrix @ found.vector, found.value * found.vector, atol=1e-9)


def test_a_large_matrix_does_not_overflow():
    """Neither do the squares of its products with a vector."""
    found = power_iteration(1e30 * torch.eye(3), device="cpu")
    assert found.value == pytest.approx(1e30)


def test_the_zero_matrix():
    """Its only eigenvalue is 0."""
    assert power_iteration(torch.zeros(2, 2), device="cpu").value == 0


@pytest.mark.parametrize(
    "matrix",
    [torch.zeros(2, 3), torch.zeros(0, 0), torch.tensor([[0.0, 1.0], [2.0, 0.0]]), torch.tensor([[torch.nan]])],
)
def test_what_is_no_symmetric_matrix_is_refused(matrix):
    """In one line."""
    with pytest.raises(ValueError, match="matrix: got"):
        power_iteration(matrix)
