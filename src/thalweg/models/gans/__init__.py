"""Generative adversarial networks: `sample`, and the critic or discriminator that trained the generator."""
