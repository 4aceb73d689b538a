"""Models: plain modules, asked for what they can do.

Imported as `from thalweg.models.vaes.vae import VAE`: one paper, one file, named as the paper names it. The recipes
that train them are listed by `thalweg models`.
"""
