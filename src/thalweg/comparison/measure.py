"""Evaluation of all models of a comparison on the same examples, features and anomalies, with the same seeds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from thalweg.abilities import Classifies, has_ability
from thalweg.comparison.inside import inside
from thalweg.comparison.plan import BASELINES, Measuring
from thalweg.comparison.store import load_findings, save_findings
from thalweg.config import DataConfig, to_json
from thalweg.data import Dataset, load
from thalweg.data.dataset import Split
from thalweg.data.quality import warnings_of
from thalweg.data.subsets import with_share
from thalweg.evaluation import Estimate, Features, Findings, evaluate, raw_features
from thalweg.evaluation.groups import needs_features
from thalweg.evaluation.measures.cost import known_value
from thalweg.nn.views import AveragedViews
from thalweg.randomness import fold
from thalweg.recipes.runs import cost, open_run

__all__ = ["Evaluator"]


class Evaluator:
    """Evaluates models on one data set, with its features, anomalies and baselines.

    The feature network of images is trained, or read from the cache, when the first model that needs it is evaluated.

    Raises ValueError for settings that do not fit the data, before anything is evaluated.
    """

    def __init__(
        self, dataset: Dataset, measuring: Measuring, *, device: str = "auto", log: Callable[[str], None]
    ) -> None:
        from thalweg.devices import resolve_device
        from thalweg.evaluation.measures.anomaly import simple_anomalies

        self.device, self.measuring, self.log = resolve_device(device), measuring, log
        self.dataset, self.warnings = dataset, warnings_of(dataset)
        spec = self.dataset.spec
        part = self.dataset.split(measuring.split)
        if not len(part):
            raise ValueError(f"split: got {measuring.split}, which has no examples, wanted one that has some")
        if measuring.views != "one" and spec.kind != "image":
            raise ValueError(f"views: got {measuring.views} for data '{spec.name}' of kind {spec.kind}, wanted images")
        self.anomalies: dict[str, Any] = {}
        if spec.kind != "tokens":
            self.anomalies = dict(simple_anomalies(spec, part.x, fold(measuring.seed, "anomalies")))
        for name in filter(None, (name.strip() for name in measuring.anomalies.split(","))):
            other = load(DataConfig(source=name), spec)
            self.anomalies[other.spec.name] = other.split(measuring.split).x
        if measuring.features != "auto":
            _ = self.features  # refuses a wrong choice
        if not len(dataset.trained_on.train):
            self.warnings.append(
                "the data that the model was trained on cannot be read: measures that need training or validation"
                " examples are missing, and the features of images are their pixels"
            )
        if dataset.own is not None:
            own = dataset.own.spec
            self.warnings.append(
                f"measured on {spec.name} ({spec.fingerprint}); the model was trained on {own.name} ({own.fingerprint})"
            )

    @cached_property
    def features(self) -> Features:
        """The features by which samples and examples are compared."""
        from thalweg.recipes.features import features_for

        own, features = self.dataset.trained_on, None
        if len(own.train):
            features = features_for(own, self.measuring.features, device=self.device, log=self.log)
        return raw_features(self.dataset.spec) if features is None else Features(features.name, features.extract)

    def measure(self, model: Any, *, validation: bool = True, dataset: Dataset | None = None) -> Findings:
        """Return all measures that the model's abilities allow; without `validation`, only those that need no
        validation examples.

        `dataset` is that of the evaluation with the part of the training examples that the model was trained on.
        """
        dataset = dataset or self.dataset
        settings, own = self.measuring, dataset.trained_on
        held_out = len(own.validation)
        if not validation:
            without = replace(own, validation=Split(own.validation.x[:0]))
            dataset = without if dataset.own is None else replace(dataset, own=without)
        n = settings.samples or self._samples(held_out)
        several = settings.views != "one" and has_ability(model, Classifies)
        findings = evaluate(
            AveragedViews(model, settings.views) if several else model,
            dataset,
            split=settings.split,
            limit=settings.limit,
            batch_size=settings.batch_size,
            seed=settings.seed,
            device=self.device,
            features=self.features if needs_features(model) else None,
            anomalies=self.anomalies,
            draws=settings.draws,
            samples=n,
            temperatures=settings.temperatures,
        )
        if several:
            findings.estimates = [replace(e, protocol={**e.protocol, "views": settings.views}) for e in findings]
        return findings

    def _samples(self, held_out: int) -> int:
        from thalweg.evaluation.measures.samples import MAX_SAMPLES

        n = min(self.settings_examples(), MAX_SAMPLES)
        # as many as the held-out examples, whose distances are the limit for a perfect model
        return min(n, held_out) if held_out else n

    def settings_examples(self) -> int:
        """The number of examples that models are evaluated on."""
        there = len(self.dataset.split(self.measuring.split))
        return min(there, self.measuring.limit or there)

    def run(self, folder: Path, stem: Path) -> Findings:
        """Return the findings of a trained run, cached as STEM.json and STEM.npz, with the cost of its training."""
        opened = open_run(folder, device=str(self.device))
        key = self._key((folder / "model.safetensors").read_bytes(), features=needs_features(opened.model))
        findings_of = load_findings(stem, key, self.log)
        if findings_of is None:
            got, wanted = self.dataset.trained_on.spec.fingerprint, opened.spec.fingerprint
            if got != wanted:
                raise ValueError(
                    f"data: got {self.dataset.spec.name} with fingerprint {got}, wanted {wanted}, which {folder} was"
                    " trained on"
                )
            dataset, train = self.dataset, opened.config.train
            if dataset.own is None and dataset.share is None:  # else the training examples are those of the run
                dataset = with_share(dataset, train.share, train.seed)
            findings_of = self.measure(opened.model, dataset=dataset)
            findings_of.add(_spent(cost(opened.records())))
            findings_of.add(inside(opened, dataset, self.measuring.split, self.measuring.seed))
            save_findings(findings_of, stem, key)
        return findings_of

    def baselines(
        self, stem: Path, findings_of: Mapping[str, Findings], log: Callable[[str], None]
    ) -> dict[str, Findings]:
        """Return the findings of the baselines that share a measure with any of the models."""
        from thalweg.comparison.baselines import baselines
        from thalweg.evaluation.groups import group_of

        rooms = {group_of(e.name).section for findings in findings_of.values() for e in findings}
        if not len(self.dataset.trained_on.train):
            return {}
        measured = self._class_baselines(stem, log) if "classification" in rooms else {}
        if not rooms & {"likelihood", "samples"}:
            return measured
        models: dict[str, Any] = {}
        spec = self.dataset.spec
        without = set() if spec.levels else {"uniform"}
        if spec.kind == "tokens":  # tokens have no Gaussian
            without = {"uniform", "gaussian", "gaussian-mixture"}
        if self.measuring.split in ("validation", "all") and self.dataset.own is None:
            without = without | {"real"}  # its samples are the validation examples, which are also those evaluated on
        for name in BASELINES:
            if name in without:
                continue
            place, key = stem / name, self._key(name.encode(), features=True)
            kept = load_findings(place, key, log)
            if kept is None:
                models = models or baselines(self.dataset.trained_on, self.measuring.seed)
                if name in models:
                    log(f"evaluating the baseline {name}")
                    kept = self.measure(models[name], validation=name != "real")  # its samples are those examples
                else:  # a mixture of one component: stored, so that it is not fitted again
                    kept = measured["gaussian"]
                save_findings(kept, place, key)
            measured[name] = kept
        if "gaussian-mixture" in measured and _alike(measured["gaussian"], measured["gaussian-mixture"]):
            del measured["gaussian-mixture"]
        return measured

    def _class_baselines(self, stem: Path, log: Callable[[str], None]) -> dict[str, Findings]:
        """Return the findings of the baselines of classifiers."""
        from thalweg.comparison.class_baselines import CLASS_BASELINES, class_baseline

        measured = {}
        for name in CLASS_BASELINES:
            place, key = stem / name, self._key(name.encode(), features=False)
            findings = load_findings(place, key, log)
            if findings is None:
                log(f"evaluating the baseline {name}")
                findings = self.measure(class_baseline(name, self.dataset.trained_on, self.measuring.seed))
                save_findings(findings, place, key)
            measured[name] = findings
        return measured

    def _key(self, content: bytes, *, features: bool) -> str:
        """Return the hash of all that the findings depend on; `features` says whether they depend on the features."""
        import hashlib
        import json

        from thalweg import __version__

        prints = [self.dataset.spec.fingerprint, self.dataset.trained_on.spec.fingerprint]
        settings = [__version__, prints, to_json(self.measuring), self.features.name if features else None]
        return hashlib.sha256(json.dumps(settings, sort_keys=True).encode() + content).hexdigest()


def _alike(a: Findings, b: Findings) -> bool:
    """Return whether two models have exactly equal estimates of every measure."""
    first, second = ([(e.name, e.value, e.low, e.high) for e in findings_of] for findings_of in (a, b))
    return first == second


def _spent(spent: Mapping[str, float]) -> list[Estimate]:
    return [
        known_value("training time", spent["seconds"], "s"),
        known_value("training steps", spent["steps"]),
        known_value("peak memory", spent["memory"], "MiB"),
    ]
