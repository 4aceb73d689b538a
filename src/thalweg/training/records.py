"""The run folder: the files of a run, and the lock of the process that writes them.

```
run.json            format, configuration, Spec of the data, versions, checksums of metrics and model
metrics.jsonl       one line every `log_every` steps
checkpoints/        step-*.pt to resume from; best-*.pt where the best model is kept
model.safetensors   the trained model
samples/            pictures of samples
```
"""

from __future__ import annotations

import itertools
import json
import math
import shlex
import shutil
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from thalweg.files import LOCK, digest, is_temporary, lock_folder, remove_temporaries, write_atomic
from thalweg.training.checkpoint import FORMAT

__all__ = ["RunFolder", "read_metrics", "verified"]

MODEL, METRICS = "model.safetensors", "metrics.jsonl"
REPORTS = ("report.json", "report.html")  # of a model; they go when another takes its place
FILES = ("run.json", METRICS, MODEL, *REPORTS)
FOLDERS = ("checkpoints", "samples", "measured", "tensorboard")


class RunFolder:
    """An open run folder, locked by one process at a time; a context manager that releases the lock.

    Raises ValueError where the path is no run folder, RuntimeError where another process uses it.
    """

    def __init__(self, path: Path, *, hold: bool = True) -> None:
        self.path = path
        self._metrics: IO[str] | None = None
        self._lock: IO[str] | None = None
        if hold:
            self._hold()

    def _hold(self) -> None:
        self._lock = lock_folder(self.path, "run")
        remove_temporaries(self.path)  # of a process that died while writing

    @classmethod
    def create(cls, path: Path | str, header: dict[str, Any], *, overwrite: bool = False) -> RunFolder:
        """Create the folder with its `run.json`; an existing run is replaced only with `overwrite`.

        A folder that holds anything other than the files of a run, or of an unfinished one, is never changed.
        """
        path = Path(path)
        cls.check(path, overwrite=overwrite)
        path.mkdir(parents=True, exist_ok=True)
        folder = cls(path)  # refuses while another process trains there
        try:
            folder._clear()
            folder.write_json("run.json", {"format": FORMAT, **header})
        except BaseException:
            folder.close()
            shutil.rmtree(path, ignore_errors=True)  # leave no incomplete folder
            raise
        return folder

    def _clear(self) -> None:
        """Remove everything except the lock, `run.json` last: until then the folder is recognized as a run."""
        for path in sorted(self.path.iterdir(), key=lambda path: path.name == "run.json"):
            if path.name == LOCK:
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()

    @staticmethod
    def check(path: Path | str, *, overwrite: bool = False) -> None:
        """Raise ValueError if `create` would refuse the path."""
        path = Path(path)
        for above in (path, *path.parents):
            if above.exists():
                if not above.is_dir():
                    raise ValueError(f"run: got {path}, but {above} is a file; wanted a folder to create")
                break
        if (path / "run.json").is_file():
            if not overwrite:
                raise ValueError(
                    f"run: got {path}, which holds a run; wanted a new folder, `thalweg resume"
                    f" {shlex.quote(str(path))}`, or --overwrite to start anew"
                )
            foreign = [inside.name for inside in sorted(path.iterdir()) if not _of_run(inside)]
            if foreign:
                raise ValueError(
                    f"run: got {path}, which holds '{foreign[0]}' beside a run; wanted a folder without other files to"
                    " overwrite"
                )
        elif path.is_dir() and not all(_unfinished(inside) for inside in path.iterdir()):
            raise ValueError(f"run: got {path}, which holds other files; wanted a new or empty folder")

    @classmethod
    def open(cls, path: Path | str, *, hold: bool = True) -> RunFolder:
        """Open an existing run to resume it; without `hold`, only to read it while another process may write."""
        cls.read(path)
        return cls(Path(path), hold=hold)

    @staticmethod
    def read(path: Path | str) -> dict[str, Any]:
        """Return the content of `run.json`, without locking the folder.

        Raises ValueError where it is missing, is not a JSON object, has another format or does not have its checksum.
        """
        path = Path(path)
        try:
            header = json.loads((path / "run.json").read_text())
        except (FileNotFoundError, NotADirectoryError):
            raise ValueError(f"run: got {path}, which has no run.json; wanted a run folder") from None
        except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ValueError(
                f"run: got {path / 'run.json'}, which is not JSON ({error}); wanted a run folder"
            ) from None
        if not isinstance(header, dict):
            raise ValueError(f"run: got {path / 'run.json'}, wanted a JSON object")
        if header.get("format") != FORMAT:
            made_by = (
                f"format {header.get('format', 1)!r}, made by thalweg {header.get('thalweg', 'of unknown version')}"
            )
            raise ValueError(
                f"run: got {path / 'run.json'} of {made_by}, wanted a run folder of format {FORMAT}: train the model"
                " again, or use that version"
            )
        for key in ("config", "spec", "files", "numerics"):
            if not isinstance(header.get(key, {}), dict):
                raise ValueError(f"run: got '{key}' {header[key]!r} in {path / 'run.json'}, wanted a JSON object")
        checksum = header.pop("checksum", None)  # missing where it was removed on purpose
        if checksum is not None and checksum != _checksum(header):
            raise ValueError(
                f"run: got {path / 'run.json'}, which is damaged or was edited: it does not have its checksum; wanted "
                "it as it was written (to edit it on purpose, remove the line 'checksum')"
            )
        return header

    @property
    def checkpoints(self) -> Path:
        """The folder of the checkpoints."""
        return self.path / "checkpoints"

    def write_json(self, name: str, value: dict[str, Any]) -> None:
        """Write a JSON object with its checksum as a file of the folder, atomically."""
        document = value | {"checksum": _checksum(value)}
        write_atomic(self.path / name, (json.dumps(document, indent=2) + "\n").encode())

    def write_model(self, data: bytes) -> None:
        """Write model.safetensors, and its checksum and that of metrics.jsonl into `run.json`.

        `run.json` is written first: a process killed between the two leaves a model that is refused, and `resume`
        writes it again.
        """
        if self._metrics is not None:
            self._metrics.flush()
        metrics, header = self.path / METRICS, self.read(self.path)
        files = {MODEL: digest(data)} | ({METRICS: digest(metrics.read_bytes())} if metrics.is_file() else {})
        if header.get("files", {}).get(MODEL) != files[MODEL]:
            for name in REPORTS:
                (self.path / name).unlink(missing_ok=True)
        self.write_json("run.json", header | {"files": files})
        write_atomic(self.path / MODEL, data)

    def log(self, line: dict[str, Any]) -> None:
        """Append one line to metrics.jsonl."""
        if self._metrics is None:
            self._metrics = open(self.path / METRICS, "a")  # noqa: SIM115
        finite = {name: value if math.isfinite(value) else None for name, value in line.items()}  # as JSON has it
        self._metrics.write(json.dumps(finite) + "\n")
        self._metrics.flush()

    def rewind(self, stage: int, step: int) -> None:
        """Remove the metrics after `step` of `stage`: they will be computed again."""
        path = self.path / METRICS
        if not path.is_file():
            return
        lines = read_metrics(self.path)
        header = self.read(self.path)
        if METRICS in header.get("files", {}):  # the file grows from now on
            self.write_json("run.json", header | {"files": {MODEL: header["files"][MODEL]}})
        kept = itertools.takewhile(lambda line: (line["stage"], line["step"]) <= (stage, step), lines)
        write_atomic(path, "".join(json.dumps(line) + "\n" for line in kept).encode())

    def close(self) -> None:
        """Close the files and release the lock."""
        for file in (self._metrics, self._lock):
            if file is not None:
                file.close()
        self._metrics = self._lock = None

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def verified(folder: Path, name: str) -> bytes:
    """Return the bytes of a file of the run. Raises ValueError if they do not have the checksum in `run.json`."""
    header = RunFolder.read(folder)
    files = header.get("files", {})
    data = (folder / name).read_bytes()
    if digest(data) != files.get(name, digest(data)):
        repair = f"`thalweg resume {shlex.quote(str(folder))}` writes it again from the last checkpoint"
        if "combined" in header:  # it has no checkpoint
            repair = f"the command that combined it writes it again: {header['combined'].get('command')}"
        raise ValueError(
            f"run: got {folder / name}, which is damaged: it does not have its checksum in run.json; "
            + (repair if name == MODEL else "remove the file to use the run without its history")
        )
    return data


