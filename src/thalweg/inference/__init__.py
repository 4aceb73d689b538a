"""Inference: marginal likelihoods, posteriors, gradients of expectations, and estimation from samples."""
