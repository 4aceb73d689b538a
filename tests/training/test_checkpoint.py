"""Checkpoints and run folders: damage, locks, formats, overwriting."""

import hashlib
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from thalweg.recipes.runs import open_run, resume
from thalweg.training import RunFolder
from thalweg.training.checkpoint import FORMAT, checkpoints, load_newest, prune, remove_later, save_checkpoint
from thalweg.training.records import read_metrics
from toy_problems import regression_run, train_run


def damaged(path: Path, how: str) -> None:
    data = bytearray(path.read_bytes())
    if how == "truncated":
        data = data[: len(data) // 2]
    elif how == "one bit":
        data[len(data) // 3] ^= 1
    else:
        data = bytearray()
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("how", ["truncated", "one bit", "empty"])
def test_a_damaged_newest_checkpoint_is_named_and_the_previous_one_is_used(tmp_path, how):
    train_run(regression_run(60), tmp_path / "straight")
    train_run(regression_run(50), tmp_path / "run", checkpoint_every=20)
    newest = max((tmp_path / "run/checkpoints").iterdir())
    damaged(newest, how)
    said = []
    state = load_newest(tmp_path / "run/checkpoints", warn=said.append)
    assert state["step"] == 40
    assert len(said) == 1
    assert str(newest) in said[0]
    (used,) = (tmp_path / "run/checkpoints").glob("step-0-000000040.*")
    assert said[0].endswith(f"the earlier checkpoint {used.name} is used instead")
    train_run(regression_run(60), tmp_path / "run", checkpoint_every=20)
    straight, resumed = ((tmp_path / f / "model.safetensors").read_bytes() for f in ("straight", "run"))
    assert straight == resumed


def test_no_undamaged_checkpoint_is_an_error(tmp_path):
    train_run(regression_run(50), tmp_path / "run", checkpoint_every=20)
    for path in (tmp_path / "run/checkpoints").iterdir():
        damaged(path, "truncated")
    with pytest.raises(ValueError, match="got 2 damaged files, wanted at least one undamaged"):
        load_newest(tmp_path / "run/checkpoints", warn=lambda said: None)


def test_a_checkpoint_that_holds_code_is_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return os.system, ("true",)

    path = save_checkpoint(tmp_path, {"step": 1}, "step", (0, 1))
    data = pickle.dumps(Evil(), protocol=2)
    path.unlink()
    bad = tmp_path / f"step-0-000000001.{hashlib.blake2b(data, digest_size=8).hexdigest()}.pt"
    bad.write_bytes(data)
    with pytest.raises(ValueError, match="wanted at least one undamaged"):
        load_newest(tmp_path, warn=lambda said: None)


def test_old_checkpoints_are_removed_by_series(tmp_path):
    for step in (10, 20, 30):
        save_checkpoint(tmp_path, {"step": step}, "step", (0, step))
    for step in (15, 25):
        save_checkpoint(tmp_path, {"step": step}, "best", (0, step))
    save_checkpoint(tmp_path, {"step": 25, "other": 1}, "best", (0, 25))  # replaces the first
    for name in ("notes.pt", "step-0-000000040.pt", "best-0-x.0123456789abcdef.pt"):  # files of others
        (tmp_path / name).write_text("")
    prune(tmp_path, "step", [(0, 20), (0, 30)])
    assert [checkpoint.at for checkpoint in checkpoints(tmp_path, "step")] == [(0, 20), (0, 30)]
    assert [checkpoint.at for checkpoint in checkpoints(tmp_path, "best")] == [(0, 15), (0, 25)]
    assert load_newest(tmp_path, warn=print)["step"] == 30
    remove_later(tmp_path, (0, 20))
    assert [checkpoint.at for checkpoint in checkpoints(tmp_path, "step")] == [(0, 20)]
    assert [checkpoint.at for checkpoint in checkpoints(tmp_path, "best")] == [(0, 15)]
    assert len(list(tmp_path.iterdir())) == 5


def test_a_folder_in_use_is_refused(tmp_path):
    with (
        RunFolder.create(tmp_path / "run", {"a": 1}),
        pytest.raises(RuntimeError, match=f"in use by another process \\(pid {os.getpid()}\\)"),
    ):
        RunFolder.open(tmp_path / "run")
    RunFolder.open(tmp_path / "run").close()


def test_a_killed_process_releases_its_folder(tmp_path):
    RunFolder.create(tmp_path / "run", {}).close()
    script = (
        "import os, signal, sys, pathlib; from thalweg.training import RunFolder;"
        "f = RunFolder.open(sys.argv[1]); (f.path / '.model.1.tmp.safetensors').write_text('half');"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "run")], check=False)
    with RunFolder.open(tmp_path / "run") as folder:
        assert not list(folder.path.glob(".*.tmp*"))


