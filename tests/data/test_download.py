"""Downloads from a test server: verified, complete or absent; a local folder has priority."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from thalweg.config import DataConfig
from thalweg.data import Dataset, download, fetch, load
from thalweg.data.arrays import IDX_FILES

pytestmark = pytest.mark.system("S34")

RNG = np.random.default_rng(0)
GRAY = [RNG.integers(0, 256, (40, 28, 28)), np.arange(40) % 10, RNG.integers(0, 256, (20, 28, 28)), np.arange(20) % 10]
GRAY = [a.astype(np.uint8) for a in GRAY]
COLOR = [np.concatenate([np.arange(10)[:, None], RNG.integers(0, 256, (10, 3072))], 1).astype(np.uint8)
         for _ in range(6)]  # fmt: skip


def idx(a: np.ndarray) -> bytes:
    return bytes([0, 0, 8, a.ndim]) + np.array(a.shape, ">u4").tobytes() + a.tobytes()


def archive(records: list[np.ndarray]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, body in zip(download.CIFAR_MEMBERS, records, strict=True):
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = body.nbytes
            tar.addfile(member, io.BytesIO(body.tobytes()))
    return out.getvalue()


def md5(body: bytes) -> str:
    return hashlib.md5(body).hexdigest()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Serves small files in the place of the published ones; returns the folder it serves."""
    folder = tmp_path / "served"
    folder.mkdir()
    for stem, a in zip(IDX_FILES.values(), GRAY, strict=True):
        (folder / f"{stem}.gz").write_bytes(gzip.compress(idx(a)))
    packed = archive(COLOR)
    (folder / download.CIFAR_FILE).write_bytes(packed)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        url = f"http://127.0.0.1:{running.server_port}/"
        sums = {"mnist": tuple(md5(idx(a)) for a in GRAY), "cifar10": (md5(packed),)}
        monkeypatch.setattr(download, "URLS", dict.fromkeys(download.URLS, url))
        monkeypatch.setattr(download, "MD5", {**sums, "fashion-mnist": ("0" * 32,) * 4})
        counts = {"mnist": (40, 20), "fashion-mnist": (40, 20), "cifar10": (50, 10)}
        monkeypatch.setattr(download, "COUNTS", counts)
        monkeypatch.setattr(download, "VALIDATION", 5)
        for variable in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.delenv(variable, raising=False)
        yield folder
        running.shutdown()
        thread.join()


def read(name: str, **settings) -> Dataset:
    return load(DataConfig(source=name, **settings))


def test_mnist_is_downloaded_once_checked_and_split(server, cache):
    data = read("mnist")
    assert [len(data.split(part)) for part in ("train", "validation", "test")] == [35, 5, 20]
    np.testing.assert_array_equal(data.train.x, GRAY[0][:35, None])
    np.testing.assert_array_equal(data.validation.x, GRAY[0][35:, None])
    np.testing.assert_array_equal(data.test.y, GRAY[3])
    for path in server.iterdir():
        path.unlink()  # so that a second download would fail
    assert read("mnist").spec == data.spec
    assert sorted(path.name for path in fetch("mnist")) == sorted(IDX_FILES.values())
    assert sorted(path.name for path in (cache / "mnist").iterdir()) == sorted(IDX_FILES.values())


def test_examples_are_of_the_training_part(server):
    data = read("mnist", examples=12)
    assert [len(data.split(part)) for part in ("train", "validation", "test")] == [12, 5, 20]
    assert {x.tobytes() for x in data.train.x} <= {x.tobytes() for x in GRAY[0][:35]}
    assert len(read("mnist", validation=0.5).validation) == 20
    with pytest.raises(ValueError, match="examples: got 38, wanted at most 35"):
        read("mnist", examples=38)


def test_cifar10_from_its_archive(server, cache):
    data = read("cifar10")
    np.testing.assert_array_equal(data.test.x.reshape(10, -1), COLOR[5][:, 1:])
    np.testing.assert_array_equal(data.train.y, np.arange(45) % 10)
    assert (data.spec.shape, data.spec.classes[3]) == ((3, 32, 32), "cat")
    assert sorted(path.name for path in (cache / "cifar10").iterdir()) == sorted(download.CIFAR_MEMBERS)


@pytest.mark.parametrize("name", ["fashion-mnist", "cifar10"])
def test_a_wrong_hash_is_one_error_and_leaves_no_file(server, cache, name, monkeypatch):
    monkeypatch.setitem(download.MD5, "cifar10", ("0" * 32,))
    with pytest.raises(ValueError, match=r"(train-images-idx3-ubyte|cifar-10-binary\.tar)\.gz: got other content"):
        read(name)
    assert not [path for path in cache.rglob("*") if path.is_file()]