def read_metrics(folder: Path | str) -> list[dict[str, Any]]:
    """Return the lines of a run's metrics.jsonl, without an incomplete last line of a killed process.

    Raises ValueError naming the file and the line where a line is not an object of numbers with the integers `stage`
    and `step`.
    """
    path = Path(folder) / METRICS
    if not path.is_file():
        return []
    data = verified(path.parent, METRICS) if (path.parent / "run.json").is_file() else path.read_bytes()
    records = []
    for number, text in enumerate(data.split(b"\n")[:-1], start=1):
        try:
            record = json.loads(text)
        except (ValueError, RecursionError) as error:  # of JSON, or of UTF-8
            raise ValueError(f"metrics: got line {number} of {path}, which is not JSON ({error})") from None
        if not _is_record(record):
            got = text.decode(errors="replace")[:80]
            raise ValueError(f"metrics: got line {number} of {path}: {got}; wanted an object with stage, step, numbers")
        records.append(record)
    return records


def _is_record(record: Any) -> bool:
    return (
        isinstance(record, dict)
        and all(type(record.get(name)) is int and record[name] >= 0 for name in ("stage", "step"))
        and all(
            type(value) in (int, float) or (value is None and name not in ("loss", "seconds", "memory"))
            for name, value in record.items()
        )
    )


def _checksum(header: dict[str, Any]) -> str:
    return digest(json.dumps(header, sort_keys=True).encode())


def _of_run(path: Path) -> bool:
    """Return whether the path within a run folder is one that a run has."""
    known = FOLDERS if path.is_dir() else (*FILES, LOCK)
    return path.name in known or is_temporary(path)


def _unfinished(path: Path) -> bool:
    """Return whether a process may have left the path that was killed before it wrote `run.json`."""
    empty = path.name == "checkpoints" and path.is_dir() and not any(path.iterdir())
    return path.name == LOCK or is_temporary(path) or empty
