"""Losses of autoencoders: squared errors, with a penalty on the code or from corrupted data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from thalweg.checks import choice, in_range, positive
from thalweg.models.autoencoders.denoising_autoencoder import Corruption
from thalweg.objectives.reconstruction import coin_cross_entropy, squared_error
from thalweg.objectives.sparsity import activity_divergence, l1_norm
from thalweg.training.problem import Batch, Loss, Problem

__all__ = ["Autoencoding", "Denoising", "LayerDenoising", "SparseAutoencoding"]


class Autoencoding(Problem):
    """One player, "model", with the loss ‖y − D(E(y))‖² per sample, y = `model.preprocess(x)` of raw data x.

    `model(y)` is the reconstruction D(E(y)).
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self.players: Mapping[str, nn.Module] = {"model": model}

    def loss(self, player: str, batch: Batch) -> Loss:
        """Return the squared error of the batch."""
        target = self.model.preprocess(batch.x)
        return Loss(squared_error(self.model(target), target))


class SparseAutoencoding(Problem):
    """One player, "model", with the loss ‖y − D(z)‖² + weight · penalty(z) per sample; y is preprocessed, z = E(y).

    Penalty l1: Σ|z_j| of each example. Small codes and large weights of the decoder would reduce it without making the
    code sparse, so the decoder's columns are scaled to at most unit length after each step. Penalty kl: Σ_j KL(ρ‖ρ̂_j),
    with ρ̂_j the mean activity over the examples of one evaluation of the loss, the same value for each of them. Each
    micro-batch, and each process, thus has its own ρ̂: by convexity the mean of their penalties is at least that of the
    joint batch, and close to it if they are large.

    Extras: `reconstruction`, `penalty` (unweighted) and `active`, the share of activities above 0.01.
    """

    def __init__(self, model: Any, *, penalty: str = "l1", weight: float = 0.1, target: float = 0.05) -> None:
        self.model = model
        self.penalty, self.weight = choice("penalty", penalty, ("l1", "kl")), positive("weight", weight)
        self.target = in_range("target", target, 1e-6, 1 - 1e-6)
        self.players: Mapping[str, nn.Module] = {"model": model}

    def loss(self, player: str, batch: Batch) -> Loss:
        """Return the error and the penalty of the batch."""
        target = self.model.preprocess(batch.x)
        code = self.model.encoder(target)
        error = squared_error(self.model.decoder(code), target)
        penalty = l1_norm(code) if self.penalty == "l1" else activity_divergence(code, self.target).expand(len(error))
        extras = {"reconstruction": error, "penalty": penalty, "active": (code > 0.01).float().mean()}
        return Loss(error + self.weight * penalty, extras)

    def project(self, player: str) -> None:
        """Scale the decoder's columns to at most unit length, under an L1 penalty."""
        if self.penalty == "l1":
            for module in self.model.decoder.modules():
                if isinstance(module, nn.Linear):
                    module.weight /= module.weight.norm(dim=0).clamp(min=1.0)


class Denoising(Problem):
    """One player, "model", with the loss ‖y − D(E(ỹ))‖² per sample; y is preprocessed, ỹ corrupted by `corruption`."""

    def __init__(self, model: Any, corruption: Corruption) -> None:
        self.model, self.corruption = model, corruption
        self.players: Mapping[str, nn.Module] = {"model": model}

    def loss(self, player: str, batch: Batch) -> Loss:
        """Return the squared error of the reconstruction from corrupted data."""
        target = self.model.preprocess(batch.x)
        return Loss(squared_error(self.model(self.corruption(target, batch)), target))


class LayerDenoising(Problem):
    """One player, "layer", a layer of a stack that reconstructs corrupted codes of the fixed layers below it.

    The loss is the squared error of the data for the first layer, and the cross-entropy of codes in (0, 1) for the
    others. The codes to reconstruct are those of uncorrupted data.
    """

    def __init__(self, model: Any, layer: int, corruption: Corruption) -> None:
        self.model, self.layer, self.corruption = model, layer, corruption
        self.players: Mapping[str, nn.Module] = {"layer": model.layers[layer]}

    def loss(self, player: str, batch: Batch) -> Loss:
        """Return the loss of the reconstruction of the codes."""
        with torch.no_grad():
            target = self.model.codes(self.model.preprocess(batch.x), self.layer).float()
        layer = self.model.layers[self.layer]
        restored = layer.back(layer.code(self.corruption(target, batch)))
        return Loss((coin_cross_entropy if self.layer else squared_error)(restored, target))
