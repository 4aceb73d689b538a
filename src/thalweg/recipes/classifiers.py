"""Recipes of classifiers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from thalweg.recipes.requirements import refuse_tokens

if TYPE_CHECKING:
    from thalweg.data import Spec
    from thalweg.training.run import Run

__all__ = ["lenet5", "softmax_regression"]


def softmax_regression(spec: Spec) -> Run:
    """Linear classifier of images or vectors: softmax(A x + b), trained on the cross-entropy.

    Reference: *Generalized Linear Models*, Peter McCullagh, John Nelder, 1989, chapter 5.
    """
    from thalweg.config import OptimizerConfig, ScheduleConfig
    from thalweg.models.classifiers.softmax_regression import SoftmaxRegression
    from thalweg.problems.supervised import Supervised
    from thalweg.training.run import Run, Stage

    classes = _classes("softmax-regression", spec)
    refuse_tokens("softmax-regression", spec)
    levels = spec.levels if spec.kind == "image" else None
    model = SoftmaxRegression(spec.shape, classes, levels=levels, mean=spec.mean, std=spec.std)
    stage = Stage(
        problem=Supervised(model),
        steps=10_000,
        batch_size=128,
        optimizers={"model": OptimizerConfig(lr=1e-3)},
        schedules={"model": ScheduleConfig(name="cosine")},
    )
    return Run(model, (stage,))


def lenet5(
    spec: Spec,
    *,
    variant: Literal["modern", "original"] = "modern",
    shift: int = 0,
    rotate: float = 0.0,
    hflip: bool = False,
) -> Run:
    """LeNet-5, a convolutional classifier of images, trained on the cross-entropy.

    Args:
        variant: modern has ReLU, max pooling and full connections; original is the network of 1998
        shift: largest random shift of a training image, in pixels, in each direction
        rotate: largest random rotation of a training image, in degrees, in each direction
        hflip: flip training images horizontally at random; not for digits or letters

    Reference: *Gradient-Based Learning Applied to Document Recognition*, Yann LeCun, Léon Bottou, Yoshua Bengio,
    Patrick Haffner, 1998.
    """
    from thalweg.checks import choice
    from thalweg.config import OptimizerConfig, ScheduleConfig
    from thalweg.data.augment import Augment
    from thalweg.models.classifiers.lenet5 import LeNet5
    from thalweg.models.classifiers.lenet5_1998 import OriginalLeNet5
    from thalweg.problems.supervised import Supervised
    from thalweg.training.run import Run, Stage

    if spec.kind != "image" or spec.levels is None:
        raise ValueError(f"lenet5: got data '{spec.name}' of kind {spec.kind}, wanted images")
    classes = _classes("lenet5", spec)
    kind = {"modern": LeNet5, "original": OriginalLeNet5}[choice("variant", variant, ("modern", "original"))]
    model = kind(spec.shape, classes, levels=spec.levels)
    augment = Augment(crop=shift, rotate=rotate, hflip=hflip, levels=spec.levels, target=spec.target)
    stage = Stage(
        problem=Supervised(model),
        steps=6_000,
        batch_size=128,
        optimizers={"model": OptimizerConfig(name="adamw", lr=3e-3, weight_decay=0.3)},
        schedules={"model": ScheduleConfig(name="cosine")},
        augment=augment if shift or rotate or hflip else None,
    )
    return Run(model, (stage,))


def _classes(name: str, spec: Spec) -> int:
    """Return the number of classes; raise ValueError where there are fewer than two."""
    if spec.classes is None:
        raise ValueError(f"{name}: got data '{spec.name}' without labels, wanted classes")
    if len(spec.classes) < 2:
        raise ValueError(f"{name}: got data '{spec.name}' with one class only, wanted at least 2")
    return len(spec.classes)
