"""Findings on disk: what was measured once is not measured again."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

from thalweg.evaluation import Estimate, Findings, Missing
from thalweg.files import write_atomic

__all__ = ["load_findings", "save_findings", "written"]


def written(path: Path, document: Any) -> None:
    """Write a JSON document, atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, (json.dumps(document, indent=1, allow_nan=False) + "\n").encode())


def save_findings(found: Findings, stem: Path, key: str) -> None:
    """Write findings as STEM.npz, the arrays, and then STEM.json with the key of what they are findings of."""
    import numpy as np

    arrays = {f"picture {name}": array for name, array in found.pictures.items()}
    arrays |= {f"parts {i}": e.parts for i, e in enumerate(found.estimates) if e.parts is not None}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    stem.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(stem.with_name(stem.name + ".npz"), buffer.getvalue())
    document = {
        "key": key,
        "estimates": [e.to_json() for e in found.estimates],
        "missing": [vars(m) for m in found.missing],
        "tables": found.tables,
    }
    written(stem.with_name(stem.name + ".json"), document)


def load_findings(stem: Path, key: str) -> Findings | None:
    """Return what `save_findings` wrote, or None where there is nothing of that key."""
    import numpy as np

    try:
        document = json.loads(stem.with_name(stem.name + ".json").read_text())
        if document["key"] != key:
            return None
        with np.load(stem.with_name(stem.name + ".npz"), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, KeyError):
        return None
    return Findings(
        [Estimate.from_json(e, arrays.get(f"parts {i}")) for i, e in enumerate(document["estimates"])],
        [Missing(**m) for m in document["missing"]],
        document["tables"],
        {name.removeprefix("picture "): a for name, a in arrays.items() if name.startswith("picture ")},
    )
