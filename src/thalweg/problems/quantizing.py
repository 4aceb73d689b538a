"""The two stages of a VQ-VAE: the autoencoder with its codebooks, then the prior of the codes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor, nn

from thalweg.checks import in_range, positive
from thalweg.nn.quantize import Candidates, Quantizer, counts, perplexity, rows_of
from thalweg.problems.likelihood import HasLogJoint
from thalweg.training.problem import Batch, Loss, Problem

__all__ = ["CodeLikelihood", "Quantizing"]


class Seen(NamedTuple):
    """What a quantizer received of one micro-batch: codes (N,), vectors (N, D) and random keys (N,)."""

    codes: Tensor
    vectors: Tensor
    keys: Tensor


class Quantizing(Problem):
    """One player, "autoencoder", with the loss −log p(x|z_q(x)) + ‖sg[z_e] − e‖² + β‖z_e − sg[e]‖² per sample.

    The first term is in nats, summed over all values; the squared distances are averaged over the grid, as in the
    paper. Codes that are exponential running means do not need the middle term: `project` updates them after each step
    from the vectors of the step's batch that were assigned to them. It also restarts unused codes at vectors drawn from
    the batch.

    Extras: `reconstruction` = log p(x|z_q(x)); for each quantizer `NAME/commitment`, `NAME/perplexity` and
    `NAME/usage`, the share of its codes that the batch uses.

    Args:
        model: has `autoencoder`, which returns `Terms`.
        commitment: β.
        decay: decay γ of the running means.
        restart: whether unused codes are restarted.

    Reference: *Neural Discrete Representation Learning*, Aäron van den Oord, Oriol Vinyals, Koray Kavukcuoglu, 2017,
    arXiv:1711.00937. Restarts: *Jukebox: A Generative Model for Music*, Prafulla Dhariwal et al., 2020,
    arXiv:2005.00341.
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
        """Update the codebooks from the vectors of the step's batch, and restart unused codes."""
        for name, quantizer in self.model.autoencoder.quantizers.items():
            if self._seen[name]:
                uses, sums, candidates = _summary(self._seen[name], quantizer)
                self._seen[name].clear()
                quantizer.update_codes(uses, sums, self.decay)
                if self.restart:
                    quantizer.restart_dead_codes(candidates)


def _summary(seen: list[Seen], quantizer: Quantizer) -> tuple[Tensor, Tensor, Candidates]:
    """Return how often each code was used, the sums of the vectors of each, and candidates, over all processes."""
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


class CodeLikelihood(Problem):
    """One player, "prior", the distribution of the codes c, with the loss −log p(c(x)), or −log p(c(x), y) with labels,
    in nats.

    The codes are those of `model`, whose autoencoder is fixed.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self.players: Mapping[str, nn.Module] = {"prior": model.code_prior}

    def loss(self, player: str, batch: Batch) -> Loss:
        """Return −log p of the batch's codes."""
        with torch.no_grad():
            codes = self.model.codes(batch.x)
        if not isinstance(self.model.code_prior, HasLogJoint):
            return Loss(-self.model.code_prior.log_prob(codes))
        if batch.y is None:
            raise ValueError("labels: got none, wanted those that the codes are conditioned on")
        return Loss(-self.model.code_prior.log_joint(codes, batch.y))
