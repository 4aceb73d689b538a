"""Every recipe on every kind of data it takes, with tiny options: add a line, and the contracts test it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from thalweg.config import Discrete
from thalweg.data import Spec, class_target
from thalweg.nn.preprocess import quantize
from thalweg.randomness import generator
from thalweg.recipes import recipe
from thalweg.training.problem import Batch
from thalweg.training.run import Run

PLANE = Spec(
    name="plane", kind="vector", shape=(2,), mean=(1.0, -20.0), std=(2.0, 5.0), target=class_target(("a", "b", "c"))
)
COUNTS = Spec(
    name="counts",
    kind="vector",
    shape=(3,),
    mean=(4.0, -20.0, 1.2),
    std=(2.0, 5.0, 0.8),
    discrete=(Discrete(), None, Discrete(0.5, (0.0, 0.5, 2.5))),
    target=class_target(("a", "b")),
)
LINE = Spec(name="line", kind="vector", shape=(1,), mean=(3.0,), std=(2.0,), target=class_target(("a", "b")))
DIGITS = Spec(
    name="scans",
    kind="image",
    shape=(1, 8, 8),
    levels=17,
    mean=(4.9,),
    std=(6.0,),
    target=class_target(("a", "b", "c")),
)
ODD = Spec(
    name="odd", kind="image", shape=(1, 11, 9), levels=256, mean=(90.0,), std=(70.0,), target=class_target(("a", "b"))
)
BINARY = Spec(name="binary", kind="image", shape=(1, 8, 8), levels=2, mean=(0.13,), std=(0.34,))
COLOR = Spec(
    name="color",
    kind="image",
    shape=(3, 16, 16),
    levels=256,
    mean=(120.0, 130.0, 110.0),
    std=(60.0, 62.0, 64.0),
    target=class_target(("a", "b", "c", "d")),
)
GLYPHS = Spec(
    name="glyphs16", kind="image", shape=(1, 16, 16), levels=256, mean=(30.0,), std=(70.0,),
    target=class_target(("a", "b", "c")),
)  # fmt: skip


@dataclass(frozen=True)
class Member:
    """One recipe, on one kind of data, with options."""

    recipe: str
    spec: Spec
    options: dict[str, Any] = field(default_factory=dict)
    free: tuple[str, ...] = ()  # parameters that the loss does not depend on, by its form

    def __str__(self) -> str:
        return "-".join([self.recipe, self.spec.name, *map(str, self.options.values())])

    def run(self, seed: int = 0) -> Run:
        """Build the run with initial weights from `seed`, leaving torch's global generator as it was."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return recipe(self.recipe)(self.spec, **self.options)

    def moved(self, seed: int = 0) -> Run:
        """Build the run with noise added to every parameter, so that initial zeros do not hide errors."""
        run = self.run(seed)
        for stage in run.stages:
            if not stage.update.needs_gradients:
                for player in stage.problem.players:
                    stage.problem.closed_form_step(player, self.batch(40, seed))
        noise = generator(seed, "off the start")
        with torch.no_grad():
            for parameter in run.model.parameters():
                parameter += 0.02 * torch.randn(parameter.shape, generator=noise)
        return run

    def trained(self, seed: int = 0) -> nn.Module:
        """Return the model of `moved`."""
        return self.moved(seed).model

    def examples(self, n: int, seed: int = 0) -> Tensor:
        """Return `n` raw examples like the Spec's: uniform levels, or Gaussian columns, rounded where discrete."""
        source = generator(seed, "examples")
        if self.spec.levels is not None:
            dtype = torch.uint8 if self.spec.kind == "image" else torch.int64
            return torch.randint(0, self.spec.levels, (n, *self.spec.shape), generator=source, dtype=dtype)
        noise = torch.randn(n, *self.spec.shape, generator=source).double()
        x = noise * torch.tensor(self.spec.std) + torch.tensor(self.spec.mean)
        return quantize(x, self.spec.discrete)

    def batch(self, n: int, seed: int = 0) -> Batch:
        """Return a batch of `n` examples, with labels where the Spec has classes."""
        classes = self.spec.classes
        y = None if classes is None else torch.arange(n) % len(classes)
        return Batch(self.examples(n, seed), y, seed=seed)


