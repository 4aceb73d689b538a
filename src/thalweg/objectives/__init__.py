"""Losses and divergences: pure functions; losses return one value per sample."""
