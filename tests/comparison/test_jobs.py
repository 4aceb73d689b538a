"""Trainings in processes of their own: done, failed, killed, resumed."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from thalweg.comparison.jobs import Job, _on_a_node, train_here, train_on_ray
from thalweg.comparison.progress import LiveProgressDisplay, PlainProgressDisplay, line_of
from thalweg.comparison.worker import main
from thalweg.config import DataConfig, RunConfig, TrainConfig, to_json
from thalweg.recipes.runs import cost
from thalweg.training.records import read_metrics

DIGITS = DataConfig(source="digits")


def job(tmp_path, name="a", recipe="softmax-regression", **train):
    train = TrainConfig(**{"steps": 5, "device": "cpu", "log_every": 1, **train})
    config = RunConfig(recipe=recipe, data=DIGITS, train=train)
    return Job(name, config, tmp_path / "runs" / name, tmp_path / "logs" / f"{name}.txt")


class Recorder:
    def __init__(self):
        self.messages = []

    def show(self, job, message):
        self.messages.append((job.name, job.state, dict(message)))


def test_a_failed_training_leaves_the_others(tmp_path):
    jobs = [
        job(tmp_path, "grows without bound", "wgan", lr=1e30, steps=50),
        job(tmp_path, "sound"),
        job(tmp_path, "impossible", "lenet5", batch_size=8, accumulate=3),
    ]
    recorder = Recorder()
    train_here(jobs, recorder)
    assert [j.state for j in jobs] == ["failed", "done", "failed"]
    assert "not finite" in jobs[0].reason or "the loss of" in jobs[0].reason
    assert "accumulate: got 3" in jobs[2].reason
    assert (tmp_path / "runs" / "sound" / "model.safetensors").is_file()
    steps = [message["step"] for name, _, message in recorder.messages if name == "sound" and "step" in message]
    assert steps[-1] == 5
    again = Recorder()
    train_here([jobs[1]], again)  # ended already: nothing is done again
    assert again.messages == [("sound", "done", {})]


def test_a_killed_training_is_reported_and_resumed(tmp_path):
    settings = {"steps": 1500, "checkpoint_every": 50, "log_every": 25}
    killed, straight = job(tmp_path, "killed", **settings), job(tmp_path, "straight", **settings)

    class Killer(Recorder):
        def show(self, job, message):
            if message.get("step", 0) > 100:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int((job.folder / "lock").read_text()), signal.SIGKILL)

    train_here([killed], Killer())
    assert killed.state == "failed"
    assert "SIGKILL" in killed.reason
    assert list((killed.folder / "checkpoints").glob("step-*.pt"))
    killed.state, killed.reason = "waiting", None
    train_here([killed, straight], Recorder())
    models = [(j.folder / "model.safetensors").read_bytes() for j in (killed, straight)]
    assert models[0] == models[1]


def test_a_worker_stops_when_its_parent_process_ends(tmp_path):
    config = job(tmp_path, steps=1_000_000).config
    work = json.dumps({"config": to_json(config), "folder": str(tmp_path / "run")})
    child = subprocess.Popen([sys.executable, "-m", "thalweg.comparison.worker", work],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # fmt: skip
    for line in child.stdout:
        if json.loads(line).get("step", 0) > 10:
            break
    child.stdin.close()
    child.stdout.read()
    child.stdout.close()
    assert child.wait(timeout=60) == 128 + signal.SIGTERM
    assert list((tmp_path / "run" / "checkpoints").glob("step-*.pt"))


def test_a_training_ends_after_its_minutes(tmp_path):
    timed = job(tmp_path, steps=None, minutes=0.02)
    train_here([timed], Recorder())
    spent = cost(read_metrics(timed.folder))
    assert timed.state == "done"
    assert 1.2 <= spent["seconds"] < 2.4
    assert spent["steps"] > 20
    assert spent["memory"] > 50


def test_invalid_settings_are_reported_with_exit_code_2(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("thalweg.comparison.worker._stop_with_starter", lambda: None)
    wrong = RunConfig(recipe="lenet5", data=DataConfig(source="moons"), train=TrainConfig(steps=2))
    code = main(json.dumps({"config": to_json(wrong), "folder": str(tmp_path / "run")}))
    assert code == 2
    assert "failed" in json.loads(capsys.readouterr().out.splitlines()[-1])
    assert not (tmp_path / "run").exists()


def test_progress_displays_show_the_state_of_each_training(tmp_path, capsys):
    one, two = job(tmp_path, "one"), job(tmp_path, "two")
    with PlainProgressDisplay([one, two], every=0.0) as board:
        one.state = "training"
        message = {"step": 1500, "steps": 9000, "metrics": {"loss": 1.25}, "rate": 120.0, "left": 62.5}
        board.show(one, message)
        two.state, two.reason = "failed", "no memory"
        board.show(two, {})
        board.log("measuring")
    err = capsys.readouterr().err
    assert "one  1,500/9,000  loss 1.25  120 it/s  62 s left" in err
    assert "two  failed: no memory" in err
    with LiveProgressDisplay([one, two]) as board:
        board.show(one, message)
        board.log("measuring one")
    assert "measuring one" in capsys.readouterr().err
    assert line_of(job(tmp_path), {}) == "waiting"


def test_missing_ray_is_an_error_of_one_line(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ValueError, match="ray: not installed; wanted"):
        train_on_ray([job(tmp_path)], Recorder(), "local")


def test_on_a_local_ray_trainings_are_the_same_bytes_and_no_file_of_the_current_folder_runs(tmp_path, monkeypatch):
    pytest.importorskip("ray")
    ran = tmp_path / "here" / "ran.txt"
    ran.parent.mkdir()
    for name in ("random", "json", "torch", "numpy", "typing", "argparse", "sklearn"):
        (ran.parent / f"{name}.py").write_text(f"open({str(ran)!r}, 'a').write({name!r})\n")
    monkeypatch.chdir(ran.parent)
    here, there, wrong = (
        job(tmp_path, "here"),
        job(tmp_path, "there"),
        job(tmp_path, "wrong", accumulate=3, batch_size=8),
    )
    train_here([here], Recorder())
    recorder = Recorder()
    begun = time.monotonic()
    train_on_ray([there, wrong], recorder, "local")
    print(f"ray: {time.monotonic() - begun:.1f} s")
    assert (there.state, wrong.state) == ("done", "failed")
    assert "accumulate: got 3" in wrong.reason
    models = [(j.folder / "model.safetensors").read_bytes() for j in (here, there)]
    assert models[0] == models[1]
    assert any("step" in message for name, _, message in recorder.messages if name == "there")
    assert not list((tmp_path / "runs").glob(".*"))
    assert not ran.exists()


def test_a_node_without_the_folder_returns_the_files(tmp_path):
    away, fields = job(tmp_path, "away"), []

    class Queue:
        def put(self, entry):
            fields.append(entry)

    arguments = (to_json(away.config), os.getcwd(), str(away.folder), str(tmp_path / "no such token"))
    files = _on_a_node(*arguments, {}, "away", Queue())
    assert {"model.safetensors", "run.json", "metrics.jsonl"} <= files.keys()
    assert not away.folder.exists()
    assert {name for name, _ in fields} == {"away"}
    again = _on_a_node(*arguments, files, "away", Queue())  # it ended there: nothing is trained again
    assert again["model.safetensors"] == files["model.safetensors"]
