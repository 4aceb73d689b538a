"""Variational autoencoders: `elbo`, `sample`, `encode`, `decode`."""
