"""Automatic differentiation in a few hundred lines: a graph of scalars, forward mode, reverse mode, and a drawing."""
