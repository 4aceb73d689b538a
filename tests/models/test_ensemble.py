"""The mixture of classifiers by hand."""

import math

import pytest
import torch
from torch import nn

from thalweg.models.classifiers.ensemble import Ensemble


class Linear(nn.Module):
    def __init__(self, seed: int, scale: float = 1.0) -> None:
        super().__init__()
        draw = torch.Generator().manual_seed(seed)
        self.a = nn.Parameter(scale * torch.randn(4, 3, generator=draw))

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        return x @ self.a


X = torch.randn(7, 4, generator=torch.Generator().manual_seed(5))


@pytest.mark.system("S47")
@pytest.mark.parametrize("weights", [(0.3, 0.7), (0.0, 1.0), (0.5, 0.5)])
def test_probabilities_are_the_weighted_sum_of_those_of_the_members(weights):
    one, other = Linear(0), Linear(1)
    wanted = weights[0] * one.logits(X).softmax(1) + weights[1] * other.logits(X).softmax(1)
    model = Ensemble([one, other], weights)
    torch.testing.assert_close(model.logits(X).exp(), wanted)
    torch.testing.assert_close(model.logits(X).logsumexp(1), torch.zeros(7), atol=1e-6, rtol=0)
    assert sorted(model.state_dict()) == ["members.0.a", "members.1.a"]


def test_probabilities_that_underflow_have_finite_logits():
    """p_k(y=0) is e^−2000 for one member and e^−3000 for the other."""

    class Constant(nn.Module):
        def __init__(self, *logits: float) -> None:
            super().__init__()
            self.out = torch.tensor([logits])

        def logits(self, x: torch.Tensor) -> torch.Tensor:
            return self.out.expand(len(x), -1)

    model = Ensemble([Constant(-2000.0, 0.0), Constant(-3000.0, 0.0)], (0.25, 0.75))
    torch.testing.assert_close(model.logits(X[:1]), torch.tensor([[-2000.0 + math.log(0.25), 0.0]]))


@pytest.mark.parametrize(
    ("members", "weights", "message"),
    [
        (1, (1.0,), "members: got 1 with 1 weights, wanted two or more"),
        (2, (1.0,), "members: got 2 with 1 weights"),
        (2, (0.5, 0.6), r"weights: got \(0.5, 0.6\), wanted numbers of at least 0 with sum 1"),
        (2, (-0.5, 1.5), r"weights: got \(-0.5, 1.5\)"),
    ],
)
def test_refusals(members, weights, message):
    with pytest.raises(ValueError, match=message):
        Ensemble([Linear(k) for k in range(members)], weights)
