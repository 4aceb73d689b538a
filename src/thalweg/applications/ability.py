"""A trained model that must have certain abilities."""

from __future__ import annotations

from typing import Any

from thalweg.abilities import has_ability, names_of
from thalweg.recipes.runs import Opened

__all__ = ["require"]


def require(opened: Opened, *abilities: type) -> Any:
    """Return the model of an opened run; raise ValueError if it lacks one of the abilities."""
    if not all(has_ability(opened.model, ability) for ability in abilities):
        wanted = " and ".join(names_of(abilities))
        raise ValueError(
            f"dir: got {opened.path} of the recipe {opened.config.recipe}, wanted a model that can {wanted}"
        )
    return opened.model
