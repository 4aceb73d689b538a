"""Recipes of the convolutional classifiers from AlexNet to DenseNet."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Literal

from thalweg.checks import choice
from thalweg.config import OptimizerConfig
from thalweg.recipes.image_classifiers import MOMENTUM, ImageTraining, image_run

if TYPE_CHECKING:
    from torch import nn

    from thalweg.data import Spec
    from thalweg.training.run import Run

__all__ = ["alexnet", "convnetjs", "densenet", "googlenet", "nin", "resnet", "resnet_v2", "resnext", "senet", "vgg",
           "zfnet"]  # fmt: skip

IMAGENET_MIN_SIDE = 64  # smallest side for the networks of ImageNet
PLAIN = OptimizerConfig(name="momentum", lr=0.01, weight_decay=5e-4, no_decay=True)  # without batch normalization


def alexnet(
    spec: Spec,
    *,
    variant: Literal["auto", "one-tower", "two-tower", "text", "cifar"] = "auto",
    hidden: int = 4096,
    training: ImageTraining = ImageTraining(),
) -> Run:
    """AlexNet, five convolutions and three linear layers with dropout.

    Args:
        variant: two-tower is of 2012, one-tower and text of 2014, cifar for images below 64×64 (auto: cifar for those,
            else one-tower)
        hidden: width of the two hidden linear layers

    Reference: *ImageNet Classification with Deep Convolutional Neural Networks*, Alex Krizhevsky, Ilya Sutskever,
    Geoffrey Hinton, 2012.
    """
    from thalweg.models.classifiers.alexnet import VARIANTS, AlexNet

    choice("variant", variant, ("auto", *VARIANTS))
    variant = variant if variant != "auto" else "cifar" if _small(spec) else "one-tower"
    build = partial(AlexNet, variant=variant, hidden=hidden)
    return image_run("alexnet", spec, build, training, steps=10_000, optimizer=PLAIN)


def zfnet(spec: Spec, *, hidden: int = 4096, training: ImageTraining = ImageTraining()) -> Run:
    """ZFNet, AlexNet with a smaller first kernel and stride.

    Args:
        hidden: width of the two hidden linear layers

    Reference: *Visualizing and Understanding Convolutional Networks*, Matthew Zeiler, Rob Fergus, 2013,
    arXiv:1311.2901.
    """
    from thalweg.models.classifiers.zfnet import ZFNet

    return image_run("zfnet", spec, partial(ZFNet, hidden=hidden), training, steps=10_000, optimizer=PLAIN)


def vgg(
    spec: Spec,
    *,
    depth: Literal[11, 13, 16, 19] = 16,
    variant: Literal["auto", "imagenet", "cifar-a", "cifar-b"] = "auto",
    hidden: int = 0,
    batch_norm: bool = False,
    training: ImageTraining = ImageTraining(),
) -> Run:
    """VGG, blocks of 3×3 convolutions and three linear layers with dropout.

    Args:
        depth: layers with weights, of the variant imagenet
        variant: imagenet, or 13 layers for small images: cifar-a with five blocks, cifar-b with four (auto: cifar-b
            for images below 64×64, else imagenet)
        hidden: width of the two hidden linear layers; 0: 4096, and 512 for small images
        batch_norm: batch normalization after every convolution, which the paper does not have

    Reference: *Very Deep Convolutional Networks for Large-Scale Image Recognition*, Karen Simonyan, Andrew Zisserman,
    2014, arXiv:1409.1556.
    """
    from thalweg.models.classifiers.vgg import VGG

    choice("variant", variant, ("auto", "imagenet", "cifar-a", "cifar-b"))
    small = variant.startswith("cifar") or (variant == "auto" and _small(spec))
    blocks = (variant if variant.startswith("cifar") else "cifar-b") if small else depth
    build = partial(VGG, blocks=blocks, hidden=hidden or (512 if small else 4096), batch_norm=batch_norm)
    return image_run("vgg", spec, build, training, steps=10_000, optimizer=MOMENTUM if batch_norm else PLAIN)


def nin(spec: Spec, *, training: ImageTraining = ImageTraining()) -> Run:
    """Network in Network, perceptrons applied to patches, without linear layers.

    Reference: *Network In Network*, Min Lin, Qiang Chen, Shuicheng Yan, 2013, arXiv:1312.4400.
    """
    from thalweg.models.classifiers.nin import NiN

    optimizer = OptimizerConfig(name="momentum", lr=0.01, weight_decay=1e-5, no_decay=True)
    return image_run("nin", spec, NiN, training, steps=10_000, optimizer=optimizer)


def googlenet(
    spec: Spec,
    *,
    auxiliary: bool = False,
    batch_norm: bool = False,
    training: ImageTraining = ImageTraining(),
) -> Run:
    """GoogLeNet, nine Inception modules of four parallel branches.

    Args:
        auxiliary: train with the two auxiliary classifiers of the paper, for images of at least 80×80
        batch_norm: batch normalization after every convolution, which the paper does not have

    Reference: *Going Deeper with Convolutions*, Christian Szegedy, Wei Liu, Yangqing Jia, Pierre Sermanet, Scott Reed,
    Dragomir Anguelov, Dumitru Erhan, Vincent Vanhoucke, Andrew Rabinovich, 2014, arXiv:1409.4842.
    """
    from thalweg.models.classifiers.googlenet import GoogLeNet

    build = partial(GoogLeNet, auxiliary=auxiliary, batch_norm=batch_norm)
    optimizer = MOMENTUM if batch_norm else PLAIN
    return image_run("googlenet", spec, build, training, steps=10_000, optimizer=optimizer, auxiliary=auxiliary)


def resnet(
    spec: Spec,
    *,
    depth: int = 18,
    variant: Literal["auto", "v1", "v1.5", "a", "b"] = "auto",
    checkpointed: bool = False,
    training: ImageTraining = ImageTraining(),
) -> Run:
    """ResNet, residual blocks.

    Args:
        depth: 18, 34, 50, 101 or 152; or 6n + 2 for small images: 20, 32, 44, 56, 110, 1202
        variant: v1 and v1.5 place the stride of bottlenecks in the 1×1 or the 3×3 convolution; a and b have shortcuts
            that are padded or projected where shapes change (auto: a for the depths of small images, else v1.5)
        checkpointed: compute the activations of each stage again in the backward pass, to save memory

    Reference: *Deep Residual Learning for Image Recognition*, Kaiming He, Xiangyu Zhang, Shaoqing Ren, Jian Sun, 2015,
    arXiv:1512.03385.
    """
    from thalweg.models.classifiers.resnet import ResNet, small_depth

    choice("variant", variant, ("auto", "v1", "v1.5", "a", "b"))
    padded = variant == "a" or (variant == "auto" and small_depth(depth))
    build = partial(ResNet, depth=depth, shortcut="padding" if padded else "projection", stride_first=variant == "v1")
    return _residual("resnet", spec, build, training, checkpointed=checkpointed)


def resnet_v2(
    spec: Spec, *, depth: int = 18, checkpointed: bool = False, training: ImageTraining = ImageTraining()
) -> Run:
    """ResNet v2, residual blocks with pre-activation.

    Args:
        depth: 18, 34, 50, 101 or 152; or 6n + 2 for small images: 20, 32, 44, 56, 110, 1202
        checkpointed: compute the activations of each stage again in the backward pass, to save memory

    Reference: *Identity Mappings in Deep Residual Networks*, Kaiming He, Xiangyu Zhang, Shaoqing Ren, Jian Sun, 2016,
    arXiv:1603.05027.
    """
    from thalweg.models.classifiers.resnet_v2 import ResNetV2

    return _residual("resnet-v2", spec, partial(ResNetV2, depth=depth), training, checkpointed=checkpointed)


def resnext(
    spec: Spec,
    *,
    depth: int = 0,
    groups: int = 0,
    width: int = 0,
    checkpointed: bool = False,
    training: ImageTraining = ImageTraining(),
) -> Run:
    """ResNeXt, residual bottlenecks with grouped convolutions.

    Args:
        depth: 50, 101 or 152; or 9n + 2 for small images; 0: 29 for images below 64×64, else 50
        groups: groups of the 3×3 convolutions, the cardinality; 0: 8 for images below 64×64, else 32
        width: channels of a group in the first stage; 0: 16 for images below 64×64, else 4
        checkpointed: compute the activations of each stage again in the backward pass, to save memory

    Reference: *Aggregated Residual Transformations for Deep Neural Networks*, Saining Xie, Ross Girshick, Piotr Dollár,
    Zhuowen Tu, Kaiming He, 2016, arXiv:1611.05431.
    """
    from thalweg.models.classifiers.resnext import ResNeXt

    small = _small(spec)
    build = partial(
        ResNeXt, depth=depth or (29 if small else 50), groups=groups or (8 if small else 32),
        width=width or (16 if small else 4),
    )  # fmt: skip
    return _residual("resnext", spec, build, training, checkpointed=checkpointed)


def senet(spec: Spec, *, depth: int = 18, checkpointed: bool = False, training: ImageTraining = ImageTraining()) -> Run:
    """SE-ResNet, residual blocks with squeeze-and-excitation.

    Args:
        depth: 18, 34, 50, 101 or 152; or 6n + 2 for small images: 20, 32, 44, 56, 110, 1202
        checkpointed: compute the activations of each stage again in the backward pass, to save memory

    Reference: *Squeeze-and-Excitation Networks*, Jie Hu, Li Shen, Samuel Albanie, Gang Sun, Enhua Wu, 2017,
    arXiv:1709.01507.
    """
    from thalweg.models.classifiers.senet import SENet

    return _residual("senet", spec, partial(SENet, depth=depth), training, checkpointed=checkpointed)


def densenet(
    spec: Spec,
    *,
    depth: int = 0,
    growth: int = 0,
    checkpointed: bool = False,
    training: ImageTraining = ImageTraining(),
) -> Run:
    """DenseNet-BC, blocks whose layers read all maps before them.

    Args:
        depth: 121, 169 or 201; or 6n + 4 for small images; 0: 100 for images below 64×64, else 121
        growth: maps that a layer adds; 0: 12 for images below 64×64, else 32
        checkpointed: compute the activations of each block again in the backward pass, to save memory

    Reference: *Densely Connected Convolutional Networks*, Gao Huang, Zhuang Liu, Laurens van der Maaten, Kilian
    Weinberger, 2016, arXiv:1608.06993.
    """
    from thalweg.models.classifiers.densenet import DenseNet

    small = _small(spec)
    build = partial(DenseNet, depth=depth or (100 if small else 121), growth=growth or (12 if small else 32))
    decay = OptimizerConfig(
        name="momentum", lr=0.05, nesterov=True, weight_decay=1e-4, no_decay=True
    )  # 5e-4 costs a point and a half on CIFAR-10
    return _residual("densenet", spec, build, training, checkpointed=checkpointed, optimizer=decay)


def convnetjs(spec: Spec, *, training: ImageTraining = ImageTraining()) -> Run:
    """The small network of the ConvNetJS demonstration: three 5×5 convolutions and a linear layer.

    Reference: *ConvNetJS CIFAR-10 demo*, Andrej Karpathy, 2014.
    """
    from thalweg.models.classifiers.convnetjs import ConvNetJS

    return image_run("convnetjs", spec, ConvNetJS, training, steps=10_000, optimizer=PLAIN)


def _residual(
    name: str,
    spec: Spec,
    build: Callable[..., nn.Module],
    training: ImageTraining,
    *,
    checkpointed: bool,
    optimizer: OptimizerConfig = MOMENTUM,
) -> Run:
    run = image_run(name, spec, build, training, steps=10_000, optimizer=optimizer)
    run.model.checkpointed = checkpointed  # type: ignore[assignment]
    return run


def _small(spec: Spec) -> bool:
    return spec.kind == "image" and min(spec.shape[1:]) < IMAGENET_MIN_SIDE
