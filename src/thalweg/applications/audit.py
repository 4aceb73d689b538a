"""Labels of the training split that are probably wrong, from models of the other folds."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thalweg.applications.audit_result import AuditResult
from thalweg.checks import at_least
from thalweg.config import RunConfig, to_json
from thalweg.files import LOCK, lock_folder, write_atomic

if TYPE_CHECKING:
    import numpy as np

    from thalweg.data import Dataset
    from thalweg.training.progress import Progress

    Array = np.ndarray[Any, Any]

__all__ = ["audit", "planted"]


def audit(
    config: RunConfig,
    folder: Path | str,
    *,
    folds: int = 5,
    plant: float | None = None,
    progress: Progress | None = None,
    log: Callable[[str], None] = lambda message: None,
) -> AuditResult:
    """Score every training label by a model that was trained on the other folds, and write the result into `folder`.

    The recipe is trained once per fold, in `folder`/folds/F, with the same options and seed; the validation split is
    used as in any training. The test split is neither scored nor trained on: whoever removes the labels of a test set
    that a model doubts raises the accuracy of every similar model without improving any.

    `plant` exchanges that share of the labels for another class, uniformly and by the seed, before the audit; the
    precision among the k labels of the lowest self-confidence, where k labels were exchanged, and the share of the
    exchanged ones among the suspects, are then known. Labels that were wrong before count as not planted.

    If it is called again with the same settings, it continues where it stopped. Raises ValueError for data without
    classes, models that are no classifiers, fewer than 2 folds, a class with fewer examples than folds, and a folder of
    other settings.
    """
    from thalweg.data import load
    from thalweg.data.subsets import stratified_folds

    at_least("folds", folds, 2)
    if config.train.share is not None:
        raise ValueError(f"share: got {config.train.share}, wanted none: an audit scores all training examples")
    folder, seed, dataset = Path(folder), config.train.seed, load(config.data)
    y = _labels(dataset, config)
    audited, true = (y, None) if plant is None else (planted(y, len(dataset.spec.classes or ()), plant, seed), y)
    _check_counts(audited, dataset, folds)
    settings = {"config": to_json(config), "folds": folds, "plant": plant, "fingerprint": dataset.spec.fingerprint}
    with _hold(folder, settings):
        fold = stratified_folds(audited, folds, seed)
        _warn_of_duplicates(dataset, fold, log)
        p = _probabilities(config, dataset, audited, fold, folder / "folds", progress, log)
        result = _result(dataset, audited, p, fold, true)
        result.save(folder)
    return result


def planted(y: Array, classes: int, share: float, seed: int) -> Array:
    """Return the labels `y` (n,) with a `share` of them, at random places, exchanged for one of the other classes.

    >>> import numpy as np
    >>> y = np.zeros(100, np.int64)
    >>> int((planted(y, 3, 0.05, seed=0) != y).sum())
    5
    """
    import numpy as np

    from thalweg.randomness import fold

    if not 0.0 < share < 1.0 or round(share * len(y)) == 0:
        raise ValueError(f"plant: got {share}, wanted a share below 1 that is at least one of {len(y)} labels")
    rng = np.random.default_rng(fold(seed, "planted"))
    rows = rng.permutation(len(y))[: round(share * len(y))]
    result = np.array(y)
    result[rows] = (result[rows] + rng.integers(1, classes, len(rows))) % classes
    return result


def _labels(dataset: Dataset, config: RunConfig) -> Array:
    """Return the labels of the training examples; raise ValueError without any, and for a model of another kind."""
    import numpy as np

    from thalweg.abilities import Classifies, has_ability
    from thalweg.recipes import FAMILIES
    from thalweg.recipes.runs import build

    if not dataset.spec.classes or dataset.train.y is None:
        raise ValueError(f"data: got {dataset.spec.name}, which has no classes, wanted labelled data")
    if not has_ability(build(config, dataset.spec).model, Classifies):
        raise ValueError(f"recipe: got {config.recipe}, wanted a classifier: {', '.join(FAMILIES['classifiers'])}")
    return np.asarray(dataset.train.y)


def _check_counts(y: Array, dataset: Dataset, folds: int) -> None:
    import numpy as np

    names = dataset.spec.classes or ()
    counts = np.bincount(y, minlength=len(names))
    least = int(counts.argmin())
    if counts[least] < folds:
        raise ValueError(
            f"folds: got {folds}, wanted at most the number of examples of every class, but '{names[least]}' has"
            f" {counts[least]} in the training split"
        )


def _warn_of_duplicates(dataset: Dataset, fold: Array, log: Callable[[str], None]) -> None:
    """Warn where an example equals one of another fold, so that its score is not out-of-sample."""
    import numpy as np

    from thalweg.data.splits import content_keys

    _, content = np.unique(content_keys(dataset.train.x), return_inverse=True)
    folds = int(fold.max()) + 1
    where = np.unique(content * folds + fold) // folds
    several = np.bincount(where, minlength=int(content.max()) + 1) > 1
    if count := int(several[content].sum()):
        log(
            f"{count} of {len(fold)} training examples equal an example of another fold, whose model was trained on a"
            " copy of them: --deduplicate removes duplicates"
        )


def _hold(folder: Path, settings: dict[str, Any]) -> Any:
    """Return the lock of an audit's folder, created with its settings; raise ValueError for one of other settings."""
    path = folder / "settings.json"
    if path.is_file():
        try:
            known = json.loads(path.read_text())
        except ValueError:
            known = {}
        changed = [name for name in settings if known.get(name) != settings[name]]
        if changed:
            raise ValueError(
                f"out: got {folder}, which contains an audit that differs in {', '.join(changed)}; wanted the same, or"
                " another --out"
            )
    elif folder.exists() and (not folder.is_dir() or any(entry.name != LOCK for entry in folder.iterdir())):
        raise ValueError(f"out: got {folder}, which contains other files; wanted a new or empty folder")
    folder.mkdir(parents=True, exist_ok=True)
    lock = lock_folder(folder, "audit")
    if not path.is_file():
        write_atomic(path, (json.dumps(settings, indent=1) + "\n").encode())
    return lock