CLASSIFIERS = [
    Member("perceptron", PLANE),
    Member("perceptron", DIGITS),
    Member("svm", PLANE),
    Member("svm", DIGITS, {"l2": 0.01}),
    Member("logistic-regression", COUNTS, {"l2": 0.1}),
    Member("logistic-regression", ODD),
    Member("logistic-regression", LINE),
    Member("softmax-regression", PLANE),
    Member("softmax-regression", DIGITS),
    Member("softmax-regression", COLOR),
    Member("mlp", DIGITS, {"hidden": 16}),
    Member("mlp", PLANE, {"hidden": 8, "activation": "tanh", "init": "lecun", "depth": 3}),
    Member("lenet5", DIGITS),
    Member("lenet5", COLOR, {"shift": 2, "hflip": True}),
    Member("lenet5", ODD, {"variant": "original"}),
]
CONVNETS = [
    Member("alexnet", COLOR, {"hidden": 8}),
    Member("alexnet", GLYPHS, {"hidden": 8}),
    Member("zfnet", GLYPHS, {"hidden": 8}),
    Member("vgg", GLYPHS, {"hidden": 8}),
    Member("vgg", COLOR, {"hidden": 8, "batch_norm": True, "label_smoothing": 0.1}),
    Member("nin", DIGITS),
    Member("nin", ODD),
    Member("googlenet", ODD),
    Member("googlenet", DIGITS, {"batch_norm": True}),
    Member("resnet", DIGITS, {"depth": 8}),
    Member("resnet", ODD, {"depth": 8, "variant": "b", "hflip": True}),
    Member("resnet", COLOR, {"depth": 18}),
    Member("resnet-v2", DIGITS, {"depth": 8}),
    Member("resnext", DIGITS, {"depth": 11, "groups": 2, "width": 4}),
    Member("senet", DIGITS, {"depth": 8}),
    Member("senet", COLOR, {"depth": 8}),
    Member("densenet", DIGITS, {"depth": 10, "growth": 4}),
    Member("densenet", ODD, {"depth": 10, "growth": 4}),
    Member("convnetjs", DIGITS),
    Member("airbench", GLYPHS, {"variant": "small"}),
    Member("airbench", COLOR, {"variant": "small", "alternate": False}),
]
AUTOENCODERS = [
    Member("autoencoder", PLANE, {"latent_dim": 1, "hidden": 8}),
    Member("autoencoder", PLANE, {"latent_dim": 1, "hidden": 8, "tied": True}),
    Member("autoencoder", DIGITS, {"latent_dim": 3, "hidden": 8, "architecture": "dense"}),
    Member("autoencoder", ODD, {"latent_dim": 3, "hidden": 8}),
    Member("autoencoder", COLOR, {"latent_dim": 3, "hidden": 8, "architecture": "conv"}),
    Member("autoencoder", BINARY, {"latent_dim": 3, "hidden": 8, "architecture": "dense", "depth": 3, "tied": True}),
    Member("linear-autoencoder", PLANE, {"latent_dim": 1}),
    Member("linear-autoencoder", ODD, {"latent_dim": 3, "tied": True}),
    Member("sparse-autoencoder", PLANE, {"latent_dim": 6}),
    Member("sparse-autoencoder", DIGITS, {"latent_dim": 12, "penalty": "kl"}),
    Member("k-sparse-autoencoder", PLANE, {"latent_dim": 4, "k": 2}),
    Member("k-sparse-autoencoder", DIGITS, {"latent_dim": 12, "k": 3}),
]
DENOISING = [
    Member("denoising-autoencoder", PLANE, {"latent_dim": 1, "hidden": 8, "depth": 2}),
    Member("denoising-autoencoder", DIGITS, {"latent_dim": 3, "hidden": 8, "corruption": "salt-and-pepper"}),
    Member("denoising-autoencoder", COLOR, {"latent_dim": 3, "hidden": 8, "corruption": "masking"}),
    Member("stacked-denoising-autoencoder", PLANE, {"latent_dim": 2, "hidden": 6, "layers": 2}),
    Member("stacked-denoising-autoencoder", DIGITS, {"latent_dim": 4, "hidden": 8, "corruption": "gaussian"}),
]
VAES = [
    Member("vae", PLANE, {"latent_dim": 2, "hidden": 8}),
    Member("vae", COUNTS, {"latent_dim": 2, "hidden": 8}),
    Member("vae", PLANE, {"latent_dim": 2, "hidden": 8, "sigma": 0.5, "learn_sigma": False}),
    Member("vae", DIGITS, {"latent_dim": 2, "hidden": 8}),
    Member("vae", DIGITS, {"latent_dim": 2, "hidden": 8, "likelihood": "bernoulli", "architecture": "dense"}),
    Member("vae", DIGITS, {"latent_dim": 2, "hidden": 8, "likelihood": "gaussian"}),
    Member("vae", ODD, {"latent_dim": 2, "hidden": 8, "architecture": "conv", "likelihood": "bernoulli"}),
    Member("vae", COLOR, {"latent_dim": 2, "hidden": 8, "architecture": "conv"}),
    Member("vae", COLOR, {"latent_dim": 2, "hidden": 8, "learn_sigma": False}),
    Member("vae", BINARY, {"latent_dim": 2, "hidden": 8, "architecture": "dense", "depth": 2, "activation": "tanh"}),
    Member("vae", DIGITS, {"latent_dim": 2, "hidden": 8, "gradient": "score-function"}),
    Member("beta-vae", PLANE, {"latent_dim": 2, "hidden": 8, "beta": 4.0}),
    Member("beta-vae", DIGITS, {"latent_dim": 2, "hidden": 8, "beta": 0.5}),
    Member("iwae", PLANE, {"latent_dim": 2, "hidden": 8, "draws": 3}),
    Member("iwae", COUNTS, {"latent_dim": 2, "hidden": 8}),
    Member("iwae", BINARY, {"latent_dim": 2, "hidden": 8, "draws": 4}),
    Member("iwae", DIGITS, {"hidden": 8, "likelihood": "gaussian", "gradient": "doubly-reparameterized"}),
]
FLOWS = [
    Member("flow-1d", LINE, {"components": 3}),
    Member("flow-1d", LINE, {"map": "logistic", "base": "uniform", "components": 3, "conditional": True}),
    Member("flow-1d", LINE, {"map": "spline", "base": "beta", "bins": 4, "conditional": True}),
    Member("affine-flow", LINE),
    Member("affine-flow", PLANE, {"conditional": True}),
    Member("affine-flow", DIGITS),
    Member("nice", PLANE, {"layers": 3, "hidden": 8}),
    Member("nice", DIGITS, {"layers": 3, "hidden": 8, "depth": 1, "conditional": True}),
    Member("nsf", PLANE, {"layers": 3, "hidden": 8, "bins": 4}),
    Member("nsf", COUNTS, {"layers": 3, "hidden": 8, "bins": 4, "conditional": True}),
    Member("nsf", DIGITS, {"layers": 2, "hidden": 8, "bins": 4}),
    Member("nsf", PLANE, {"layers": 3, "hidden": 8, "bins": 4, "conditional": True}),
    Member("maf", PLANE, {"layers": 3, "hidden": 8}),
    Member("maf", PLANE, {"map": "spline", "layers": 2, "hidden": 8, "bins": 4, "conditional": True}),
    Member("maf", DIGITS, {"layers": 2, "hidden": 70, "depth": 1}),
    Member("iaf", PLANE, {"layers": 3, "hidden": 8, "depth": 1}),
    Member("iaf", COUNTS, {"layers": 2, "hidden": 8, "conditional": True}),
    Member("ffjord", PLANE, {"hidden": 8, "depth": 2, "ode_steps": 2}),
    Member("ffjord", PLANE, {"hidden": 8, "depth": 1, "ode_steps": 2, "trace": "hutchinson", "conditional": True}),
    Member("ffjord", DIGITS, {"hidden": 8, "depth": 1, "ode_steps": 1, "architecture": "dense"}),
    Member("ffjord", DIGITS, {"hidden": 4, "depth": 2, "ode_steps": 1, "adjoint": True}),
    Member("ffjord", ODD, {"hidden": 4, "depth": 1, "ode_steps": 1, "conditional": True}),
    Member("real-nvp", PLANE, {"layers": 3, "hidden": 8}),
    Member("real-nvp", COUNTS, {"layers": 3, "hidden": 8}),
    Member("real-nvp", DIGITS, {"layers": 3, "hidden": 8, "architecture": "dense"}),
    Member("real-nvp", PLANE, {"layers": 3, "hidden": 8, "conditional": True}),
    Member("real-nvp", DIGITS, {"layers": 3, "hidden": 8, "architecture": "dense", "conditional": True}),
    Member("real-nvp", ODD, {"layers": 3, "hidden": 8}),
    Member("real-nvp", ODD, {"hidden": 4, "architecture": "multi-scale", "last_scale": "paper"}),
    Member("real-nvp", DIGITS, {"hidden": 4}),
    Member("real-nvp", DIGITS, {"hidden": 4, "batch_norm": True, "conditional": True}),
    Member("real-nvp", COLOR, {"hidden": 4, "last_scale": "paper"}),
    Member("glow", PLANE, {"layers": 3, "hidden": 8}),
    Member("glow", ODD, {"layers": 1, "hidden": 8, "depth": 1}),
    Member("glow", DIGITS, {"layers": 2, "hidden": 6}),
    Member("glow", DIGITS, {"layers": 1, "hidden": 6, "conditional": True}),
    Member("glow", COLOR, {"layers": 1, "hidden": 6}),
]
MIXTURES = [
    Member("kde", PLANE),
    Member("kde", COUNTS),
    Member("kde", LINE, {"kernel": "epanechnikov", "bandwidth": "3"}),
    Member("kde", DIGITS, {"bandwidth": "silverman"}),
    Member("kde", COLOR, {"bandwidth": "0.7"}),
    Member("gmm", PLANE, {"components": 3}),
    Member("gmm", COUNTS, {"components": 3}),
    Member("gmm", LINE, {"components": 2}),
    Member("gmm", PLANE, {"components": 3, "covariance": "spherical", "fit": "gradient"}),
    Member("gmm", DIGITS, {"components": 2, "floor": 0.1}),
    Member("gmm", DIGITS, {"components": 3, "covariance": "diagonal"}),
    Member("gmm", ODD, {"components": 2, "fit": "gradient"}),
]
TINY = {"latent_dim": 2, "hidden": 8}
GANS = [  # the critic's last bias cancels in a difference of means, and in the hinge loss of small scores
    Member("wgan", PLANE, {"latent_dim": 2, "hidden": 8}, free=("critic.6.bias",)),
    Member("wgan", DIGITS, {"latent_dim": 2, "hidden": 8}, free=("critic.5.bias",)),
    Member("gan", PLANE, TINY),
    Member("gan", COUNTS, TINY | {"conditional": True}),
    Member("gan", DIGITS, TINY | {"loss": "minimax", "conditional": True}),
    Member("dcgan", DIGITS, TINY),
    Member("dcgan", ODD, TINY | {"conditional": True}),
    Member("f-gan", PLANE, TINY),
    Member("f-gan", DIGITS, TINY | {"divergence": "js", "saturating": True}),
    Member("wgan-gp", PLANE, TINY, free=("critic.6.bias",)),
    Member("wgan-gp", DIGITS, TINY, free=("critic.5.bias",)),
    Member("sn-gan", PLANE, TINY, free=("critic.6.bias",)),
    Member("sn-gan", COLOR, TINY | {"norm": "map", "conditional": True}, free=("critic.network.7.bias",)),
    Member(
        "sn-gan", DIGITS, TINY | {"method": "project", "conditional": True}, free=("critic.network.network.5.bias",)
    ),
    Member("hinge-gan", PLANE, TINY | {"conditional": True}, free=("critic.network.6.bias",)),
    Member("hinge-gan", DIGITS, TINY, free=("critic.5.bias",)),
]
WAES = [
    Member("wae-mmd", PLANE, TINY),
    Member("wae-mmd", COUNTS, TINY),
    Member("wae-mmd", DIGITS, TINY),
    Member("wae-gan", PLANE, TINY | {"sigma": 2.0}),
    Member("wae-gan", ODD, TINY),
]

