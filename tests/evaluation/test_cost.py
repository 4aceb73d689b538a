"""The multiply-adds and the time of a prediction."""

import math
import time

import numpy as np
import pytest
import torch
from torch import nn

from thalweg.data import Dataset, Spec, Split, class_target
from thalweg.evaluation import reference_of
from thalweg.evaluation.measures.cost import inference_measures
from thalweg.models.classifiers.lenet5 import LeNet5
from thalweg.nn.layer_table import count_macs, layer_table
from thalweg.nn.views import AveragedViews

SHAPE = (1, 28, 28)


def reference(n=20, batch_size=8, shape=SHAPE):
    spec = Spec(name="noise", kind="image", shape=shape, levels=256, target=class_target(("a", "b")))
    part = Split(np.zeros((n, *shape), dtype=np.uint8), np.zeros(n, dtype=np.int64))
    return reference_of(Dataset(spec, part, part, part), batch_size=batch_size)


@pytest.mark.parametrize(
    ("layer", "shape", "macs"),
    [
        (nn.Conv2d(3, 8, 3, padding=1), (3, 10, 12), 10 * 12 * 8 * 3 * 9),
        (nn.Conv2d(4, 8, 3, stride=2, groups=2), (4, 11, 9), 5 * 4 * 8 * 2 * 9),
        (nn.ConvTranspose2d(3, 2, 4, stride=2), (3, 5, 6), 5 * 6 * 3 * 2 * 16),
        (nn.Sequential(nn.Flatten(), nn.Linear(12, 7, bias=False)), (3, 2, 2), 12 * 7),
        (nn.Sequential(nn.ReLU(), nn.MaxPool2d(2)), (3, 4, 4), 0),
        (lambda x: x.flatten(2) @ x.flatten(2).mT, (3, 2, 2), 3 * 3 * 4),
    ],
)
@pytest.mark.parametrize("batch", [1, 5])
def test_multiply_adds_of_one_example(layer, shape, macs, batch):
    assert count_macs(layer, torch.zeros(batch, *shape)) == macs


def test_macs_are_those_of_the_layer_table():
    model, x = LeNet5(SHAPE, 10, levels=256).eval(), torch.zeros(1, *SHAPE, dtype=torch.uint8)
    findings = inference_measures(model, reference())
    assert findings["MACs"].value == findings["MACs"].low == layer_table(model, x).macs > 1e5
    views = inference_measures(AveragedViews(model, "six"), reference())
    assert views["MACs"].value == 6 * findings["MACs"].value


def test_macs_of_a_model_without_products_are_missing():
    class Mean(nn.Module):
        def logits(self, x):
            return x.double().flatten(1)[:, :2]

    (missing,) = inference_measures(Mean(), reference()).missing
    assert (missing.name, missing.reason.partition(",")[0]) == ("MACs", "MACs: got 0 of Mean")


def test_inference_time_is_of_one_example(monkeypatch):
    """A clock that each batch of 8 advances by 2 s, after a first batch of 1000 s."""
    now, durations = [0.0], iter([1000.0, *[2.0] * 5])
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])

    class Slow(nn.Module):
        def logits(self, x):
            if len(x) == 1:  # the multiply-adds are counted
                return x.float().flatten(1) @ torch.ones(math.prod(SHAPE), 2)
            now[0] += next(durations)
            return x

    time_of = inference_measures(Slow(), reference())["inference time"]
    assert (time_of.value, time_of.unit, time_of.kind, time_of.n) == (2 / 8, "s", "estimate", 5)
    assert (time_of.low, time_of.high) == (2 / 8, 2 / 8)
    assert time_of.protocol == {"batch size": 8, "threads": torch.get_num_threads(), "device": "cpu"}


def test_the_interval_of_the_inference_time_begins_at_0(monkeypatch):
    now, durations = [0.0], iter([1.0, *[0.001] * 4, 1.0])
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])

    class Uneven(nn.Module):
        def logits(self, x):
            if len(x) > 1:
                now[0] += next(durations)
            return x.float().flatten(1) @ torch.ones(math.prod(SHAPE), 2)

    time_of = inference_measures(Uneven(), reference())["inference time"]
    assert (time_of.low, time_of.value) == (0.0, pytest.approx(1.004 / 5 / 8))
