"""Mixture densities: kernel density estimation and Gaussian mixtures."""
