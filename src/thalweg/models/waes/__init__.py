"""Wasserstein autoencoders."""
