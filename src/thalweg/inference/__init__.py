"""Distributions that are known up to what must be estimated: marginal likelihoods, posteriors, gradients of
expectations."""
