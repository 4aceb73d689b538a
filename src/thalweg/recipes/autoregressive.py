"""Recipes of autoregressive models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from thalweg.recipes.requirements import number_of_classes

if TYPE_CHECKING:
    from thalweg.data import Spec
    from thalweg.training.run import Run

__all__ = ["conditioned", "pixelcnn"]


def pixelcnn(
    spec: Spec,
    *,
    hidden: int = 32,
    layers: int = 6,
    binarized: bool = False,
    conditional: bool = False,
) -> Run:
    """Gated PixelCNN: exact probabilities of images, pixel by pixel, by maximum likelihood.

    Args:
        hidden: features of each of the two stacks, per channel
        layers: gated layers
        binarized: model whether pixels are above half of their range, in place of their levels
        conditional: one distribution per class, which makes the model a classifier as well

    Reference: *Conditional Image Generation with PixelCNN Decoders*, Aäron van den Oord, Nal Kalchbrenner, Oriol
    Vinyals, Lasse Espeholt, Alex Graves, Koray Kavukcuoglu, 2016, arXiv:1606.05328.
    """
    from thalweg.config import OptimizerConfig, ScheduleConfig
    from thalweg.models.autoregressive.pixelcnn import PixelCNN
    from thalweg.problems.likelihood import Likelihood
    from thalweg.training.run import Run, Stage

    if spec.kind != "image" or spec.levels is None:
        raise ValueError(f"pixelcnn: got data '{spec.name}' of {spec.kind}s, wanted images")
    context = number_of_classes(spec, conditional)
    settings: dict[str, Any] = {"hidden": hidden, "layers": layers, "binarized": binarized}
    model = conditioned(PixelCNN(spec.shape, spec.levels, context=context, **settings))
    stage = Stage(
        problem=Likelihood(model),
        steps=3_000,
        batch_size=32,
        validate_every=250,
        patience=5,
        clip_norm=1_000.0,  # nats
        optimizers={"model": OptimizerConfig(lr=2e-3)},
        schedules={"model": ScheduleConfig(name="cosine", warmup=50)},
        ema={"model": 0.99},
    )
    return Run(model, (stage,))


def conditioned(model: Any) -> Any:
    """Return the model, or the class-conditional model around it where it has a context."""
    from thalweg.models.class_conditional import ClassConditional

    return ClassConditional(model) if model.context else model
