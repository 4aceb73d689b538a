"""Data sets: raw examples, what they are (`Spec`), and the order they are drawn in."""

from thalweg.data.dataset import Dataset, Spec, Split

__all__ = ["Dataset", "Spec", "Split"]
