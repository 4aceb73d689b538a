"""What recipes require of the data: checks that many of them share."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from thalweg.data import Spec

__all__ = ["labelled_classes", "number_of_classes", "refuse_tokens"]


def refuse_tokens(name: str, spec: Spec) -> None:
    """Raise ValueError for data of tokens, where the recipe `name` takes images and vectors."""
    if spec.kind == "tokens":
        raise ValueError(f"{name}: got data '{spec.name}' of tokens, wanted images or vectors")


def number_of_classes(spec: Spec, conditional: bool) -> int:
    """Return the number of classes that a model is conditioned on: 0 if it is not `conditional`.

    Raises ValueError if the model is to be conditional and the data have no classes.
    """
    if not conditional:
        return 0
    if not spec.classes:
        raise ValueError(f"conditional: got data '{spec.name}' without classes, wanted labels to condition on")
    return len(spec.classes)


def labelled_classes(name: str, spec: Spec) -> int:
    """Return the number of classes; raise ValueError in the name of a recipe if there are less than two."""
    if spec.classes is None:
        raise ValueError(f"{name}: got data '{spec.name}' without labels, wanted classes")
    if len(spec.classes) < 2:
        raise ValueError(f"{name}: got data '{spec.name}' with one class only, wanted at least 2")
    return len(spec.classes)
