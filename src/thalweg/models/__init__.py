"""Models: plain modules with the methods that evaluation asks for.

Each paper has one file, named as in the paper: `from thalweg.models.vaes.vae import VAE`. `thalweg models` lists the
recipes that train them.

"""
