"""ActNorm is initialized from the first training batch, exactly once."""

import copy
import io

import pytest
import torch

from thalweg.nn.actnorm import ActNorm

X = torch.randn(20, 3, 4, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 5 + 3


@pytest.mark.system("S90")
@pytest.mark.parametrize("x", [X, X[:, :, 0, 0]], ids=["images", "vectors"])
def test_first_batch_is_standardized(x):
    norm = ActNorm(3).double()
    z, log_det = norm(x)
    over = [0, *range(2, x.ndim)]
    torch.testing.assert_close(z.mean(over), torch.zeros(3).double(), atol=1e-6, rtol=0)
    torch.testing.assert_close(z.std(over, correction=0), torch.ones(3).double(), atol=1e-5, rtol=0)
    places = x[0, 0].numel()
    torch.testing.assert_close(log_det, -(x.std(over, correction=0) + 1e-6).log().sum().repeat(20) * places)
    torch.testing.assert_close(norm.inverse(z).value, x)
    assert torch.equal(norm.inverse(z).log_det, log_det)


@pytest.mark.system("S90")
def test_it_is_initialized_once():
    norm = ActNorm(3).double()
    norm(X)
    before = {name: value.clone() for name, value in norm.state_dict().items()}
    norm(100 * X + 7)
    for name, value in norm.state_dict().items():
        assert torch.equal(value, before[name])


def test_evaluation_does_not_initialize_it():
    norm = ActNorm(3).double().eval()
    assert torch.equal(norm(X).value, X)
    assert not norm.started
    norm.train()(X)
    assert norm.started


@pytest.mark.system("S90")
def test_a_loaded_or_copied_module_is_not_initialized_again():
    norm = ActNorm(3).double()
    norm(X)
    file = io.BytesIO()
    torch.save(norm.state_dict(), file)
    file.seek(0)
    loaded = ActNorm(3).double()
    loaded.load_state_dict(torch.load(file, weights_only=True))
    for other in (loaded, copy.deepcopy(norm)):
        assert torch.equal(other(10 * X).value, norm(10 * X).value)


def test_a_loaded_uninitialized_module_is_initialized():
    norm, fresh = ActNorm(3).double(), ActNorm(3).double()
    norm(X)
    norm.load_state_dict(fresh.state_dict())
    assert norm(2 * X).value.std().item() == pytest.approx(1, abs=1e-3)


def test_the_buffer_is_read_once(monkeypatch):
    asked = []
    norm = ActNorm(3).double()
    monkeypatch.setattr(torch.Tensor, "__bool__", lambda self: asked.append(1) or self.item())
    for _ in range(3):
        norm(X)
    assert len(asked) == 1


def test_shift_and_scale_are_learned_after_the_initialization():
    norm = ActNorm(3).double()
    for _ in range(2):
        z, log_det = norm(X)
        for g in torch.autograd.grad(z.square().sum() + z.pow(3).sum() - log_det.sum(), list(norm.parameters())):
            assert g.abs().max() > 0
