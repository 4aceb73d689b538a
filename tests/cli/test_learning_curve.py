"""`thalweg compare --learning-curve`: mistakes are reported before anything is trained."""

import pytest

from thalweg.cli import main


@pytest.mark.parametrize(
    ("shares", "words"),
    [
        ("0,1", "--learning-curve: got 0,1, wanted two or more increasing shares above 0, the last of them 1"),
        ("0.1,2", "--learning-curve: got 0.1,2, wanted"),
        ("1,0.1", "--learning-curve: got 1,0.1, wanted"),
        ("0.1,0.3", "--learning-curve: got 0.1,0.3, wanted"),
        ("0.1,few,1", "--learning-curve: got 'few', wanted a number"),
        ("", "--learning-curve: got '', wanted a number"),
    ],
)
def test_invalid_shares_are_refused(shares, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["compare", "mlp", "--data", "digits", "--learning-curve", shares]) == 2
    assert words in capsys.readouterr().err.splitlines()[-1]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("share", ["0", "1.5"])
def test_invalid_shares_of_a_training_are_refused(share, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["train", "mlp", "--data", "digits", "--share", share]) == 2
    assert "--share: got" in capsys.readouterr().err.splitlines()[-1]
    assert not list(tmp_path.iterdir())
