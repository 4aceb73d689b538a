"""Models: plain modules, asked for what they can do. `MODELS` says what there is, and costs no torch.

Imported as `from thalweg.models.vaes.vae import VAE`: one paper, one file, named as the paper names it.
"""

from __future__ import annotations

from typing import Any

__all__ = ["MODELS"]


def _paper(title: str, authors: str, year: int, arxiv: str | None = None) -> dict[str, Any]:
    return {"title": title, "authors": authors, "year": year, "arxiv": arxiv}


# name on the command line → family, paper, what the model can be asked, and the systems of the course it covers
MODELS: dict[str, dict[str, Any]] = {
    "softmax-regression": {
        "family": "classifiers",
        "paper": _paper("Generalized Linear Models", "McCullagh, Nelder", 1989),
        "abilities": ["logits"],
        "systems": ["S9"],
    },
    "lenet5": {
        "family": "classifiers",
        "paper": _paper(
            "Gradient-based learning applied to document recognition", "LeCun, Bottou, Bengio, Haffner", 1998
        ),
        "abilities": ["logits"],
        "systems": ["S16"],
    },
    "autoencoder": {
        "family": "autoencoders",
        "paper": _paper("Reducing the dimensionality of data with neural networks", "Hinton, Salakhutdinov", 2006),
        "abilities": ["encode", "decode", "reconstruct", "score"],
        "systems": ["S68"],
    },
    "vae": {
        "family": "vaes",
        "paper": _paper("Auto-Encoding Variational Bayes", "Kingma, Welling", 2014, "1312.6114"),
        "abilities": ["sample", "elbo", "encode", "decode", "reconstruct"],
        "systems": ["S80"],
    },
    "real-nvp": {
        "family": "flows",
        "paper": _paper("Density estimation using Real NVP", "Dinh, Sohl-Dickstein, Bengio", 2017, "1605.08803"),
        "abilities": ["sample", "log_prob", "encode", "decode"],
        "systems": ["S89"],
    },
    "wgan": {
        "family": "gans",
        "paper": _paper("Wasserstein GAN", "Arjovsky, Chintala, Bottou", 2017, "1701.07875"),
        "abilities": ["sample", "decode"],
        "systems": ["S98"],
    },
}
