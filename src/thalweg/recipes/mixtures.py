"""Recipes of kernel density estimation and of Gaussian mixtures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from thalweg.recipes.requirements import refuse_tokens

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
    """Kernel density estimation: a kernel around every training example, fitted in one step without gradients.

    Args:
        kernel: gaussian, or a kernel that is 0 beyond the bandwidth
        bandwidth: cv: maximize the leave-one-out likelihood; silverman or scott: rules of thumb; or a number, in
            standard deviations of the data

    Reference: *Density Estimation for Statistics and Data Analysis*, Bernard Silverman, 1986.
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
    """Gaussian mixture, fitted by expectation maximization on all examples at once, or by gradient descent.

    Args:
        components: number of Gaussians
        covariance: covariance of each component: spherical, diagonal or full
        fit: em: expectation maximization, initialized by k-means; gradient: maximum likelihood from a random start
        floor: smallest variance of a component in any direction (em), for data of variance 1; by default 1e-6 for
            vectors and, for images, the variance of the dequantization noise, 1/12 in levels

    Reference: *Maximum Likelihood from Incomplete Data via the EM Algorithm*, Arthur Dempster, Nan Laird, Donald Rubin,
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
    """Return the run of a model with closed-form steps, each on the whole training split."""
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
    """Return the arguments that every mixture takes; raise ValueError for data that it cannot model."""
    refuse_tokens(name, spec)
    levels = spec.levels if spec.kind == "image" else None
    return {"mean": spec.mean, "std": spec.std, "levels": levels, "discrete": spec.discrete}


def _number(bandwidth: str) -> str | float:
    try:
        return float(bandwidth)
    except ValueError:
        return bandwidth
