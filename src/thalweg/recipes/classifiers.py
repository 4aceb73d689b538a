"""Recipes of classifiers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from thalweg.recipes.image_classifiers import ImageTraining, image_run
from thalweg.recipes.requirements import labelled_classes, refuse_tokens

if TYPE_CHECKING:
    from torch import Tensor

    from thalweg.config import OptimizerConfig
    from thalweg.data import Spec
    from thalweg.models.shallow.linear import LinearClassifier
    from thalweg.training.run import Run

__all__ = ["lenet5", "logistic_regression", "mlp", "perceptron", "softmax_regression", "svm"]


def perceptron(spec: Spec) -> Run:
    """The perceptron, a linear classifier that only errors change: SGD on max(0, −m) of the margin m.

    Reference: *The Perceptron*, Frank Rosenblatt, 1958.
    """
    from thalweg.config import OptimizerConfig
    from thalweg.models.shallow.perceptron import Perceptron
    from thalweg.objectives import classification

    return _linear("perceptron", spec, Perceptron, classification.perceptron, 0.0, OptimizerConfig(name="sgd", lr=0.01))


def svm(spec: Spec, *, l2: float = 1e-4) -> Run:
    """Linear support vector machine: the hinge loss max(0, 1 − m) of the margin m, with a penalty on the weights.

    Args:
        l2: weight λ of the penalty (λ/2)‖A‖²; the bias has no penalty

    Reference: *Support-Vector Networks*, Corinna Cortes, Vladimir Vapnik, 1995.
    """
    from thalweg.models.shallow.svm import SVM
    from thalweg.objectives.classification import hinge

    return _linear("svm", spec, SVM, hinge, l2)


def logistic_regression(spec: Spec, *, l2: float = 0.0) -> Run:
    """Logistic regression of two classes, P(y|x) = 1/(1 + e^{−y(aᵀx + b)}) with y = ±1.

    Args:
        l2: weight λ of the penalty (λ/2)‖a‖²; the bias has no penalty

    Reference: *The Regression Analysis of Binary Sequences*, David Cox, 1958.
    """
    from thalweg.models.shallow.logistic_regression import LogisticRegression
    from thalweg.objectives.classification import logistic

    return _linear("logistic-regression", spec, LogisticRegression, logistic, l2)


def softmax_regression(spec: Spec, *, l2: float = 0.0) -> Run:
    """Linear classifier of images or vectors: softmax(A x + b), trained on the cross-entropy.

    Args:
        l2: weight λ of the penalty (λ/2)‖A‖²; the bias has no penalty

    Reference: *Generalized Linear Models*, Peter McCullagh, John Nelder, 1989, chapter 5.
    """
    from thalweg.models.shallow.softmax_regression import SoftmaxRegression

    return _linear("softmax-regression", spec, SoftmaxRegression, None, l2)


def _linear(
    name: str,
    spec: Spec,
    kind: Callable[..., LinearClassifier],
    loss: Callable[[Tensor], Tensor] | None,
    l2: float,
    optimizer: OptimizerConfig | None = None,
) -> Run:
    """Return the run of a linear classifier with a loss of its margin, or the cross-entropy."""
    from thalweg.config import OptimizerConfig, ScheduleConfig
    from thalweg.problems.linear import LinearClassification
    from thalweg.training.run import Run, Stage

    classes = labelled_classes(name, spec)
    refuse_tokens(name, spec)
    levels = spec.levels if spec.kind == "image" else None
    model = kind(spec.shape, classes, levels=levels, mean=spec.mean, std=spec.std)
    stage = Stage(
        problem=LinearClassification(model, loss, l2=l2),
        steps=10_000,
        batch_size=128,
        optimizers={"model": optimizer or OptimizerConfig(lr=1e-3)},
        schedules={"model": ScheduleConfig(name="cosine")},
    )
    return Run(model, (stage,))


def mlp(
    spec: Spec,
    *,
    hidden: int = 512,
    depth: int = 2,
    activation: Literal["relu", "tanh", "sigmoid", "leaky-relu"] = "relu",
    init: Literal["zero", "lecun", "xavier", "he", "default"] = "he",
    label_smoothing: float = 0.0,
) -> Run:
    """Multilayer perceptron, linear layers with an activation between them, trained on the cross-entropy.

    Args:
        hidden: units of each hidden layer
        depth: number of hidden layers; 0: the model is linear
        activation: activation of the hidden layers
        init: initialization of the weights: he for relu, lecun for tanh, default is that of PyTorch
        label_smoothing: share of each training label that is spread over all classes

    Reference: *Learning representations by back-propagating errors*, David Rumelhart, Geoffrey Hinton, Ronald Williams,
    1986.
    """
    from thalweg.checks import at_least, positive
    from thalweg.config import OptimizerConfig, ScheduleConfig
    from thalweg.models.classifiers.mlp import MLP
    from thalweg.problems.supervised import Supervised
    from thalweg.training.run import Run, Stage

    classes = labelled_classes("mlp", spec)
    refuse_tokens("mlp", spec)
    widths = (positive("hidden", hidden),) * at_least("depth", depth, 0)
    model = MLP(spec.shape, classes, hidden=widths, activation=activation, init=init, mean=spec.mean, std=spec.std)
    stage = Stage(
        problem=Supervised(model, label_smoothing=label_smoothing),
        steps=10_000,
        batch_size=128,
        optimizers={"model": OptimizerConfig(name="adamw", lr=1e-3, weight_decay=0.1, no_decay=True)},
        schedules={"model": ScheduleConfig(name="cosine", warmup=200)},
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
