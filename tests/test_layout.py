"""The packages and the imports between them, and the sizes of files and functions."""

import ast
import statistics
from pathlib import Path

SOURCE = Path(__file__).parent.parent / "src" / "thalweg"
COMMON = {"abilities", "batch", "checks", "randomness", "config", "devices", "files"}
# A room may import itself, the common files, and these.
ARROWS = {
    "abilities": set(),
    "checks": set(),
    "randomness": set(),
    "config": set(),
    "devices": set(),
    "files": set(),
    "batch": set(),
    "data": set(),
    "autodiff": set(),
    "nn": set(),
    "models": {"nn", "objectives"},  # a model's elbo() is composed of the pure functions
    "operators": set(),
    "objectives": set(),
    "inference": {"objectives"},
    "training": set(),
    "problems": {"nn", "objectives", "models", "training"},
    "evaluation": {"data", "objectives", "nn"},  # what is measured on; the objectives' distances; the layers' MACs
    "interpretability": {"nn", "recipes"},  # receptive fields; a run as a network
    "recipes": {"data", "nn", "models", "objectives", "problems", "training"},
    "report": {"recipes", "training", "evaluation", "data"},
    "applications": {"recipes", "training", "evaluation", "data", "inference", "interpretability"},
    "comparison": {"recipes", "training", "evaluation", "report", "data", "nn", "interpretability"},
    "demos": {"data", "nn", "models", "operators", "objectives", "inference", "training", "problems", "evaluation",
              "interpretability", "recipes", "applications", "comparison", "report"},
}  # fmt: skip
EVERYTHING = {"cli", "web", "__main__"}
ONLY = {"starlette": "web", "uvicorn": "web"}  # libraries that only one package may import


def imports(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return names


def room(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def test_arrows_between_rooms():
    offenders = []
    for path in SOURCE.rglob("*.py"):
        here = room(path)
        if here in EVERYTHING or here == "__init__":
            continue
        allowed = ARROWS[here] | COMMON | {here, "__version__"}
        for name in imports(path):
            parts = name.split(".")
            if parts[0] == "thalweg" and len(parts) > 1 and parts[1] not in allowed:
                offenders.append(f"{path.relative_to(SOURCE)} imports {name}")
            if ONLY.get(parts[0], here) != here:
                offenders.append(f"{path.relative_to(SOURCE)} imports {name}")
    assert not offenders


def test_no_circles():
    """No file imports another that imports it, directly or indirectly."""
    modules = {".".join(p.relative_to(SOURCE.parent).with_suffix("").parts).removesuffix(".__init__"): p
               for p in SOURCE.rglob("*.py")}  # fmt: skip
    arrows = {m: (imports(p) & modules.keys()) - {m} for m, p in modules.items()}
    # Packages re-export names of their files; only imports of files count.
    arrows = {m: {n for n in names if modules[n].name != "__init__.py"} for m, names in arrows.items()}
    while leaves := [m for m, names in arrows.items() if not names & arrows.keys()]:
        for m in leaves:
            del arrows[m]
    assert not arrows, {m: sorted(names & arrows.keys()) for m, names in arrows.items()}


def test_sizes_of_files_and_functions():
    lines = {path: len(path.read_text().splitlines()) for path in SOURCE.rglob("*.py") if path.name != "__init__.py"}
    assert statistics.median(lines.values()) <= 200
    long = []
    for path in lines:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                doc = len((ast.get_docstring(node) or "").splitlines())
                if (node.end_lineno or 0) - node.lineno + 1 - doc > 80:
                    long.append(f"{path.relative_to(SOURCE)}:{node.lineno} {node.name}")
    assert not long


def test_no_pickle_is_loaded():
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("torch.load", "np.load", "numpy.load"):
                wanted = {"torch.load": ("weights_only", True), "np.load": ("allow_pickle", False)}
                name, value = wanted[ast.unparse(node.func).replace("numpy", "np")]
                arguments = {
                    k.arg: ast.literal_eval(k.value) for k in node.keywords if isinstance(k.value, ast.Constant)
                }
                assert arguments.get(name) is value, f"{path}:{node.lineno}"
        assert (
            not {"pickle", "dill", "joblib"} & imports(path) - {"pickle.UnpicklingError"}
            or path.name == "checkpoint.py"
        )
