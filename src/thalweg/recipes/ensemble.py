"""How the ensemble in a run folder is built: `thalweg ensemble` writes such folders, and nothing trains them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from thalweg.config import RunConfig, from_json

if TYPE_CHECKING:
    from thalweg.data import Spec
    from thalweg.training.run import Run

__all__ = ["ensemble"]


def ensemble(spec: Spec, *, members: tuple[dict[str, Any], ...] = (), weights: tuple[float, ...] = ()) -> Run:
    """Mixture of trained classifiers, Σ_k θ_k p_k(y|x); a run without stages, since its members are trained already.

    Args:
        members: the RunConfig of each member, in JSON
        weights: weight θ_k of each member

    Reference: *Ensemble Methods in Machine Learning*, Thomas Dietterich, 2000.
    """
    from thalweg.models.classifiers.ensemble import Ensemble
    from thalweg.recipes.runs import build
    from thalweg.training.run import Run

    models = [build(from_json(RunConfig, member), spec).model for member in members]
    return Run(Ensemble(models, weights), ())
