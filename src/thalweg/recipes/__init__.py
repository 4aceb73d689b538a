"""Recipes: each name on the command line is a function `recipe(spec, **options) -> Run`, a run that is ready to train.

There is one literal table per family. The functions are imported when they are needed, and import torch inside.

A keyword-only parameter of a recipe is an option of the command line; the docstring's `Args` are its help text. Options
that several recipes share are fields of a frozen dataclass, whose instance is the default of one parameter:
`def beta_vae(spec, *, beta: float = 4.0, common: VAEOptions = VAEOptions(latent_dim=10))`.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from typing import Any

from thalweg.checks import choice
from thalweg.config import group_options

__all__ = ["COMBINATIONS", "FAMILIES", "builder", "recipe", "recipe_names"]

CLASSIFIERS = {
    "perceptron": "thalweg.recipes.classifiers:perceptron",
    "svm": "thalweg.recipes.classifiers:svm",
    "logistic-regression": "thalweg.recipes.classifiers:logistic_regression",
    "softmax-regression": "thalweg.recipes.classifiers:softmax_regression",
    "mlp": "thalweg.recipes.classifiers:mlp",
    "lenet5": "thalweg.recipes.classifiers:lenet5",
    "alexnet": "thalweg.recipes.convnets:alexnet",
    "zfnet": "thalweg.recipes.convnets:zfnet",
    "vgg": "thalweg.recipes.convnets:vgg",
    "nin": "thalweg.recipes.convnets:nin",
    "googlenet": "thalweg.recipes.convnets:googlenet",
    "resnet": "thalweg.recipes.convnets:resnet",
    "resnet-v2": "thalweg.recipes.convnets:resnet_v2",
    "resnext": "thalweg.recipes.convnets:resnext",
    "senet": "thalweg.recipes.convnets:senet",
    "densenet": "thalweg.recipes.convnets:densenet",
    "convnetjs": "thalweg.recipes.convnets:convnetjs",
    "airbench": "thalweg.recipes.airbench:airbench",
}
AUTOENCODERS = {
    "autoencoder": "thalweg.recipes.autoencoders:autoencoder",
    "linear-autoencoder": "thalweg.recipes.autoencoders:linear_autoencoder",
    "sparse-autoencoder": "thalweg.recipes.sparse_and_stacked:sparse_autoencoder",
    "k-sparse-autoencoder": "thalweg.recipes.sparse_and_stacked:k_sparse_autoencoder",
    "denoising-autoencoder": "thalweg.recipes.autoencoders:denoising_autoencoder",
    "stacked-denoising-autoencoder": "thalweg.recipes.sparse_and_stacked:stacked_denoising_autoencoder",
}
VAES = {
    "vae": "thalweg.recipes.vaes:vae",
    "beta-vae": "thalweg.recipes.vaes:beta_vae",
    "iwae": "thalweg.recipes.vaes:iwae",
    "vq-vae": "thalweg.recipes.vector_quantized:vq_vae",
    "vq-vae-2": "thalweg.recipes.vector_quantized:vq_vae_2",
}
AUTOREGRESSIVE = {
    "pixelcnn": "thalweg.recipes.autoregressive:pixelcnn",
}
MIXTURES = {
    "kde": "thalweg.recipes.mixtures:kde",
    "gmm": "thalweg.recipes.mixtures:gmm",
}
FLOWS = {
    "flow-1d": "thalweg.recipes.elementary_flows:flow_1d",
    "affine-flow": "thalweg.recipes.elementary_flows:affine_flow",
    "nice": "thalweg.recipes.flows:nice",
    "real-nvp": "thalweg.recipes.image_flows:real_nvp",
    "glow": "thalweg.recipes.image_flows:glow",
    "nsf": "thalweg.recipes.flows:nsf",
    "maf": "thalweg.recipes.flows:maf",
    "iaf": "thalweg.recipes.flows:iaf",
    "ffjord": "thalweg.recipes.continuous_flows:ffjord",
}
GANS = {
    "gan": "thalweg.recipes.gans:gan",
    "dcgan": "thalweg.recipes.gans:dcgan",
    "f-gan": "thalweg.recipes.gans:f_gan",
    "wgan": "thalweg.recipes.gans:wgan",
    "wgan-gp": "thalweg.recipes.gans:wgan_gp",
    "sn-gan": "thalweg.recipes.gans:sn_gan",
    "hinge-gan": "thalweg.recipes.gans:hinge_gan",
}

WAES = {
    "wae-mmd": "thalweg.recipes.waes:wae_mmd",
    "wae-gan": "thalweg.recipes.waes:wae_gan",
}

FAMILIES = {
    "classifiers": CLASSIFIERS,
    "autoencoders": AUTOENCODERS,
    "vaes": VAES,
    "autoregressive": AUTOREGRESSIVE,
    "mixtures": MIXTURES,
    "flows": FLOWS,
    "gans": GANS,
    "waes": WAES,
}

COMBINATIONS = {"ensemble": "thalweg.recipes.ensemble:ensemble"}  # of trained runs; these are not trained


def recipe_names() -> list[str]:
    """Return the names of all recipes, family by family."""
    return [name for table in FAMILIES.values() for name in table]


def recipe(name: str) -> Callable[..., Any]:
    """Return the recipe of that name, which takes its options as keyword arguments; raise ValueError if it is unknown.

    >>> recipe("vea")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ValueError: recipe: got 'vea', wanted one of ... (did you mean 'vae'?)
    """
    if name in COMBINATIONS:
        raise ValueError(
            f"recipe: got '{name}', wanted a model to train; `thalweg {name} RUN RUN --out RUN` combines trained runs"
        )
    choice("recipe", name, recipe_names())
    return builder(name)


def builder(name: str) -> Callable[..., Any]:
    """Return the function that builds the model of a run folder: the recipe of that name, or the combination."""
    tables = {**FAMILIES, "combinations": COMBINATIONS}.values()
    choice("recipe", name, [known for table in tables for known in table])
    module, function = next(table[name] for table in tables if name in table).split(":")
    return _flat(getattr(importlib.import_module(module), function))


def _flat(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function with the fields of its option groups as keyword arguments of its own."""

    @functools.wraps(function)
    def flat(spec: Any, **options: Any) -> Any:
        return function(spec, **group_options(function, options))

    return flat
