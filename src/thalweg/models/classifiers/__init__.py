"""Classifiers: `logits(x) -> (B, K)`."""
