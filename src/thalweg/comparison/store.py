"""Findings on disk, so that no measure is computed twice."""

from __future__ import annotations

import hashlib
import io
import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from thalweg.evaluation import Estimate, Findings, Missing
from thalweg.evaluation.estimates.figures import Curve, ImageGrid, Matrix, Scatter, from_json, to_json
from thalweg.files import write_atomic

__all__ = ["finite", "load_findings", "not_finite", "save_findings", "written"]

ARRAY_FIGURES: dict[str, type[ImageGrid | Scatter]] = {"ImageGrid": ImageGrid, "Scatter": Scatter}


def written(path: Path, document: Any) -> None:
    """Write a JSON document atomically; numbers that are not finite become null."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, (json.dumps(finite(document), indent=1, allow_nan=False) + "\n").encode())


def finite(document: Any) -> Any:
    """Return a JSON document with None in place of NaN and infinities, which JSON does not have.

    >>> finite({"a": [1.0, float("nan")]})
    {'a': [1.0, None]}
    """
    if isinstance(document, Mapping):
        return {key: finite(value) for key, value in document.items()}
    if isinstance(document, (list, tuple)):
        return [finite(value) for value in document]
    return None if isinstance(document, float) and not math.isfinite(document) else document


def not_finite(document: Any, path: str = "") -> list[str]:
    """Return the paths of all numbers in a JSON document that are not finite, as "a, b: nan".

    >>> not_finite({"a": [1.0, float("nan")]})
    ['a, 1: nan']
    """
    if isinstance(document, Mapping):
        return [where for key, value in document.items() for where in not_finite(value, f"{path}{key}, ")]
    if isinstance(document, (list, tuple)):
        return [where for i, value in enumerate(document) for where in not_finite(value, f"{path}{i}, ")]
    bad = isinstance(document, float) and not math.isfinite(document)
    return [f"{path.removesuffix(', ')}: {document}"] if bad else []


def save_findings(findings: Findings, stem: Path, key: str) -> None:
    """Write findings as STEM.npz, the arrays, and then STEM.json, with a key of what was evaluated."""
    import numpy as np

    shown = [figure for figure in findings.figures if isinstance(figure, (ImageGrid, Scatter))]
    arrays = {f"figure {i}": figure.values for i, figure in enumerate(shown)}
    arrays |= {f"parts {i}": e.parts for i, e in enumerate(findings.estimates) if e.parts is not None}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    stem.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(stem.with_name(stem.name + ".npz"), buffer.getvalue())
    document: dict[str, Any] = {
        "arrays": hashlib.blake2b(buffer.getvalue(), digest_size=16).hexdigest(),
        "key": key,
        "estimates": [e.to_json() for e in findings.estimates],
        "missing": [vars(m) for m in findings.missing],
        "tables": findings.tables,
        "curves": [to_json(figure) for figure in findings.figures if isinstance(figure, (Curve, Matrix))],
        "shown": [
            {"type": type(figure).__name__} | {name: value for name, value in vars(figure).items() if name != "values"}
            for figure in shown
        ],
    }
    document = finite(document)
    written(stem.with_name(stem.name + ".json"), document | {"checksum": _checksum(document)})


def load_findings(stem: Path, key: str, log: Callable[[str], None] = lambda text: None) -> Findings | None:
    """Return the findings that `save_findings` wrote with this key, or None.

    If the checksum or the type of a field is wrong, `say` reports the file, and None is returned, so that the caller
    computes the measures again.
    """
    text_file, array_file = (stem.with_name(stem.name + suffix) for suffix in (".json", ".npz"))
    try:
        text, data = text_file.read_bytes(), array_file.read_bytes()
    except OSError:
        return None
    try:
        document = json.loads(text)
        checksum = document.pop("checksum")
        if checksum != _checksum(document):
            raise ValueError("checksum")
        if document["key"] != key:
            return None
        intact = document["arrays"] == hashlib.blake2b(data, digest_size=16).hexdigest()
        findings = _findings(document, data) if intact else None
    except (ValueError, KeyError, AttributeError, TypeError):  # raised by JSON values of other types than our fields
        log(f"{text_file} is damaged: its measures are computed again")
        return None
    if findings is None:
        log(f"{array_file} is damaged: its measures are computed again")
    return findings


def _findings(document: Mapping[str, Any], data: bytes) -> Findings:
    """Return the findings of a document and the bytes of its arrays; raise TypeError for fields of other types."""
    import numpy as np

    for name, kind in (("estimates", list), ("missing", list), ("tables", dict), ("curves", list), ("shown", list)):
        if not isinstance(document[name], kind):
            raise TypeError(name)
    with np.load(io.BytesIO(data), allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    return Findings(
        [Estimate.from_json(e, arrays.get(f"parts {i}")) for i, e in enumerate(document["estimates"])],
        [Missing(**m) for m in document["missing"]],
        document["tables"],
        [
            *(from_json(figure) for figure in document["curves"]),
            *(
                ARRAY_FIGURES[shown.pop("type")](values=arrays[f"figure {i}"], **shown)
                for i, shown in enumerate(document["shown"])
            ),
        ],
    )


def _checksum(document: Mapping[str, Any]) -> str:
    return hashlib.blake2b(json.dumps(document, sort_keys=True).encode(), digest_size=16).hexdigest()
