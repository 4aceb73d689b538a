"""The default feature network for images: trained once per data set, and cached."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from thalweg.config import OptimizerConfig, ScheduleConfig, TrainConfig
from thalweg.data import Batches, Dataset, Spec
from thalweg.data.download import cache_folder
from thalweg.files import write_atomic
from thalweg.nn.conv import conv_decoder, conv_encoder
from thalweg.nn.preprocess import Standardize
from thalweg.problems.autoencoding import Autoencoding
from thalweg.problems.supervised import Supervised
from thalweg.randomness import fold
from thalweg.recipes.runs import Chunks
from thalweg.training import Run, Sources, Stage, train

__all__ = ["feature_network"]

LAYOUT = 2  # version of the network and its training; part of the file name
SIZE, BASE, HIDDEN = 64, 16, 128
MAX_SIDE = 64  # larger images are reduced to this side
BATCH = 128


def feature_network(
    dataset: Dataset,
    *,
    cache: Path | str | None = None,
    device: torch.device | str = "cpu",
    log: Callable[[str], None] = lambda message: None,
) -> tuple[str, nn.Module]:
    """Return the name of a small convolutional network from raw images to 64 features, and the network.

    The features are the last hidden layer of a classifier where the training split has labels, otherwise the code of an
    autoencoder. The training depends on the data only and takes from a few seconds to half a minute. The network is
    stored in `cache`/features (default: the cache of downloaded data) under the data's fingerprint. Its name contains
    the first digits of the hash of its weights, so that results with two networks do not share a column. A damaged file
    is reported to `log` and replaced.
    """
    spec, path = dataset.spec, None
    if spec.fingerprint:
        path = Path(cache or cache_folder()) / "features" / f"{spec.fingerprint}-{LAYOUT}.safetensors"
    network = _network(spec, _labeled(dataset))
    digest = _read(network, path, log) if path else None
    if digest is None:
        log(f"training a feature network for the images of {spec.name}, once for these data")
        _train(network, dataset, device)
        digest = _write(network, path, log)
    return f"network trained on {spec.name} (sha256 {digest[:12]})", network.to(device).eval().requires_grad_(False)


def _labeled(dataset: Dataset) -> bool:
    return dataset.train.y is not None and len(dataset.spec.classes or ()) > 1


def _network(spec: Spec, labeled: bool) -> nn.Sequential:
    """Return the untrained network from raw images to features; its weights depend only on the kind of data."""
    small = _small(spec)
    with torch.random.fork_rng([]):
        torch.default_generator.manual_seed(fold(0, "features"))
        encoder = conv_encoder(small, SIZE, base=BASE, hidden=HIDDEN)
    layers: list[nn.Module] = [Standardize(spec.mean, spec.std, spec.shape)]
    if small != spec.shape:
        layers.append(nn.AdaptiveAvgPool2d(small[1:]))
    layers += [encoder, nn.LeakyReLU(0.1)] if labeled else [encoder]
    return nn.Sequential(*layers)


def _small(spec: Spec) -> tuple[int, int, int]:
    channels, height, width = spec.shape
    return channels, min(height, MAX_SIDE), min(width, MAX_SIDE)


def _train(network: nn.Sequential, dataset: Dataset, device: torch.device | str) -> None:
    """Train the network as part of a classifier or of an autoencoder, at most 10 to 30 s on one core."""
    small, n, labeled = _small(dataset.spec), len(dataset.train), _labeled(dataset)
    area = small[1] * small[2]
    with torch.random.fork_rng([]):
        torch.default_generator.manual_seed(fold(0, "features", "rest"))
        if labeled:
            model: Any = nn.Sequential(network, nn.Linear(SIZE, len(dataset.spec.classes or ())))
        else:
            decoder = conv_decoder(SIZE, small, base=BASE, hidden=HIDDEN)
            model = _Reconstructing(network[:-1], network[-1], decoder)
    size = min(BATCH, n)
    stage = Stage(
        problem=Supervised(model) if labeled else Autoencoding(model),
        steps=max(200, min(1500, 60 * n // size, 2_400_000 // area if labeled else 800_000 // area)),
        batch_size=size,
        optimizers={"model": OptimizerConfig(name="adamw", lr=2e-3, weight_decay=0.05)},
        schedules={"model": ScheduleConfig(name="cosine")},
    )
    settings, place = TrainConfig(device=str(device)), torch.device(device)
    with Batches(dataset.train, size, seed=fold(0, "features", "order"), device=place) as batches:
        nothing = Chunks(dataset.validation, place)
        train(Run(model, (stage,)), lambda stage, world: Sources(batches, nothing), settings, warn=lambda message: None)
    _to_unit_variance(network.eval(), dataset, place)


@torch.no_grad()
def _to_unit_variance(network: nn.Sequential, dataset: Dataset, device: torch.device) -> None:
    """Scale all features by one factor so that their mean variance is 1, the unit of distances."""
    some = torch.from_numpy(np.array(dataset.train.x[:5000]))
    features = torch.cat([network(x.to(device)) for x in some.split(500)])
    last = [layer for layer in network.modules() if isinstance(layer, nn.Linear)][-1]
    scale = features.var(0).mean().sqrt().clamp(min=1e-6)
    for parameter in last.parameters():  # a leaky ReLU after it is homogeneous
        parameter.div_(scale)


class _Reconstructing(nn.Module):
    """The model that `Autoencoding` trains: `preprocess` maps raw data to y, and y is encoded and decoded."""

    def __init__(self, preprocess: nn.Module, encoder: nn.Module, decoder: nn.Module) -> None:
        super().__init__()
        self.preprocess, self.network = preprocess, nn.Sequential(encoder, decoder)

    def forward(self, y: Tensor) -> Tensor:
        """Return the reconstruction of y."""
        reconstruction: Tensor = self.network(y)
        return reconstruction


def _read(network: nn.Sequential, path: Path, log: Callable[[str], None]) -> str | None:
    """Load the stored weights into the network and return their hash; None where there is no valid file."""
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            stored, tensors = file.metadata()["sha256"], {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if _digest(tensors) != stored:
            raise ValueError("the checksum does not match its tensors")
        if {n: t.shape for n, t in tensors.items()} != {n: t.shape for n, t in network.state_dict().items()}:
            raise ValueError("it holds tensors of other shapes")
        network.load_state_dict(tensors)
    except (SafetensorError, ValueError, TypeError, KeyError, OSError) as error:
        log(f"features: {path} is damaged ({' '.join(str(error).split())[:100]}); training the network again")
        return None
    return str(stored)


def _write(network: nn.Sequential, path: Path | None, log: Callable[[str], None]) -> str:
    """Store the weights and return their hash. A cache that cannot be written to is reported and ignored."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    digest = _digest(tensors)
    if path:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(path, save(tensors, metadata={"sha256": digest}))
        except OSError as error:
            log(f"features: {path} cannot be written ({error.strerror}); the network will be trained again next time")
    return digest


def _digest(tensors: dict[str, Tensor]) -> str:
    return hashlib.sha256(save(dict(sorted(tensors.items())))).hexdigest()
