"""The contract of models by their abilities: every member of the catalogue is tested."""

from __future__ import annotations

import inspect
import io
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from catalogue import MEMBERS, Member
from thalweg.abilities import Decodes, HasElbo, HasLogProb, Samples, abilities_of
from thalweg.batch import Batch
from thalweg.models.classifiers.convnet import ConvNet
from thalweg.models.flows.ffjord import Continuous
from thalweg.nn.flow_batch_norm import FlowBatchNorm
from thalweg.nn.preprocess import quantize
from thalweg.recipes import recipe_names
from thalweg.training.problem import Loss
from thalweg.training.run import Stage

PER_EXAMPLE = ("logits", "log_prob", "elbo", "encode", "score")  # abilities with one result per raw example

every_member = pytest.mark.parametrize("member", MEMBERS, ids=str)


def ask(model: Any, ability: str, x: Tensor) -> Tensor:
    """Evaluate an ability on `x`, with noise that depends only on the position in the whole batch."""
    noise = {}
    wanted = inspect.signature(getattr(model, ability)).parameters
    if "eps" in wanted:
        noise["eps"] = torch.linspace(-1, 1, len(x))[:, None].repeat(1, model.latent_dim)
    if "noise" in wanted and model.observation == "dequantized":
        noise["noise"] = torch.full(x.shape, 0.25)
    answer: Tensor = getattr(model, ability)(x, **noise)
    return answer


def answers(model: nn.Module, x: Tensor) -> dict[str, Tensor]:
    """Evaluate every per-example ability of the model, and its reconstruction if it encodes and decodes."""
    names = [name for name in abilities_of(model) if name in PER_EXAMPLE]
    names += ["reconstruct"] if hasattr(model, "reconstruct") else []
    with torch.no_grad():
        return {name: ask(model, name, x) for name in names}


def loss(stage: Stage, player: str, batch: Batch) -> Loss:
    """Return the loss as the engine computes it: dropout draws from the global generator, which is seeded."""
    torch.manual_seed(batch.seed)
    return stage.problem.loss(player, batch)


def test_every_recipe_is_in_the_catalogue() -> None:
    assert {member.recipe for member in MEMBERS} == set(recipe_names())


@every_member
def test_shapes_and_types(member: Member) -> None:
    model: Any = member.trained()
    x, shape = member.examples(5), member.spec.shape
    got = answers(model, x)
    for ability, value in got.items():
        assert value.dtype in (torch.float32, torch.float64), ability
        assert value.isfinite().all(), ability
    for ability in {"log_prob", "elbo", "score"} & set(got):
        assert got[ability].shape == (5,), ability
    if "logits" in got:
        assert got["logits"].shape == (5, len(member.spec.classes or ()))
    if "encode" in got:
        assert got["encode"].ndim == 2
    if isinstance(model, Decodes):
        z = (got["encode"].clone() if "encode" in got else torch.randn(5, model.latent_dim)).requires_grad_()
        decoded = model.decode(z)
        assert decoded.shape == (5, *shape)
        decoded.sum().backward()
        assert z.grad is not None
        assert z.grad.abs().sum() > 0
    if "reconstruct" in got:
        assert got["reconstruct"].shape == (5, *shape)
    if isinstance(model, (HasLogProb, HasElbo)):
        assert model.observation in ("discrete", "continuous", "dequantized", "binarized")
        continuous = member.spec.kind == "vector" and not member.spec.discrete
        assert (model.observation == "continuous") == continuous


@every_member
def test_samples_are_raw_data_and_follow_the_generator(member: Member) -> None:
    model: Any = member.trained()
    if not isinstance(model, Samples):
        pytest.skip("does not sample")
    first, again, other = (model.sample(7, generator=torch.Generator().manual_seed(s)) for s in (1, 1, 2))
    assert first.shape == (7, *member.spec.shape)
    assert first.dtype == member.examples(1).dtype
    assert not first.requires_grad
    assert torch.equal(first, quantize(first, member.spec.discrete))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    if member.spec.levels is not None:
        assert int(first.max()) < member.spec.levels
    assert model.sample(2).shape[0] == 2


