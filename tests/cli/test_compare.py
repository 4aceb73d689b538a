"""`thalweg compare`, from the command to the report."""

import json
import math
import os
import signal
import subprocess
import sys
import time

import pytest

from thalweg.cli import main

SETTINGS = ["--data", "digits", "--steps", "30", "--limit", "60", "--samples", "60", "--temperatures", "8",
            "--device", "cpu", "--features", "pixels"]  # fmt: skip


def answer(capsys, *arguments, wanted=0):
    code = main([str(a) for a in arguments] + ["--json"])
    out = capsys.readouterr()
    assert code == wanted, out.err
    return json.loads(out.out)


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """A comparison of four kinds of model, one of them bound to fail."""
    folder = tmp_path_factory.mktemp("compared") / "out"
    arguments = ["compare", "vae", "real-nvp", "wgan:hidden=16", "vae:lr=1e30", *SETTINGS, "--out", str(folder)]
    code = main(arguments)
    return folder, arguments, code


def test_a_failed_training_leaves_the_report_of_the_others(compared):
    folder, _, code = compared
    assert code == 1
    report = json.loads((folder / "report.json").read_text())
    assert (report["schema"], report["version"]) == ("thalweg-report", 2)
    assert report["command"].startswith("thalweg compare vae real-nvp wgan:hidden=16 vae:lr=1e30 --data digits")
    assert [m["name"] for m in report["models"]] == [
        "vae", "real-nvp", "wgan:hidden=16", "vae:lr=1e30", "real", "uniform", "gaussian", "gaussian-mixture",
    ]  # fmt: skip
    states = {m["name"]: [s["state"] for s in m["seeds"]] for m in report["models"]}
    assert states["vae:lr=1e30"] == ["failed"]
    assert states["wgan:hidden=16"] == ["done"]
    reasons = [s["reason"] for m in report["models"] for s in m["seeds"] if s["reason"]]
    assert "finite" in reasons[0] or "the loss of" in reasons[0]
    rows = {(row["name"], row["kind"]): row for row in report["measures"]}
    for row in rows.values():
        assert row["meaning"]
        for cell in row["cells"].values():
            if "estimate" in cell:
                assert {"value", "low", "high", "unit", "kind", "varies", "n", "text"} <= cell["estimate"].keys()
            else:
                assert cell["reason"]
    bits = rows["bits/dim", "upper bound"]["cells"]
    assert {"vae", "real-nvp", "gaussian", "gaussian-mixture"} <= {m for m, c in bits.items() if "estimate" in c}
    assert "log_prob" in bits["wgan:hidden=16"]["reason"] or "decode" in bits["wgan:hidden=16"]["reason"]
    assert rows["bits/dim", "exact"]["cells"]["uniform"]["estimate"]["value"] == pytest.approx(math.log2(17))
    distances = rows["Fréchet distance", "estimate"]["cells"]
    assert all(
        "estimate" in distances[m]
        for m in ("vae", "real-nvp", "wgan:hidden=16", "real", "gaussian", "gaussian-mixture")
    )
    best = [m for m, cell in distances.items() if cell.get("best")]
    assert len(best) == 1
    assert best[0] in ("vae", "real-nvp", "wgan:hidden=16")
    assert rows["training steps", "exact"]["cells"]["vae"]["estimate"]["value"] == 30


def test_the_page_is_one_file_without_requests(compared):
    folder, _, _ = compared
    page = (folder / "report.html").read_text()
    assert "data:image/png" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page
    assert len(page) < 3_000_000


def test_a_repeated_comparison_trains_and_evaluates_nothing(compared, capsys):
    folder, arguments, _ = compared
    models = {p: p.stat().st_mtime_ns for p in folder.glob("runs/*/model.safetensors")}
    measured = {p: p.stat().st_mtime_ns for p in folder.glob("measured/*.json")}
    assert len(models) == 3
    assert len(measured) == 7
    report = answer(capsys, *arguments, wanted=1)
    assert {p: p.stat().st_mtime_ns for p in models} == models
    assert {p: p.stat().st_mtime_ns for p in measured} == measured
    assert report["folder"] == str(folder)


def test_the_table_on_the_terminal(compared, capsys):
    folder, arguments, _ = compared
    assert main(arguments) == 1
    out = capsys.readouterr().out
    assert f"report: {folder}/report.html" in out.splitlines()[-3:]
    assert "1 of them wrote no model; the same command trains them again" in out
    for word in ("bits/dim", "★", "real-nvp", "gaussian-mixture", "precision", "failed"):
        assert word in out, word


def test_another_plan_does_not_touch_the_folder(compared, capsys):
    _, arguments, _ = compared
    assert main([*arguments, "--seeds", "2"]) == 2
    assert "contains a comparison that differs in seeds" in capsys.readouterr().err