def test_a_file_spoiled_in_the_cache_is_found(server, cache):
    fetch("mnist")
    (cache / "mnist" / "t10k-labels-idx1-ubyte").write_bytes(idx(GRAY[3][::-1].copy()))
    with pytest.raises(ValueError, match="t10k-labels-idx1-ubyte: got other content"):
        read("mnist")


@pytest.mark.parametrize("spoil", ["gone", "cut"])
def test_without_network_the_error_says_where_to_put_the_file(server, cache, spoil):
    first = server / "train-images-idx3-ubyte.gz"
    if spoil == "gone":
        first.unlink()
        expected = r"mnist: cannot be downloaded from http.*put mnist\.npz.*THALWEG_DATA"
    else:
        first.write_bytes(first.read_bytes()[:-100])
        expected = "train-images-idx3-ubyte.gz: got a damaged file"
    with pytest.raises(ValueError, match=expected) as caught:
        read("mnist")
    assert "\n" not in str(caught.value)
    assert not [path for path in cache.rglob("*") if path.is_file()]


def test_unreachable_server(cache, monkeypatch):
    monkeypatch.setattr(download, "URLS", {"cifar10": "http://127.0.0.1:9/"})
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with pytest.raises(ValueError, match=r"cifar10: cannot be downloaded .*THALWEG_DATA"):
        fetch("cifar10")


def test_archive_with_a_link_in_the_place_of_a_file_is_refused():
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        member = tarfile.TarInfo("cifar-10-batches-bin/data_batch_1.bin")
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(member)
    with pytest.raises(ValueError, match=r"got no file of images as data_batch_1\.bin"):
        download._members(out.getvalue(), Path("a.tar.gz"))


@pytest.fixture
def own(server, tmp_path, monkeypatch) -> Path:
    """A data folder of the user, without a server."""
    folder = tmp_path / "own"
    folder.mkdir()
    monkeypatch.setenv("THALWEG_DATA", str(folder))
    monkeypatch.setattr(download, "URLS", dict.fromkeys(download.URLS, "http://127.0.0.1:9/"))
    return folder


def test_npz_in_the_users_folder_goes_first(own, cache):
    np.savez(own / "mnist.npz", **dict(zip(IDX_FILES, GRAY, strict=True)))
    x = np.stack([c[:, 1:].reshape(10, 3, 32, 32).transpose(0, 2, 3, 1) for c in COLOR])
    y = np.tile(np.arange(10), 5)
    np.savez(own / "cifar10.npz", x_train=x[:5].reshape(50, 32, 32, 3), y_train=y, x_test=x[5], y_test=y[:10])
    np.testing.assert_array_equal(read("mnist").test.x, GRAY[2][:, None])
    np.testing.assert_array_equal(read("cifar10").test.x.reshape(10, -1), COLOR[5][:, 1:])
    assert fetch("mnist") == [own / "mnist.npz"]
    assert not cache.exists()


def test_original_files_in_the_users_folder(own, server):
    (server / download.CIFAR_FILE).rename(own / download.CIFAR_FILE)
    (own / "mnist").mkdir()
    for stem in IDX_FILES.values():
        (server / f"{stem}.gz").rename(own / "mnist" / f"{stem}.gz")
    np.testing.assert_array_equal(read("mnist").train.x, GRAY[0][:35, None])
    np.testing.assert_array_equal(read("cifar10").test.x.reshape(10, -1), COLOR[5][:, 1:])
    (own / "mnist" / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(GRAY[1][::-1].copy())))
    with pytest.raises(ValueError, match=r"train-labels-idx1-ubyte\.gz: got other content"):
        read("mnist")


def test_wrong_arrays_in_the_users_folder(own, monkeypatch):
    arrays = dict(zip(IDX_FILES, GRAY, strict=True))
    np.savez(own / "mnist.npz", **{**arrays, "x_train": GRAY[0][:30], "y_train": GRAY[1][:30]})
    with pytest.raises(ValueError, match=r"mnist\.npz: got other arrays than those of 'mnist'"):
        read("mnist")
    monkeypatch.setenv("THALWEG_DATA", str(own / "nowhere"))
    with pytest.raises(ValueError, match=r"THALWEG_DATA: got .*nowhere', wanted a folder that exists"):
        read("mnist")


def test_a_download_is_shown_on_a_terminal(server: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    fetch("cifar10")
    out, err = capsys.readouterr()
    assert out == ""
    assert download.CIFAR_FILE[:12] in err
