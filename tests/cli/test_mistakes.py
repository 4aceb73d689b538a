"""Mistakes of a user: one line that names the value and what was wanted, exit code 2, and no files."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from thalweg.cli import main

IMAGES = np.random.default_rng(0).integers(0, 256, (40, 1, 8, 8)).astype(np.uint8)
TABLE = np.random.default_rng(0).normal(size=(40, 3))


def write_table(path, columns, rows):
    path.write_text("\n".join([",".join(columns), *(",".join(map(str, row)) for row in rows)]) + "\n")


def write_images(folder, sizes):
    folder.mkdir()
    for i, size in enumerate(sizes):
        Image.fromarray(np.full(size, 7 * i % 256, dtype=np.uint8)).save(folder / f"{i}.png")


def broken_image(tmp):
    write_images(tmp / "in", [(8, 8)] * 12)
    (tmp / "in" / "3.png").write_bytes((tmp / "in" / "3.png").read_bytes()[:40])


def bomb(tmp):
    write_images(tmp / "in", [(8, 8)] * 12)
    # a header that promises 60,000 × 60,000 points
    data = bytearray((tmp / "in" / "3.png").read_bytes())
    data[16:24] = struct.pack(">II", 60000, 60000)
    import zlib

    data[29:33] = struct.pack(">I", zlib.crc32(bytes(data[12:29])))
    (tmp / "in" / "3.png").write_bytes(bytes(data))


def table_with(column):
    def make(tmp):
        rows = TABLE.tolist()
        for i, row in enumerate(rows):
            row[1] = column(i)
        write_table(tmp / "in.csv", "abc", rows)

    return make


def npz(**arrays):
    return lambda tmp: np.savez(tmp / "in.npz", **arrays)


def nan_table(tmp):
    table_with(lambda i: "nan" if i == 7 else i * 0.1)(tmp)


def idx(data, name="train-images-idx3-ubyte"):
    return lambda tmp: (tmp / name).write_bytes(data)


def file(name, data=b"x"):
    return lambda tmp: (tmp / name).write_bytes(data)


def folder(name, *files):
    def make(tmp):
        (tmp / name).mkdir()
        for inner in files:
            (tmp / name / inner).write_text("{}")

    return make


def text(tmp):
    (tmp / "in.txt").write_text("to be or not to be " * 400)


VAE = ["train", "vae", "--data"]
DIGITS = [*VAE, "digits", "--steps", "1"]
X = IMAGES.astype(object)

# id: (arguments, fragments of the line, what is there before). RUN is a trained vae on digits, LABELS a classifier,
# OWN one of a file's images.
CASES = {
    # words
    "verb": (["trian"], ["'trian'", "did you mean 'train'"]),
    "option before the verb": (["--loud", "train"], ["--loud", "wanted -h"]),
    "no recipe": (["train"], ["RECIPE: got nothing", "vae"]),
    "recipe not first": (["train", "--data", "digits", "vae"], ["RECIPE: got '--data' first"]),
    "recipe": (["train", "vea", "--data", "digits"], ["'vea'", "did you mean 'vae'"]),
    "no data": (["train", "vae"], ["--data: got nothing", "thalweg data list"]),
    "data without a value": (VAE, ["--data: got nothing, wanted a value"]),
    "data": ([*VAE, "mnits"], ["--data: got 'mnits'", "did you mean 'mnist'"]),
    "path": ([*VAE, "./nowhere/x.csv"], ["--data: got './nowhere/x.csv'", "wanted a path that exists"]),
    "suffix of data": ([*VAE, "in.mat"], ["in.mat", ".npz, .csv"], file("in.mat")),
    "further argument": ([*DIGITS, "fast"], ["got 'fast'", "wanted no further argument"]),
    # options
    "option of another recipe": (
        ["train", "lenet5", "--data", "digits", "--latent-dim", "5"],
        ["--latent-dim", "option of autoencoder, ", "not of lenet5"],
    ),
    "misspelt option": ([*DIGITS, "--latnt-dim", "5"], ["--latnt-dim", "did you mean '--latent-dim'"]),
    "abbreviated option": ([*DIGITS, "--latent", "5"], ["--latent: no such option", "did you mean '--latent-dim'"]),
    "no such option": ([*DIGITS, "--zzz"], ["--zzz: no such option of thalweg train vae"]),
    "flag with a value": ([*DIGITS, "--tensorboard=yes"], ["--tensorboard: got 'yes', wanted no value"]),
    # numbers
    "negative steps": ([*VAE, "digits", "--steps", "-3"], ["--steps: got -3, wanted a number greater than 0"]),
    "no steps": ([*VAE, "digits", "--steps", "0"], ["--steps: got 0, wanted a number greater than 0"]),
    "steps in words": ([*VAE, "digits", "--steps", "many"], ["--steps: got 'many', wanted an integer"]),
    "half a step": ([*VAE, "digits", "--steps", "2.5"], ["--steps: got '2.5', wanted an integer"]),
    "negative rate": ([*DIGITS, "--lr", "-1e-3"], ["--lr: got -0.001, wanted a number greater than 0"]),
    "rate nan": ([*DIGITS, "--lr", "nan"], ["--lr: got 'nan', wanted a number"]),
    "rate infinite": ([*DIGITS, "--lr", "-inf"], ["--lr: got '-inf', wanted a number"]),
    "batch of none": ([*DIGITS, "--batch-size", "0"], ["--batch-size: got 0"]),
    "average of all": ([*DIGITS, "--ema", "1"], ["--ema: got 1.0, wanted a decay in [0, 1)"]),
    "negative decay": ([*DIGITS, "--weight-decay", "-1"], ["--weight-decay: got -1.0", "at least 0"]),
    "negative seed": ([*DIGITS, "--seed", "-1"], ["--seed: got -1", "at least 0"]),
    "negative seed of data": ([*DIGITS, "--data-seed", "-1"], ["--data-seed: got -1", "at least 0"]),
    "few examples of data": ([*DIGITS, "--data-examples", "1"], ["--data-examples: got 1, wanted at least 10"]),
    "nesterov without momentum": ([*DIGITS, "--nesterov"], ["--nesterov: got optimizer 'adam', wanted momentum"]),
    "negative warm-up": ([*DIGITS, "--warmup", "-1"], ["--warmup: got -1", "at least 0"]),
    "norm of zero": ([*DIGITS, "--clip-norm", "0"], ["--clip-norm: got 0.0"]),
    "uneven parts": ([*DIGITS, "--accumulate", "3"], ["--accumulate: got 3", "divisor of the batch size 128"]),
    "share of test": ([*DIGITS, "--test", "2"], ["--test: got 2.0", "from 0.0 to 0.9"]),
    "share of validation": ([*DIGITS, "--validation", "-0.5"], ["--validation: got -0.5"]),
    "no examples": ([*DIGITS, "--data-examples", "0"], ["--data-examples: got 0"]),
    "no window": ([*DIGITS, "--window", "0"], ["--window: got 0"]),
    "no latent": ([*DIGITS, "--latent-dim", "0"], ["--latent-dim: got 0"]),
    "latent in words": ([*DIGITS, "--latent-dim", "two"], ["--latent-dim: got 'two', wanted an integer"]),
    "negative sigma": ([*DIGITS, "--sigma", "-1"], ["--sigma: got -1.0"]),
    # choices
    "optimizer": ([*DIGITS, "--optimizer", "adm"], ["--optimizer: got 'adm'", "did you mean 'adam'"]),
    "schedule": ([*DIGITS, "--schedule", "cosin"], ["--schedule: got 'cosin'", "did you mean 'cosine'"]),
    "scheme": ([*DIGITS, "--scheme", "shuffle"], ["--scheme: got 'shuffle'", "did you mean 'shuffled'"]),
    "update": ([*DIGITS, "--update", "extra"], ["--update: got 'extra'", "extragradient"]),
    "precision": ([*DIGITS, "--precision", "float8"], ["--precision: got 'float8'", "bf16"]),
    "device": ([*DIGITS, "--device", "tpu9"], ["--device: got 'tpu9'", "wanted auto, cpu"]),
    "likelihood": ([*DIGITS, "--likelihood", "gausian"], ["--likelihood: got 'gausian'", "did you mean 'gaussian'"]),
    "eps inside": (
        [*DIGITS, "--optimizer", "sgd", "--eps-inside"],
        ["--eps-inside: got optimizer 'sgd', wanted rmsprop or adam"],
    ),
    "channels": ([*DIGITS, "--channels", "cmyk"], ["--channels: got 'cmyk', wanted one of gray, rgb"]),
    # settings that do not concern the data
    "size of digits": ([*DIGITS, "--image-size", "16"], ["--image-size: got 16 for 'digits'", "folder of images"]),
    "label of digits": ([*DIGITS, "--label-column", "y"], ["--label-column: got 'y' for 'digits'", "table"]),
    # data that the recipe cannot take
    "convolutions of points": ([*VAE, "moons", "--architecture", "conv"], ["--architecture: got 'conv'", "dense"]),
    "bernoulli of points": (
        [*VAE, "moons", "--likelihood", "bernoulli"],
        ["--likelihood: got 'bernoulli'", "gaussian"],
    ),
    "lenet5 of points": (["train", "lenet5", "--data", "moons"], ["lenet5: got data 'moons'", "wanted images"]),
    "classes of nothing": (
        ["train", "softmax-regression", "--data", "rings"],
        ["softmax-regression: got data 'rings' without labels"],
    ),
    "coupling of one": (["train", "real-nvp", "--data", "mixture-1d"], ["'mixture-1d'", "wanted at least 2"]),
    "vae of text": ([*VAE, "in.txt"], ["of tokens, wanted images or vectors"], text),
    "one class": (
        ["train", "lenet5", "--data", "in.npz"],
        ["one class", "wanted at least 2"],
        npz(x=IMAGES, y=np.zeros(40, dtype=np.int64)),
    ),
    # broken data
    "empty folder": ([*VAE, "in"], ["in", "image"], folder("in")),
    "truncated image": ([*VAE, "in"], ["3.png"], broken_image),
    "image that bursts the memory": ([*VAE, "in"], ["3.png"], bomb),
    "mixed sizes": ([*VAE, "in"], ["--resize"], lambda tmp: write_images(tmp / "in", [(8, 8), (9, 8)] * 8)),
    "not IDX": ([*VAE, "train-images-idx3-ubyte"], ["train-images-idx3-ubyte"], idx(b"no idx at all")),
    "short IDX": ([*VAE, "train-images-idx3-ubyte"], ["idx3"], idx(struct.pack(">IIII", 2051, 100, 8, 8) + bytes(99))),
    "cut gzip": (
        [*VAE, "a-idx3-ubyte.gz"],
        ["a-idx3-ubyte.gz"],
        idx(gzip.compress(bytes(999))[:15], "a-idx3-ubyte.gz"),
    ),
    "objects in npz": ([*VAE, "in.npz"], ["in.npz", "object"], npz(x=X)),
    "no x in npz": ([*VAE, "in.npz"], ["in.npz: got the arrays pictures", "wanted x_train or x"], npz(pictures=IMAGES)),
    "lengths in npz": ([*VAE, "in.npz"], ["39", "40"], npz(x=IMAGES, y=np.arange(39) % 2)),
    "not npz": ([*VAE, "in.npz"], ["in.npz"], file("in.npz", b"not a zip file")),
    "nan in npz": (
        [*VAE, "in.npz"],
        ["in.npz: got nan in row 3", "wanted finite"],
        npz(x=np.where(TABLE[3, 1] == TABLE, np.nan, TABLE)),
    ),
    "text in a table": ([*VAE, "in.csv"], ["in.csv", "'b'"], table_with(lambda i: f"word{i}")),
    "constant column": ([*VAE, "in.csv"], ["in.csv", "'b'"], table_with(lambda i: 5.0)),
    "nan in a table": ([*VAE, "in.csv"], ["in.csv"], nan_table),
    "empty table": ([*VAE, "in.csv"], ["in.csv"], file("in.csv", b"")),
    "label column": (
        [*VAE, "in.csv", "--label-column", "z"],
        ["--label-column: got 'z'"],
        table_with(lambda i: i * 0.1),
    ),
    "few examples": ([*VAE, "in.npz"], ["in.npz", "got 3", "at least 10"], npz(x=IMAGES[:3])),
    # folders of runs
    "run exists": ([*DIGITS, "--run", "RUN"], ["--run: got RUN", "which holds a run", "--overwrite to start anew"]),
    "run is a file": ([*DIGITS, "--run", "in"], ["--run: got in, but in is a file"], file("in")),
    "run holds files": (
        [*DIGITS, "--run", "in", "--overwrite"],
        ["--run: got in", "other files"],
        folder("in", "a.txt"),
    ),
    "run under a file": (
        [*DIGITS, "--run", "in/run"],
        ["in/run, but in is a file; wanted a folder to create"],
        file("in"),
    ),
    "resume nothing": (["resume"], ["DIR: got nothing, wanted a run folder"]),
    "resume elsewhere": (["resume", "in"], ["DIR: got in", "no run.json", "run folder"], folder("in")),
    "resume nowhere": (["resume", "gone"], ["DIR: got gone", "run folder"]),
    "resume what is broken": (["resume", "in"], ["run.json", "run folder"], folder("in", "run.json")),
    "resume for fewer steps": (["resume", "RUN", "--steps", "1"], ["--steps: got 1", "2"]),
    "resume for no steps": (["resume", "RUN", "--steps", "0"], ["--steps: got 0"]),
    "resume with an option of training": (["resume", "RUN", "--lr", "1"], ["--lr: no such option of thalweg resume"]),
    # sampling
    "sample to nowhere": (["sample", "RUN"], ["--out: got nothing", ".png"]),
    "sample to jpg": (["sample", "RUN", "--out", "a.jpg"], ["--out: got 'a.jpg'", ".png, .npz, .csv, .txt"]),
    "sample images to text": (["sample", "RUN", "--out", "a.txt"], ["--out: got 'a.txt' for images", ".png"]),
    "sample into no folder": (["sample", "RUN", "--out", "no/a.png"], ["--out: got 'no/a.png'", "folder that exists"]),
    "sample onto a folder": (["sample", "RUN", "--out", "in.png"], ["--out: got 'in.png', a folder"], folder("in.png")),
    "sample none": (["sample", "RUN", "-n", "0", "--out", "a.png"], ["-n: got 0"]),
    "sample seed": (["sample", "RUN", "--seed", "x", "--out", "a.png"], ["--seed: got 'x', wanted an integer"]),
    "sample warmly": (["sample", "RUN", "--temperature", "2", "--out", "a.png"], ["--temperature: got 2.0", "vae"]),
    "sample truncated": (["sample", "RUN", "--truncation", "2", "--out", "a.png"], ["--truncation: got 2.0", "vae"]),
    "sample a label": (["sample", "RUN", "--label", "3", "--out", "a.png"], ["--label: got '3'", "--conditional"]),
    "sample a classifier": (["sample", "LABELS", "--out", "a.png"], ["DIR: got", "wanted a model that can sample"]),
    "sample elsewhere": (["sample", "in", "--out", "a.png"], ["DIR: got in", "run folder"], folder("in")),
    # measuring
    "evaluate on points": (["evaluate", "RUN", "--data", "moons"], ["--data: got moons", "kind vector, wanted image"]),
    "evaluate on other images": (
        ["evaluate", "RUN", "--data", "glyphs", "--image-size", "16", "--data-examples", "40"],
        ["--data: got glyphs", "shape 1×16×16, wanted 1×8×8"],
    ),
    "evaluate a split": (["evaluate", "RUN", "--split", "tset"], ["--split: got 'tset'", "did you mean 'test'"]),
    "evaluate none": (["evaluate", "RUN", "--limit", "0"], ["--limit: got 0"]),
    "evaluate without data": (
        ["evaluate", "RUN", "--data-examples", "9"],
        ["--data-examples: got 9", "wanted the data"],
    ),
    "score to nowhere": (["score", "RUN", "digits"], ["--out: got nothing", ".csv, .npz"]),
    "score to png": (["score", "RUN", "digits", "--out", "s.png"], ["--out: got 's.png'", ".csv, .npz"]),
    "score points": (["score", "RUN", "rings", "--out", "s.csv"], ["INPUT: got rings", "kind vector, wanted image"]),
    "score nothing": (["score", "RUN", "digist", "--out", "s.csv"], ["INPUT: got 'digist'", "did you mean 'digits'"]),
    "score a split": (
        ["score", "RUN", "--split", "tset", "--out", "s.csv"],
        ["--split: got 'tset'", "train, validation, test, all", "did you mean 'test'"],
    ),
    "score none at a time": (
        ["score", "RUN", "--batch-size", "0", "--out", "s.csv"],
        ["--batch-size: got 0, wanted a number greater than 0"],
    ),
    "score elsewhere": (["score", "in", "digits", "--out", "s.csv"], ["DIR: got in", "run folder"], folder("in")),
    "encode by a classifier": (["encode", "LABELS", "--out", "z.npz"], ["DIR: got", "wanted a model that can encode"]),
    "encode to png": (["encode", "RUN", "--out", "z.png"], ["--out: got 'z.png'", ".npz, .csv"]),
    "encode points": (["encode", "RUN", "rings", "--out", "z.npz"], ["INPUT: got rings", "kind vector, wanted image"]),
    # data
    "action": (["data", "lst"], ["ACTION: got 'lst'", "did you mean 'list'"]),
    "info of nothing": (["data", "info"], ["SOURCE: got nothing"]),
    "info of nowhere": (["data", "info", "digist"], ["SOURCE: got 'digist'", "did you mean 'digits'"]),
    "fetch nowhere": (["data", "fetch", "digist"], ["SOURCE: got 'digist'", "did you mean 'digits'"]),
    "list too much": (["data", "list", "digits"], ["SOURCE: got 'digits', wanted nothing"]),
    "family": (["models", "--family", "vea"], ["--family: got 'vea'", "vaes"]),
}


def tree(root):
    return sorted(str(path.relative_to(root)) for path in Path(root).rglob("*") if path.name != "lock")


@pytest.mark.parametrize("case", CASES)
def test_mistake(case, tmp_path, monkeypatch, capsys, trained):
    arguments, fragments, *prepare = CASES[case]
    monkeypatch.chdir(tmp_path)
    for make in prepare:
        make(tmp_path)
    runs = {"RUN": str(trained["vae"]), "LABELS": str(trained["softmax-regression"]), "OWN": str(trained["own"])}
    before, kept = tree(tmp_path), {name: tree(path) for name, path in runs.items()}

    code = main([runs.get(word, word) for word in arguments])

    out, err = capsys.readouterr()
    assert code == 2, err
    assert out == ""
    assert err.startswith("thalweg: error: ")
    assert err.count("\n") == 1, err
    assert len(err) < 700
    for fragment in fragments:
        for name, path in runs.items():
            fragment = fragment.replace(name, path)
        assert fragment in err
    assert tree(tmp_path) == before
    assert {name: tree(path) for name, path in runs.items()} == kept


def test_mistakes_print_nothing_on_stdout_with_json(capsys):
    assert main(["data", "info", "nowhere", "--json"]) == 2
    assert capsys.readouterr().out == ""


def test_there_are_enough_cases():
    assert len(CASES) >= 60


def test_data_are_described_in_words(capsys):
    assert main(["data", "info", "digits"]) == 0
    out = capsys.readouterr().out
    assert not [word for word in ("(", "None", "True", "False", "_") if word in out]
    assert "exact density  no" in out


@pytest.mark.parametrize(("source", "said"), [(".", "shown: 'a.xyz' is no image"), ("", "--data: got an empty name")])
def test_an_empty_name_and_the_current_folder_are_named_in_messages(tmp_path, monkeypatch, capsys, source, said):
    (tmp_path / "shown").mkdir()
    (tmp_path / "shown/a.xyz").write_text("text")
    monkeypatch.chdir(tmp_path / "shown")
    assert main(["train", "vae", "--data", source]) == 2
    assert said in capsys.readouterr().err
