"""All measures that a model's abilities allow, on a split of a data set."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from thalweg.abilities import (
    Classifies,
    Decodes,
    Encodes,
    HasElbo,
    HasLogLikelihood,
    HasLogProb,
    HasPosterior,
    HasPrior,
    Samples,
    has_ability,
    names_of,
)
from thalweg.checks import choice, positive
from thalweg.data.dataset import Dataset, Split
from thalweg.evaluation.estimates.findings import Findings
from thalweg.evaluation.examples import Examples, frozen
from thalweg.evaluation.measures import (
    aggregate,
    annealing,
    anomaly,
    classification,
    cost,
    disentanglement,
    importance,
    latents,
    likelihood,
    parzen,
    reconstruction,
    robustness,
    samples,
)
from thalweg.evaluation.reference import Features, Reference, raw_features
from thalweg.randomness import fold

__all__ = ["evaluate", "needs_features", "reference_of"]


class Group(NamedTuple):
    """Measures that belong together: their function, their explanations, what they need, and the report's section.

    A model needs all abilities of one of the alternatives in `needs`; `beside` says what else is needed, and `features`
    whether the measures compare examples by the features of the reference.
    """

    name: str
    section: str
    needs: tuple[tuple[type, ...], ...]
    measures: Callable[[Any, Reference], Findings]
    meanings: Mapping[str, str]
    beside: str = ""
    features: bool = False

    def applies(self, model: object) -> bool:
        """Return whether the model has the abilities."""
        return any(all(has_ability(model, ability) for ability in abilities) for abilities in self.needs)

    @property
    def wanted(self) -> str:
        """What the measures need: "log_prob or elbo", "logits, and labels"."""
        of_model = " or ".join(" and ".join(names_of(abilities)) for abilities in self.needs if abilities)
        return ", and ".join(filter(None, (of_model, self.beside)))


GROUPS = (
    Group(
        "likelihood",
        "likelihood",
        ((HasLogProb,), (HasElbo,)),
        likelihood.likelihood_measures,
        likelihood.MEANINGS,
    ),
    Group(
        "importance sampling",
        "likelihood",
        ((HasPrior, HasPosterior, HasLogLikelihood),),
        importance.importance_measures,
        importance.MEANINGS,
    ),
    Group(
        "annealing",
        "likelihood",
        ((HasPrior, HasLogLikelihood), (HasPrior, Decodes)),
        annealing.annealing_measures,
        annealing.MEANINGS,
    ),
    Group("Parzen window", "likelihood", ((Samples,),), parzen.parzen_measures, parzen.MEANINGS),
    Group("samples", "samples", ((Samples,),), samples.sample_measures, samples.MEANINGS, features=True),
    Group(
        "reconstruction",
        "reconstruction",
        ((Encodes, Decodes), (HasPrior, Decodes)),
        reconstruction.reconstruction_measures,
        reconstruction.MEANINGS,
    ),
    Group("latents", "latents", ((Encodes,),), latents.latent_measures, latents.MEANINGS, "a prior or labels"),
    Group(
        "aggregate posterior",
        "latents",
        ((Encodes, HasPrior),),
        aggregate.aggregate_measures,
        aggregate.MEANINGS,
    ),
    Group(
        "disentanglement",
        "latents",
        ((Encodes,),),
        disentanglement.disentanglement_measures,
        disentanglement.MEANINGS,
        "known factors of the data",
    ),
    Group(
        "classification",
        "classification",
        ((Classifies,),),
        classification.classification_measures,
        classification.MEANINGS,
        "labels",
    ),
    Group(
        "robustness",
        "classification",
        ((Classifies,),),
        robustness.robustness_measures,
        robustness.MEANINGS,
        "images with labels",
    ),
    Group("anomaly", "anomaly", anomaly.SCORED_BY, anomaly.anomaly_measures, anomaly.MEANINGS),
    Group("cost", "cost", ((),), cost.cost_measures, cost.MEANINGS, "parameters, or a training"),
    Group("inference", "cost", ((Classifies,),), cost.inference_measures, cost.INFERENCE),
)
SETTINGS = ("features", "anomalies", "draws", "samples", "temperatures")  # of an evaluation, fields of `Reference`
_GROUP_OF = {name: group for group in GROUPS for name in group.meanings}


def group_of(name: str) -> Group:
    """Return the group of a measure; a part of the name after a colon says what the measure compares with.

    Raises KeyError for a measure that no group explains.

    >>> group_of("anomaly AUROC: noise").section
    'anomaly'
    """
    known = name.partition(":")[0]
    if known not in _GROUP_OF:
        raise KeyError(f"{name}: no group of measures explains it, wanted one of {', '.join(_GROUP_OF)}")
    return _GROUP_OF[known]


def needs_features(model: object) -> bool:
    """Return whether a measure that the model's abilities allow compares examples by features.

    >>> class Classifier:
    ...     def logits(self, x):
    ...         return x
    >>> needs_features(Classifier())
    False
    """
    return any(group.features and group.applies(model) for group in GROUPS)


def evaluate(
    model: object,
    dataset: Dataset,
    *,
    split: str = "test",
    batch_size: int = 500,
    device: torch.device | str | None = None,
    seed: int = 0,
    limit: int | None = None,
    **settings: Any,
) -> Findings:
    """Return the estimates that the abilities of `model` allow on a split of `dataset`, and the reasons for missing
    ones.

    `logits` allows the measures of classifiers; `log_prob` or `elbo` the log-likelihood in nats and bits/dim and, if
    the data's density is known, the KL divergence from it; `encode` with `decode` reconstruction; `sample`, for images
    or vectors, distances and neighbors. The model is evaluated in evaluation mode and restored afterwards. If a measure
    cannot be computed, or the model raises an exception in it, the other measures are not affected: it is in `missing`,
    with the reason. Noise is a function of `seed` and the batch. `limit` chooses that many examples by `seed`.
    `settings` are fields of `Reference`: features, anomalies, draws, samples and temperatures.

    Raises ValueError for a model without any of these abilities, for an empty split, for unknown settings, and for data
    of another shape than the model's attribute `shape`, where it has one.

    >>> from thalweg.data import Dataset, Spec, Split
    >>> class Fair(nn.Module):
    ...     observation = "discrete"
    ...     def log_prob(self, x):
    ...         return torch.full((len(x),), -x[0].numel() * np.log(16.0))
    >>> part = Split(np.zeros((20, 1, 2, 2), dtype=np.uint8))
    >>> dataset = Dataset(Spec(name="dark", kind="image", shape=(1, 2, 2), levels=16), part, part, part)
    >>> [str(e) for e in evaluate(Fair(), dataset).estimates]
    ['-11.0904 nats', '4 bits/dim']
    """
    _check_data(model, dataset)
    place = _place(model, device)
    reference = reference_of(
        dataset, split=split, batch_size=batch_size, device=place, seed=seed, limit=limit, **settings
    )
    findings = Findings()
    with frozen(model, place):
        for group in (group for group in GROUPS if group.applies(model)):
            part = Findings()
            part.attempt(group.name, partial(group.measures, model, reference))
            assert all(group_of(e.name) is group for e in part), f"{group.name}: a measure is not in its MEANINGS"
            assert group.features or all("features" not in e.protocol for e in part), f"{group.name}: wanted features"
            part.missing = [replace(m, group=group.name) for m in part.missing]
            findings.add(part)
    if not findings.missing and all(group_of(e.name).section == "cost" for e in findings):
        raise ValueError(
            f"model: {type(model).__name__} has nothing to measure on {dataset.spec.name}, "
            f"wanted {'; '.join(dict.fromkeys(group.wanted for group in GROUPS if group.name != 'cost'))}"
        )
    return findings


def reference_of(
    dataset: Dataset,
    *,
    split: str = "test",
    batch_size: int = 500,
    device: torch.device | str = "cpu",
    seed: int = 0,
    limit: int | None = None,
    features: Features | None = None,
    anomalies: Mapping[str, Any] | None = None,
    **settings: Any,
) -> Reference:
    """Return the reference of an evaluation: a split of `dataset`, its other splits, and raw examples of anomalies.

    `features` are by default the data themselves.

    Raises ValueError for unknown settings.
    """
    for name in settings:
        choice("settings", name, SETTINGS)
    spec, part = dataset.spec, dataset.split(split)
    chosen = np.arange(len(part))
    if limit is not None and positive("limit", limit) < len(part):
        chosen = np.sort(np.random.default_rng(fold(seed, "limit")).permutation(len(part))[:limit])
    protocol: dict[str, Any] = {
        "data": spec.name,
        "fingerprint": spec.fingerprint,
        "split": split,
        "examples": len(chosen),
    }
    if len(chosen) < len(part):
        protocol |= {"of": len(part), "chosen by seed": seed}
    trained_on = dataset.trained_on
    if trained_on is not dataset:
        protocol["trained on"] = trained_on.spec.name
    if trained_on.share is not None:
        few = f"{len(trained_on.train):,} training examples, a share of {trained_on.share:g}"
        protocol["trained on"] = f"{trained_on.spec.name}: {few}"
    whole = len(chosen) == len(part)
    x, y = (part.x, part.y) if whole else (part.x[chosen], None if part.y is None else part.y[chosen])
    factors = {name: values[chosen] for name, values in part.factors.items()}

    def examples(other: Split, name: str) -> Examples | None:
        beside = {"data": trained_on.spec.name, "split": name}
        return Examples(other.x, other.y, beside, batch_size, seed, device) if len(other) else None

    against = {
        name: Examples(np.asarray(other), None, {"data": name, "split": split}, batch_size, seed, device)
        for name, other in (anomalies or {}).items()
    }
    return Reference(
        spec=spec,
        test=Examples(x, y, protocol, batch_size, seed, device, factors, chosen),
        training=examples(trained_on.train, "train"),
        validation=examples(trained_on.validation, "validation"),
        features=features or raw_features(spec),
        density=dataset.density,
        anomalies=against,
        **settings,
    )


def _check_data(model: object, dataset: object) -> None:
    """Raise ValueError unless the data are a `Dataset` of the shape that the model states, if it states one."""
    if not isinstance(dataset, Dataset):
        raise ValueError(f"dataset: got {type(dataset).__name__}, wanted a Dataset, as thalweg.data.load returns it")
    spec, shape = dataset.spec, getattr(model, "shape", None)
    if isinstance(shape, tuple) and shape != spec.shape:
        raise ValueError(
            f"dataset: got {spec.name} with examples of shape {spec.shape}, wanted {tuple(shape)}, the `shape` of "
            f"{type(model).__name__}"
        )


def _place(model: object, device: torch.device | str | None) -> torch.device:
    if device is not None:
        return torch.device(device)
    first = next(model.parameters(), None) if isinstance(model, nn.Module) else None
    return torch.device("cpu") if first is None else first.device
