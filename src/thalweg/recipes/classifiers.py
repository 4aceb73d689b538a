"""Recipes of classifiers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from thalweg.recipes.image_classifiers import ImageTraining, image_run
from thalweg.recipes.requirements import labelled_classes, refuse_tokens

if TYPE_CHECKING:
    from thalweg.data import Spec
    from thalweg.training.run import Run

__all__ = ["lenet5", "softmax_regression"]


def softmax_regression(spec: Spec) -> Run:
    """Linear classifier of images or vectors: softmax(A x + b), trained on the cross-entropy.

    Reference: *Generalized Linear Models*, Peter McCullagh, John Nelder, 1989, chapter 5.
    """
    from thalweg.config import OptimizerConfig, ScheduleConfig
    from thalweg.models.shallow.softmax_regression import SoftmaxRegression
    from thalweg.problems.supervised import Supervised
    from thalweg.training.run import Run, Stage

    classes = labelled_classes("softmax-regression", spec)
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
    spec: Spec, *, variant: Literal["modern", "original"] = "modern", training: ImageTraining = ImageTraining()
) -> Run:
    """LeNet-5, a convolutional classifier of images, trained on the cross-entropy.

    Args:
        variant: modern has ReLU, max pooling and full connections; original is the network of 1998

    Reference: *Gradient-Based Learning Applied to Document Recognition*, Yann LeCun, Léon Bottou, Yoshua Bengio,
    Patrick Haffner, 1998.
    """
    from thalweg.checks import choice
    from thalweg.config import OptimizerConfig, ScheduleConfig
    from thalweg.models.classifiers.lenet5 import LeNet5
    from thalweg.models.classifiers.lenet5_1998 import OriginalLeNet5

    kind = {"modern": LeNet5, "original": OriginalLeNet5}[choice("variant", variant, ("modern", "original"))]
    optimizer = OptimizerConfig(name="adamw", lr=3e-3, weight_decay=0.3)
    build = lambda shape, classes, mean, std: kind(shape, classes, levels=spec.levels or 2)  # noqa: E731
    return image_run(
        "lenet5", spec, build, training, steps=6_000, optimizer=optimizer, schedule=ScheduleConfig(name="cosine")
    )
