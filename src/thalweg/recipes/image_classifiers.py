"""What the recipes of image classifiers share: the options of their training, and how a run is put together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from thalweg.config import OptimizerConfig, ScheduleConfig, setting
from thalweg.recipes.requirements import labelled_classes

if TYPE_CHECKING:
    from torch import nn

    from thalweg.data import Spec
    from thalweg.training.run import Run

__all__ = ["MOMENTUM", "ImageTraining", "image_run"]

MOMENTUM = OptimizerConfig(
    name="momentum", lr=0.05, momentum=0.9, nesterov=True, weight_decay=5e-4, no_decay=True
)  # of the networks since VGG
TRANSFORMS = ("rotate", "hflip", "alternate", "cutout", "erase", "mixup", "cutmix")  # of these names in `Augment`
Border = Literal["zeros", "reflect"]  # that of `thalweg.data.moves`, which imports torch


@dataclass(frozen=True, kw_only=True)
class ImageTraining:
    """Options that all image classifiers have: random transforms of the training images, and smoothed labels.

    Transforms act on raw values before the model standardizes them. With mixtures of images (`mixup`, `cutmix`) a
    training accuracy would have no meaning, and there is none; the validation accuracy is that of unmixed images.
    """

    shift: int = setting(0, "largest random shift of a training image, in pixels, in each direction")
    rotate: float = setting(0.0, "largest random rotation of a training image, in degrees, in each direction")
    border: Border = setting("zeros", "pixels that a shift takes from outside the image: zeros (black) or reflect")
    hflip: bool = setting(False, "flip training images left and right at random; not for digits or letters")
    alternate: bool = setting(False, "flip every training image in every second epoch, in place of hflip")
    color: float = setting(0.0, "largest relative change of brightness, contrast and saturation of a training image")
    cutout: int = setting(0, "side, in pixels, of a square of each training image that has the mean color instead")
    erase: float = setting(0.0, "probability that a random rectangle of a training image has the mean color instead")
    mixup: float = setting(0.0, "mix two training images and their labels; share from Beta(mixup, mixup)")
    cutmix: float = setting(0.0, "paste a rectangle of another training image; share from Beta(cutmix, cutmix)")
    label_smoothing: float = setting(0.0, "share of each training label that is spread over all classes")


def image_run(
    name: str,
    spec: Spec,
    build: Callable[..., nn.Module],
    options: ImageTraining,
    *,
    steps: int,
    batch_size: int = 128,
    optimizer: OptimizerConfig = MOMENTUM,
    schedule: ScheduleConfig | None = None,
    auxiliary: bool = False,
) -> Run:
    """Return the run of an image classifier, `build(shape, classes, mean=..., std=...)`, trained on the cross-entropy.

    The schedule is a cosine with a short warm-up by default. Raises ValueError unless the data are images with at least
    two classes.
    """
    from thalweg.data.augment import Augment
    from thalweg.problems.supervised import Supervised, WithAuxiliaryHeads
    from thalweg.training.run import Run, Stage

    if spec.kind != "image" or spec.levels is None:
        raise ValueError(f"{name}: got data '{spec.name}' of kind {spec.kind}, wanted images")
    classes = labelled_classes(name, spec)
    for option in ("shift", "cutout"):
        if getattr(options, option) >= min(spec.shape[1:]):
            raise ValueError(
                f"{option}: got {getattr(options, option)} for images of {spec.shape[1]}×{spec.shape[2]}, wanted less"
                " than their sides"
            )
    model = build(spec.shape, classes, mean=spec.mean, std=spec.std)
    transforms: dict[str, Any] = {name: getattr(options, name) for name in TRANSFORMS}
    transforms |= {"crop": options.shift} | dict.fromkeys(("brightness", "contrast", "saturation"), options.color)
    augment = None
    if any(transforms.values()):
        augment = Augment(**transforms, border=options.border, fill=spec.mean, levels=spec.levels, target=spec.target)
    problem = WithAuxiliaryHeads if auxiliary else Supervised
    stage = Stage(
        problem=problem(model, label_smoothing=options.label_smoothing),
        steps=steps,
        batch_size=batch_size,
        optimizers={"model": optimizer},
        schedules={"model": schedule or ScheduleConfig(name="cosine", warmup=steps // 20)},
        augment=augment,
    )
    return Run(model, (stage,))
