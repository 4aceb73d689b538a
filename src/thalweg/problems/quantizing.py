"""A VQ-VAE's two stages: the autoencoder with its codebooks, then the prior of the codes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor, nn

from thalweg.checks import in_range, positive
from thalweg.nn.quantize import Candidates, Quantizer, counts, perplexity, rows_of
from thalweg.training.problem import Batch, Loss

__all__ = ["CodeLikelihood", "Quantizing"]


class Seen(NamedTuple):
    """What one piece of a batch brought to a quantizer: codes (N,), vectors (N, D), and random keys (N,)."""

    codes: Tensor
    vectors: Tensor
    keys: Tensor


class Quantizing:
    """One player, "autoencoder", that loses −log p(x|z_q(x)) + ‖sg[z_e] − e‖² + β‖z_e − sg[e]‖², per sample.

    The first term is in nats, summed over all values; the squared distances are averaged over the grid, as in the
    paper. Codes that are running means have no use for the middle term: they move in `project`, after each step, by
    what the step's whole batch was nearest to. There, too, dead codes restart on vectors drawn from the batch.

    Extras: `reconstruction` = log p(x|z_q(x)); of each quantizer `NAME/commitment`, `NAME/perplexity` and
    `NAME/usage`, the share of its codes that the batch uses.

    Args:
        model: has `autoencoder`; its call gives `Terms`.
        commitment: β.
        decay: γ of the running means.
        restart: revive dead codes.

    Reference: Neural Discrete Representation Learning, Aäron van den Oord, Oriol Vinyals, Koray Kavukcuoglu, 2017,
    arXiv 1711.00937. Restarts: Jukebox: A Generative Model for Music, Prafulla Dhariwal et al., 2020, arXiv 2005.00341.
    """

    def __init__(self, model: Any, *, commitment: float = 0.25, decay: float = 0.99, restart: bool = True) -> None:
        self.model = model
        self.commitment, self.decay = positive("commitment", commitment), in_range("decay", decay, 0.0, 1.0)
        self.restart = restart
        self.players: Mapping[str, nn.Module] = {"autoencoder": model.autoencoder}
        self._seen: dict[str, list[Seen]] = {name: [] for name in model.autoencoder.quantizers}  # since the last step

    def loss(self, player: str, batch: Batch) -> Loss:
        """Return the loss of the batch."""
        autoencoder = self.model.autoencoder
        dequantized = autoencoder.likelihood.observation == "dequantized"
        noise = batch.uniform("dequantize", *batch.x.shape[1:]) if dequantized else None
        terms = autoencoder(batch.x, noise)
        values, extras = -terms.log_likelihood, {"reconstruction": terms.log_likelihood}
        for name, quantizer in autoencoder.quantizers.items():
            quantized = terms.quantized[name]
            if not quantizer.moving:
                values = values + quantized.codebook
            values = values + self.commitment * quantized.commitment
            uses = counts(quantized.codes, quantizer.count)
            extras[f"{name}/commitment"] = quantized.commitment
            extras[f"{name}/perplexity"] = perplexity(uses)
            extras[f"{name}/usage"] = (uses > 0).float().mean()
            if autoencoder.training:
                keys = batch.uniform(f"restart {name}", quantized.codes[0].numel())
                self._seen[name].append(Seen(quantized.codes.flatten(), rows_of(quantized.inputs), keys.flatten()))
        return Loss(values, extras)

    def project(self, player: str) -> None:
        """Let the codebooks follow what the step's batch was nearest to, and restart dead codes."""
        for name, quantizer in self.model.autoencoder.quantizers.items():
            if self._seen[name]:
                uses, sums, candidates = _summary(self._seen[name], quantizer)
                self._seen[name].clear()
                quantizer.update_codes(uses, sums, self.decay)
                if self.restart:
                    quantizer.restart_dead_codes(candidates)


def _summary(seen: list[Seen], quantizer: Quantizer) -> tuple[Tensor, Tensor, Candidates]:
    """Return the codes' uses, the sums of what took them, and candidates: of all pieces and processes together."""
    codes, vectors, keys = (torch.cat(parts) for parts in zip(*seen, strict=True))
    taken = vectors.new_zeros(len(codes), quantizer.count).scatter_(1, codes[:, None], 1.0)
    uses, sums = taken.sum(0), taken.t() @ vectors  # a product is deterministic on every device
    candidates = Candidates.of(keys, vectors, quantizer.count)
    if dist.is_initialized():
        dist.all_reduce(uses)
        dist.all_reduce(sums)
        candidates = Candidates.of(_gathered(candidates.keys), _gathered(candidates.vectors), quantizer.count)
    return uses, sums, candidates


def _gathered(x: Tensor) -> Tensor:
    parts = [torch.empty_like(x) for _ in range(dist.get_world_size())]
    dist.all_gather(parts, x.contiguous())
    return torch.cat(parts)


class CodeLikelihood:
    """One player, "prior", the prior of the codes, that loses −log p(c(x)), or −log p(c(x), y) of labels y too, in
    nats.

    The codes are those of `model`, which stays as it is.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self.players: Mapping[str, nn.Module] = {"prior": model.code_prior}

    def loss(self, player: str, batch: Batch) -> Loss:
        """Return −log p of the batch's codes."""
        with torch.no_grad():
            codes = self.model.codes(batch.x)
        if not hasattr(self.model.code_prior, "log_joint"):
            return Loss(-self.model.code_prior.log_prob(codes))
        if batch.y is None:
            raise ValueError("labels: got none, wanted those that the codes are conditioned on")
        return Loss(-self.model.code_prior.log_joint(codes, batch.y))
