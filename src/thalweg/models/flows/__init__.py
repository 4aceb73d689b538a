"""Normalizing flows: `log_prob`, `sample`, `encode`, `decode`, exact and invertible."""
