"""Damaged files of a run: the same result, an error in one line or a warning that names the file; no other result."""

import json
import shutil
from collections.abc import Callable

import pytest
import torch

from thalweg.config import DataConfig, RunConfig, TrainConfig
from thalweg.recipes.runs import cost, open_run, resume, train
from thalweg.training import RunFolder
from thalweg.training.checkpoint import checkpoints
from thalweg.training.records import read_metrics

FILES = ("run.json", "metrics.jsonl", "model.safetensors", "newest", "before")
PLACES = (0.0, 0.03, 0.2, 0.5, 0.8, 0.97, 1.0)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "run"
    settings = TrainConfig(steps=6, checkpoint_every=2, log_every=2, batch_size=16, device="cpu")
    data = DataConfig(source="digits", examples=200)
    train(RunConfig(recipe="softmax-regression", data=data, options={}, train=settings), folder, warn=str)
    return folder


def path_of(folder, name):
    if name in ("newest", "before"):
        return checkpoints(folder / "checkpoints", "step")[-1 if name == "newest" else 0].path
    return folder / name


def state(folder) -> tuple:
    """Return what is read from a run: the bytes of the model, records and settings."""
    opened = open_run(folder, device="cpu")
    tensors = [t.numpy().tobytes() for t in opened.model.state_dict().values()]
    records = opened.records()
    return tensors, records, cost(records), opened.config, opened.spec


def trained(folder) -> tuple:
    """Return the result of `state` without measured times and memory."""
    tensors, records, _, config, spec = state(folder)
    kept = [{k: v for k, v in r.items() if k not in ("seconds", "memory")} for r in records]
    return tensors, kept, config, spec


def refusal(work: Callable[[], object]) -> str | None:
    """Return the message of the ValueError of `work`, or None."""
    try:
        work()
    except ValueError as error:
        return str(error)
    return None


def flipped(data: bytes, place: float, bit: int) -> bytes:
    changed = bytearray(data)
    changed[min(int(place * len(data)), len(data) - 1)] ^= 1 << bit
    return bytes(changed)


DAMAGES = {f"bit {b} at {p}": lambda data, p=p, b=b: flipped(data, p, b) for p in PLACES for b in (0, 5)}
DAMAGES |= {f"cut at {p}": lambda data, p=p: data[: int(p * len(data))] for p in PLACES[:-1]}
DAMAGES |= {"more": lambda data: data + b"\0", "twice": lambda data: 2 * data, "binary": lambda data: b"\xff\x00" * 9}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_never_changes_a_result(whole, tmp_path, name, damage):
    folder = tmp_path / "run"
    shutil.copytree(whole, folder)
    path = path_of(folder, name)
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    refused = refusal(lambda: state(folder))
    assert state(folder) == state(whole) if refused is None else path.name in refused.splitlines()[-1]
    said = []
    refused = refusal(lambda: resume(folder, warn=said.append))
    assert trained(folder) == trained(whole) if refused is None else path.name in refused.splitlines()[-1]
    if name == "newest":
        assert any(path.name in line for line in said)


VALUES = [None, True, [], {}, "a", -1, 1.5, [1], {"a": 1}]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_an_invalid_line_of_metrics_is_named(tmp_path, value):
    records = [{"stage": 0, "step": value}, {"stage": value, "step": 1}, {"stage": 0, "step": 1, "loss": value}]
    for document in (value, *records):
        fine = isinstance(document, dict) and document.get("loss") in (-1, 1.5) and type(value) is not bool
        lines = [{"stage": 0, "step": 1, "loss": 2.0}, document, {"stage": 0, "step": 3, "loss": 1.0}]
        (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        if fine:
            assert read_metrics(tmp_path) == lines
            continue
        with pytest.raises(
            ValueError, match=r"metrics: got line 2 of .*metrics\.jsonl: .*; wanted an object with stage"
        ):
            read_metrics(tmp_path)


def test_an_incomplete_last_line_is_ignored(tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"stage": 0, "step": 1}\n{"stage": 0, "st')
    assert read_metrics(tmp_path) == [{"stage": 0, "step": 1}]
    (tmp_path / "metrics.jsonl").write_text('{"stage": 0, "st\n{"stage": 0, "step": 1}\n')
    with pytest.raises(ValueError, match=r"line 1 of .*, which is not JSON"):
        read_metrics(tmp_path)


@pytest.mark.parametrize("key", ["config", "spec", "files", "numerics", "torch"])
@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_edited_settings_of_other_types_are_refused_or_make_no_difference(whole, tmp_path, key, value):
    folder = tmp_path / "run"
    shutil.copytree(whole, folder)
    header = RunFolder.read(folder) | {key: value}  # without the checksum: edited on purpose
    (folder / "run.json").write_text(json.dumps(header))
    for work in (lambda: state(folder), lambda: resume(folder, warn=str)):
        refused = refusal(work)
        assert (refused is None) == (key == "torch" or (key in ("files", "numerics") and isinstance(value, dict)))
        assert refused is None or "\n" not in refused
    if key == "torch":
        assert trained(folder) == trained(whole)


@pytest.mark.parametrize(
    "section",
    [
        *("config.recipe", "config.data", "config.options", "config.train.seed", "config.train.batch_size"),
        *("spec.shape", "spec.mean", "spec.levels", "spec.fingerprint", "spec.kind"),
    ],
)
def test_edited_fields_of_other_types_are_refused_or_make_no_difference(whole, tmp_path, section):
    folder = tmp_path / "run"
    for value in VALUES:
        shutil.copytree(whole, folder)
        header = RunFolder.read(folder)
        *above, last = section.split(".")
        place = header
        for key in above:
            place = place[key]
        place[last] = value
        (folder / "run.json").write_text(json.dumps(header))
        for work in (lambda: state(folder), lambda: resume(folder, warn=str)):
            assert "\n" not in (refusal(work) or "")
        shutil.rmtree(folder)


def test_the_checkpoint_of_another_run_is_refused(whole, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(whole, folder)
    settings = TrainConfig(steps=2, checkpoint_every=2, batch_size=16, device="cpu")
    other = RunConfig(
        recipe="autoencoder", data=DataConfig(source="digits", examples=200), options={"latent_dim": 2}, train=settings
    )
    train(other, tmp_path / "other", warn=str)
    shutil.rmtree(folder / "checkpoints")
    shutil.copytree(tmp_path / "other/checkpoints", folder / "checkpoints")
    with pytest.raises(ValueError, match="checkpoint: got one of another run"):
        resume(folder, warn=str)


def test_the_weights_of_another_model_are_refused(whole, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(whole, folder)
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    save_file({name: torch.zeros_like(t) for name, t in tensors.items()}, folder / "model.safetensors")
    with pytest.raises(ValueError, match=r"model\.safetensors, which is damaged.*thalweg resume .* writes it again"):
        open_run(folder)
    resume(folder, warn=str)
    assert trained(folder) == trained(whole)
