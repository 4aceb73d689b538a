"""Generative adversarial networks: `sample`, and the critic (or discriminator) of the training."""
