"""Damaged files of one run in a comparison, labels that leave a class out of training, and repeated examples."""

import json

import numpy as np
import pytest

from thalweg.cli import main

ARGUMENTS = ["softmax-regression", "svm", "--data", "digits", "--steps", "5", "--features", "pixels", "--device", "cpu"]


def write_csv(path, rows):
    path.write_text("a,b,label,group\n" + "".join(f"{a:.4f},{b:.4f},{label},{group}\n" for a, b, label, group in rows))


def examples(n=120, seed=0):
    random = np.random.default_rng(seed)
    return [(*random.normal(size=2), "ab"[i % 2], i % 6) for i in range(n)]


@pytest.mark.parametrize("name", ["run.json", "metrics.jsonl", "model.safetensors"])
def test_a_damaged_file_of_one_run_is_its_reason_and_the_others_are_reported(tmp_path, capsys, name):
    out = tmp_path / "c"
    assert main(["compare", *ARGUMENTS, "--out", str(out)]) == 0
    path = out / "runs" / "svm-0" / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    capsys.readouterr()
    assert main(["compare", *ARGUMENTS, "--out", str(out)]) == 1
    printed = capsys.readouterr().out
    assert "trainings that failed: 1; the report has the reasons" in printed
    assert "trains them again" not in printed
    models = {
        m["name"]: m["seeds"][0] for m in json.loads((out / "report.json").read_text())["models"] if m.get("seeds")
    }
    assert "damaged" in models["svm"]["reason"]
    assert models["softmax-regression"]["state"] == "done"


def test_training_examples_of_one_class_are_refused(tmp_path, capsys):
    write_csv(tmp_path / "t.csv", examples())
    train = ["train", "mlp", "--data", str(tmp_path / "t.csv"), "--label-column", "label", "--run", str(tmp_path / "r")]
    assert main([*train, "--split-by", "label"]) == 2
    assert "--split-by: got 'label', the column of the labels" in capsys.readouterr().err
    rows = [(a, b, label, label) for a, b, label, _ in examples()]
    write_csv(tmp_path / "t.csv", rows)
    codes = [main([*train, "--split-by", "group", "--data-seed", str(seed), "--steps", "2"]) for seed in range(3)]
    assert 2 in codes
    assert "got training examples of the class" in capsys.readouterr().err
    assert not (tmp_path / "r").exists() or 0 in codes


def test_repeated_test_examples_are_warned_of(tmp_path, capsys):
    write_csv(tmp_path / "t.csv", [row for row in examples(60) for _ in range(3)])
    data = ["--data", str(tmp_path / "t.csv"), "--label-column", "label"]
    assert main(["train", "gmm", *data, "--components", "2", "--run", str(tmp_path / "r")]) == 0
    assert main(["evaluate", str(tmp_path / "r"), "--json"]) == 0
    report = json.loads((tmp_path / "r/report.json").read_text())
    assert any("test examples are duplicates of others there" in text for text in report["warnings"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "convnetjs", "--data", "digits", "--cutout", "99"], "--cutout: got 99 for images of 8×8"),
        (["train", "convnetjs", "--data", "digits", "--shift", "8"], "--shift: got 8 for images of 8×8"),
    ],
)
def test_transforms_larger_than_the_images_are_refused(arguments, words, tmp_path, capsys):
    assert main([*arguments, "--run", str(tmp_path / "r")]) == 2
    assert words in capsys.readouterr().err


def test_views_of_vectors_are_refused(trained, capsys):
    assert main(["evaluate", str(trained["real-nvp"]), "--views", "six"]) == 2
    assert "--views: got six for data 'moons' of kind vector, wanted images" in capsys.readouterr().err