def test_overwriting_replaces_runs_only(tmp_path):
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters/precious.txt").write_text("dear")
    with pytest.raises(ValueError, match="holds other files"):
        RunFolder.create(tmp_path / "letters", {}, overwrite=True)
    assert (tmp_path / "letters/precious.txt").read_text() == "dear"
    RunFolder.create(tmp_path / "run", {"first": True}).close()
    with pytest.raises(ValueError, match="or --overwrite"):
        RunFolder.create(tmp_path / "run", {})
    RunFolder.create(tmp_path / "run", {"second": True}, overwrite=True).close()
    assert RunFolder.read(tmp_path / "run") == {"format": FORMAT, "second": True}
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="is a file; wanted a folder"):
        RunFolder.create(tmp_path / "file", {})


@pytest.mark.parametrize("name", ["notes.txt", "runs/", "samples", "report.csv"])
def test_overwriting_removes_no_files_but_those_of_a_run(tmp_path, name):
    RunFolder.create(tmp_path / "run", {}).close()
    path = tmp_path / "run" / name
    path.mkdir() if name.endswith("/") else path.write_text("mine")
    with pytest.raises(ValueError, match=f"holds '{path.name}' beside a run"):
        RunFolder.create(tmp_path / "run", {}, overwrite=True)
    assert path.exists()


def test_a_report_is_removed_when_another_model_takes_its_place(tmp_path):
    with RunFolder.create(tmp_path / "run", {}) as folder:
        folder.write_model(b"first")
        for name in ("report.json", "report.html"):
            (folder.path / name).write_text("{}")
        folder.write_model(b"first")
        assert len(list(folder.path.glob("report.*"))) == 2
        folder.write_model(b"second")
        assert not list(folder.path.glob("report.*"))


def test_values_that_json_lacks_are_null(tmp_path):
    with RunFolder.create(tmp_path / "run", {}) as folder:
        folder.log({"stage": 0, "step": 1, "loss": 2.0, "ratio": float("nan"), "norm": float("inf")})
    lines = (tmp_path / "run/metrics.jsonl").read_text().splitlines()
    assert lines == ['{"stage": 0, "step": 1, "loss": 2.0, "ratio": null, "norm": null}']
    assert read_metrics(tmp_path / "run") == [json.loads(lines[0])]


@pytest.mark.parametrize("version", [None, FORMAT - 1, FORMAT + 1])
def test_a_folder_of_another_format_is_refused_naming_the_version_that_made_it(tmp_path, version):
    header = {"thalweg": "0.0.7", "config": {}, "spec": {}} | ({} if version is None else {"format": version})
    (tmp_path / "run").mkdir()
    (tmp_path / "run/run.json").write_text(json.dumps(header))
    wanted = f"run.json of format {version or 1}, made by thalweg 0.0.7, wanted a run folder of format {FORMAT}"
    for work in (RunFolder.read, RunFolder.open, open_run, resume):
        with pytest.raises(ValueError, match=wanted) as refused:
            work(tmp_path / "run")
        assert "\n" not in str(refused.value)
    RunFolder.create(tmp_path / "run", {"thalweg": "new"}, overwrite=True).close()
    assert RunFolder.read(tmp_path / "run")["format"] == FORMAT


def test_a_checkpoint_of_another_format_is_refused(tmp_path):
    save_checkpoint(tmp_path, {"step": 1}, "step", (0, 1))
    path = save_checkpoint(tmp_path, {"step": 2, "format": FORMAT - 1}, "step", (0, 2))
    with pytest.raises(ValueError, match=f"{path.name}: got format {FORMAT - 1}, wanted {FORMAT}"):
        load_newest(tmp_path, warn=print)


@pytest.mark.parametrize(("text", "said"), [("{", "not JSON"), ("[1]", "wanted a JSON object"), (None, "no run.json")])
def test_a_file_that_is_not_run_json_is_refused(tmp_path, text, said):
    if text is not None:
        (tmp_path / "run.json").write_text(text)
    with pytest.raises(ValueError, match=said):
        RunFolder.open(tmp_path)


def test_rewinding_removes_later_and_incomplete_lines(tmp_path):
    with RunFolder.create(tmp_path / "run", {}) as folder:
        for step in (10, 20, 30):
            folder.log({"stage": 0, "step": step})
    with open(tmp_path / "run/metrics.jsonl", "a") as file:
        file.write('{"stage": 0, "st')
    with RunFolder.open(tmp_path / "run") as folder:
        folder.rewind(0, 20)
        folder.log({"stage": 0, "step": 25})
    lines = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [10, 20, 25]


def test_state_holds_tensors_and_plain_values_only(tmp_path):
    train_run(regression_run(10, ema={"model": 0.9}), tmp_path / "run")
    (path,) = (tmp_path / "run/checkpoints").iterdir()
    state = torch.load(path, weights_only=True)
    assert set(state) == {
        *("format", "stage", "step", "finished", "players", "others", "pending", "monitor", "bests", "seconds"),
    }
    assert set(state["players"]["model"]) == {"module", "optimizer", "average", "averaged", "steps"}