def _probabilities(
    config: RunConfig,
    dataset: Dataset,
    y: Array,
    fold: Array,
    folder: Path,
    progress: Progress | None,
    log: Callable[[str], None],
) -> Array:
    """Return the probabilities (N, K) of each example by the model that was trained on the other folds."""
    import numpy as np

    from thalweg.data.subsets import with_training_rows
    from thalweg.devices import resolve_device
    from thalweg.evaluation.examples import Examples, frozen
    from thalweg.evaluation.measures.classification import answers
    from thalweg.recipes.runs import open_run, resume, train

    p = np.empty((len(y), len(dataset.spec.classes or ())))
    place = resolve_device(config.train.device)
    for f in np.unique(fold).tolist():
        run, rows = folder / str(f), np.flatnonzero(fold == f)
        others = with_training_rows(dataset, np.flatnonzero(fold != f), y)
        if not (run / "model.safetensors").is_file():
            log(f"fold {f}: training on {len(others.train):,} examples")
            if (run / "run.json").is_file():
                resume(run, dataset=others, progress=progress, warn=log)
            else:
                train(config, run, dataset=others, progress=progress, warn=log)
        opened = open_run(run, device=str(place))
        if opened.spec.fingerprint != others.spec.fingerprint:
            raise ValueError(f"out: got {run}, which was trained on other examples than those of the other folds")
        with frozen(opened.model, place):
            examples = Examples(dataset.train.x[rows], y[rows], seed=config.train.seed, device=place)
            logits: Any = opened.model.logits
            p[rows] = np.exp(answers(logits, examples, p.shape[1]).log_prob.astype(np.float64))
    return p


def _result(dataset: Dataset, y: Array, p: Array, fold: Array, true: Array | None) -> AuditResult:
    import numpy as np

    from thalweg.evaluation import rate
    from thalweg.evaluation.statistics.label_errors import label_errors

    folds = np.unique(fold).tolist()
    found = label_errors(p, y, fold, {f: [g for g in folds if g != f] for f in folds})
    estimates = []
    if true is not None:
        wrong = true != y
        k = int(wrong.sum())
        protocol = {"data": dataset.spec.name, "split": "train", "folds": len(folds), "planted": k, "of": len(y)}
        hits, caught = int(wrong[found.order[:k]].sum()), int((wrong & found.suspect).sum())
        estimates = [
            rate("precision at k", hits, k, varies="labels of the lowest self-confidence", protocol=protocol),
            rate("recall of the suspects", caught, k, varies="planted labels", protocol=protocol),
        ]
    split = replace(dataset.train, y=y)
    return AuditResult(dataset, split, p, fold, found, true, estimates)
