"""The precision that is measured at the start of a run, and kept for its resumption."""

import json

import pytest
import torch

from thalweg import devices
from thalweg.config import DataConfig, RunConfig, TrainConfig
from thalweg.recipes.runs import resume, train

CPU = torch.device("cpu")


@pytest.mark.system("S13")
@pytest.mark.parametrize(("fast", "expected"), [("bf16", "bf16"), ("float32", "float32")])
def test_the_faster_precision_is_taken_stored_and_kept(tmp_path, monkeypatch, fast, expected):
    calls = []

    def seconds(device, *, bf16):
        calls.append(bf16)
        return 1.0 if bf16 == (fast == "bf16") else 2.0

    monkeypatch.setattr(devices, "_conv_seconds", seconds)
    assert devices.resolve_precision("auto", CPU) == expected
    settings = TrainConfig(steps=2, precision="auto", device="cpu")
    folder = train(RunConfig(recipe="softmax-regression", data=DataConfig(source="digits"), train=settings),
                   tmp_path / "run")  # fmt: skip
    assert json.loads((folder / "run.json").read_text())["config"]["train"]["precision"] == expected
    assert calls == [True, False] * 2
    resume(folder, steps=4)
    assert len(calls) == 4  # it is not measured again


@pytest.mark.system("S13")
def test_the_measurement_takes_steps_in_both_precisions(monkeypatch):
    assert devices.resolve_precision("auto", CPU) in ("bf16", "float32")
    monkeypatch.setattr(devices, "_conv_seconds", lambda *a, **k: pytest.fail("measured without need"))
    assert [devices.resolve_precision(name, CPU) for name in ("bf16", "float32")] == ["bf16", "float32"]


def test_several_processes_do_not_choose_each_for_itself(tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    config = RunConfig(recipe="softmax-regression", data=DataConfig(source="digits"),
                       train=TrainConfig(steps=2, precision="auto", device="cpu"))  # fmt: skip
    with pytest.raises(ValueError, match="precision: got auto for several processes"):
        train(config, tmp_path / "run")
