"""The generated pages of the documentation are complete, and its formulas need no network."""

import pkgutil
import re
from pathlib import Path
from types import ModuleType

import pytest

import thalweg

ROOT = Path(__file__).parents[1]
PAGES = [path for path in (ROOT / "docs").rglob("*.md") if "_build" not in path.parts]


@pytest.fixture
def docs(monkeypatch: pytest.MonkeyPatch) -> dict[str, ModuleType]:
    """The scripts that generate pages."""
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    import api_pages
    import results_page
    import speed_page

    return {"api": api_pages, "results": results_page, "speed": speed_page}


def test_every_public_module_is_on_one_page_of_the_api(docs: dict[str, ModuleType]) -> None:
    wanted = [
        module.name
        for module in pkgutil.walk_packages(thalweg.__path__, "thalweg.")
        if not any(part.startswith("_") for part in module.name.split("."))
    ]
    api = docs["api"]
    result = [name for room in api.ROOMS for name in re.findall(r"automodule:: (\S+)", api.page(room))]
    assert sorted(result) == sorted(wanted)


def test_the_contents_list_every_page_of_the_api(docs: dict[str, ModuleType]) -> None:
    listed = re.findall(r"^api/(\S+)$", (ROOT / "docs" / "api.md").read_text(), flags=re.M)
    assert listed == list(docs["api"].ROOMS)


def test_the_api_documents_what_a_module_defines_and_names_what_it_imports(docs: dict[str, ModuleType]) -> None:
    own, imported = docs["api"].names("thalweg.data.dataset")
    assert {"Spec", "Split", "Dataset"} <= set(own)
    assert "Spec" in docs["api"].names("thalweg.data")[1]
    assert not imported


@pytest.mark.parametrize("kind", ["quality", "speed"])
def test_every_stored_result_is_on_its_page(docs: dict[str, ModuleType], kind: str) -> None:
    page = docs["results"].results_page() if kind == "quality" else docs["speed"].speed_page()
    names = {path.stem for path in (ROOT / "benchmarks" / kind / "results").glob("*.json")}
    tables = {"densities", "modes", "mixtures", "f-gan-mixture"}  # these have sections without their file's name
    assert all(name in page for name in names - tables)
    sections = ["Flows on densities", "Modes that", "Gaussian mixtures beside", "One Gaussian fitted"]
    assert kind == "speed" or all(section in page for section in sections)


def test_every_ratio_of_speed_names_its_processor(docs: dict[str, ModuleType]) -> None:
    from tables import stored

    page = docs["speed"].speed_page().split("## Rates")[0]
    rows = [line for line in page.splitlines() if line.startswith("| ")][2:]
    assert len(rows) == sum(len(file["ratios"]) for file in stored("speed").values())
    assert all("AMD EPYC" in row or "not recorded" in row for row in rows)


def test_every_test_in_the_notes_on_the_course_exists() -> None:
    notes = (ROOT / "docs" / "course-notes.md").read_text()
    named = re.findall(r"`(tests/\S+\.py)::(\S+)`", notes)
    assert len(named) > 50
    for path, test in named:
        source = (ROOT / path).read_text()
        for part in test.split("::"):
            assert re.search(rf"^\s*(def|class) {part}\b", source, flags=re.M), f"{path}::{test}"


def test_no_formula_needs_a_script_from_the_network() -> None:
    assert 'dollarmath"' not in (ROOT / "docs" / "conf.py").read_text()
    assert not [path.name for path in PAGES if re.search(r"\$\$|\$[^ $`]+\$|\\[a-z]+\{|\{math\}", path.read_text())]
