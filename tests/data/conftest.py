"""A cache folder for each test, and no data folder of the user."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("THALWEG_CACHE", str(folder))
    monkeypatch.delenv("THALWEG_DATA", raising=False)
    return folder
