"""Autoregressive models of images: exact `log_prob`, and `sample`."""
