"""Recipes of densities made of simple parts: kernel density estimation and mixtures of Gaussians."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from thalweg.data import Spec
    from thalweg.training.run import Run

__all__ = ["gmm", "kde"]


def kde(
    spec: Spec,
    *,
    kernel: Literal["gaussian", "epanechnikov", "biweight", "tophat"] = "gaussian",
    bandwidth: str = "cv",
) -> Run:
    """Kernel density estimation: a kernel around every training example, in one step without gradients.

    Args:
        kernel: gaussian, or one that is 0 beyond the bandwidth
        bandwidth: cv, by the likelihood of what is left out; silverman or scott, rules; or a number of standard
            deviations of the data

    Reference: Density Estimation for Statistics and Data Analysis, Bernard Silverman, 1986.
    """
    from thalweg.models.mixtures.kde import KDE

    settings = mixture_settings("kde", spec)
    return solved(KDE(spec.shape, kernel=kernel, bandwidth=_number(bandwidth), **settings), steps=1)


def gmm(
    spec: Spec,
    *,
    components: int = 10,
    covariance: Literal["spherical", "diagonal", "full"] = "full",
    fit: Literal["em", "gradient"] = "em",
    floor: float | None = None,
) -> Run:
    """A mixture of Gaussians, by expectation maximization on all examples at once, or by gradients.

    Args:
        components: number of Gaussians
        covariance: of each: spherical, diagonal or full
        fit: em, expectation maximization from k-means; gradient, maximum likelihood from a random start
        floor: least variance of a component in any direction, in em, the data having variance 1; by default 1e-6 of
            vectors, and of images that of the noise, 1/12 in levels

    Reference: Maximum likelihood from incomplete data via the EM algorithm, Arthur Dempster, Nan Laird, Donald Rubin,
    1977.
    """
    from thalweg.checks import choice
    from thalweg.models.mixtures.gmm import GMM
    from thalweg.recipes.flows import fitted

    settings = mixture_settings("gmm", spec)
    if floor is None:
        floor = 1 / (12 * max(spec.std) ** 2) if spec.kind == "image" else 1e-6
    model = GMM(spec.shape, components=components, covariance=covariance, floor=floor, **settings)
    if choice("fit", fit, ("em", "gradient")) == "gradient":
        return fitted(model, lr=1e-2, steps=3000)
    return solved(model, steps=300, patience=20)


def solved(model: Any, *, steps: int, patience: int | None = None) -> Run:
    """Return the run of a model with a closed-form step, each on the whole training split."""
    from thalweg.problems.fitting import Fitting
    from thalweg.training.run import Run, Stage
    from thalweg.training.updates import ClosedForm

    stage = Stage(
        problem=Fitting(model),
        steps=steps,
        batch_size=512,
        scheme="full",
        update=ClosedForm(),
        validate_every=1,
        patience=patience,
    )
    return Run(model, (stage,))


def mixture_settings(name: str, spec: Spec) -> dict[str, Any]:
    """Return what a mixture is told of the data; refuse data it cannot take."""
    if spec.kind == "tokens":
        raise ValueError(f"{name}: got data '{spec.name}' of tokens, wanted images or vectors")
    levels = spec.levels if spec.kind == "image" else None
    return {"mean": spec.mean, "std": spec.std, "levels": levels, "discrete": spec.discrete}


def _number(bandwidth: str) -> str | float:
    try:
        return float(bandwidth)
    except ValueError:
        return bandwidth
