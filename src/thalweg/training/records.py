"""The run folder: what a run writes, and who may write it.

```
run.json            the configuration, the data's Spec, the versions
metrics.jsonl       one line every `log_every` steps
checkpoints/        step-*.pt to go on from; best-*.pt where the best model is kept
model.safetensors   the trained model: what is shared
samples/            pictures
```
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from thalweg.files import lock_folder, remove_temporaries, write_atomic

__all__ = ["RunFolder"]


class RunFolder:
    """An open run folder. Held by one process at a time; a context manager that lets go of it.

    Raises ValueError where the folder is not what is wanted, RuntimeError where another process uses it.
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
        """Make the folder with its `run.json`; an existing run is replaced only with `overwrite`.

        A folder that is neither empty nor a run is never touched.
        """
        path = Path(path)
        cls.check(path, overwrite=overwrite)
        if (path / "run.json").is_file():
            with cls(path):  # refuses while another process trains there
                pass
            shutil.rmtree(path)
        path.mkdir(parents=True, exist_ok=True)
        folder = cls(path)
        try:
            folder.write_json("run.json", header)
        except BaseException:
            folder.close()
            shutil.rmtree(path, ignore_errors=True)  # no half-made folder
            raise
        return folder

    @staticmethod
    def check(path: Path | str, *, overwrite: bool = False) -> None:
        """Raise ValueError if `create` would refuse the path."""
        path = Path(path)
        for above in (path, *path.parents):
            if above.exists():
                if not above.is_dir():
                    raise ValueError(f"run: got {path}, but {above} is a file; wanted a folder to make")
                break
        if (path / "run.json").is_file():
            if not overwrite:
                raise ValueError(f"run: got {path}, which holds a run; wanted a new folder, or --overwrite")
        elif path.is_dir() and any(path.iterdir()):
            raise ValueError(f"run: got {path}, which holds other files; wanted a new or empty folder")

    @classmethod
    def open(cls, path: Path | str, *, hold: bool = True) -> RunFolder:
        """Open an existing run to go on with it; without `hold`, to read what the process that holds it wrote."""
        cls.read(path)
        return cls(Path(path), hold=hold)

    @staticmethod
    def read(path: Path | str) -> dict[str, Any]:
        """Return what `run.json` says, without holding the folder."""
        path = Path(path)
        try:
            header = json.loads((path / "run.json").read_text())
        except (FileNotFoundError, NotADirectoryError):
            raise ValueError(f"run: got {path}, which has no run.json; wanted a run folder") from None
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise ValueError(
                f"run: got {path / 'run.json'}, which is not JSON ({error}); wanted a run folder"
            ) from None
        if not isinstance(header, dict):
            raise ValueError(f"run: got {path / 'run.json'}, wanted a JSON object")
        return header

    @property
    def checkpoints(self) -> Path:
        """Where checkpoints are."""
        return self.path / "checkpoints"

    def write_json(self, name: str, value: Any) -> None:
        """Write a JSON file of the folder, atomically."""
        write_atomic(self.path / name, (json.dumps(value, indent=2) + "\n").encode())

    def log(self, line: dict[str, Any]) -> None:
        """Append one line to metrics.jsonl."""
        if self._metrics is None:
            self._metrics = open(self.path / "metrics.jsonl", "a")  # noqa: SIM115
        self._metrics.write(json.dumps(line) + "\n")
        self._metrics.flush()

    def rewind(self, stage: int, step: int) -> None:
        """Drop the metrics after `step` of `stage`: they are about to be made again."""
        path = self.path / "metrics.jsonl"
        if not path.is_file():
            return
        kept = []
        for text in path.read_text().splitlines():
            try:
                line = json.loads(text)
            except json.JSONDecodeError:  # the last line of a killed process may be cut
                break
            if (line["stage"], line["step"]) > (stage, step):
                break
            kept.append(text + "\n")
        write_atomic(path, "".join(kept).encode())

    def close(self) -> None:
        """Let go of the folder."""
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
