"""Shallow classifiers, linear in the data: `logits(x) -> (B, K)`."""