@every_member
def test_every_parameter_gets_a_gradient_from_some_player(member: Member) -> None:
    run = member.moved()
    moved = set()
    for stage in run.stages:
        if not stage.update.needs_gradients and not list(run.model.parameters()):
            pytest.skip("has no parameters")
        for name, module in stage.problem.players.items():
            loss = stage.problem.loss(name, member.batch(16))
            assert loss.values.shape == (16,)
            assert loss.values.isfinite().all()
            parameters = [p for p in module.parameters() if p.requires_grad]
            assert parameters
            loss.values.mean().backward(inputs=parameters)
            assert all(p.grad is not None and p.grad.isfinite().all() for p in parameters), name
            moved |= {id(p) for p in parameters if p.grad is not None and p.grad.abs().sum() > 0}
    still = [n for n, p in run.model.named_parameters() if p.requires_grad and id(p) not in moved]
    assert still == list(member.free)


@every_member
def test_loss_is_a_function_of_the_batch_and_its_seed(member: Member) -> None:
    one, two = member.run(), member.run()
    for a, b in zip(one.stages, two.stages, strict=True):
        for name in a.problem.players:
            first, again = loss(a, name, member.batch(6)), loss(b, name, member.batch(6))
            assert torch.equal(first.values, again.values)
            for extra, value in first.extras.items():
                assert torch.equal(value, again.extras[extra])


@every_member
def test_training_and_evaluation_agree_without_batch_statistics(member: Member) -> None:
    model, x = member.trained(), member.examples(6)
    if any(isinstance(m, (nn.modules.batchnorm._BatchNorm, FlowBatchNorm, nn.Dropout)) for m in model.modules()):
        pytest.skip("has statistics")
    train, evaluate = answers(model.train(), x), answers(model.eval(), x)
    solved = any(isinstance(m, Continuous) for m in model.modules())  # evaluation takes finer steps
    for ability, value in train.items():
        if solved:
            torch.testing.assert_close(value, evaluate[ability], rtol=1e-2, atol=1e-2)
        else:
            assert torch.equal(value, evaluate[ability]), ability


@every_member
def test_an_example_does_not_depend_on_its_neighbors(member: Member) -> None:
    model, x = member.trained().eval(), member.examples(6)
    other = torch.cat([x[:1], member.examples(5, seed=9)])
    for ability, value in answers(model, x).items():
        torch.testing.assert_close(value[:1], answers(model, other)[ability][:1], rtol=1e-5, atol=1e-5)


@every_member
def test_saved_and_loaded_is_the_same(member: Member) -> None:
    model, x = member.trained(seed=0), member.examples(4)
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    loaded = member.trained(seed=1).eval()
    loaded.load_state_dict(torch.load(file, weights_only=True))
    before = answers(model.eval(), x)
    for ability, value in answers(loaded, x).items():
        assert torch.equal(value, before[ability]), ability


@every_member
def test_floats_and_integers_are_the_same_data(member: Member) -> None:
    if member.spec.kind != "image":
        pytest.skip("no levels")
    model, x = member.trained().eval(), member.examples(4)
    floats = answers(model, x.float())
    for ability, value in answers(model, x).items():
        assert torch.equal(value, floats[ability]), ability


@every_member
def test_losses_under_bf16(member: Member) -> None:
    run, batch = member.run(), member.batch(8)
    for stage in run.stages:
        for name, module in stage.problem.players.items():
            exact = loss(stage, name, batch).values.detach()
            with torch.autocast("cpu", dtype=torch.bfloat16):
                values = loss(stage, name, batch).values
            assert values.dtype == torch.float32
            torch.testing.assert_close(values.detach(), exact, rtol=0.1, atol=0.1 * float(exact.abs().mean()) + 0.05)
            if stage.update.needs_gradients:
                values.mean().backward(inputs=[p for p in module.parameters() if p.requires_grad])


@every_member
def test_repr_fits_a_screen(member: Member) -> None:
    model = member.run().model
    if isinstance(model, ConvNet):
        pytest.skip("prints all its layers")
    text = repr(model)
    assert len(text.splitlines()) <= 60
    assert max(map(len, text.splitlines())) <= 120