VQ = {"codes": 8, "dim": 3, "hidden": 8}
VECTOR_QUANTIZED = [
    Member("vq-vae", PLANE, VQ),
    Member("vq-vae", COUNTS, VQ),
    Member("vq-vae", PLANE, VQ | {"places": 3, "conditional": True, "codebook": "loss"}),
    Member("vq-vae", DIGITS, VQ | {"layers": 1}),
    Member("vq-vae", DIGITS, VQ | {"layers": 1, "codebook": "loss", "likelihood": "gaussian", "conditional": True}),
    Member("vq-vae", ODD, VQ | {"layers": 1, "likelihood": "bernoulli"}),
    Member("vq-vae", BINARY, VQ | {"layers": 1}),
    Member("vq-vae", COLOR, VQ | {"layers": 1, "restart": False}),
    Member("vq-vae-2", DIGITS, VQ | {"layers": 1, "conditional": True}),
    Member("vq-vae-2", ODD, VQ | {"layers": 1, "codebook": "loss"}),
    Member("vq-vae-2", COLOR, VQ | {"layers": 1, "likelihood": "gaussian"}),
]
AUTOREGRESSIVE = [
    Member("pixelcnn", DIGITS, {"hidden": 6, "layers": 2}),
    Member("pixelcnn", DIGITS, {"hidden": 6, "layers": 1, "conditional": True}),
    Member("pixelcnn", ODD, {"hidden": 6, "layers": 1, "binarized": True}),
    Member("pixelcnn", BINARY, {"hidden": 6, "layers": 1}),
    Member("pixelcnn", COLOR, {"hidden": 4, "layers": 1}),
]

MEMBERS = [
    *CLASSIFIERS,
    *CONVNETS,
    *AUTOENCODERS,
    *DENOISING,
    *VAES,
    *VECTOR_QUANTIZED,
    *AUTOREGRESSIVE,
    *MIXTURES,
    *FLOWS,
    *GANS,
    *WAES,
]
