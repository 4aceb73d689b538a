"""Autoregressive models of images: `log_prob`, exact, and `sample`."""
