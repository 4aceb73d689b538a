"""Autoencoders: `encode`, `decode`, `reconstruct`, `score`."""