def test_over_seeds(tmp_path, capsys):
    out = tmp_path / "seeds"
    settings = ["--data", "moons", "--steps", 20, "--seeds", 3, "--limit", 100, "--samples", 100, "--temperatures", 0]
    report = answer(capsys, "compare", "real-nvp", *settings, "--device", "cpu", "--out", out)
    row = next(r for r in report["measures"] if r["name"] == "KL from truth")
    estimate = row["cells"]["real-nvp"]["estimate"]
    assert estimate["varies"] == "training seeds"
    assert estimate["n"] == 3
    assert "trainings" in estimate["method"]["interval"]
    single = [json.loads((out / "measured" / f"real-nvp-{i}.json").read_text()) for i in range(3)]
    values = [next(e["value"] for e in s["estimates"] if e["name"] == "KL from truth") for s in single]
    assert estimate["value"] == pytest.approx(sum(values) / 3)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["compare"], "RECIPE: got nothing"),
        (["compare", "vae"], "--data: got nothing"),
        (["compare", "vea", "--data", "digits"], "did you mean 'vae'"),
        (["compare", "vae", "--data", "digits", "--minutes", "0"], "--minutes: got 0"),
        (["compare", "vae", "--data", "digits", "--minutes", "1", "--steps", "9"], "--minutes: got 1.0 beside steps"),
        (["compare", "vae", "--data", "digits", "--seeds", "0"], "--seeds: got 0"),
        (["compare", "vae", "--data", "digits", "--anomalies", "moons"], "got moons"),
        (["compare", "vae", "--data", "digits", "--features", "no.such:thing"], "features"),
        (["compare", "lenet5", "--data", "moons"], "lenet5"),
        (["compare", "vae:latent_dim=2", "vae:latent_dim=-1", "--data", "digits"], "latent_dim: got -1"),
        (["compare", "vae", "vae:accumulate=3,batch_size=8", "--data", "digits"], "accumulate: got 3"),
        (["compare", "vae", "wgan:patience=3", "--data", "digits"], "patience: got 3"),
        (["compare", "vae", "gmm:lr=1", "--data", "digits"], "lr: got 1.0"),
    ],
)
def test_mistakes_are_reported_before_training(tmp_path, monkeypatch, capsys, arguments, words):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    err = capsys.readouterr().err.splitlines()[-1]
    assert err.startswith("thalweg: error: ")
    assert words in err
    assert not list(tmp_path.iterdir())


@pytest.fixture
def comparison(tmp_path):
    """A comparison that trains, its command, and its folder; it is killed at the end, whatever became of the test."""
    out = tmp_path / "out"
    arguments = ["compare", "softmax-regression", "--data", "digits", "--steps", "100000000", "--device", "cpu"]
    command = [sys.executable, "-m", "thalweg", *arguments, "--out", str(out)]
    child = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    records, until = out / "runs" / "softmax-regression-0" / "metrics.jsonl", time.monotonic() + 1800
    try:
        while not (records.is_file() and records.read_text().count("\n") > 3):
            assert time.monotonic() < until
            assert child.poll() is None
            time.sleep(0.1)
        yield child, command, out
    finally:
        if child.poll() is None:
            child.kill()
        child.communicate()


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_comparison_prints_how_to_resume(comparison, signum):
    child, _, out = comparison
    if signum == signal.SIGINT:
        os.killpg(child.pid, signum)  # as a terminal does
    else:
        child.send_signal(signum)
    err = child.communicate(timeout=1800)[1]
    assert child.returncode == 128 + signum
    assert err.splitlines()[-1] == "thalweg: interrupted; the same command resumes"
    saved = [int(p.name.split("-")[2].split(".")[0]) for p in (out / "runs").glob("*/checkpoints/step-*.pt")]
    assert max(saved) > 0


def test_every_configuration_is_built_before_training(tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["compare", "vae:latent_dim=2", "vae:latent_dim=-1", *SETTINGS, "--out", str(out)]) == 2
    assert "latent_dim: got -1" in capsys.readouterr().err or "--latent-dim" in capsys.readouterr().err
    assert not (out / "runs").exists()


def test_the_folder_of_a_running_comparison_is_locked(comparison):
    child, command, out = comparison
    second = subprocess.run([*command, "--overwrite"], capture_output=True, text=True)
    assert second.returncode == 1
    message = f"thalweg: error: comparison folder {out} is in use by another process (pid {child.pid})"
    assert second.stderr.splitlines()[-1] == message
    assert child.poll() is None
    assert (out / "runs" / "softmax-regression-0" / "metrics.jsonl").is_file()


def test_a_damaged_model_leaves_the_others(tmp_path, capsys):
    out = tmp_path / "out"
    command = ["compare", "softmax-regression", "autoencoder:hidden=8", *SETTINGS, "--out", out]
    answer(capsys, *command)
    path = out / "runs" / "softmax-regression-0" / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    (out / "measured" / "softmax-regression-0.json").unlink()
    report = answer(capsys, *command, wanted=1)
    states = {m["name"]: [s["state"] for s in m["seeds"]] for m in report["models"] if m["seeds"]}
    assert states == {"softmax-regression": ["failed"], "autoencoder:hidden=8": ["done"]}


def test_one_example_has_a_report_without_intervals(tmp_path, capsys):
    settings = ["--hidden", "8", "--latent-dim", "2", "--device", "cpu", "--run", str(tmp_path / "run")]
    assert main(["train", "vae", "--data", "digits", "--steps", "3", *settings]) == 0
    capsys.readouterr()
    few = ["--limit", 1, "--temperatures", 0, "--samples", 20, "--features", "pixels"]
    report = answer(capsys, "evaluate", tmp_path / "run", *few)
    assert any(row["name"] == "bits/dim" for row in report["measures"])
